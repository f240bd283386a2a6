"""Connections, deadlines and memory of one disk."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from disk_calls import CALLS, IN_PARTS, fill
from jtc.storage import StorageException, StorageTimeoutException
from jtc.storage.drivers.s3_driver import S3Driver
from scripted_store import ALWAYS, Rule, ScriptedStore, refusal, until

if TYPE_CHECKING:
    from jtc.storage import ByteStream, Disk

MakeDisk = Callable[..., "Disk"]

MIB = 1024 * 1024
BIG = bytes(16 * MIB)
"""More than sockets hold while nothing is read."""


# Places


@contextlib.asynccontextmanager
async def open_streams(disk: Disk, number: int) -> AsyncIterator[list[ByteStream]]:
    """Open streams and read the first chunk of each."""
    async with contextlib.AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(disk.stream("big")) for _ in range(number)]
        iterators = [aiter(stream) for stream in streams]
        for iterator in iterators:
            await anext(iterator)
        yield streams
        # Until here: an iterator that is dropped closes its stream.
        del iterators


async def test_call_without_a_place_names_max_connections(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    store.store("big", BIG)
    store.store("a", b"content")
    disk = make_disk(store, max_connections=2, pool_timeout=0.2, max_attempts=1)
    async with open_streams(disk, 2):
        for call in (disk.get, disk.exists):
            with pytest.raises(StorageTimeoutException, match="max_connections"):
                await call("a")
    assert [request.key for request in store.requests] == ["big", "big"]
    # Closed streams give their places back.
    assert await disk.get("a") == b"content"


async def test_call_that_waits_for_a_place_is_sent_once_there_is_one(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    store.store("big", BIG)
    store.store("a", b"content")
    # The wait is longer than what a request may take.
    disk = make_disk(store, max_connections=2, request_timeout=0.5, read_timeout=0.5)
    async with open_streams(disk, 2) as streams:
        call = asyncio.ensure_future(disk.get("a"))
        done, _ = await asyncio.wait([call], timeout=0.8)
        assert not done
        await streams[0].aclose()
        assert await call == b"content"


async def test_calls_beyond_max_connections_take_turns(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    store.store("a", b"content")
    disk = make_disk(store, max_connections=3)
    contents = await asyncio.gather(*(disk.get("a") for _ in range(30)))
    assert contents == [b"content"] * 30
    assert store.connections <= 3


@pytest.mark.parametrize("status", [404, 412, 503])
async def test_failed_calls_give_their_places_back(
    store: ScriptedStore, make_disk: MakeDisk, status: int
) -> None:
    store.store("big", BIG)
    rule = store.rule(Rule(times=6, answer=refusal(status, "Code")))
    disk = make_disk(store, max_connections=2, pool_timeout=0.2, max_attempts=1)
    for _ in range(3):
        with pytest.raises(StorageException):
            await disk.get("big")
        with pytest.raises(StorageException):
            async with disk.stream("big"):
                pass
    assert rule.taken == 6
    # So do streams that are left in the middle, and calls that are cancelled.
    for _ in range(3):
        async with open_streams(disk, 2):
            pass
    silent = store.rule(Rule(operations="HeadObject", times=3, silent=True))
    for _ in range(3):
        silent.arrived.clear()
        call = asyncio.ensure_future(disk.exists("big"))
        await silent.arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert await disk.exists("big")


# Copies


@pytest.mark.parametrize(
    ("name", "operation"), [("copy", "CopyObject"), ("copy in parts", "UploadPartCopy")]
)
async def test_copy_may_take_longer_than_the_read_timeout(
    store: ScriptedStore, make_disk: MakeDisk, name: str, operation: str
) -> None:
    fill(store)
    copied = asyncio.Event()
    rule = store.rule(Rule(operations=operation, times=ALWAYS, hold=copied))
    disk = make_disk(store, read_timeout=0.4, request_timeout=0.6, **IN_PARTS)
    asyncio.get_running_loop().call_later(1, copied.set)
    await CALLS[name](disk)
    assert rule.taken == 1


@pytest.mark.parametrize(
    ("name", "operation"), [("copy", "CopyObject"), ("copy in parts", "UploadPartCopy")]
)
async def test_copy_that_times_out_is_sent_once(
    store: ScriptedStore, make_disk: MakeDisk, name: str, operation: str
) -> None:
    fill(store)
    rule = store.rule(Rule(operations=operation, times=ALWAYS, silent=True))
    disk = make_disk(store, copy_timeout=0.2, max_attempts=3, **IN_PARTS)
    with pytest.raises(StorageTimeoutException):
        await CALLS[name](disk)
    assert rule.taken == 1


async def test_copy_of_a_larger_file_has_more_time(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    store.store("large", bytes(8 * MIB))
    store.store("small", b"1")
    disk = make_disk(store, copy_timeout=0.05, max_attempts=1)
    for path in ("large", "small"):
        copied = asyncio.Event()
        store.rule(Rule(operations="CopyObject", hold=copied))
        later = asyncio.get_running_loop().call_later(0.3, copied.set)
        if path == "large":
            await disk.copy(path, "copy")
        else:
            with pytest.raises(StorageTimeoutException):
                await disk.copy(path, "copy")
        later.cancel()


# aclose


def in_flight(disk: Disk) -> list[Awaitable[object]]:
    names = ("get", "stream", "put", "put in parts", "exists", "list", "copy", "delete_many")
    return [asyncio.ensure_future(CALLS[name](disk)) for name in names * 3]


async def ends(calls: list[Awaitable[object]]) -> list[BaseException]:
    """Return the errors of calls that are no `StorageException`."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    return [
        result
        for result in results
        if isinstance(result, BaseException) and not isinstance(result, StorageException)
    ]


