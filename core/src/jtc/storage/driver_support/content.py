"""Kinds of content that users pass, and their conversion to the three kinds that drivers get.

A driver gets bytes, a blocking binary file, or an async iterator of bytes. The conversion reads
nothing: reading happens while the driver writes, so memory stays bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import io
import threading
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import (
    IO,
    TYPE_CHECKING,
    Any,
    BinaryIO,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
)

from jtc.storage.driver_support._whole_content import (
    check_unread,
    known_length,
    rewind,
    rewind_now,
    was_read_before,
)
from jtc.storage.driver_support.error_translation import no_thread, temporary_file_errors
from jtc.storage.exceptions import IntegrityException, RejectedException
from jtc.storage.options import DEFAULT_CHUNK_SIZE

if TYPE_CHECKING:
    from jtc.storage.driver import DriverContent

__all__ = [
    "Content",
    "Spool",
    "SupportsAsyncRead",
    "SupportsRead",
    "driver_content",
    "in_thread",
    "length_known",
    "length_read",
    "peek",
    "raised_by_source",
    "watch_content",
]

P = ParamSpec("P")
R = TypeVar("R")

_SPOOL_MEMORY = 1024 * 1024


class SupportsRead(Protocol):
    """A binary file object, or anything that reads like one."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
        ...


class SupportsAsyncRead(Protocol):
    """An async file object: FastAPI's ``UploadFile``, aiofiles', aiohttp's streams."""

    async def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
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
"""Content for `Disk.put`. A `str` is stored as UTF-8, a `Path` names a local file to read from.

A file object, sync or async, is stored whole, from its beginning, and is never closed; one that
cannot seek, such as a pipe, is read from where it is. To store the rest of a file, pass
``iter(lambda: file.read(65536), b"")``. Content that contradicts the length that it declares itself
(an upload's `size`, the length of a plain file) and a generator that has ended are refused with an
`IntegrityException`, and the empty upload of a form in which no file was chosen with a
`RejectedException`.
"""


Watch: TypeAlias = Callable[[bytes], None]
"""Called with each chunk as it is read, and with an empty one at the end; may raise."""


def driver_content(content: Content) -> DriverContent:
    """Convert content to a kind that drivers get, without reading it.

    Args:
        content: Any `Content`. Converted content is returned as it is.

    Returns:
        `bytes`; or a binary file to be read in a worker thread, whose ``close`` leaves the
        caller's file open; or an async iterator of non-empty `bytes`.

    Raises:
        TypeError: It is not content.
        IntegrityException: It is a generator that has ended. Reading raises it for a file that is
            closed, that cannot be rewound, or that has another length than it says.
    """
    if isinstance(content, (bytes, SourceIterator)):
        return content
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, (bytearray, memoryview)):
        return bytes(content)
    if isinstance(content, SourceFile):
        return cast("BinaryIO", content)
    if isinstance(content, Path):
        reader = _PathReader(content)
        return cast("BinaryIO", SourceFile(reader.read, reader.close))
    # Before iteration: files, sync and async, iterate by lines.
    read: Callable[[int], Any] | None = getattr(content, "read", None)
    if callable(read):
        if inspect.iscoroutinefunction(read) or hasattr(type(content), "__aiter__"):
            return SourceIterator(_AsyncReader(read), content)
        return cast("BinaryIO", SourceFile(read, file=content))
    if isinstance(content, AsyncIterable):
        return SourceIterator(aiter(content))
    if isinstance(content, Iterable) and not isinstance(content, (dict, set, frozenset)):
        chunks = iter(content)
        return cast("BinaryIO", SourceFile(_IterableReader(chunks).read, chunks=chunks))
    raise TypeError(
        "Content is bytes, a str, a binary file, an async file, an iterable or async iterable "
        f"of bytes, or a pathlib.Path, not {type(content).__name__}"
    )


def raised_by_source(content: object, error: BaseException) -> bool:
    """Return whether an error came out of the caller's content or file, not out of the storage."""
    if not isinstance(content, Fallible) or content.failure is None:
        return False
    failure = content.failure
    # asyncio passes on a thread's TimeoutError as a copy, every other error as it is.
    copied = type(failure) is type(error) is TimeoutError and failure.args == error.args
    return copied or failure is error


def length_read(content: DriverContent) -> int:
    """Return how many bytes of content that `driver_content` made were read so far."""
    return len(content) if isinstance(content, bytes) else cast("_Source", content).length_read


def length_known(content: DriverContent) -> int | None:
    """Return the length in bytes of content that `driver_content` made, if it is known now."""
    return len(content) if isinstance(content, bytes) else cast("_Source", content).length_said()


