"""Kinds of content, each converted to one that drivers get; read once, and never closed."""

from __future__ import annotations

import asyncio
import gc
import io
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiofiles
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import UploadFile

from jtc.storage import Disk, StorageException, StorageManager, StorageTimeoutException
from jtc.storage.driver_support.content import (
    SourceFile,
    SourceIterator,
    Spool,
    driver_content,
    peek,
    raised_by_source,
)
from small_drivers import EightMethods, Writing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

MIB = 1024 * 1024


@pytest.fixture(params=[EightMethods, Writing])
def driver(request: pytest.FixtureRequest) -> Any:
    return request.param()


@pytest.fixture
def disk(driver: Any) -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    return manager.disk("d")


class AsyncFile:
    """Reads as aiofiles' and UploadFile do, and iterates by lines as they do."""

    def __init__(self, content: bytes) -> None:
        self.file = io.BytesIO(content)

    async def read(self, size: int = -1, /) -> bytes:
        return self.file.read(size)

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise AssertionError("A file must not be iterated by lines")


class Wrapped(AsyncFile):
    """An async file whose `read` is decorated, so that only its iterator shows that it is async."""

    def read(self, size: int = -1, /) -> Any:
        return super().read(size)


class SyncFile:
    """Reads, and would iterate by lines."""

    def __init__(self, content: bytes) -> None:
        self.file = io.BytesIO(content)

    def read(self, size: int = -1, /) -> bytes:
        return self.file.read(size)

    def __iter__(self) -> Iterator[bytes]:
        raise AssertionError("A file must not be iterated by lines")


async def chunks(*given_chunks: Any) -> AsyncIterator[Any]:
    for chunk in given_chunks:
        yield chunk


async def _read_text(_self: object, _size: int = -1, /) -> str:
    return "text"


