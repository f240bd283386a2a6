"""Files of `Disk.open`, with the methods of aiofiles' files."""

from __future__ import annotations

import asyncio
import io
from collections import deque
from typing import TYPE_CHECKING, Generic, NoReturn, Protocol, TypeVar

from jtc.storage.exceptions import StorageException
from jtc.storage.options import DEFAULT_CHUNK_SIZE

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
    """A file that is opened by ``async with disk.open(...) as file``, or by ``await``."""

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
        reopen: Streams the same version of the file from another position.
        finish: Called once, when the file is closed, with the number of bytes that were read, and
            the error that reading ended with, if any.

    Attributes:
        info: The metadata of the version that is read.
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
        """Change the position; return it.

        Args:
            offset: The number of bytes from `whence`.
            whence: `io.SEEK_SET`, `io.SEEK_CUR` or `io.SEEK_END`.

        Raises:
            ValueError: The position lies before the file's beginning, `whence` is another value, or
                the file is closed.
        """
        self._check_open()
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.info.size}
        if whence not in bases:
            raise ValueError(f"whence is SEEK_SET, SEEK_CUR or SEEK_END, not {whence!r}")
        target = bases[whence] + offset
        if target < 0:
            raise ValueError("The position lies before the file's beginning")
        if target != self._position:
            await self._release()
            self._position = target
        return target

    def tell(self) -> int:
        """Return the position of the next read."""
        return self._position

    async def close(self) -> None:
        """Close the file. Does nothing the second time."""
        closed, self._closed = self._closed, True
        failure, self._failure = self._failure, None
        try:
            await self._release()
        except BaseException as error:
            failure = error
            raise
        finally:
            if not closed:
                await self._finish(self._bytes_read, failure)

    abort = close

    async def _go_back(self, position: int, error: BaseException) -> None:
        """Restore the position after a failed or cancelled read.

        The stream ended with the failure, which must not look like the end of the file.
        """
        self._position = position
        if not self._closed:
            self._failure = error
        await self._release()

    def _take(self, size: int) -> bytes:
        piece, self._buffer = self._buffer[:size], self._buffer[size:]
        self._position += len(piece)
        self._bytes_read += len(piece)
        return piece

    async def _fill(self) -> bool:
        """Fill the buffer if it is empty; return False at the end of the file."""
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

    async def _release(self) -> None:
        self._buffer = b""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.aclose()

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("The file is closed")


class WritableFile:
    """A file open for writing; it is stored by `close`, and never after `abort`.

    Args:
        put: Stores the chunks of an async iterator.
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
        """Write bytes, after waiting for a slow storage; return how many.

        A write that is cancelled has written nothing, and can be retried.

        Raises:
            TypeError: `data` is not bytes.
            ValueError: The file is closed.
            StorageException: The storage failed; the file before the write is kept.
        """
        if self._ended:
            raise ValueError("The file is closed")
        if isinstance(data, str):
            raise TypeError("write() takes bytes, not str: encode the text")
        # Not bytes(data) alone: bytes(3) is three zeros.
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
        """Store the file. Does nothing the second time, or after `abort`.

        Raises:
            StorageException: The storage failed; the file before the write is kept.
        """
        if self._aborted:
            return
        self._ended = True
        self._changed.set()
        await self._outcome()

    async def abort(self) -> None:
        """Discard what was written; the file before the write is kept."""
        self._ended = self._aborted = True
        self._changed.set()
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.exception()  # retrieved, so that the loop does not log it

    async def _outcome(self) -> None:
        if self._task.cancelled():
            # Awaiting it would cancel this task, which was not cancelled.
            raise StorageException(
                "The file was not stored: its event loop ended before close(), or close() was "
                "cancelled"
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
                # A driver that reads in its own task must not take this for the end.
                raise RuntimeError("The file was aborted")
            if self._ended:
                return
            self._changed.clear()
            await self._changed.wait()