@pytest.mark.parametrize("max_connections", [64, 4])
async def test_aclose_ends_no_call_with_an_untyped_error(
    store: ScriptedStore, make_disk: MakeDisk, max_connections: int
) -> None:
    fill(store)
    release = asyncio.Event()
    rule = store.rule(Rule(times=ALWAYS, hold=release))
    disk = make_disk(store, max_connections=max_connections, **IN_PARTS)
    calls = in_flight(disk)
    await until(lambda: rule.taken >= 4)
    closing = asyncio.ensure_future(disk.driver_as(S3Driver).aclose())
    for _ in range(10):
        await asyncio.sleep(0)
    release.set()
    assert await ends([*calls, closing]) == []
    # It opens afresh.
    store.store("b", b"content")
    assert await disk.get("b") == b"content"


async def test_aclose_ends_no_call_of_other_threads_with_an_untyped_error(
    store: ScriptedStore, disk: Disk
) -> None:
    store.store("a", b"content")
    release = asyncio.Event()
    rule = store.rule(Rule(times=ALWAYS, hold=release))

    def in_its_own_loop() -> bytes:
        return asyncio.run(disk.get("a"))

    calls: list[Awaitable[object]] = [
        asyncio.ensure_future(asyncio.to_thread(call))
        for call in 2 * [lambda: disk.sync.get("a"), in_its_own_loop]
    ]
    await until(lambda: rule.taken == len(calls))
    closing = asyncio.ensure_future(disk.driver_as(S3Driver).aclose())
    for _ in range(10):
        await asyncio.sleep(0)
    release.set()
    assert await ends([*calls, closing]) == []