KINDS: dict[str, Callable[[], Any]] = {
    "bytes": lambda: b"one\ntwo",
    "bytearray": lambda: bytearray(b"one\ntwo"),
    "memoryview": lambda: memoryview(b"one\ntwo"),
    "non-contiguous memoryview": lambda: memoryview(b"o-n-e-\n-t-w-o")[::2],
    "multi-dimensional memoryview": lambda: memoryview(b"one\ntwo").cast("B", (7, 1)),
    "str": lambda: "one\ntwo",
    "BytesIO": lambda: io.BytesIO(b"one\ntwo"),
    "buffered file": lambda: io.BufferedReader(io.BytesIO(b"one\ntwo")),  # type: ignore[arg-type]
    "file-like": lambda: SyncFile(b"one\ntwo"),
    "async file": lambda: AsyncFile(b"one\ntwo"),
    "wrapped async file": lambda: Wrapped(b"one\ntwo"),
    "UploadFile": lambda: UploadFile(io.BytesIO(b"one\ntwo"), filename="a.txt"),
    "list": lambda: [b"one", b"", b"\ntwo"],
    "tuple of views": lambda: (memoryview(b"one"), bytearray(b"\ntwo")),
    "generator": lambda: (part for part in (b"one\n", b"", b"two")),
    "async generator": lambda: chunks(b"", b"one", bytearray(b"\n"), b"", memoryview(b"two")),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_of_content_arrives_whole(kind: str, disk: Disk, driver: Any) -> None:
    assert await disk.put("a", KINDS[kind]()) == "a"
    assert driver.kept == {"a": b"one\ntwo"}


@pytest.mark.parametrize(
    "content", [b"", "", [], (), io.BytesIO()], ids=lambda content: type(content).__name__
)
async def test_nothing_makes_an_empty_file(content: Any, disk: Disk, driver: Any) -> None:
    await disk.put("a", content)
    assert driver.kept == {"a": b""}


async def test_a_str_is_stored_as_utf8(disk: Disk, driver: Any) -> None:
    await disk.put("a", "Grüße 漢字")
    assert driver.kept["a"] == "Grüße 漢字".encode()
    with pytest.raises(UnicodeEncodeError):
        await disk.put("b", "\ud800")
    assert "b" not in driver.kept


async def test_a_path_names_a_file_to_read_from(disk: Disk, driver: Any, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * MIB + b"end")
    await disk.put("a", source)
    assert driver.kept["a"] == source.read_bytes()
    gc.collect()  # an open file would be reported here


async def test_put_stores_an_aiofiles_file_from_its_beginning_and_leaves_it_open(
    disk: Disk, driver: Any, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"0123456789")
    async with aiofiles.open(source, "rb") as file:
        await file.seek(4)
        await disk.put("a", file)
        assert driver.kept["a"] == b"0123456789"
        assert not file.closed


async def test_put_stores_a_file_from_its_beginning_and_leaves_it_open(
    disk: Disk, driver: Any
) -> None:
    file = io.BytesIO(b"0123456789")
    file.seek(4)
    await disk.put("a", file)
    assert driver.kept["a"] == b"0123456789"
    assert not file.closed


async def test_an_upload_stays_open(disk: Disk) -> None:
    upload = UploadFile(tempfile.SpooledTemporaryFile(max_size=10), filename="a")  # noqa: SIM115
    await upload.write(b"more than ten bytes")
    await upload.seek(0)
    await disk.put("a", upload)
    assert not upload.file.closed
    await upload.close()


@pytest.mark.parametrize(
    "content", [None, 5, 1.5, {}, {b"a": 1}, {b"a"}, frozenset({b"a"}), object(), bytes]
)
async def test_what_is_no_content_is_a_type_error(content: Any, disk: Disk, driver: Any) -> None:
    with pytest.raises(TypeError, match=f"not {type(content).__name__}"):
        await disk.put("a", content)
    assert driver.kept == {}


@pytest.mark.parametrize(
    "make",
    [
        lambda: ["text"],
        lambda: [1, 2],
        lambda: io.StringIO("text"),
        lambda: chunks("text"),
        lambda: chunks(b"good", None),
        lambda: (x for x in (b"good", 5)),
        type("AsyncText", (), {"read": _read_text}),
    ],
)
async def test_what_yields_no_bytes_is_a_type_error_and_nothing_is_written(
    make: Callable[[], Any], disk: Disk, driver: Any
) -> None:
    with pytest.raises(TypeError, match="Content yields bytes, not"):
        await disk.put("a", make())
    assert driver.kept == {}


async def test_file_in_text_mode_is_refused_with_what_to_do(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with (
        (tmp_path / "a").open(encoding="utf-8") as file,
        pytest.raises(TypeError, match="open a file in binary mode, and encode text"),
    ):
        await disk.put("a", file)


async def test_plain_read_that_returns_a_coroutine_is_refused_with_what_to_do(disk: Disk) -> None:
    class Proxy:
        def read(self, size: int = -1, /) -> Any:
            return AsyncFile(b"x").read(size)

    with pytest.raises(TypeError, match="async def"):
        await disk.put("a", Proxy())


class Failing:
    """A source of every shape that fails half-way."""

    def __init__(self, error: BaseException, good: int = 1) -> None:
        self.error = error
        self.good = good

    def next(self) -> bytes:
        self.good -= 1
        if self.good < 0:
            raise self.error
        return b"x" * 1000

    def file(self) -> Any:
        source = self

        class File:
            def read(self, size: int = -1, /) -> bytes:  # noqa: ARG002
                return source.next()

        return File()

    def async_file(self) -> Any:
        source = self

        class File:
            async def read(self, size: int = -1, /) -> bytes:  # noqa: ARG002
                return source.next()

        return File()

    def generator(self) -> Iterator[bytes]:
        while True:
            yield self.next()

    async def async_generator(self) -> AsyncIterator[bytes]:
        while True:
            yield self.next()


@pytest.mark.parametrize("shape", ["file", "async_file", "generator", "async_generator"])
@pytest.mark.parametrize(
    "error",
    [
        OSError(5, "tape"),
        TimeoutError("slow"),
        FileNotFoundError("x"),
        ConnectionError(),
        KeyError(),
    ],
    ids=repr,
)
async def test_what_a_source_raises_comes_unchanged_and_nothing_is_written(
    shape: str, error: Exception, disk: Disk, driver: Any
) -> None:
    driver.kept["a"] = b"old"
    with pytest.raises(type(error)) as raised:
        await disk.put("a", getattr(Failing(error), shape)())
    assert type(raised.value) is type(error)
    assert raised.value.args == error.args
    assert driver.kept == {"a": b"old"}


async def test_a_missing_source_path_is_no_missing_file_of_the_disk(
    disk: Disk, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        await disk.put("a", tmp_path / "nowhere")
    assert not isinstance(raised.value, StorageException)


async def test_a_source_that_raises_stop_iteration_does_not_hang(disk: Disk) -> None:
    ended = iter([b"only"])

    class Reader:
        def read(self, size: int = -1, /) -> bytes:  # noqa: ARG002
            return next(ended)

    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.wait_for(disk.put("a", Reader()), 5)


async def test_the_storages_own_timeout_is_not_taken_for_the_sources() -> None:
    class Slow(Writing):
        async def write_file(self, path: str, content: Any, options: Any, /) -> str | None:  # noqa: ARG002
            content.read(1)
            raise TimeoutError("the storage")

    manager = StorageManager.isolated({})
    manager.set_driver(Slow())
    with pytest.raises(StorageTimeoutException):
        await manager.put("a", io.BytesIO(b"x"))


async def test_an_async_source_cancelled_stays_cancelled(disk: Disk, driver: Any) -> None:
    waiting = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        yield b"x"
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(disk.put("a", source()))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert driver.kept == {}


async def test_a_generator_is_read_to_its_end_and_so_runs_its_finally(disk: Disk) -> None:
    ran = []

    def sync() -> Iterator[bytes]:
        try:
            yield b"x"
        finally:
            ran.append("sync")

    async def later() -> AsyncIterator[bytes]:
        try:
            yield b"x"
        finally:
            ran.append("async")

    await disk.put("a", sync())
    await disk.put("b", later())
    assert ran == ["sync", "async"]


@pytest.mark.parametrize("size", [MIB - 1, MIB, MIB + 1, 3 * MIB])
@pytest.mark.parametrize("shape", ["file", "async"])
async def test_a_spool_gives_bytes_up_to_a_mebibyte_and_a_file_beyond(
    size: int, shape: str
) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    content = content[:size]
    pieces = [content[at : at + 200_000] for at in range(0, size, 200_000)]
    source = io.BytesIO(content) if shape == "file" else chunks(*pieces)
    async with Spool(driver_content(source)) as whole:
        if size <= MIB:
            assert whole == content
        else:
            assert not isinstance(whole, bytes)
            assert whole.read() == content
    if not isinstance(whole, bytes):
        assert whole.closed


@pytest.mark.parametrize("shape", ["file", "generator", "async_generator"])
async def test_a_big_spool_is_closed_when_its_source_fails(shape: str) -> None:
    source = getattr(Failing(KeyError(), good=2 * MIB // 1000), shape)()
    with pytest.raises(KeyError):
        async with Spool(driver_content(source)):
            pass
    gc.collect()  # an open temporary file would be reported here


@pytest.mark.parametrize("shape", ["file", "async"])
async def test_a_spool_given_up_while_a_thread_writes_to_it_is_closed_by_that_thread(
    shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, go_on, written = threading.Event(), threading.Event(), threading.Event()
    spools: list[tempfile.SpooledTemporaryFile[bytes]] = []
    write = tempfile.SpooledTemporaryFile.write

    def slow_write(spool: tempfile.SpooledTemporaryFile[bytes], chunk: bytes) -> int:
        spools.append(spool)
        if spool.tell() + len(chunk) > MIB:
            writing.set()
            go_on.wait(5)
        done = write(spool, chunk)
        if writing.is_set():
            written.set()
        return done

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "write", slow_write)
    content = bytes(200_000)
    source = [content] * 10 if shape == "file" else chunks(*[content] * 10)

    async def fill() -> None:
        async with Spool(driver_content(source)):
            pass

    task = asyncio.create_task(fill())
    await asyncio.to_thread(writing.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not spools[0].closed
    go_on.set()
    await asyncio.to_thread(written.wait, 5)
    for _ in range(500):
        if spools[0].closed:
            break
        await asyncio.sleep(0.01)
    assert spools[0].closed


def test_bytes_are_handed_on_as_they_are() -> None:
    content = b"x"
    assert driver_content(content) is content


@given(st.lists(st.binary(max_size=9)), st.lists(st.integers(0, 12), max_size=30))
def test_an_iterable_reads_as_a_file_of_its_chunks_joined(
    pieces: list[bytes], sizes: list[int]
) -> None:
    model = io.BytesIO(b"".join(pieces))
    file: Any = driver_content(pieces)
    for size in sizes:
        got = file.read(size)
        assert len(got) <= size
        assert got == model.read(len(got))
        if size and not got:
            assert model.read() == b""
    assert file.read() == model.read()
    assert file.read(5) == b""


@given(st.binary(max_size=40), st.integers(1, 9))
def test_a_source_file_fills_buffers(content: bytes, size: int) -> None:
    file = io.BufferedReader(driver_content(io.BytesIO(content)), buffer_size=size)  # type: ignore[arg-type]
    assert file.read() == content


def test_a_source_that_reads_more_than_it_was_asked_for_loses_nothing() -> None:
    pieces = iter([b"0123456789", b"abc", b""])
    file = SourceFile(lambda _size: next(pieces))
    assert file.readable()
    assert file.read(4) == b"0123"
    buffer = bytearray(3)
    assert file.readinto(buffer) == 3
    assert buffer == b"456"
    assert file.read(None) == b"789abc"


def test_reading_nothing_is_not_the_end() -> None:
    seen: list[bytes] = []
    file: Any = driver_content(io.BytesIO(b"abc"))
    file.watches.append(seen.append)
    assert file.read(0) == b""
    assert file.read() == b"abc"
    assert seen == [b"abc", b""]


def test_a_closed_source_does_not_look_like_one_that_has_ended() -> None:
    inner = io.BytesIO(b"abc")
    file: Any = driver_content(inner)
    file.close()
    file.close()
    assert not inner.closed
    with pytest.raises(ValueError, match="closed"):
        file.read(1)


def test_a_path_given_up_half_way_is_closed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    file: Any = driver_content(tmp_path / "a")
    assert file.read(3) == b"012"
    file.close()
    del file
    gc.collect()


def test_a_path_is_closed_by_its_reader_where_one_reads_while_it_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, go_on = threading.Event(), threading.Event()
    files: list[io.BytesIO] = []

    class SlowFile(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            opened.set()
            go_on.wait(5)
            return super().read(size)

    def slow_open(*_: object, **__: object) -> io.BytesIO:
        files.append(SlowFile(b"content"))
        return files[0]

    monkeypatch.setattr(Path, "open", slow_open)
    source: Any = driver_content(tmp_path / "a")
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(source.read(100)))
    thread.start()
    opened.wait(5)
    source.close()
    assert not files[0].closed
    go_on.set()
    thread.join()
    assert files[0].closed
    assert got == [b"content"]


@pytest.mark.parametrize("size", [0, 1, 5, 100])
@pytest.mark.parametrize(
    "make",
    [
        lambda: b"0123456789",
        lambda: io.BytesIO(b"0123456789"),
        lambda: chunks(b"012", b"3456", b"789"),
    ],
)
async def test_peeking_takes_nothing_away(make: Callable[[], Any], size: int) -> None:
    content = driver_content(make())
    head = await peek(content, size)
    assert head == b"0123456789"[:size]
    async with Spool(content) as whole:
        assert whole == b"0123456789"


@given(st.lists(st.binary(max_size=5), max_size=8), st.integers(0, 20))
def test_an_async_source_yields_the_same_after_peeking_and_no_empty_chunk(
    pieces: list[bytes], size: int
) -> None:
    async def check() -> None:
        content = driver_content(chunks(*pieces))
        head = await peek(content, size)
        assert b"".join(pieces).startswith(head)
        seen = [chunk async for chunk in content]  # type: ignore[union-attr]
        assert all(seen)
        assert b"".join(seen) == b"".join(pieces)

    asyncio.run(check())


def test_only_the_very_error_of_the_source_is_its_own() -> None:
    error = OSError("mine")
    file = SourceFile(Failing(error, good=0).file().read)
    assert not raised_by_source(file, error)
    with pytest.raises(OSError, match="mine"):
        file.read(1)
    assert raised_by_source(file, error)
    assert not raised_by_source(file, OSError("mine"))
    assert not raised_by_source(b"bytes", error)
    assert not raised_by_source(SourceIterator(chunks()), error)
    file.failure = TimeoutError("slow")
    assert raised_by_source(file, TimeoutError("slow"))
    assert not raised_by_source(file, TimeoutError("other"))


async def test_many_contents_at_once_do_not_mix(disk: Disk, driver: Any) -> None:
    async def one(number: int) -> None:
        pieces = [f"{number}-{part};".encode() for part in range(20)]
        content: Any = pieces if number % 2 else chunks(*pieces)
        await disk.put(f"f{number}", content)

    await asyncio.gather(*map(one, range(100)))
    for number in range(100):
        expected = b"".join(f"{number}-{part};".encode() for part in range(20))
        assert driver.kept[f"f{number}"] == expected
