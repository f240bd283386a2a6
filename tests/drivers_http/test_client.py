"""`HttpClient` on a scripted store: what is sent again, and what becomes of refusals."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.exceptions import (
    StorageException,
    StorageTimeoutException,
    StorageUnavailableException,
)
from jtc.storage.http_support.requests import Answer, Refusal, Request
from scripted_store import ALWAYS, Rule, refusal
from scripted_store import Answer as Scripted

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage.http_support.client import HttpClient
    from scripted_store import ScriptedStore

    from .conftest import MakeClient, PlainService

LARGE = bytes(300 * 1024)


def itself(answer: Answer) -> Answer:
    return answer


def get(name: str, **more: Any) -> Request[Answer]:
    return Request("Get", "GET", f"/bucket/{name}", itself, **more)


def put(name: str, body: bytes, **more: Any) -> Request[Answer]:
    return Request("Put", "PUT", f"/bucket/{name}", itself, body=body, **more)


def service_of(client: HttpClient) -> PlainService:
    return client.service  # type: ignore[return-value]


async def test_send_returns_what_the_request_reads_from_the_answer(
    store: ScriptedStore, client: HttpClient
) -> None:
    store.store("a b", b"content")
    request = Request("Get", "GET", "/bucket/a%20b", lambda answer: answer.document)
    assert await client.send(request) == b"content"
    sent = store.requests[0].headers
    assert sent["user-agent"] == "jtc-storage-test"
    assert sent["accept-encoding"] == "identity"
    assert sent["authorization"] == "Bearer old"
    assert service_of(client).learned == [200]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 520])
async def test_send_repeats_what_fails_for_a_moment(
    store: ScriptedStore, client: HttpClient, pauses: list[float], status: int
) -> None:
    store.rule(Rule(answer=refusal(status, "Busy"), times=2))
    answer = await client.send(put("a", b"content"))
    assert store.content("a") == b"content"
    assert pauses == [1.0, 2.0]
    # Of 429 it is known that the store refused to look at the request.
    assert answer.is_repeated == (status != 429)


async def test_send_gives_up_after_max_attempts(store: ScriptedStore, client: HttpClient) -> None:
    store.rule(Rule(answer=refusal(500, "Busy"), times=ALWAYS))
    with pytest.raises(StorageException, match="Get: HTTP 500") as failed:
        await client.send(get("a"))
    assert len(store.requests) == 3
    assert isinstance(failed.value.__cause__, Refusal)
    assert failed.value.__cause__.is_repeated
    assert failed.value.__cause__.request_id == "REQUEST-ID"


async def test_send_waits_as_long_as_the_store_wants(
    store: ScriptedStore, client: HttpClient, pauses: list[float]
) -> None:
    store.store("a", b"content")
    store.rule(Rule(answer=Scripted(503, {"retry-after": "7"})))
    await client.send(get("a"))
    assert pauses == [7.0]
    assert [each.refusals for each in (client.downloads, client.uploads, client.copies)] == [1] * 3


async def test_send_takes_no_longer_than_request_timeout_with_pauses(
    store: ScriptedStore, client: HttpClient, pauses: list[float]
) -> None:
    store.rule(Rule(answer=Scripted(503, {"retry-after": "60"})))
    with pytest.raises(StorageException, match="HTTP 503"):
        await client.send(get("a"))
    assert pauses == []


async def test_send_stops_repeating_when_retries_do_not_pay(
    store: ScriptedStore, client: HttpClient
) -> None:
    store.rule(Rule(answer=refusal(500, "Busy"), times=ALWAYS))
    client.budget.take(495)
    with pytest.raises(StorageException):
        await client.send(get("a"))
    assert len(store.requests) == 2
    with pytest.raises(StorageException):
        await client.send(get("a"))
    assert len(store.requests) == 3


async def test_send_says_of_a_lost_answer_that_the_request_was_repeated(
    store: ScriptedStore, client: HttpClient
) -> None:
    store.rule(Rule(close=True, apply=True))
    answer = await client.send(put("a", b"content"))
    assert answer.is_repeated
    assert len(store.requests) == 2


async def test_send_renews_credentials_once(store: ScriptedStore, client: HttpClient) -> None:
    store.rule(Rule(answer=refusal(401, "Expired"), times=1))
    answer = await client.send(put("a", b"content"))
    assert not answer.is_repeated
    assert service_of(client).renewals == [False, True]
    assert store.requests[-1].headers["authorization"] == "Bearer new"
    store.rule(Rule(answer=refusal(401, "Expired"), times=ALWAYS))
    with pytest.raises(StorageException, match="HTTP 401"):
        await client.send(get("a"))
    assert service_of(client).renewals == [False, True, False, True]


async def test_send_does_not_follow_redirects(store: ScriptedStore, client: HttpClient) -> None:
    elsewhere = f"{store.endpoint_url}/bucket/other"
    store.store("other", b"content")
    store.rule(Rule(answer=Scripted(307, {"location": elsewhere}), times=ALWAYS))
    with pytest.raises(StorageException, match="HTTP 307"):
        await client.send(get("a"))
    assert len(store.requests) == 1


async def test_send_goes_where_the_request_says(
    store: ScriptedStore, make_client: MakeClient
) -> None:
    store.store("a", b"content")
    client = make_client("http://127.0.0.1:1")
    answer = await client.send(get("a", origin=store.endpoint_url))
    assert answer.document == b"content"


async def test_send_names_what_to_check_where_nothing_listens(
    make_client: MakeClient, pauses: list[float]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = make_client(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(StorageUnavailableException, match="check the option endpoint_url and"):
            await client.send(get("a"))
    assert len(pauses) == 2


async def test_send_of_a_store_that_is_silent_ends_after_request_timeout(
    store: ScriptedStore, make_client: MakeClient
) -> None:
    store.rule(Rule(silent=True, times=ALWAYS))
    client = make_client(store.endpoint_url, request_timeout=0.05)
    with pytest.raises(StorageTimeoutException, match=r"did not answer within 0\.05 s"):
        await client.send(get("a"))
    assert client.has_free_place()


async def test_send_refuses_an_answer_without_end(
    store: ScriptedStore, client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(client.service), "longest_answer", 1000)
    store.store("a", bytes(1001))
    with pytest.raises(StorageUnavailableException, match="longer than 1000 bytes"):
        await client.send(get("a"))
    assert len(store.requests) == 1


def _conditional() -> Request[Answer]:
    return put("a", LARGE, headers={"if-none-match": "*"})


@pytest.mark.parametrize(
    ("make", "asks"),
    [
        (lambda: put("a", LARGE), False),
        (_conditional, True),
        (lambda: put("a", LARGE, asks_first=True), True),
        (lambda: put("a", LARGE, headers={"if-none-match": "*"}, asks_first=False), False),
        (lambda: put("a", b"small", headers={"if-none-match": "*"}), False),
    ],
)
async def test_send_asks_before_large_bodies_that_may_be_refused(
    store: ScriptedStore, client: HttpClient, make: Callable[[], Request[Answer]], asks: bool
) -> None:
    # The first one of all asks, if it may.
    await client.send(put("b", LARGE))
    assert store.requests[-1].headers["expect"] == "100-continue"
    await client.send(make())
    assert store.requests[-1].headers.get("expect") == ("100-continue" if asks else None)


async def test_send_does_not_ask_a_store_that_refuses_to_be_asked(
    store: ScriptedStore, client: HttpClient
) -> None:
    store.rule(Rule(expect=417, answer=refusal(417, "No"), where=lambda it: "expect" in it.headers))
    answer = await client.send(_conditional())
    assert not answer.is_repeated
    assert store.content("a") == LARGE
    assert client.continues is False
    await client.send(put("b", LARGE, asks_first=True))
    assert "expect" not in store.requests[-1].headers


async def test_send_leaves_a_long_body_open_and_holds_its_connection(
    store: ScriptedStore, make_client: MakeClient
) -> None:
    client = make_client(store.endpoint_url, max_connections=1)
    store.store("a", bytes(100_000))
    answer = await client.send(get("a", leave_open_from=99_999))
    body = answer.content
    assert not isinstance(body, bytes)
    assert not client.has_free_place()
    assert client.free_place() is None
    received = 0
    while piece := await body.read(70_000):
        received += len(piece)
    body.close()
    assert received == 100_000
    assert client.has_free_place()
    whole = await client.send(get("a", leave_open_from=100_000))
    assert whole.document == bytes(100_000)


async def test_send_uses_a_place_that_was_taken_and_releases_it(
    store: ScriptedStore, make_client: MakeClient
) -> None:
    client = make_client(store.endpoint_url, max_connections=1)
    store.store("a", b"content")
    assert client.free_place() is None  # nothing is opened yet
    await client.send(get("a"))
    taken = client.free_place()
    assert taken is not None
    assert not client.has_free_place()
    assert (await client.send(get("a"), taken)).document == b"content"
    assert client.has_free_place()


async def test_send_that_is_cancelled_releases_its_place(
    store: ScriptedStore, make_client: MakeClient
) -> None:
    client = make_client(store.endpoint_url, max_connections=1)
    silent = store.rule(Rule(silent=True))
    sending = asyncio.create_task(client.send(get("a")))
    await silent.arrived.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert client.has_free_place()
