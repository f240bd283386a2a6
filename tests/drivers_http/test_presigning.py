"""Times of presigned URLs, and checks of what they permit."""

from __future__ import annotations

import time

import pytest

from jtc.storage.exceptions import InvalidPathException
from jtc.storage.http_support.presigning import check_form_key, check_length, check_times, life_of

WEEK = 7 * 24 * 3600


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ((0,), "expires_in must be from 1"),
        ((WEEK + 1,), "expires_in must be from 1"),
        ((60, 0), "stable_for must be from 0.001"),
        ((60, WEEK), "together with expires_in"),
    ],
)
def test_check_times_refuses_what_is_out_of_range(times: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_times(*times)
    with pytest.raises(ValueError, match=message):
        life_of(*times)


def test_life_of_a_period_begins_and_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.5)
    assert life_of(60) == (1000, 60)
    assert life_of(60, 300) == (900, 360)
    assert life_of(WEEK - 300, 300) == (900, WEEK)
    monkeypatch.setattr(time, "time", lambda: 1199.9)
    assert life_of(60, 300) == (900, 360)
    monkeypatch.setattr(time, "time", lambda: 1200.0)
    assert life_of(60, 300) == (1200, 360)


def test_checks_of_lengths_and_form_keys_name_what_is_wrong() -> None:
    assert check_length("size", 0) == 0
    with pytest.raises(ValueError, match="min_size must be 0 or more bytes, not -1"):
        check_length("min_size", -1)
    check_form_key("a/${file}", "Acme")
    with pytest.raises(InvalidPathException, match=r"Acme replaces \$\{filename\}"):
        check_form_key("a/${filename}", "Acme")
