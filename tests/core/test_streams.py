"""Streams: iterated, awaited or entered, once; errors before the first byte; nothing left open."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jtc.storage import (
    Disk,
    FileNotFoundException,
    InvalidPathException,
    PreconditionFailedException,
    ReadOptions,
    StorageManager,
    StorageUnavailableException,
)
from jtc.storage._capabilities import resolve
from jtc.storage.driver_support.derived import open_read, read_all
from small_drivers import EightMethods, Streaming, Versioned, etag_of

if TYPE_CHECKING:
    from jtc.storage import ByteStream

CONTENT = bytes(range(100))


def disk_of(driver: Any) -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    driver.kept["a"] = CONTENT
    return manager.disk("d")


@pytest.fixture
def driver() -> Streaming:
    return Streaming()


@pytest.fixture
def disk(driver: Streaming) -> Disk:
    return disk_of(driver)


async def settle() -> None:
    """Collect what was dropped, and let the tasks run that close it."""
    for _ in range(3):
        gc.collect()
        await asyncio.sleep(0)


async def test_iterating_opens_reads_and_closes(disk: Disk, driver: Streaming) -> None:
    stream = disk.stream("a", chunk_size=30)
    assert driver.opened == 0
    assert [len(chunk) async for chunk in stream] == [30, 30, 30, 10]
    assert (driver.opened, driver.closed) == (1, 1)
    assert stream.info.size == 100


async def test_awaiting_opens_now_and_iterating_goes_on(disk: Disk, driver: Streaming) -> None:
    stream = await disk.stream("a")
    assert (driver.opened, stream.info.path) == (1, "a")
    assert await stream is stream
    assert b"".join([chunk async for chunk in stream]) == CONTENT
    assert (driver.opened, driver.closed) == (1, 1)


async def test_leaving_the_block_closes_however_it_ends(disk: Disk, driver: Streaming) -> None:
    async with disk.stream("a") as stream:
        assert stream.info.size == 100
        assert driver.closed == 0
    assert driver.closed == 1
    with pytest.raises(KeyError):
        async with disk.stream("a"):
            raise KeyError
    assert driver.closed == 2


async def test_closing_twice_closes_once(disk: Disk, driver: Streaming) -> None:
    stream = await disk.stream("a")
    await stream.aclose()
    await stream.aclose()
    assert driver.closed == 1
    inner = await driver.open_read("a", ReadOptions())
    await inner.aclose()
    await inner.aclose()
    assert driver.closed == 2


async def test_errors_come_before_the_first_byte(disk: Disk, driver: Streaming) -> None:
    with pytest.raises(FileNotFoundException) as raised:
        await disk.stream("missing")
    error = raised.value
    assert (error.path, error.disk, error.operation) == ("missing", "d", "stream")
    assert type(error.__cause__) is FileNotFoundError
    with pytest.raises(FileNotFoundException):
        async with disk.stream("missing"):
            pass
    with pytest.raises(FileNotFoundException):
        async for _ in disk.stream("missing"):
            pass
    assert driver.opened == 0


async def test_nothing_raises_before_it_is_used(disk: Disk) -> None:
    for stream, error in [
        (disk.stream("../a"), InvalidPathException),
        (disk.stream("a", start=5, end=3), ValueError),
        (disk.stream("a", chunk_size=0), ValueError),
        (StorageManager.isolated({}).stream("a"), Exception),
    ]:
        with pytest.raises(error):
            await stream


async def test_info_is_known_once_the_stream_is_open(disk: Disk) -> None:
    stream = disk.stream("a")
    with pytest.raises(RuntimeError, match="Open the stream first"):
        _ = stream.info
    await stream
    await stream.aclose()
    assert stream.info.size == 100


async def test_a_stream_is_read_once(disk: Disk) -> None:
    read = disk.stream("a")
    assert [chunk async for chunk in read] == [CONTENT]
    closed = await disk.stream("a")
    await closed.aclose()
    failed = disk.stream("missing")
    with pytest.raises(FileNotFoundException):
        await failed
    for stream in (read, closed, failed):
        with pytest.raises(RuntimeError, match="once"):
            await stream
        with pytest.raises(RuntimeError, match="once"):
            async for _ in stream:
                pass
        with pytest.raises(RuntimeError, match="once"):
            async with stream:
                pass


async def test_a_break_leaves_nothing_open(disk: Disk, driver: Streaming) -> None:
    async for _ in disk.stream("a", chunk_size=10):
        break
    await settle()
    assert (driver.opened, driver.closed) == (1, 1)


def test_a_stream_dropped_as_its_loop_ends_is_closed(disk: Disk, driver: Streaming) -> None:
    """The loop cancels all tasks as it ends, also the one that is about to close the stream."""

    async def main() -> None:
        stream = await disk.stream("a")
        del stream

    asyncio.run(main())
    assert (driver.opened, driver.closed) == (1, 1)


async def test_a_stream_dropped_without_iterating_is_closed(disk: Disk, driver: Streaming) -> None:
    await disk.stream("a")
    await settle()
    assert (driver.opened, driver.closed) == (1, 1)
    stream = await disk.stream("a")
    aiter(stream)  # made, never started
    del stream
    await settle()
    assert (driver.opened, driver.closed) == (2, 2)


async def test_a_stream_that_was_never_used_opens_nothing(disk: Disk, driver: Streaming) -> None:
    disk.stream("a")
    await disk.stream("a").aclose()
    await settle()
    assert driver.opened == 0


async def test_cancelling_a_reader_leaves_nothing_open(disk: Disk, driver: Streaming) -> None:
    reading = asyncio.Event()

    async def read() -> None:
        async for _ in disk.stream("a", chunk_size=10):
            reading.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(read())
    await reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    del task
    await settle()
    assert (driver.opened, driver.closed) == (1, 1)


async def test_a_failure_half_way_is_mapped_and_closes(disk: Disk, driver: Streaming) -> None:
    driver.fail_after = 2
    seen = b""
    with pytest.raises(StorageUnavailableException) as raised:  # noqa: PT012 - the block is what raises
        async for chunk in disk.stream("a", chunk_size=10):
            seen += chunk
    assert seen == CONTENT[:20]
    assert (raised.value.path, raised.value.disk, raised.value.operation) == ("a", "d", "stream")
    assert raised.value.__cause__ is driver.failure
    assert driver.closed == 1


async def test_a_bug_in_a_driver_comes_unchanged(disk: Disk, driver: Streaming) -> None:
    driver.fail_after, driver.failure = 1, TypeError("bug")
    with pytest.raises(TypeError) as raised:
        async for _ in disk.stream("a", chunk_size=10):
            pass
    assert raised.value is driver.failure


async def test_a_failure_to_close_is_mapped(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(Streaming, "_close", fail)
    stream = await disk.stream("a")
    with pytest.raises(StorageUnavailableException):
        await stream.aclose()


def test_a_stream_dropped_after_its_loop_was_closed_is_quiet(driver: Streaming) -> None:
    disk = disk_of(driver)

    async def leak() -> ByteStream:
        return await disk.stream("a")

    stream: Any = asyncio.run(leak())
    del stream
    gc.collect()
    assert (driver.opened, driver.closed) == (1, 0)


def test_a_stream_dropped_in_another_thread_is_closed_in_its_loop(driver: Streaming) -> None:
    disk = disk_of(driver)

    async def main() -> None:
        box = [await disk.stream("a")]
        await asyncio.to_thread(box.clear)
        await settle()
        assert driver.closed == 1

    asyncio.run(main())


@pytest.mark.parametrize("kind", [EightMethods, Streaming])
@given(
    content=st.binary(max_size=60),
    start=st.integers(-70, 70),
    end=st.none() | st.integers(0, 70),
    chunk_size=st.integers(1, 70),
)
def test_a_range_is_a_slice_with_streams_and_without(
    kind: Any, content: bytes, start: int, end: int | None, chunk_size: int
) -> None:
    driver = kind()
    disk = disk_of(driver)
    driver.kept["a"] = content

    async def check() -> None:
        stream = disk.stream("a", start=start, end=end, chunk_size=chunk_size)
        if start >= 0 and end is not None and end < start:
            with pytest.raises(ValueError, match="range"):
                await stream
            with pytest.raises(ValueError, match="range"):
                await disk.get_range("a", start, end)
            return
        got = [chunk async for chunk in stream]
        assert b"".join(got) == content[start:end]
        assert all(len(chunk) == chunk_size for chunk in got[:-1])
        assert await disk.get_range("a", start, end) == content[start:end]
        assert stream.info.size == len(content)

    asyncio.run(check())


async def test_a_range_of_a_missing_file_or_bad_path_says_where(disk: Disk) -> None:
    with pytest.raises(FileNotFoundException) as raised:
        await disk.get_range("missing", 0)
    assert (raised.value.path, raised.value.operation) == ("missing", "get_range")
    with pytest.raises(InvalidPathException):
        await disk.get_range("..", 0)


async def test_reading_all_closes_also_when_it_fails(driver: Streaming) -> None:
    driver.kept["a"] = CONTENT
    assert await read_all(await driver.open_read("a", ReadOptions(start=98))) == CONTENT[98:]
    driver.fail_after = 0
    with pytest.raises(ConnectionError):
        await read_all(await driver.open_read("a", ReadOptions()))
    assert driver.closed == 2


async def test_size_is_that_of_the_bytes_that_are_read() -> None:
    class Growing(EightMethods):
        async def get(self, path: str, /) -> bytes:
            content = await super().get(path)
            await self.put(path, content + b"more")
            return content

    driver = Growing()
    stream = await disk_of(driver).stream("a")
    assert stream.info.size == len(CONTENT)
    assert b"".join([chunk async for chunk in stream]) == CONTENT


async def test_another_version_is_refused_also_without_streams() -> None:
    driver = EightMethods()
    driver.kept["a"] = CONTENT
    with pytest.raises(PreconditionFailedException):
        await open_read(resolve(driver), "a", ReadOptions(if_match="7"))


async def test_stream_without_streams_has_the_etag_of_the_content_that_it_yields() -> None:
    class Replaced(Versioned):
        """Another program replaces the file right after the first read of it."""

        replaced = False

        async def get(self, path: str, /) -> bytes:
            content = await super().get(path)
            if not self.replaced:
                self.replaced = True
                self.kept[path] = b"another version"
            return content

    driver = Replaced()
    driver.kept["a"] = CONTENT
    async with disk_of(driver).stream("a") as stream:
        content = b"".join([chunk async for chunk in stream])
    assert content == b"another version"
    assert stream.info.etag == etag_of(content)


async def test_stream_without_streams_gives_up_on_a_file_that_never_rests() -> None:
    class Restless(Versioned):
        async def get(self, path: str, /) -> bytes:
            content = await super().get(path)
            self.kept[path] = content + b"more"
            return content

    driver = Restless()
    driver.kept["a"] = CONTENT
    with pytest.raises(StorageUnavailableException, match="again and again"):
        await disk_of(driver).get_range("a", 0, 2)
