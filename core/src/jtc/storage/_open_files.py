"""Files of `Disk.open`: how they are opened, and those that are read."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, Self, TypeVar

from jtc.storage._file_base import File
from jtc.storage._written_files import WritableFile
from jtc.storage.exceptions import IntegrityException

if TYPE_CHECKING:
    from array import array
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator

    from jtc.storage._byte_stream import ByteStream
    from jtc.storage.models import FileInfo

__all__ = ["OpenFile", "ReadableFile", "WritableFile"]


class _Closable(Protocol):
    async def close(self) -> None: ...

    async def abort(self) -> None: ...


F_co = TypeVar("F_co", bound=_Closable, covariant=True)


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


class ReadableFile(File):
    """A file open for reading; `seek` costs nothing until the next read.

    Args:
        stream: The file, open from its beginning.
        reopen: Streams the same version of the file from another position.
        finish: Called once, when the file is closed, with the number of bytes that were read, and
            the error that reading ended with, if any.
        name: The file's path.
        mode: The mode in which it was opened.
        fail: Raises an error again with its context.

    Attributes:
        info: The metadata of the version that is read.
    """

    def __init__(
        self,
        stream: ByteStream,
        reopen: Callable[[int], ByteStream],
        finish: Callable[[int, BaseException | None], Awaitable[None]],
        name: str,
        mode: str,
        fail: Callable[[Exception], NoReturn],
    ) -> None:
        super().__init__(name, mode, fail)
        self.info: FileInfo = stream.info
        self._reopen = reopen
        self._finish = finish
        self._bytes_read = 0
        self._failure: BaseException | None = None
        self._stream: ByteStream | None = stream
        self._chunks = aiter(stream)
        self._buffer = io.BytesIO()  # a chunk: it finds lines at the speed of C
        self._buffer_at = 0  # its position in the file

    def readable(self) -> bool:
        """Return True."""
        return True

    async def read(self, size: int | None = -1, /) -> bytes:
        """Return at most `size` bytes; all that are left if it is None or below 0; none at the end.

        Raises:
            ValueError: The file is closed.
            StorageException: The storage failed, or the file was replaced meanwhile.
        """
        return await self._collect(self.info.size if size is None or size < 0 else size)

    async def readall(self) -> bytes:
        """Return all bytes that are left. It raises as `read` does."""
        return await self.read()

    async def read1(self, size: int | None = -1, /) -> bytes:
        """Return at most `size` bytes from one chunk of the stream. It raises as `read` does."""
        self._check_open()
        if size == 0 or not await self._fill():
            return b""
        return self._buffer.read(size)

    async def readinto(self, buffer: bytearray | memoryview | array[Any], /) -> int:
        """Read into a buffer; return how many bytes, 0 at the end. It raises as `read` does."""
        view = memoryview(buffer).cast("B")
        content = await self.read(len(view))
        view[: len(content)] = content
        return len(content)

    async def peek(self, size: int = 0, /) -> bytes:  # noqa: ARG002 - io.BufferedReader's
        """Return bytes after the position without reading them. It raises as `read` does.

        Args:
            size: Not used: there may be more bytes or fewer, but none only at the end.
        """
        self._check_open()
        await self._fill()
        return self._buffer.getvalue()[self._buffer.tell() :]

    async def readline(self, size: int | None = -1, /) -> bytes:
        """Return the next line with its break; nothing at the end. It raises as `read` does.

        Args:
            size: The most bytes to return; no limit if it is None or below 0.
        """
        if size is not None and size >= 0:
            return await self._collect(size, one_line=True)
        line = self._buffer.readline()
        if line.endswith(b"\n"):
            return line
        self._buffer.seek(-len(line), io.SEEK_CUR)
        return await self._collect(self.info.size, one_line=True)

    async def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """Return the lines that are left. It raises as `read` does.

        Args:
            hint: End after the line by which this many bytes are reached; no limit if it is None
                or not above 0.
        """
        if hint is None or hint <= 0:
            return io.BytesIO(await self.read()).readlines()
        lines: list[bytes] = []
        while hint > 0 and (line := await self.readline()):
            lines.append(line)
            hint -= len(line)
        return lines

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if line := await self.readline():
            return line
        raise StopAsyncIteration

    async def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Change the position; return it.

        Args:
            offset: The number of bytes from `whence`.
            whence: `io.SEEK_SET`, `io.SEEK_CUR` or `io.SEEK_END`.

        Raises:
            ValueError: The position lies before the file's beginning, `whence` is another value, or
                the file is closed.
        """
        self._check_open()
        target = self._target(offset, whence, self.info.size)
        if target != self._where():
            await self._release()
            self._buffer_at = target
        return target

    async def truncate(self, size: int | None = None, /) -> NoReturn:  # noqa: ARG002 - io's
        """Refuse: the file is open for reading.

        Raises:
            io.UnsupportedOperation: Always.
        """
        raise io.UnsupportedOperation(f"{self.name!r} is open for reading: it is not truncated")

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

    def abandon(self) -> None:
        """Close the file from any thread, without waiting."""
        self._closed = True
        self._buffer = io.BytesIO()
        self._stream = None  # closed soon by its own loop, as one that is dropped
        self._chunks = _nothing()

    async def _collect(self, wanted: int, *, one_line: bool = False) -> bytes:
        """Read `wanted` bytes, or less at the end of the file or of a line."""
        self._check_open()
        taken = []
        start = self._where()
        try:
            while wanted > 0 and await self._fill():
                piece = (self._buffer.readline if one_line else self._buffer.read)(wanted)
                wanted -= len(piece)
                taken.append(piece)
                if one_line and piece.endswith(b"\n"):
                    break
        except BaseException:
            self._buffer_at = start  # so that the read can be repeated
            raise
        return taken[0] if len(taken) == 1 else b"".join(taken)

    def _where(self) -> int:
        return self._buffer_at + self._buffer.tell()

    async def _fill(self) -> bool:
        """Fill the buffer if it is empty; return False at the end of the file."""
        self._check_open()
        if self._buffer.tell() < len(self._buffer.getbuffer()):
            return True
        self._check_loop()
        try:
            if self._stream is None:
                if self._where() >= self.info.size:
                    return False
                self._stream = self._reopen(self._where())
                self._chunks = aiter(self._stream)
            self._fill_with(await anext(self._chunks, b""))
            if not self._buffer.getbuffer() and self._where() < self.info.size:
                self._fail(IntegrityException("The file ended before its length"))
        except BaseException as error:
            # The stream ended with the failure, which must not look like the end of the file.
            if not self._closed:
                self._failure = error
            await self._release()
            raise
        self._failure = None
        return self._buffer.getvalue() != b""

    def _fill_with(self, chunk: bytes) -> None:
        read = self._buffer.tell()
        self._bytes_read += read
        self._buffer_at += read
        self._buffer = io.BytesIO(chunk)

    async def _release(self) -> None:
        self._fill_with(b"")
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.aclose()


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield
