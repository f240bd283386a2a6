"""Kinds of content, and content that fails while it is read."""

from __future__ import annotations

import asyncio
import io
import threading
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import pytest

from jtc.storage.exceptions import IntegrityException, RejectedException
from jtc.storage.testing._suite import Suite, also_alone, needs, needs_empty_files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from jtc.storage import Disk

__all__ = ["ContentTests"]


class _OnlyReads:
    """A file object with nothing but `read`."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    def read(self, size: int = -1, /) -> bytes:
        return self._file.read(size)


class _AsyncFile:
    """An async file, such as an upload of a web framework."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)
        self.closed = False

    async def read(self, size: int = -1, /) -> bytes:
        return self._file.read(size)

    async def close(self) -> None:
        self.closed = True


class _Dribbles(io.RawIOBase):
    """A raw file that returns less than it is asked for, as sockets and pipes do."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._file = io.BytesIO(content)
        self._most = max(8, _piece(content))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        piece = self._file.read(min(self._most, len(buffer)))
        buffer[: len(piece)] = piece
        return len(piece)


def _generator(content: bytes) -> Iterator[bytes]:
    size = _piece(content)
    for at in range(0, len(content), size):
        yield content[at : at + size]


async def _async_generator(content: bytes) -> AsyncIterator[bytes]:
    yield b""
    size = _piece(content)
    for at in range(0, len(content), size):
        yield content[at : at + size]
        yield b""


def _piece(content: bytes) -> int:
    return max(5, len(content) // 30)


def _path(content: bytes, directory: Path) -> Path:
    file = directory / "source"
    file.write_bytes(content)
    return file


_KINDS: dict[str, Callable[[bytes, Path], Any]] = {
    "bytes": lambda content, _: content,
    "a bytearray": lambda content, _: bytearray(content),
    "a memoryview": lambda content, _: memoryview(content),
    "a memoryview of every second byte": lambda content, _: memoryview(
        bytes(byte for value in content for byte in (value, 0))
    )[::2],
    "a BytesIO": lambda content, _: io.BytesIO(content),
    "a buffered reader": lambda content, _: io.BufferedReader(_Dribbles(content)),
    "a raw file that returns less than asked for": lambda content, _: _Dribbles(content),
    "an object with read() alone": lambda content, _: _OnlyReads(content),
    "an async file": lambda content, _: _AsyncFile(content),
    "a list of bytes": lambda content, _: list(_generator(content)),
    "a tuple of bytearrays": lambda content, _: tuple(map(bytearray, _generator(content))),
    "a generator": lambda content, _: _generator(content),
    "an async generator": lambda content, _: _async_generator(content),
    "a pathlib.Path": _path,
}
_KIND = pytest.mark.parametrize("kind", _KINDS)


class _OwnError(Exception):
    """Raised by a source, for the caller that passed the source."""


def _failing_generator(error: Exception) -> Iterator[bytes]:
    yield b"new"
    raise error


async def _failing_async_generator(error: Exception) -> AsyncIterator[bytes]:
    yield b"new"
    raise error


class _FailingFile(_OnlyReads):
    def __init__(self, error: Exception) -> None:
        super().__init__(b"new")
        self._error = error

    def read(self, size: int = -1, /) -> bytes:
        piece = super().read(2 if size < 0 else min(size, 2))
        if not piece:
            raise self._error
        return piece


class _FailingAsyncFile(_AsyncFile):
    def __init__(self, error: Exception) -> None:
        super().__init__(b"new")
        self._error = error

    async def read(self, size: int = -1, /) -> bytes:
        piece = await super().read(2 if size < 0 else min(size, 2))
        if not piece:
            raise self._error
        return piece


_FAILING: dict[str, Callable[[Exception], Any]] = {
    "a generator": _failing_generator,
    "an async generator": _failing_async_generator,
    "a file": _FailingFile,
    "an async file": _FailingAsyncFile,
}
_FAILS = pytest.mark.parametrize("source", _FAILING)
_ERRORS = pytest.mark.parametrize(
    "error",
    [_OwnError("own"), OSError(5, "disk gone"), FileNotFoundError("of the source")],
    ids=repr,
)


@also_alone
class ContentTests(Suite):
    """What can be put. A driver alone takes the same kinds as `Disk`."""

    rules = "`put`, `write_file`"

    @_KIND
    async def test_every_kind_of_content_is_stored(
        self, storage: Disk, tmp_path: Path, kind: str
    ) -> None:
        content = b"The content, byte for byte \x00\xff"
        await storage.put("a.txt", _KINDS[kind](content, tmp_path))
        assert await storage.get("a.txt") == content

    @_KIND
    @needs_empty_files
    async def test_every_kind_of_content_may_be_empty(
        self, storage: Disk, tmp_path: Path, kind: str
    ) -> None:
        await storage.put("a.txt", b"old")
        await storage.put("a.txt", _KINDS[kind](b"", tmp_path))
        assert await storage.get("a.txt") == b""

    @_KIND
    async def test_every_kind_of_content_may_be_large(
        self, storage: Disk, tmp_path: Path, kind: str
    ) -> None:
        content = bytes(range(251)) * 1200
        await storage.put("large", _KINDS[kind](content, tmp_path))
        assert await storage.get("large") == content

    @_KIND
    @needs("stat", put=["metadata"])
    async def test_every_kind_of_content_may_have_options(
        self, storage: Disk, tmp_path: Path, kind: str
    ) -> None:
        content = _KINDS[kind](b"content", tmp_path)
        await storage.put("a.txt", content, metadata={"one": "1"})
        assert await storage.get("a.txt") == b"content"
        assert dict((await storage.stat("a.txt")).metadata) == {"one": "1"}

    async def test_a_str_is_stored_as_utf8(self, storage: Disk) -> None:
        await storage.put("a.txt", "größer \U0001f600")
        assert await storage.get("a.txt") == "größer \U0001f600".encode()

    @needs_empty_files
    async def test_an_empty_str_is_an_empty_file(self, storage: Disk) -> None:
        await storage.put("a.txt", "")
        assert await storage.get("a.txt") == b""

    async def test_put_stores_a_file_from_its_beginning(self, storage: Disk) -> None:
        source = io.BytesIO()
        source.write(b"just written content")
        await storage.put("a.txt", source)
        assert await storage.get("a.txt") == b"just written content"

    async def test_put_stores_from_a_file_that_cannot_seek_what_is_left(
        self, storage: Disk
    ) -> None:
        source = _Dribbles(b"skipped content")
        assert source.read(8) == b"skipped "
        await storage.put("a.txt", source)
        assert await storage.get("a.txt") == b"content"

    async def test_put_refuses_a_generator_that_has_ended(self, storage: Disk) -> None:
        await storage.put("a.txt", b"old")
        source = _generator(b"content")
        assert b"".join(source) == b"content"
        with pytest.raises(IntegrityException):
            await storage.put("a.txt", source)
        assert await storage.get("a.txt") == b"old"

    async def test_put_refuses_content_of_another_length_than_it_says(self, storage: Disk) -> None:
        class Upload(_AsyncFile):
            size = 5

        await storage.put("a.txt", b"old")
        with pytest.raises(IntegrityException):
            await storage.put("a.txt", Upload(b"content"))
        assert await storage.get("a.txt") == b"old"

    async def test_a_file_on_the_local_disk_is_stored(self, storage: Disk, tmp_path: Path) -> None:
        source = tmp_path / "source"
        source.write_bytes(b"content" * 100)
        with source.open("rb") as file:
            await storage.put("a.txt", file)
        assert await storage.get("a.txt") == b"content" * 100

    async def test_the_callers_file_stays_open(self, storage: Disk) -> None:
        source = io.BytesIO(b"content")
        await storage.put("a.txt", source)
        assert source.closed is False
        source.seek(0)
        await storage.put("b.txt", source)
        assert await storage.get("b.txt") == b"content"

    async def test_put_of_file_that_blocks_does_not_block_the_event_loop(
        self, storage: Disk
    ) -> None:
        turned, patience = threading.Event(), min(self.patience, 10)

        class Blocking(io.BytesIO):
            seen: bool | None = None

            def read(self, size: int | None = -1, /) -> bytes:
                if self.seen is None:
                    self.seen = turned.wait(patience)
                return super().read(size)

        source = Blocking(b"content")
        put = asyncio.create_task(storage.put("a.txt", source))
        while not put.done() and source.seen is None:
            await asyncio.sleep(0.001)
            turned.set()
        await put
        assert source.seen is True, "read() was called in the thread of the event loop"
        assert await storage.get("a.txt") == b"content"

    async def test_put_of_iterable_that_reuses_its_buffer_is_stored(self, storage: Disk) -> None:
        def source() -> Iterator[Any]:
            buffer = bytearray(5)
            for piece in (b"first", b"other", b"third"):
                buffer[:] = piece
                yield buffer

        await storage.put("a.txt", source())
        assert await storage.get("a.txt") == b"firstotherthird"

    async def test_put_reads_content_once(self, storage: Disk) -> None:
        class Counting(io.BytesIO):
            read_bytes = 0

            def read(self, size: int | None = -1, /) -> bytes:
                found = super().read(size)
                self.read_bytes += len(found)
                return found

        source = Counting(b"content" * 30_000)
        await storage.put("a.txt", source)
        # To look at the beginning first is fine.
        assert source.read_bytes < 2 * 210_000, "content is read once"
        assert await storage.size("a.txt") == 210_000

    async def test_the_callers_async_file_stays_open(self, storage: Disk) -> None:
        source = _AsyncFile(b"content")
        await storage.put("a.txt", source)
        assert source.closed is False

    async def test_the_callers_file_stays_open_when_it_fails(self, storage: Disk) -> None:
        class Failing(io.BytesIO):
            def read(self, _size: int | None = -1, /) -> bytes:
                raise _OwnError

        source = Failing()
        with pytest.raises(_OwnError):
            await storage.put("a.txt", source)
        assert source.closed is False

    @needs("writing", put=["metadata"])
    async def test_the_callers_file_stays_open_after_a_put_with_options(
        self, storage: Disk
    ) -> None:
        source = io.BytesIO(b"content")
        await storage.put("a.txt", source, metadata={"one": "1"})
        assert source.closed is False

    async def test_a_bytearray_that_changes_later_changes_nothing(self, storage: Disk) -> None:
        source = bytearray(b"content")
        await storage.put("a.txt", source)
        source[:] = b"changed"
        assert await storage.get("a.txt") == b"content"

    @_FAILS
    @_ERRORS
    async def test_what_a_source_raises_comes_unchanged(
        self, storage: Disk, source: str, error: Exception
    ) -> None:
        with pytest.raises(type(error)) as caught:
            await storage.put("a.txt", _FAILING[source](error))
        assert caught.value is error

    @_FAILS
    @_ERRORS
    async def test_a_source_that_raises_leaves_the_old_file(
        self, storage: Disk, source: str, error: Exception
    ) -> None:
        await storage.put("a.txt", b"old")
        with pytest.raises(type(error)):
            await storage.put("a.txt", _FAILING[source](error))
        assert await storage.get("a.txt") == b"old"

    @_FAILS
    async def test_a_source_that_raises_leaves_no_file(self, storage: Disk, source: str) -> None:
        with pytest.raises(_OwnError):
            await storage.put("a.txt", _FAILING[source](_OwnError()))
        assert await storage.exists("a.txt") is False

    @_FAILS
    @needs("listing")
    async def test_a_source_that_raises_leaves_nothing_to_be_listed(
        self, storage: Disk, source: str
    ) -> None:
        with pytest.raises(_OwnError):
            await storage.put("d/a.txt", _FAILING[source](_OwnError()))
        assert [entry.path async for entry in storage.list(recursive=True)] == []

    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(None, id="None"),
            pytest.param(1, id="a number"),
            pytest.param({"a": b"1"}, id="a dict"),
            pytest.param({b"1", b"2"}, id="a set"),
            pytest.param([1, 2], id="a list of numbers"),
            pytest.param(["text"], id="a list of texts"),
            pytest.param(object(), id="an object"),
        ],
    )
    async def test_what_is_no_content_is_refused(self, storage: Disk, content: object) -> None:
        await storage.put("a.txt", b"old")
        with pytest.raises(TypeError):
            await storage.put("a.txt", cast("Any", content))
        assert await storage.get("a.txt") == b"old"

    async def test_a_file_that_was_opened_as_text_is_refused(self, storage: Disk) -> None:
        await storage.put("a.txt", b"old")
        with pytest.raises(TypeError):
            await storage.put("a.txt", cast("BinaryIO", io.StringIO("text")))
        assert await storage.get("a.txt") == b"old"

    async def test_a_short_content_is_refused(self, disk: Disk) -> None:
        await disk.put("a.txt", b"old")
        with pytest.raises(IntegrityException):
            await disk.put("a.txt", _generator(b"short"), size=100)
        assert await disk.get("a.txt") == b"old"

    async def test_a_long_content_is_refused(self, disk: Disk) -> None:
        await disk.put("a.txt", b"old")
        with pytest.raises(RejectedException):
            await disk.put("a.txt", _generator(b"long" * 1000), max_size=10)
        assert await disk.get("a.txt") == b"old"

    @pytest.mark.parametrize("kind", ["bytes", "a BytesIO", "a generator", "an async generator"])
    async def test_put_min_size_refuses_content_that_is_shorter(
        self, disk: Disk, tmp_path: Path, kind: str
    ) -> None:
        await disk.put("a.txt", b"old")
        with pytest.raises(RejectedException):
            await disk.put("a.txt", _KINDS[kind](b"short", tmp_path), min_size=6)
        assert await disk.get("a.txt") == b"old"
        await disk.put("a.txt", _KINDS[kind](b"enough", tmp_path), min_size=6)
        assert await disk.get("a.txt") == b"enough"

    async def test_progress_is_reported(self, disk: Disk) -> None:
        reported: list[int] = []
        await disk.put(
            "a.txt", _generator(b"content" * 10), progress=lambda n, _: reported.append(n)
        )
        assert reported == sorted(reported)
        assert reported[-1] == 70
