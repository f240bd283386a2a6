"""What can be stored: every kind of content that users pass, brought to the three drivers know.

A driver gets bytes, a blocking binary file, or an async iterator of bytes. Nothing is read here:
reading happens while the driver writes, so memory stays bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import threading
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Protocol, TypeAlias, cast

from jtc.storage.driver import DEFAULT_CHUNK_SIZE

if TYPE_CHECKING:
    from jtc.storage.driver import DriverContent

__all__ = [
    "Content",
    "SupportsAsyncRead",
    "SupportsRead",
    "driver_content",
    "peek",
    "raised_by_source",
    "watch_content",
]

_SPOOL_MEMORY = 1024 * 1024


class SupportsRead(Protocol):
    """A binary file object, or anything that reads like one."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most so many bytes, none at the end."""
        ...


class SupportsAsyncRead(Protocol):
    """An async file object: FastAPI's ``UploadFile``, aiofiles', aiohttp's streams."""

    async def read(self, size: int = -1, /) -> bytes:
        """Return at most so many bytes, none at the end."""
        ...


Content: TypeAlias = (
    bytes
    | bytearray
    | memoryview
    | str
    | Path
    | IO[bytes]
    | SupportsRead
    | SupportsAsyncRead
    | Iterable[bytes]
    | AsyncIterable[bytes]
)
"""What `Disk.put` takes. A `str` is stored as UTF-8, a `Path` names a local file to read from.

A file object is read from where it stands, and is never closed.
"""


Watch: TypeAlias = Callable[[bytes], None]
"""Sees each chunk as it is read, and an empty one at the end; may raise."""


def driver_content(content: Content) -> DriverContent:
    """Bring content to a kind that drivers know, without reading it.

    Args:
        content: Any `Content`.

    Returns:
        `bytes`; or a binary file to be read in a worker thread, whose ``close`` leaves the
        caller's file open; or an async iterator of non-empty `bytes`.

    Raises:
        TypeError: It is no content.
    """
    if isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, (bytearray, memoryview)):
        return bytes(content)
    if isinstance(content, Path):
        reader = _PathReader(content)
        return cast("BinaryIO", SourceFile(reader.read, reader.close))
    # Before iteration: files, sync and async, iterate by lines.
    read: Callable[[int], Any] | None = getattr(content, "read", None)
    if callable(read):
        if inspect.iscoroutinefunction(read) or hasattr(type(content), "__aiter__"):
            return SourceIterator(_AsyncReader(read))
        return cast("BinaryIO", SourceFile(read))
    if isinstance(content, AsyncIterable):
        return SourceIterator(aiter(content))
    if isinstance(content, Iterable) and not isinstance(content, (dict, set, frozenset)):
        return cast("BinaryIO", SourceFile(_IterableReader(iter(content)).read))
    raise TypeError(
        "Content is bytes, a str, a binary file, an async file, an iterable or async iterable "
        f"of bytes, or a pathlib.Path, not {type(content).__name__}"
    )


def raised_by_source(content: object, error: BaseException) -> bool:
    """Tell whether an error came out of the caller's content, and so is not the storage's."""
    if not isinstance(content, (SourceFile, SourceIterator)) or content.failure is None:
        return False
    failure = content.failure
    # asyncio hands on a thread's TimeoutError as a copy, every other error as it is.
    copied = type(failure) is type(error) is TimeoutError and failure.args == error.args
    return copied or failure is error


def watch_content(content: DriverContent, watch: Watch) -> None:
    """Have content seen as it is read, after those that watch it already.

    Args:
        content: What `driver_content` made. Bytes are seen at once.
        watch: Sees each chunk, and an empty one at the end; what it raises, the reader gets.
    """
    if isinstance(content, bytes):
        if content:
            watch(content)
        watch(b"")
        return
    source = cast("SourceFile | SourceIterator", content)
    first = source.watch

    def both(chunk: bytes) -> None:
        if first is not None:
            first(chunk)
        watch(chunk)

    source.watch = both


async def peek(content: DriverContent, size: int) -> tuple[bytes, DriverContent]:
    """Look at the beginning of content that `driver_content` made.

    Args:
        content: The content.
        size: How many bytes to see; fewer where there are no more.

    Returns:
        Its beginning, and the content to go on with, which yields the beginning again.
    """
    if isinstance(content, bytes):
        return content[:size], content
    pieces = []
    seen = 0
    while seen < size:
        if isinstance(content, AsyncIterator):
            piece = await anext(content, b"")
        else:
            piece = await asyncio.to_thread(content.read, size - seen)
        if not piece:
            break
        pieces.append(piece)
        seen += len(piece)
    head = b"".join(pieces)
    content.head = head  # type: ignore[union-attr] # driver_content() made it
    return head[:size], content


