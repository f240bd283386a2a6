"""Open files: they read as io.BytesIO does, and a written one appears whole at close, or never."""

from __future__ import annotations

import array
import asyncio
import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jtc.storage import (
    Disk,
    FileExistsException,
    FileNotFoundException,
    IntegrityException,
    InvalidPathException,
    PreconditionFailedException,
    ReadOnlyException,
    RejectedException,
    StorageConfigException,
    StorageException,
    StorageFullException,
    StorageManager,
    StorageUnavailableException,
)
from jtc.storage._open_files import ReadableFile, WritableFile
from jtc.storage.drivers.memory_driver import MemoryDriver
from small_drivers import EightMethods, Streaming, Writing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage import ReadOptions, ReadStream


IN_MEMORY = bytes(8 * 1024 * 1024)
"""What a written file keeps in memory; more is streamed."""


def disk_of(driver: Any) -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    return manager.disk("d")


@pytest.fixture
def disk() -> Disk:
    return disk_of(MemoryDriver())


steps = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.one_of(st.none(), st.integers(-1, 30))),
        st.tuples(st.just("readline")),
        st.tuples(st.just("readline"), st.one_of(st.none(), st.integers(-1, 9))),
        st.tuples(st.just("readlines"), st.one_of(st.none(), st.integers(-1, 30))),
        st.tuples(st.just("__next__")),
        st.tuples(st.just("peek")),
        st.tuples(st.just("seek"), st.integers(0, 60)),
        st.tuples(st.just("seek"), st.integers(-10, 10), st.just(io.SEEK_CUR)),
        st.tuples(st.just("seek"), st.integers(-60, 10), st.just(io.SEEK_END)),
        st.tuples(st.just("tell")),
    ),
    max_size=25,
)


@pytest.mark.parametrize("kind", [EightMethods, Streaming])
@given(content=st.text("ab\n", max_size=50), steps=steps, chunk=st.integers(1, 20))
def test_a_file_reads_as_bytesio_does(
    kind: Any, content: str, steps: list[tuple[Any, ...]], chunk: int
) -> None:
    class Chunked(kind):  # type: ignore[misc]
        async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
            return await super().open_read(path, replace(options, chunk_size=chunk))

    driver = Chunked() if kind is Streaming else kind()
    driver.kept["a"] = content.encode()
    model = io.BytesIO(content.encode())

    async def check() -> None:
        async with disk_of(driver).open("a") as file:
            for name, *arguments in steps:
                if name == "seek" and arguments[1:] and _target(model, *arguments) < 0:
                    # BytesIO stops at the beginning; files of the system refuse, as we do.
                    with pytest.raises(ValueError, match="before the file's beginning"):
                        await file.seek(*arguments)
                    continue
                if name == "peek":
                    here = model.tell()
                    peeked = await file.peek()
                    assert peeked == model.read(len(peeked))
                    assert peeked or here >= len(content)
                    model.seek(here)
                    continue
                if name == "__next__":
                    assert await anext(file, None) == next(model, None)
                    continue
                expected = getattr(model, name)(*arguments)
                got = getattr(file, name)(*arguments)
                assert (got if name == "tell" else await got) == expected
                assert file.tell() == model.tell()
            await file.seek(0)
            assert await file.read1(0) == b""
            assert b"".join([piece async for piece in _pieces(file)]) == content.encode()
            await file.seek(0)
            assert [line async for line in file] == content.encode().splitlines(keepends=True)

    asyncio.run(check())
    if isinstance(driver, Streaming):
        assert driver.opened == driver.closed


async def _pieces(file: ReadableFile) -> AsyncIterator[bytes]:
    while piece := await file.read1():
        yield piece


def _target(model: io.BytesIO, offset: int, whence: int) -> int:
    base = model.tell() if whence == io.SEEK_CUR else len(model.getvalue())
    return base + offset


async def test_a_file_is_awaited_or_entered(disk: Disk) -> None:
    await disk.put("a", b"content")
    file = await disk.open("a")
    assert file.info.size == 7
    assert await file.read() == b"content"
    await file.close()
    await file.close()
    for use in (file.read, file.readline, lambda: file.seek(1)):
        with pytest.raises(ValueError, match="closed"):
            await use()


async def test_seek_with_an_unknown_whence_is_a_value_error(disk: Disk) -> None:
    await disk.put("a", b"content")
    async with disk.open("a", "rb") as file:
        with pytest.raises(ValueError, match="SEEK_END"):
            await file.seek(0, 7)