async def test_aclose_does_not_wait_for_a_store_that_is_silent(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    fill(store)
    rule = store.rule(Rule(times=ALWAYS, silent=True))
    disk = make_disk(store, request_timeout=0.4, read_timeout=0.4, max_attempts=1, **IN_PARTS)
    calls = in_flight(disk)
    await until(lambda: rule.taken >= 4)
    closing = asyncio.ensure_future(disk.driver_as(S3Driver).aclose())
    assert await ends([*calls, closing]) == []


async def test_aclose_leaves_an_open_stream_whole_or_ends_it_with_a_typed_error(
    store: ScriptedStore, disk: Disk
) -> None:
    store.store("big", BIG)
    async with disk.stream("big") as stream:
        iterator = aiter(stream)
        content = await anext(iterator)
        closing = asyncio.ensure_future(disk.driver_as(S3Driver).aclose())
        try:
            async for chunk in iterator:
                content += chunk
        except StorageException:
            pass
        else:
            assert content == BIG
    await closing


# Memory


async def test_uploads_at_once_hold_no_more_than_max_transfer_memory(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    # 32 MiB is more than two parts of any upload need; eight would take 80.
    disk = make_disk(
        store,
        max_transfer_memory=32 * MIB,
        multipart_threshold=5 * MIB,
        part_size=5 * MIB,
        max_concurrency=4,
    )
    read = 0
    peak = 0

    def held() -> int:
        return read - sum(len(request.body) for request in store.of("UploadPart", "PutObject"))

    async def source() -> AsyncIterator[bytes]:
        nonlocal read, peak
        for _ in range(12):
            chunk = bytes(MIB)
            read += len(chunk)
            peak = max(peak, held())
            yield chunk

    await asyncio.gather(*(disk.put(f"{number}", source()) for number in range(8)))
    assert {len(stored.content) for stored in store.objects.values()} == {12 * MIB}
    # Each source may have one chunk ready besides.
    assert peak <= (32 + 8) * MIB


async def test_put_that_is_cancelled_when_it_is_refused_leaves_no_connection(
    make_disk: MakeDisk,
) -> None:
    connections: set[asyncio.StreamWriter] = set()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            # Before the content was sent, and without the end.
            writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 1000\r\n\r\n<Error>")
            await reader.read()
        writer.close()
        connections.discard(writer)

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        store = ScriptedStore()
        store.endpoint_url = f"http://127.0.0.1:{port}"
        disk = make_disk(store)
        for rounds in range(60):
            put = asyncio.ensure_future(disk.put("a", bytes(MIB)))
            for _ in range(rounds):
                await asyncio.sleep(0)
            put.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await put
        await until(lambda: not connections)


async def test_get_of_unknown_length_that_comes_byte_by_byte_times_out(
    make_disk: MakeDisk,
) -> None:
    closed = asyncio.Event()

    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nTransfer-Encoding: chunked\r\n\r\n'
        writer.write(head)
        ended = asyncio.ensure_future(reader.read())
        while not ended.done():
            writer.write(b"1\r\n \r\n")
            # Far fewer bytes a second than what extends the deadline.
            await asyncio.wait([ended], timeout=0.01)
        writer.close()
        closed.set()

    async with await asyncio.start_server(dribble, "127.0.0.1", 0) as server:
        store = ScriptedStore()
        store.endpoint_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        disk = make_disk(store, request_timeout=0.2)
        async with asyncio.timeout(10):
            with pytest.raises(StorageTimeoutException, match="too little"):
                await disk.get("a")
            await closed.wait()


async def test_put_of_a_small_file_needs_no_place_in_memory(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    disk = make_disk(
        store,
        max_transfer_memory=5 * MIB,
        part_size=5 * MIB,
        pool_timeout=0.2,
        multipart_threshold=1,
    )
    is_reading, goes_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield bytes(MIB)
        is_reading.set()
        await goes_on.wait()
        yield b"end"

    async def small() -> AsyncIterator[bytes]:
        yield b"small"

    upload = asyncio.ensure_future(disk.put("slow", slow()))
    await is_reading.wait()
    await disk.put("small", small())
    with pytest.raises(StorageTimeoutException, match="max_transfer_memory"):
        await disk.put("large", (bytes(MIB) for _ in range(2)))
    goes_on.set()
    await upload
    assert sorted(store.objects) == ["slow", "small"]
