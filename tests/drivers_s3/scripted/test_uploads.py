"""Uploads in parts: several at once, the source read ahead, and no round trip too many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from jtc.storage import (
    Disk,
    RejectedException,
    StoragePermissionException,
    StorageUnavailableException,
)
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.http_support import connections
from scripted_store import ALWAYS, Request, Rule, ScriptedStore, refusal, until

if TYPE_CHECKING:
    from jtc.storage.drivers.s3_driver._transport.transport import Transport

MakeDisk = Callable[..., Disk]

MIB = 2**20
IN_PARTS = {"multipart_threshold": 5 * MIB, "part_size": 5 * MIB}
EXPECT = "expect"


def transport_of(disk: Disk) -> Transport:
    return disk.driver_as(S3Driver)._transport


async def chunks(number: int, read: list[int] | None = None) -> AsyncIterator[bytes]:
    """Yield chunks of a MiB, and count in `read` those that were taken."""
    for each in range(number):
        if read is not None:
            read.append(each)
        yield each.to_bytes(2, "big") * (MIB // 2)


async def whole(number: int) -> bytes:
    return b"".join([chunk async for chunk in chunks(number)])


async def test_put_reads_the_first_parts_while_the_upload_is_created(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    created = asyncio.Event()
    rule = store.rule(Rule(operations="CreateMultipartUpload", hold=created))
    disk = make_disk(store, **IN_PARTS)
    read: list[int] = []
    put = asyncio.ensure_future(disk.put("a", chunks(42, read)))
    await rule.arrived.wait()
    # Four parts wait to be sent, and one is read.
    await until(lambda: len(read) == 25)
    assert store.of("UploadPart") == []
    created.set()
    await put
    assert store.content("a") == await whole(42)


@pytest.mark.parametrize("times", [1, ALWAYS])
async def test_put_warns_of_an_upload_whose_beginning_was_not_answered(
    store: ScriptedStore, make_disk: MakeDisk, caplog: pytest.LogCaptureFixture, times: float
) -> None:
    store.rule(Rule(operations="CreateMultipartUpload", times=times, apply=True, close=True))
    disk = make_disk(store, **IN_PARTS)
    with suppress(StorageUnavailableException):
        await disk.put("some/file", chunks(6))
    assert store.uploads
    (warning,) = (each for each in caplog.records if each.name == "jtc.storage")
    assert warning.levelname == "WARNING"
    assert "'some/file'" in warning.getMessage()
    assert "abort_stale_uploads" in warning.getMessage()


async def test_put_to_a_store_that_is_not_reached_warns_of_no_upload(
    store: ScriptedStore, make_disk: MakeDisk, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = {"endpoint_url": "http://127.0.0.1:9"}  # discard's port: nothing listens there
    disk = make_disk(store, **IN_PARTS, **nowhere)
    with pytest.raises(StorageUnavailableException):
        await disk.put("a", chunks(6))
    assert [each for each in caplog.records if each.name == "jtc.storage"] == []


async def test_put_whose_upload_is_refused_does_not_read_its_source_on(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    store.rule(Rule(operations="CreateMultipartUpload", answer=refusal(403, "AccessDenied")))
    never = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield bytes(6 * MIB)
        await never.wait()

    disk = make_disk(store, **IN_PARTS)
    async with asyncio.timeout(5):
        with pytest.raises(StoragePermissionException):
            await disk.put("a", slow())
    assert [request.operation for request in store.requests] == ["CreateMultipartUpload"]


async def test_put_that_is_cancelled_while_its_upload_is_created_aborts_it(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    created = asyncio.Event()
    rule = store.rule(Rule(operations="CreateMultipartUpload", hold=created))
    disk = make_disk(store, **IN_PARTS)
    put = asyncio.ensure_future(disk.put("a", chunks(12)))
    await rule.arrived.wait()
    put.cancel()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not put.done()
    created.set()
    with pytest.raises(asyncio.CancelledError):
        await put
    assert store.uploads == {}
    assert len(store.of("AbortMultipartUpload")) == 1


@pytest.mark.parametrize("most", [1, 3])
async def test_put_sends_no_more_parts_at_once_than_max_concurrency(
    store: ScriptedStore, make_disk: MakeDisk, most: int
) -> None:
    held = asyncio.Event()
    rule = store.rule(Rule(operations="UploadPart", times=ALWAYS, hold=held))
    disk = make_disk(store, max_concurrency=most, **IN_PARTS)
    put = asyncio.ensure_future(disk.put("a", chunks(40)))
    await until(lambda: rule.taken == most)
    for _ in range(100):
        await asyncio.sleep(0)
    assert rule.taken == most
    held.set()
    await put
    assert store.content("a") == await whole(40)


async def test_put_that_is_refused_for_load_sends_fewer_parts_at_once(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    disk = make_disk(store, **IN_PARTS)
    transport_of(disk).uploads.level = 8
    store.rule(Rule(operations="UploadPart", times=2, answer=refusal(503, "SlowDown")))
    await disk.put("a", chunks(60))
    assert transport_of(disk).uploads.level == 4
    assert store.content("a") == await whole(60)


async def test_put_in_parts_leaves_connections_to_other_requests(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    store.store("b", b"content")
    disk = make_disk(store, max_connections=2, pool_timeout=5, **IN_PARTS)
    transport_of(disk).uploads.level = 8
    held = asyncio.Event()
    rule = store.rule(Rule(operations="UploadPart", times=ALWAYS, hold=held))
    put = asyncio.ensure_future(disk.put("a", chunks(40)))
    await until(lambda: rule.taken == 2)
    get = asyncio.ensure_future(disk.get("b"))
    held.set()
    # Not behind all parts.
    assert await get == b"content"
    assert len(store.of("UploadPart")) < 8
    await put


# Expect: 100-continue


def asked(store: ScriptedStore, *operations: str) -> list[bool]:
    """Return for each request with a large body whether the store was asked before."""
    return [EXPECT in request.headers for request in store.of(*operations)]


async def test_put_in_parts_asks_for_no_part_whether_the_store_takes_it(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    await make_disk(store, **IN_PARTS).put("a", chunks(12))
    assert asked(store, "UploadPart") == [False] * 3


async def test_put_asks_a_store_that_accepted_content_only_under_a_condition(
    store: ScriptedStore, disk: Disk
) -> None:
    content = bytes(connections.LARGE + 1)
    await disk.put("a", content)
    await disk.put("b", content)
    await disk.put("c", content, overwrite=False)
    assert asked(store, "PutObject") == [True, False, True]


@pytest.mark.parametrize("operation", ["PutObject", "UploadPart"])
async def test_put_whose_connection_breaks_unasked_asks_the_next_time(
    store: ScriptedStore, make_disk: MakeDisk, operation: str
) -> None:
    """A store that refuses a body closes the connection, and its reason is lost."""
    disk = make_disk(store, max_concurrency=1, **IN_PARTS)
    await disk.put("a", bytes(MIB))
    store.rule(Rule(operations=operation, close=True))
    store.rule(Rule(operations=operation, expect=403, answer=refusal(403, "AccessDenied")))

    def is_large(request: Request) -> bool:
        return request.operation == operation and request.key == "b"

    with pytest.raises(StoragePermissionException):
        await disk.put("b", bytes(MIB) if operation == "PutObject" else chunks(6))
    sent = [request for request in store.requests if is_large(request)]
    assert [EXPECT in request.headers for request in sent] == [False, True]


async def test_put_of_more_parts_than_there_may_be_is_refused(
    store: ScriptedStore, make_disk: MakeDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jtc.storage.drivers.s3_driver._objects.upload_parts.MAX_PARTS", 2)
    disk = make_disk(store, **IN_PARTS)
    with pytest.raises(RejectedException, match="more than 2 parts"):
        await disk.put("a", chunks(12))
    transport = transport_of(disk)
    memory = await transport.memory()
    assert memory.are_free(memory.number)
    assert store.uploads == {}


async def test_put_whose_source_ignores_its_cancellation_fails_and_releases_its_memory(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    disk = make_disk(store, **IN_PARTS)
    store.rule(Rule(operations="UploadPart", answer=refusal(403, "AccessDenied")))

    async def stubborn() -> AsyncIterator[bytes]:
        yield bytes(6 * MIB)
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        yield bytes(6 * MIB)

    with pytest.raises(StoragePermissionException):
        await disk.put("a", stubborn())
    memory = await transport_of(disk).memory()
    assert memory.are_free(memory.number)
    assert store.uploads == {}
