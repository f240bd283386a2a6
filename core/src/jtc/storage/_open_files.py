"""What `Disk.open` gives: files that are read and written as aiofiles' are, on any disk."""

from __future__ import annotations

import asyncio
import io
from collections import deque
from typing import TYPE_CHECKING, Generic, NoReturn, Protocol, TypeVar

from jtc.storage.driver import DEFAULT_CHUNK_SIZE
from jtc.storage.exceptions import StorageException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator

    from jtc.storage._byte_stream import ByteStream
    from jtc.storage.models import FileInfo

__all__ = ["OpenFile", "ReadableFile", "WritableFile"]

_MOST_PENDING = 4 * DEFAULT_CHUNK_SIZE


class _File(Protocol):
    async def close(self) -> None: ...

    async def abort(self) -> None: ...


F_co = TypeVar("F_co", bound=_File, covariant=True)


class OpenFile(Generic[F_co]):
    """A file about to be opened: ``async with disk.open(...) as file``, or ``await`` it."""

    def __init__(self, opener: Callable[[], Awaitable[F_co]]) -> None:
        self._opener = opener
        self._file: F_co | None = None

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(
            f"The file is not open yet, so it has no {name!r}: "
            "write 'async with disk.open(...) as file', or 'file = await disk.open(...)'"
        )

    def __await__(self) -> Generator[None, None, F_co]:
        return self._opener().__await__()

    async def __aenter__(self) -> F_co:
        self._file = await self._opener()
        return self._file

    async def __aexit__(self, exc_type: type[BaseException] | None, *rest: object) -> None:
        if self._file is None:
            return
        if exc_type is None:
            await self._file.close()
        else:
            await self._file.abort()


class ReadableFile:
    """A file open for reading; `seek` costs nothing until the next read.

    Args:
        stream: The file, open from its beginning.
        reopen: Streams the same version of the file from another place.
        finish: Called once, when the file is closed, with the number of bytes that were read, and
            the error that reading ended with, if any.

    Attributes:
        info: The facts of the version that is being read.
    """

    def __init__(
        self,
        stream: ByteStream,
        reopen: Callable[[int], ByteStream],
        finish: Callable[[int, BaseException | None], Awaitable[None]],
    ) -> None:
        self.info: FileInfo = stream.info
        self._reopen = reopen
        self._finish = finish
        self._bytes_read = 0
        self._failure: BaseException | None = None
        self._stream: ByteStream | None = stream
        self._chunks = aiter(stream)
        self._buffer = b""
        self._position = 0
        self._closed = False

    async def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes, or all that are left where it is below 0; none at the end.

        Raises:
            ValueError: The file is closed.
            StorageException: The storage failed, or the file was replaced meanwhile.
        """
        taken = []
        wanted = self.info.size if size < 0 else size
        start = self._position
        try:
            while wanted > 0 and await self._fill():
                piece = self._take(wanted)
                wanted -= len(piece)
                taken.append(piece)
        except BaseException as error:
            await self._go_back(start, error)
            raise
        self._failure = None
        return b"".join(taken)

    async def readline(self) -> bytes:
        """Return the next line with its break; nothing at the end. It raises as `read` does."""
        taken = []
        start = self._position
        try:
            while await self._fill():
                end = self._buffer.find(b"\n") + 1
                taken.append(self._take(end or len(self._buffer)))
                if end:
                    break
        except BaseException as error:
            await self._go_back(start, error)
            raise
        self._failure = None
        return b"".join(taken)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while line := await self.readline():
            yield line

    async def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to another place; return it.

        Args:
            offset: So many bytes from `whence`.
            whence: `io.SEEK_SET`, `io.SEEK_CUR` or `io.SEEK_END`.

        Raises:
            ValueError: The place lies before the file's beginning, `whence` is none of these, or
                the file is closed.
        """
        self._check_open()
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.info.size}
        if whence not in bases:
            raise ValueError(f"A place is told from SEEK_SET, SEEK_CUR or SEEK_END, not {whence!r}")
        target = bases[whence] + offset
        if target < 0:
            raise ValueError("A file has no place before its beginning")
        if target != self._position:
            await self._let_go()
            self._position = target
        return target

    def tell(self) -> int:
        """Return the place that the next read begins at."""
        return self._position

    async def close(self) -> None:
        """Let go of the file. Does nothing the second time."""
        closed, self._closed = self._closed, True
        failure, self._failure = self._failure, None
        try:
            await self._let_go()
        except BaseException as error:
            failure = error
            raise
        finally:
            if not closed:
                await self._finish(self._bytes_read, failure)

    abort = close

    async def _go_back(self, position: int, error: BaseException) -> None:
        """After a failure or a cancellation: read again from where that read began.

        The stream has ended with it, and going on would take that for the end of the file.
        """
        self._position = position
        if not self._closed:
            self._failure = error
        await self._let_go()

    def _take(self, size: int) -> bytes:
        piece, self._buffer = self._buffer[:size], self._buffer[size:]
        self._position += len(piece)
        self._bytes_read += len(piece)
        return piece

    async def _fill(self) -> bool:
        """Have something in the buffer; False at the end."""
        self._check_open()
        if self._buffer:
            return True
        if self._stream is None:
            if self._position >= self.info.size:
                return False
            self._stream = self._reopen(self._position)
            self._chunks = aiter(self._stream)
        self._buffer = await anext(self._chunks, b"")
        return bool(self._buffer)

    async def _let_go(self) -> None:
        self._buffer = b""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.aclose()

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("The file is closed")


