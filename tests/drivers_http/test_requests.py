"""`Refusal`: what it keeps of a store's answer."""

from __future__ import annotations

import email.utils
import pickle
import time

import pytest

from jtc.storage.http_support.requests import Refusal


class OwnRefusal(Refusal):
    """One with another constructor."""

    def __init__(self, status: int) -> None:
        super().__init__(status, "Own", "no", headers={"retry-after": "3"})
        self.bucket = "b"


def test_refusal_says_status_code_words_and_request() -> None:
    assert str(Refusal(503, "Busy", "later", "id-1")) == "HTTP 503 Busy: later, request id-1"
    assert str(Refusal(503, "Busy", "later")) == "HTTP 503 Busy: later"


def test_refusal_keeps_what_can_be_printed_and_no_more_than_500_letters() -> None:
    refusal = Refusal(400, "a\nb", "\x1b[31mred", "x" * 9999)
    assert refusal.code == "a b"
    assert refusal.message == "[31mred"
    assert len(refusal.request_id) == 500


@pytest.mark.parametrize("kind", [Refusal, OwnRefusal])
def test_refusal_can_be_pickled(kind: type[Refusal]) -> None:
    refusal = OwnRefusal(503) if kind is OwnRefusal else Refusal(404, "None", "no", "id")
    refusal.is_repeated = True
    copy = pickle.loads(pickle.dumps(refusal))
    assert type(copy) is kind
    assert vars(copy) == vars(refusal)
    assert str(copy) == str(refusal)


@pytest.mark.parametrize("text", ["", "soon", "-5", "Thu, 99 Jan 2026 00:00:00 GMT", "\u0661"])
def test_refusal_without_a_readable_retry_after_wants_no_pause(text: str) -> None:
    assert Refusal(503, "", "", headers={"retry-after": text}).retry_after == 0


def test_refusal_reads_seconds_and_dates() -> None:
    assert Refusal(503, "", "", headers={"retry-after": "12"}).retry_after == 12
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    refusal = Refusal(503, "", "", headers={"retry-after": date, "date": date})
    assert 90 < refusal.retry_after <= 100
    assert 90 < refusal.clock <= 100
    past = email.utils.formatdate(time.time() - 100, usegmt=True)
    assert Refusal(503, "", "", headers={"retry-after": past}).retry_after == 0