class SourceFile(io.RawIOBase):
    """A blocking source behind a file of our own: closing that closes nothing of the caller's."""

    def __init__(
        self, read: Callable[[int], bytes], close: Callable[[], None] | None = None
    ) -> None:
        super().__init__()
        self._source = read
        self._close = close
        self.failure: BaseException | None = None
        self.watch: Watch | None = None
        self.head = b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Return at most `size` bytes, or all where it is None or below 0; none at the end.

        Raises:
            ValueError: The file is closed: what was given up must not look like what has ended.
        """
        if self.closed:
            raise ValueError("The content is closed")
        if size is None or size < 0:
            return self.readall()
        if size == 0:
            return b""  # not the end, so nothing that `watch` may take for it
        chunk = self.head or self._read_source(size)
        # What reads more than it was asked for keeps the rest for the next time.
        chunk, self.head = chunk[:size], chunk[size:]
        if self.watch is not None:
            _show(self.watch, chunk)
        return chunk

    def _read_source(self, size: int) -> bytes:
        try:
            return _checked_chunk(self._source(size))
        except StopIteration as error:
            # A future cannot carry it: the task that waits for this thread would wait for ever.
            self.failure = RuntimeError("The content's read() raised StopIteration")
            raise self.failure from error
        except BaseException as error:
            self.failure = error
            raise

    def close(self) -> None:
        """Close what was opened here for reading, and nothing of the caller's."""
        if self._close is not None:
            self._close()
        super().close()

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer; return the number of bytes."""
        chunk = self.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)


class SourceIterator(AsyncIterator[bytes]):
    """An async source that remembers what it raised, and leaves out empty chunks."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self.failure: BaseException | None = None
        self.watch: Watch | None = None
        self.head = b""

    async def __anext__(self) -> bytes:
        chunk, self.head = self.head, b""
        while not chunk:
            try:
                chunk = _checked_chunk(await anext(self._chunks))
            except StopAsyncIteration:
                if self.watch is not None:
                    _show(self.watch, b"")
                raise
            except BaseException as error:
                self.failure = error
                raise
        if self.watch is not None:
            _show(self.watch, chunk)
        return chunk


class _AsyncReader(AsyncIterator[bytes]):
    """Iterates an async file by chunks."""

    def __init__(self, read: Callable[[int], Awaitable[bytes]]) -> None:
        self._read = read

    async def __anext__(self) -> bytes:
        if chunk := await self._read(DEFAULT_CHUNK_SIZE):
            return chunk
        raise StopAsyncIteration


class _IterableReader:
    """Reads an iterable of chunks as a file, in the sizes asked for."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._rest = memoryview(_checked_chunk(chunk))
        taken, self._rest = self._rest[:size], self._rest[size:]
        return bytes(taken)


class _ClosedWhenIdle:
    """Closes a file that a thread may be using: then that thread does it when it is done.

    A cancelled task leaves its thread behind. Closing under it would let it go on with whatever
    gets the same descriptor next.
    """

    def __init__(self, close: Callable[[], None]) -> None:
        self._close = close
        self._lock = threading.Lock()
        self._used = False
        self._closed = False

    @contextlib.contextmanager
    def use(self) -> Iterator[None]:
        """Keep the file open within the block.

        Raises:
            ValueError: It is closed already.
        """
        with self._lock:
            if self._closed:
                raise ValueError("The file is closed")
            self._used = True
        try:
            yield
        finally:
            with self._lock:
                self._used = False
                if self._closed:
                    self._close()

    def close(self) -> None:
        """Close the file now, or when nobody uses it any more. Does nothing the second time."""
        with self._lock:
            first, self._closed = not self._closed, True
            if first and not self._used:
                self._close()


class _PathReader:
    """Opens a file at the first read and closes it at its end, both in the reading thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._closing = _ClosedWhenIdle(self._close)
        self._ended = False
        self.close = self._closing.close

    def read(self, size: int) -> bytes:
        if self._ended:
            return b""
        with self._closing.use():
            if self._file is None:
                self._file = self._path.open("rb", buffering=0)
            chunk = self._file.read(size)
        if not chunk:
            self._ended = True
            self.close()
        return chunk

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()


def _show(watch: Watch, chunk: bytes) -> None:
    try:
        watch(chunk)
    except (StopIteration, StopAsyncIteration) as error:
        # Neither may come out of a read: one hangs the task that waits for the thread, and the
        # other looks like the end of the content.
        raise RuntimeError(f"What watches the content raised {type(error).__name__}") from error


def _checked_chunk(chunk: object) -> bytes:
    if isinstance(chunk, bytes):
        return chunk
    if isinstance(chunk, (bytearray, memoryview)):
        return bytes(chunk)
    hint = ": open a file in binary mode, and encode text" if isinstance(chunk, str) else ""
    if inspect.iscoroutine(chunk):
        chunk.close()  # nobody can wait for it here
        hint = ": declare an async read() with 'async def'"
    raise TypeError(f"Content yields bytes, not {type(chunk).__name__}{hint}")


class Spool:
    """Content read to its end, for drivers with the eight methods only: bytes, or a file.

    As a context manager; up to 1 MiB stays in memory, more goes to a temporary file.
    """

    def __init__(self, content: DriverContent) -> None:
        self._content = content
        import tempfile  # noqa: PLC0415 - only who asks pays for it

        # Nothing is opened before there is more than the memory holds.
        self._file = tempfile.SpooledTemporaryFile(max_size=_SPOOL_MEMORY)  # noqa: SIM115 - it is one
        self._closing = _ClosedWhenIdle(self._file.close)

    async def __aenter__(self) -> bytes | BinaryIO:
        content, spool = self._content, self._file
        if isinstance(content, bytes):
            return content
        try:
            if isinstance(content, AsyncIterator):
                await self._write_all(content)
            else:
                await asyncio.to_thread(self._copy, content)
        except BaseException:
            self._closing.close()  # __aexit__ is not called when this raises
            raise
        small = spool.tell() <= _SPOOL_MEMORY
        spool.seek(0)
        return spool.read() if small else cast("BinaryIO", spool)

    async def __aexit__(self, *exc_info: object) -> None:
        self._closing.close()

    async def _write_all(self, content: AsyncIterator[bytes]) -> None:
        async for chunk in content:
            # Beyond the memory a write may block: only then is a thread worth its hop.
            if self._file.tell() + len(chunk) > _SPOOL_MEMORY:
                await asyncio.to_thread(self._write, chunk)
            else:
                self._file.write(chunk)

    def _copy(self, content: BinaryIO) -> None:
        while chunk := content.read(DEFAULT_CHUNK_SIZE):
            self._write(chunk)

    def _write(self, chunk: bytes) -> None:
        with self._closing.use():
            self._file.write(chunk)