@pytest.mark.parametrize("mode", ["rb", "wb"])
async def test_seek_to_a_float_is_a_type_error(disk: Disk, mode: str) -> None:
    position: Any = 1.5
    await disk.put("a", b"content")
    async with disk.open("a", mode) as file:
        with pytest.raises(TypeError, match="float"):
            await file.seek(position)
        assert await file.seek(2) == 2


async def test_seeking_to_where_it_stands_reads_on() -> None:
    driver = Streaming()
    driver.kept["a"] = b"content"
    async with disk_of(driver).open("a") as file:
        await file.read(3)
        assert await file.seek(3) == 3
        assert await file.read() == b"tent"
    assert driver.opened == 1


async def test_after_a_failure_a_read_begins_again_and_never_looks_like_the_end() -> None:
    driver = Streaming()
    driver.kept["a"] = b"0123456789"

    class OneByOne(Streaming):
        async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
            return await super().open_read(path, replace(options, chunk_size=1))

    driver = OneByOne()
    driver.kept["a"] = b"0123456789\n"
    driver.fail_after = 4
    async with disk_of(driver).open("a") as file:
        assert await file.read(2) == b"01"
        for read in (file.read, file.readline):
            with pytest.raises(StorageUnavailableException):
                await read()
            assert file.tell() == 2
        driver.fail_after = None
        assert await file.read() == b"23456789\n"
    assert driver.opened == driver.closed


async def test_a_read_that_was_cancelled_loses_nothing() -> None:
    class Slow(Streaming):
        async def _chunks(self, content: bytes, size: int) -> AsyncIterator[bytes]:  # noqa: ARG002
            yield content[:3]
            await asyncio.sleep(0 if self.fast else 60)
            yield content[3:]

        fast = False

    driver = Slow()
    driver.kept["a"] = b"0123456789"
    async with disk_of(driver).open("a") as file:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(file.read(), 0.01)
        driver.fast = True
        assert await file.read() == b"0123456789"
    assert driver.opened == driver.closed


async def test_a_file_replaced_meanwhile_is_not_mixed_with_the_old_one(disk: Disk) -> None:
    await disk.put("a", b"old" * 10)
    async with disk.open("a") as file:
        await file.read(3)
        await disk.put("a", b"new" * 10)
        await file.seek(6)
        with pytest.raises(PreconditionFailedException) as raised:
            await file.read()
        assert raised.value.path == "a"


async def test_a_missing_file_fails_when_it_is_opened() -> None:
    disk = disk_of(Streaming())
    opening = disk.open("missing")
    with pytest.raises(FileNotFoundException) as raised:
        await opening
    assert (raised.value.operation, raised.value.disk) == ("open", "d")
    with pytest.raises(FileNotFoundException):
        async with opening:
            pass
    await opening.__aexit__(None)  # what contextlib's stacks may do: nothing was opened


@pytest.mark.parametrize("mode", ["rw", "b", "rbt", "rr", "U", "", "rb "])
def test_open_mode_that_does_not_exist_is_refused_with_those_that_do(disk: Disk, mode: Any) -> None:
    with pytest.raises(ValueError, match="'rb', 'wb', 'xb' and 'ab', and for text 'r', 'w'"):
        disk.open("a", mode)


@pytest.mark.parametrize("mode", ["r+", "w+", "r+b", "wb+", "a+", "x+t"])
def test_open_mode_that_reads_and_writes_is_refused_with_the_way_out(disk: Disk, mode: Any) -> None:
    with pytest.raises(ValueError, match=r"replaced as a whole.*'rb'.*'ab'.*put\(\)"):
        disk.open("a", mode)


def test_open_mode_that_is_no_text_is_refused(disk: Disk) -> None:
    with pytest.raises(TypeError, match="the mode as a str, not NoneType"):
        disk.open("a", None)  # type: ignore[call-overload]


@pytest.mark.parametrize("mode", ["rb", "r", "ab", "a"])
def test_open_takes_no_options_where_it_does_not_replace(disk: Disk, mode: Any) -> None:
    with pytest.raises(TypeError, match="content_type"):
        disk.open("a", mode, content_type="text/plain")


@pytest.mark.parametrize("kind", [EightMethods, Writing, MemoryDriver])
async def test_a_written_file_appears_at_close_and_whole(kind: Any) -> None:
    disk = disk_of(kind())
    await disk.put("a", b"old")
    async with disk.open("a", "wb") as file:
        assert await file.write(b"one ") == 4
        assert await file.write(bytearray(b"two ")) == 4
        assert await file.write(memoryview(b"three")) == 5
        assert file.tell() == 13
        await asyncio.sleep(0)
        assert await disk.get("a") == b"old"
    assert await disk.get("a") == b"one two three"
    await file.close()
    with pytest.raises(ValueError, match="closed"):
        await file.write(b"late")