class WritableFile:
    """A file open for writing. Nobody sees it before `close`, and nobody ever does after `abort`.

    Args:
        put: Stores the chunks as they come.
    """

    def __init__(self, put: Callable[[AsyncIterator[bytes]], Awaitable[object]]) -> None:
        self._pending: deque[bytes] = deque()
        self._pending_bytes = 0
        self._position = 0
        self._ended = False
        self._aborted = False
        self._changed = asyncio.Event()
        self._drained = asyncio.Event()
        self._task = asyncio.ensure_future(put(self._chunks()))
        self._task.add_done_callback(lambda _: self._drained.set())

    async def write(self, data: bytes | bytearray | memoryview) -> int:
        """Take bytes, waiting while the storage is behind; return how many.

        A write that is cancelled has taken nothing, and can be made again.

        Raises:
            TypeError: It is no bytes.
            ValueError: The file is closed.
            StorageException: The storage failed; the file as it was before is still there.
        """
        if self._ended:
            raise ValueError("The file is closed")
        if isinstance(data, str):
            raise TypeError("write() takes bytes, not str: encode the text")
        # Not bytes(data) for all: bytes(3) are three zeros.
        chunk = data if type(data) is bytes else bytes(memoryview(data))
        room = _MOST_PENDING - len(chunk)
        while self._pending and self._pending_bytes > room and not self._task.done():
            self._drained.clear()
            await self._drained.wait()
        if self._task.done():
            await self._outcome()
        if self._ended:
            raise ValueError("The file was closed meanwhile")
        self._pending.append(chunk)
        self._pending_bytes += len(chunk)
        self._position += len(chunk)
        self._changed.set()
        return len(chunk)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._position

    async def close(self) -> None:
        """Make the file visible under its name. Does nothing the second time, or after `abort`.

        Raises:
            StorageException: The storage failed; the file as it was before is still there.
        """
        if self._aborted:
            return
        self._ended = True
        self._changed.set()
        await self._outcome()

    async def abort(self) -> None:
        """Forget what was written; the file as it was before stays."""
        self._ended = self._aborted = True
        self._changed.set()
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.exception()  # looked at, so that the loop does not report it

    async def _outcome(self) -> None:
        if self._task.cancelled():
            # Awaited, it would cancel a task that nobody has cancelled.
            raise StorageException(
                "The file was given up: its event loop ended before it was closed, or its closing "
                "was cancelled"
            )
        await self._task

    async def _chunks(self) -> AsyncIterator[bytes]:
        while True:
            while self._pending:
                chunk = self._pending.popleft()
                self._pending_bytes -= len(chunk)
                self._drained.set()
                yield chunk
            if self._aborted:
                # A driver that reads in a task of its own must not take this for the end.
                raise RuntimeError("The file was given up")
            if self._ended:
                return
            self._changed.clear()
            await self._changed.wait()