def watch_content(content: DriverContent, watch: Watch) -> None:
    """Call a function with each chunk of content as it is read.

    Args:
        content: A result of `driver_content`. For bytes the function is called immediately.
        watch: The function. Its errors are raised to the reader.
    """
    if isinstance(content, bytes):
        if content:
            watch(content)
        watch(b"")
    else:
        cast("_Source", content).watches.append(watch)


async def peek(content: DriverContent, size: int) -> bytes:
    """Return the beginning of content that `driver_content` made; reading it yields it again.

    Args:
        content: The content.
        size: How many bytes to return; fewer where the content is shorter.
    """
    if isinstance(content, bytes):
        return content[:size]
    pieces: list[bytes] = []
    missing = size
    while missing > 0:
        if isinstance(content, AsyncIterator):
            piece = await anext(content, b"")
        else:
            piece = await in_thread(content.read, missing)
        if not piece:
            break
        pieces.append(piece)
        missing -= len(piece)
    head = b"".join(pieces)
    cast("_Source", content).unread(head)
    return head[:size]


async def in_thread(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a function that blocks in a thread, as `asyncio.to_thread` does.

    Raises:
        StorageUnavailableException: No thread can be started. The function does not run later
            either.
    """
    call = partial(contextvars.copy_context().run, function, *args, **kwargs)
    given_up = False

    def run() -> R | None:
        return None if given_up else call()

    try:
        future = asyncio.get_running_loop().run_in_executor(None, run)
    except RuntimeError as error:
        given_up = True  # it is queued all the same
        raise no_thread(error) from error
    return cast("R", await future)


class Fallible:
    """What is not the storage, and may fail by itself: content, or a file of this machine.

    Attributes:
        failure: Its error, if any.
    """

    def __init__(self) -> None:
        super().__init__()
        self.failure: BaseException | None = None


class _Source(Fallible):
    """State of content while it is read.

    Args:
        file: The caller's file, to be rewound and measured.
        chunks: The caller's iterator.

    Attributes:
        length_read: The number of bytes that were read.
        watches: Functions to call with each chunk.

    Raises:
        IntegrityException: `chunks` is a generator that has ended.
    """

    def __init__(self, file: object = None, chunks: object = None) -> None:
        super().__init__()
        self.length_read = 0
        self.watches: list[Watch] = []
        self._head = b""
        self._file = file
        self._is_rewound = file is None
        self._said: int | None = None
        self._was_read_before = False
        if chunks is not None:
            check_unread(chunks)
            self._was_read_before = was_read_before(chunks)

    def length_said(self) -> int | None:
        """Return the length in bytes that the caller's file says it has, if it is known."""
        return None if self._file is None else known_length(self._file)

    def unread(self, head: bytes) -> None:
        """Put the first bytes back, to be read again."""
        self._head = head
        self.length_read -= len(head)

    def _passed(self, chunk: bytes) -> bytes:
        """Count a chunk, and call the watches with it."""
        self.length_read += len(chunk)
        if not chunk:
            self._check_whole()
        try:
            for watch in self.watches:
                watch(chunk)
        except (StopIteration, StopAsyncIteration) as error:
            # Neither may come out of a read: one hangs the task that waits for the thread, and the
            # other looks like the end of the content.
            raise RuntimeError(f"A watch of the content raised {type(error).__name__}") from error
        return chunk

    def _check_whole(self) -> None:
        """Check at the content's end that nothing of it is missing."""
        if self._was_read_before and not self.length_read:
            raise IntegrityException(
                "The content was read before, and has nothing more: pass a new iterator or file"
            )
        # What browsers send where no file was chosen.
        if not self.length_read and getattr(self._file, "filename", None) == "":
            raise RejectedException("The form was sent without a file", reason="form")
        if self._said is None:
            return
        # Another program may write to the file meanwhile.
        now = self.length_said()
        lengths = (self._said, self._said if now is None else now)
        if not min(lengths) <= self.length_read <= max(lengths):
            raise IntegrityException(
                f"The content says that it has {self._said} bytes, but {self.length_read} were "
                "read: it was changed, or is read by two at once"
            )


class SourceFile(_Source, io.RawIOBase):
    """A blocking source as a binary file; closing it does not close the caller's file."""

    def __init__(
        self,
        read: Callable[[int], bytes],
        close: Callable[[], None] | None = None,
        *,
        file: object = None,
        chunks: object = None,
    ) -> None:
        # First, since a file that was refused is closed as well when it is dropped.
        self._source = read
        self._close = close
        super().__init__(file, chunks)

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Return at most `size` bytes, or all where it is None or below 0; none at the end.

        Raises:
            ValueError: The file is closed: closed content must not look like content at its end.
        """
        if self.closed:
            raise ValueError("The content is closed")
        if size is None or size < 0:
            return self.readall()
        if size == 0:
            return b""  # not the end, so the watches must not get it
        if not self._is_rewound:
            self._was_read_before = rewind_now(self._file)
            self._said = self.length_said()
            self._is_rewound = True
        chunk = self._head or self._read_source(size)
        # A source may return more than it was asked for: the rest is kept for the next read.
        chunk, self._head = chunk[:size], chunk[size:]
        return self._passed(chunk)

    def _read_source(self, size: int) -> bytes:
        try:
            return _checked_chunk(self._source(size))
        except StopIteration as error:
            # A future cannot carry it: the task that waits for this thread would wait forever.
            self.failure = RuntimeError("The content's read() raised StopIteration")
            raise self.failure from error
        except io.UnsupportedOperation as error:
            raise _not_readable() from error
        except BaseException as error:
            self.failure = error
            raise

    def close(self) -> None:
        """Close the file that was opened here for reading, and never the caller's."""
        if self._close is not None:
            self._close()
        super().close()

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer; return the number of bytes."""
        chunk = self.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)


class SourceIterator(_Source, AsyncIterator[bytes]):
    """An async source that records what it raised, and leaves out empty chunks."""

    def __init__(self, chunks: AsyncIterator[bytes], file: object = None) -> None:
        super().__init__(file, chunks)
        self._chunks = chunks

    async def __anext__(self) -> bytes:
        if not self._is_rewound:
            self._was_read_before = await rewind(self._file)
            self._said = self.length_said()
            self._is_rewound = True
        chunk, self._head = self._head, b""
        while not chunk:
            try:
                chunk = _checked_chunk(await anext(self._chunks))
            except StopAsyncIteration:
                self._passed(b"")
                raise
            except io.UnsupportedOperation as error:
                raise _not_readable() from error
            except BaseException as error:
                self.failure = error
                raise
        return self._passed(chunk)


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
    """Closes a file that a thread may be using: then that thread closes it when it is done.

    A cancelled task leaves its thread behind. If the file were closed under it, it would go on with
    the file that gets the same descriptor next.
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
        """Close the file now, or once it is no longer in use. Does nothing the second time."""
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


def _checked_chunk(chunk: object) -> bytes:
    if isinstance(chunk, bytes):
        return chunk
    if isinstance(chunk, (bytearray, memoryview)):
        return bytes(chunk)
    hint = ": open a file in binary mode, and encode text" if isinstance(chunk, str) else ""
    if inspect.iscoroutine(chunk):
        chunk.close()  # it cannot be awaited here
        hint = ": declare an async read() with 'async def'"
    raise TypeError(f"Content yields bytes, not {type(chunk).__name__}{hint}")


def _not_readable() -> IntegrityException:
    return IntegrityException(
        "The content is a file that is not open for reading: open it in the mode 'rb' or 'w+b'"
    )


class Spool:
    """Content read to its end, for what needs it whole before it is stored: bytes, or a file.

    As a context manager, whose value stands at its beginning; what does not fit into the memory
    goes to a temporary file without a name, which is deleted with the block's end.

    Args:
        content: A result of `driver_content`. Bytes stay the same bytes.
        memory: How many bytes stay in memory.
    """

    def __init__(self, content: DriverContent, *, memory: int = _SPOOL_MEMORY) -> None:
        self._content = content
        self._memory = memory
        import tempfile  # noqa: PLC0415 - imported only where it is used

        # No file is opened before there is more than the memory holds; 0 would stand for no limit.
        self._file = tempfile.SpooledTemporaryFile(max_size=max(memory, 1))  # noqa: SIM115 - it is one
        self._closing = _ClosedWhenIdle(self._close)

    async def __aenter__(self) -> bytes | BinaryIO:
        """Read the content; an error of the content is raised unchanged."""
        content, spool = self._content, self._file
        if isinstance(content, bytes):
            return content
        try:
            if isinstance(content, AsyncIterator):
                await self._write_all(content)
            else:
                await in_thread(self._copy, content)
        except BaseException:
            self._closing.close()  # __aexit__ is not called when this raises
            raise
        small = spool.tell() <= self._memory
        spool.seek(0)
        return spool.read() if small else cast("BinaryIO", spool)

    async def __aexit__(self, *exc_info: object) -> None:
        self._closing.close()

    def _close(self) -> None:
        with contextlib.suppress(OSError):  # it writes once more what could not be written
            self._file.close()

    async def _write_all(self, content: AsyncIterator[bytes]) -> None:
        async for chunk in content:
            # Beyond the memory a write may block: only then it is made in a thread.
            if self._file.tell() + len(chunk) > self._memory:
                await in_thread(self._write, chunk)
            else:
                self._file.write(chunk)  # in memory

    def _copy(self, content: BinaryIO) -> None:
        while chunk := content.read(DEFAULT_CHUNK_SIZE):
            self._write(chunk)

    def _write(self, chunk: bytes) -> None:
        with self._closing.use(), temporary_file_errors():
            self._file.write(chunk)
            self._file.flush()