async def test_a_file_without_a_byte_is_written_too(disk: Disk) -> None:
    async with disk.open("a", "wb"):
        pass
    assert await disk.get("a") == b""


@pytest.mark.parametrize("kind", [EightMethods, Writing, MemoryDriver])
@pytest.mark.parametrize("error", [KeyError, asyncio.CancelledError])
@pytest.mark.parametrize("written", [b"", b"new", IN_MEMORY + b"new"], ids=len)
async def test_when_the_block_raises_the_file_before_stays(
    kind: Any, error: type[BaseException], written: bytes
) -> None:
    disk = disk_of(kind())
    await disk.put("a", b"old")
    with pytest.raises(error):  # noqa: PT012 - the block is what raises
        async with disk.open("a", "wb") as file:
            if written:
                await file.write(written)
            raise error
    assert await disk.get("a") == b"old"
    assert len(asyncio.all_tasks()) == 1


async def test_a_driver_that_swallows_the_cancellation_does_not_take_it_for_the_end() -> None:
    class Stubborn(Writing):
        async def write_file(self, path: str, content: Any, options: Any, /) -> str | None:  # noqa: ARG002
            pieces = []
            task = asyncio.ensure_future(self._drain(content, pieces))
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                await task
            self.kept[path] = b"".join(pieces)
            return None

        async def _drain(self, content: Any, pieces: list[bytes]) -> None:
            pieces.extend([chunk async for chunk in content])

    driver = Stubborn()
    disk = disk_of(driver)
    with pytest.raises(KeyError):  # noqa: PT012 - the block is what raises
        async with asyncio.timeout(5), disk.open("a", "wb") as file:
            await file.write(IN_MEMORY)
            await file.write(b"half")
            await asyncio.sleep(0.01)
            raise KeyError
    assert driver.kept == {}


@pytest.mark.parametrize("data", [3, "text", None, [1]])
async def test_what_is_no_bytes_is_not_written(disk: Disk, data: Any) -> None:
    with pytest.raises(TypeError):
        async with disk.open("a", "wb") as file:
            await file.write(data)
    assert await disk.missing("a")


async def test_writing_waits_while_the_storage_is_behind() -> None:
    go_on = asyncio.Event()

    class Slow(Writing):
        async def write_file(self, path: str, content: Any, options: Any, /) -> str | None:
            await go_on.wait()
            return await super().write_file(path, content, options)

    driver = Slow()
    chunk = bytes(512 * 1024)
    async with disk_of(driver).open("a", "wb") as file:
        await file.write(IN_MEMORY)
        second = asyncio.create_task(file.write(chunk))
        await asyncio.sleep(0.01)
        assert not second.done()
        second.cancel()
        await asyncio.wait([second])
        assert file.tell() == len(IN_MEMORY)  # it has taken nothing, so it is made again
        second = asyncio.create_task(file.write(chunk))
        await asyncio.sleep(0.01)
        go_on.set()
        assert await second == len(chunk)
    assert driver.kept == {"a": IN_MEMORY + chunk}


async def test_a_storage_that_fails_says_so_at_the_next_write_and_at_close() -> None:
    class Full(Writing):
        async def write_file(self, path: str, content: Any, options: Any, /) -> str | None:  # noqa: ARG002
            await anext(content)
            raise OSError(28, "full")

    disk = disk_of(Full())
    file = await disk.open("a", "wb")
    await file.write(IN_MEMORY)
    with pytest.raises(StorageFullException) as raised:
        await file.writelines([b"x"] * 3)
    assert (raised.value.operation, raised.value.path, raised.value.errno) == ("open", "a", 28)
    with pytest.raises(StorageFullException):
        await file.close()
    with pytest.raises(StorageFullException):  # noqa: PT012 - the block is what raises
        async with disk.open("a", "wb") as file:
            await file.write(IN_MEMORY)
            await file.write(IN_MEMORY)  # would wait forever for a dead storage
    with pytest.raises(KeyError):  # noqa: PT012 - the block is what raises
        async with disk.open("a", "wb") as file:
            await file.write(IN_MEMORY + b"x")
            await asyncio.sleep(0.01)
            raise KeyError  # and the storage's own failure is not reported as lost


