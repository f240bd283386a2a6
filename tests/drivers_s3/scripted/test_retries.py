"""Retries, 100-continue, dead connections and clocks."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from disk_calls import CALLS, IN_PARTS, fill
from jtc.storage import (
    StorageConfigException,
    StorageException,
    StoragePermissionException,
    StorageUnavailableException,
)
from scripted_store import ALWAYS, Answer, Rule, ScriptedStore, refusal

if TYPE_CHECKING:
    from jtc.storage import Disk

MakeDisk = Callable[..., "Disk"]

TEMPORARY = (408, 429, 500, 502, 503, 504, *range(520, 530))


@pytest.mark.parametrize("name", ["get", "put", "put in parts", "list", "delete_many"])
async def test_temporary_status_is_retried(
    store: ScriptedStore, make_disk: MakeDisk, name: str
) -> None:
    fill(store)
    await CALLS[name](make_disk(store, **IN_PARTS))
    number = len(store.requests)
    for status in TEMPORARY:
        fill(store)
        store.requests.clear()
        store.rules = [Rule(answer=Answer(status, {}, b"error code: 1"))]
        await CALLS[name](make_disk(store, **IN_PARTS))
        assert len(store.requests) == number + 1, status


@pytest.mark.parametrize("name", ["get", "exists", "put"])
async def test_temporary_status_that_stays_is_called_retryable(
    store: ScriptedStore, make_disk: MakeDisk, name: str
) -> None:
    for status in TEMPORARY:
        store.requests.clear()
        store.rules = [Rule(times=ALWAYS, answer=Answer(status))]
        with pytest.raises(StorageUnavailableException) as caught:
            await CALLS[name](make_disk(store, max_attempts=2))
        assert caught.value.retryable
        assert len(store.requests) == 2, status


@pytest.mark.parametrize("status", [400, 401, 403, 405, 409, 411, 413, 418, 501])
async def test_permanent_status_is_not_called_unavailable(
    store: ScriptedStore, disk: Disk, status: int
) -> None:
    store.rule(Rule(times=ALWAYS, answer=Answer(status)))
    with pytest.raises(StorageException) as caught:
        await disk.get("a")
    if status != 409:
        assert not caught.value.retryable
        assert len(store.requests) == 1


@pytest.mark.parametrize(
    ("retry_after", "lowest", "highest"),
    [
        ("7", 7, 20),
        ("100000", 0, 20),
        (400 * "9", 0, 20),
        ("date", 5, 20),
        ("never", 1, 1),
        ("-5", 1, 1),
        ("nan", 1, 1),
        ("1e400", 1, 1),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_the_shortest_pause(
    store: ScriptedStore,
    disk: Disk,
    pauses: list[float],
    status: int,
    retry_after: str,
    lowest: float,
    highest: float,
) -> None:
    store.store("a", b"content")
    if retry_after == "date":
        retry_after = formatdate(time.time() + 8, usegmt=True)
    store.rule(Rule(answer=Answer(status, {"retry-after": retry_after})))
    try:
        assert await disk.get("a") == b"content"
    except StorageUnavailableException:
        # Right where it is later than the call's own end.
        assert lowest == 0
    assert lowest <= max(pauses, default=0) <= highest


# 100-continue

LONG = bytes(300 * 1024)


async def test_put_to_a_store_that_never_says_continue_is_sent(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    store.rule(Rule(operations="PutObject", times=ALWAYS, expect=0))
    disk = make_disk(store, read_timeout=3, request_timeout=3, max_attempts=1)
    for path in ("a", "b"):
        await disk.put(path, LONG)
        assert store.content(path) == LONG
    assert len(store.requests) == 2
    # It is remembered.
    assert "expect" not in store.requests[1].headers


@pytest.mark.parametrize(("options", "operation"), [({}, "PutObject"), (IN_PARTS, "UploadPart")])
async def test_put_that_is_refused_for_its_expectation_is_sent_without(
    store: ScriptedStore, make_disk: MakeDisk, options: dict[str, int], operation: str
) -> None:
    store.rule(Rule(operations=operation, times=ALWAYS, expect=417))
    disk = make_disk(store, **options)
    await disk.put("a", LONG)
    assert store.content("a") == LONG
    await disk.put("b", LONG)
    assert store.content("b") == LONG
    expected = ["expect" in request.headers for request in store.of(operation)]
    assert expected in ([True, False, False], [False, False])


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, StorageConfigException),
        (403, StoragePermissionException),
        (503, StorageUnavailableException),
    ],
)
async def test_put_that_is_refused_before_its_body_is_an_error(
    store: ScriptedStore, make_disk: MakeDisk, status: int, error: type[StorageException]
) -> None:
    rule = store.rule(Rule(operations="PutObject", times=ALWAYS, expect=status))
    with pytest.raises(error):
        await make_disk(store, max_attempts=2).put("a", LONG)
    assert rule.taken == (2 if status == 503 else 1)
    assert store.objects == {}


# Dead connections


@pytest.mark.parametrize("name", ["get", "put", "put if new", "exists", "list"])
async def test_connection_that_was_closed_meanwhile_is_replaced(
    store: ScriptedStore, disk: Disk, name: str
) -> None:
    fill(store)
    await disk.exists("a")
    rule = store.rule(Rule(where=lambda request: request.turn > 1, close=True, answer=Answer()))
    await CALLS[name](disk)
    assert rule.taken == 1
    assert store.connections == 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux drops packets on request")
@pytest.mark.parametrize("name", ["get", "exists", "list", "put"])
async def test_connection_that_went_dead_is_replaced_before_the_read_timeout(
    store: ScriptedStore, make_disk: MakeDisk, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    really_set = socket.socket.setsockopt

    def set_sooner(self: socket.socket, level: int, option: int, value: int | bytes) -> None:
        if (level, option) == (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT):
            value = 400  # milliseconds: the test waits for it
        really_set(self, level, option, value)

    monkeypatch.setattr(socket.socket, "setsockopt", set_sooner)
    fill(store)
    disk = make_disk(store, read_timeout=20)
    await disk.exists("a")
    store.let_connections_die()
    async with asyncio.timeout(5):
        await CALLS[name](disk)
    assert store.connections == 2


# Clocks


@pytest.mark.parametrize("code", ["RequestTimeTooSkewed", "SignatureDoesNotMatch"])
@pytest.mark.parametrize("hours", [-5, 5])
async def test_error_of_a_wrong_clock_names_it_and_the_difference(
    store: ScriptedStore, disk: Disk, code: str, hours: int
) -> None:
    answer = refusal(403, code)
    answer.headers["date"] = formatdate(time.time() + hours * 3600, usegmt=True)
    store.rule(Rule(times=ALWAYS, answer=answer))
    # A HEAD has no code.
    for call in (disk.get, disk.exists):
        with pytest.raises(StorageException, match="clock") as caught:
            await call("a")
        # Five hours, 300 minutes or 18,000 seconds, to a second or so.
        found = caught.value.message.replace(",", "")
        numbers = ("5 h", "5:00", "4:59", "300 min", "299 min", "18000", "17999", "18001")
        assert any(number in found for number in numbers), found


async def test_error_of_a_wrong_secret_names_the_credentials(
    store: ScriptedStore, disk: Disk
) -> None:
    store.rule(Rule(times=ALWAYS, answer=refusal(403, "SignatureDoesNotMatch")))
    with pytest.raises(StoragePermissionException, match="secret_key"):
        await disk.get("a")


@pytest.mark.parametrize("operation", ["PutObject", "DeleteObject"])
async def test_request_on_a_connection_that_breaks_is_not_sent_again_unseen(
    store: ScriptedStore, make_disk: MakeDisk, operation: str
) -> None:
    # aiohttp sends a PUT or DELETE on a connection that it reuses again by itself.
    disk = make_disk(store, max_attempts=1)
    await disk.put("a", b"1")
    store.rule(Rule(operations=operation, times=ALWAYS, close=True))
    call = disk.put("a", b"2") if operation == "PutObject" else disk.delete("a")
    with pytest.raises(StorageUnavailableException):
        await call
    assert len(store.of(operation)) == (2 if operation == "PutObject" else 1)