async def test_a_cancelled_close_leaves_the_file_before() -> None:
    class Stuck(Writing):
        async def write_file(self, path: str, content: Any, options: Any, /) -> str | None:  # noqa: ARG002
            await asyncio.Event().wait()

    driver = Stuck()
    driver.kept["a"] = b"old"
    file = await disk_of(driver).open("a", "wb")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(file.close(), 0.01)
    assert driver.kept == {"a": b"old"}
    assert len(asyncio.all_tasks()) == 1


async def test_a_file_that_was_given_up_is_closed_without_a_word(disk: Disk) -> None:
    await disk.put("a", b"before")
    async with disk.open("a", "wb") as file:
        await file.write(b"half")
        await file.abort()
    await file.close()
    assert await disk.get("a") == b"before"
    with pytest.raises(ValueError, match="closed"):
        await file.write(b"more")


def test_file_that_outlives_its_event_loop_says_so_and_cancels_no_task(disk: Disk) -> None:
    async def begin() -> WritableFile:
        file = await disk.open("a", "wb")
        await file.write(b"half")
        return file

    async def go_on(file: WritableFile) -> None:
        for step in (file.write(b"more"), file.close()):
            with pytest.raises(StorageException, match="its event loop ended"):
                await step
        assert await disk.missing("a")

    asyncio.run(go_on(asyncio.run(begin())))


async def test_xb_writes_only_what_is_not_there(disk: Disk) -> None:
    async with disk.open("a", "xb") as file:
        await file.write(b"first")
    with pytest.raises(FileExistsException):
        async with disk.open("a", "xb") as file:
            await file.write(b"second")
    assert await disk.get("a") == b"first"


async def test_options_count_as_for_put(disk: Disk) -> None:
    async with disk.open("a", "wb", content_type="text/x-odd", metadata={"a": "b"}) as file:
        await file.write(b"x")
    info = await disk.stat("a")
    assert (info.content_type, info.metadata) == ("text/x-odd", {"a": "b"})
    with pytest.raises(RejectedException):
        async with disk.open("a", "wb", max_size=2) as file:
            await file.write(b"123")
    with pytest.raises(TypeError, match="content_type"):
        async with disk.open("a", "wb", contenttype="x"):  # type: ignore[call-overload]
            pass


async def test_what_is_wrong_beforehand_is_said_when_it_is_opened(disk: Disk) -> None:
    with pytest.raises(InvalidPathException):
        await disk.open("../a", "wb")
    with pytest.raises(ReadOnlyException):
        await disk.read_only().open("a", "wb")
    with pytest.raises(StorageConfigException):
        await StorageManager.isolated({}).disk("x").open("a", "wb")
    assert len(asyncio.all_tasks()) == 1


def test_a_file_that_is_not_open_yet_says_how_to_open_it() -> None:
    manager = StorageManager.isolated({})
    manager.set_driver(MemoryDriver())
    pending: Any = manager.open("a")
    with pytest.raises(AttributeError, match="no 'read': write 'async with"):
        pending.read()
    assert not hasattr(pending, "_hidden")


def test_open_file_that_outlives_its_event_loop_is_not_read_as_one_that_ended(disk: Disk) -> None:
    content = b"line\n" * 200_000

    async def begin() -> ReadableFile:
        await disk.put("a", content)
        file = await disk.open("a")
        await file.readline()
        return file

    async def go_on(file: ReadableFile) -> None:
        for read in (file.read, file.readlines):
            with pytest.raises(StorageException, match="is not read: its event loop ended"):
                await read()
        await file.close()

    asyncio.run(go_on(asyncio.run(begin())))


async def test_open_file_whose_stream_ends_early_is_not_read_as_one_that_ended() -> None:
    class Short(Streaming):
        async def _chunks(self, content: bytes, size: int) -> AsyncIterator[bytes]:  # noqa: ARG002
            yield content[:3]

    driver = Short()
    driver.kept["a"] = b"0123456789"
    async with disk_of(driver).open("a") as file:
        with pytest.raises(IntegrityException, match="before its length") as raised:
            await file.read()
        assert raised.value.path == "a"
        assert file.tell() == 0


async def test_readinto_fills_buffers_of_any_kind(disk: Disk) -> None:
    await disk.put("a", bytes(range(20)))
    numbers = array.array("H", [0, 0])
    content = bytearray(10)
    async with disk.open("a") as file:
        assert await file.readinto(numbers) == 4
        assert numbers.tobytes() == bytes(range(4))
        assert await file.readinto(memoryview(content)[2:]) == 8
        assert content == bytes(2) + bytes(range(4, 12))
        assert await file.readinto(content) == 8
        assert await file.readinto(content) == 0
        await file.seek(0)
        with pytest.raises(TypeError, match="read-only"):
            await file.readinto(b"1234")
