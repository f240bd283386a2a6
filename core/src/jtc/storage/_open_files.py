"""Binary files of `Disk.open`, with the methods of aiofiles' files."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import threading
import warnings
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, Self, TypeVar

from jtc.storage._streamed_put import StreamedPut
from jtc.storage.driver_support.content import in_thread
from jtc.storage.driver_support.error_translation import temporary_file_errors
from jtc.storage.exceptions import IntegrityException, StorageException

if TYPE_CHECKING:
    from array import array
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable

    from jtc.storage._byte_stream import ByteStream
    from jtc.storage.models import FileInfo

__all__ = ["OpenFile", "ReadableFile", "WritableFile", "warn_unclosed"]

_MOST_IN_MEMORY = 8 * 1024 * 1024
"""How many bytes of a written file are kept in memory. Nothing is sent before: an S3 store gets a
file up to this length in one request."""


class _Closable(Protocol):
    async def close(self) -> None: ...

    async def abort(self) -> None: ...


T = TypeVar("T")
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


class Position(int):
    """A position in a file, which may be awaited too, as what aiofiles' ``tell`` returns."""

    def __await__(self) -> Generator[None, None, int]:
        yield from ()
        return int(self)


class _File(ABC):
    """What binary files have that are open for reading or writing.

    Attributes:
        name: The file's path.
        mode: The mode in which it was opened.
    """

    _closed = True

    def __init__(self, name: str, mode: str, fail: Callable[[Exception], NoReturn]) -> None:
        self.name = name
        self.mode = mode
        self._fail = fail
        self._process = os.getpid()
        self._loop = asyncio.get_running_loop()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._closed

    def readable(self) -> bool:
        """Return whether the file is open for reading."""
        return False

    def writable(self) -> bool:
        """Return whether the file is open for writing."""
        return False

    def seekable(self) -> bool:
        """Return whether `seek` works."""
        return True

    def isatty(self) -> bool:
        """Return False: a file on a disk is no terminal."""
        self._check_open()
        return False

    def fileno(self) -> NoReturn:
        """Refuse: a file on a disk has no descriptor.

        Raises:
            io.UnsupportedOperation: Always.
        """
        raise io.UnsupportedOperation(
            f"{self.name!r} is a file on a disk and has no descriptor: read and write it by its "
            "methods, or copy it to a temporary file"
        )

    def tell(self) -> Position:
        """Return the position of the next read or write. Awaiting it is allowed, not needed.

        Raises:
            ValueError: The file is closed.
        """
        self._check_open()
        return Position(self._where())

    async def flush(self) -> None:
        """Do nothing: a written file is stored by `close`.

        Raises:
            ValueError: The file is closed.
        """
        self._check_open()

    @abstractmethod
    async def close(self) -> None:
        """Close the file. Does nothing the second time."""

    @abstractmethod
    async def abort(self) -> None:
        """Close the file without storing it."""

    @abstractmethod
    def abandon(self) -> None:
        """Close the file without storing it or waiting, from any thread."""

    async def __aenter__(self) -> Self:
        self._check_open()
        return self

    async def __aexit__(self, exc_type: type[BaseException] | None, *rest: object) -> None:
        await (self.close() if exc_type is None else self.abort())

    def __repr__(self) -> str:
        closed = " closed" if self._closed else ""
        return f"<{type(self).__name__} name={self.name!r} mode={self.mode!r}{closed}>"

    def __reduce_ex__(self, protocol: Any, /) -> NoReturn:
        raise TypeError(
            f"An open file cannot be pickled: pass the path {self.name!r}, and open it there"
        )

    def __del__(self) -> None:
        # In a forked child, its loop and its connections are the parent's.
        if not self._closed and self._process == os.getpid():
            try:
                warn_unclosed(self, self)  # type: ignore[arg-type] # it is one of the two
            finally:
                self.abandon()

    @abstractmethod
    def _where(self) -> int: ...

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError(f"I/O operation on the closed file {self.name!r}")

    def _check_loop(self) -> None:
        if asyncio.get_running_loop() is not self._loop:
            outcome = "was not stored" if self.writable() else "is not read"
            self._fail(
                StorageException(
                    f"The file {outcome}: its event loop ended before close(), or another loop "
                    "uses it. Open, use and close it in the same one"
                )
            )

    def _target(self, offset: int, whence: int, end: int) -> int:
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._where(), io.SEEK_END: end}
        if whence not in bases:
            raise ValueError(f"whence is SEEK_SET, SEEK_CUR or SEEK_END, not {whence!r}")
        target = bases[whence] + offset
        if target < 0:
            raise ValueError("The position lies before the file's beginning")
        return target


class ReadableFile(_File):
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


class WritableFile(_File):
    """A file open for writing; it is stored by `close`, and never after `abort`.

    The first 8 MiB stay in memory, where `seek` works. A longer file is streamed to the storage
    from then on, and `seek` is refused; but if `seek` (or `fileno`) was called before, it is kept
    in a temporary file, and `seek` works at any length.

    Args:
        store: Stores content: bytes, a binary file, or an async iterator. It also gets the length,
            if that is known.
        name: The file's path.
        mode: The mode in which it was opened.
        fail: Raises an error again with its context.
        appended_to: The length of the file that is appended to; None where it is replaced.
    """

    def __init__(
        self,
        store: Callable[[Any, int | None], Awaitable[object]],
        name: str,
        mode: str,
        fail: Callable[[Exception], NoReturn],
        appended_to: int | None = None,
    ) -> None:
        super().__init__(name, mode, fail)
        import tempfile  # noqa: PLC0415 - imported only where it is used

        # No file is opened before there is more than the memory holds.
        self._spool = tempfile.SpooledTemporaryFile(max_size=_MOST_IN_MEMORY)  # noqa: SIM115
        self._store = store
        self._appends = appended_to is not None
        self._before = appended_to or 0
        self._position = self._length = self._before
        self._kept = self._appends  # whole, in memory or the temporary file
        self._stream: StreamedPut | None = None
        self._in_memory = True
        self._stored = self._aborted = False
        self._lock = threading.Lock()
        self._closing = asyncio.Lock()

    def writable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return whether `seek` works: not after 8 MiB without one, and not in the mode "ab"."""
        return self._stream is None and not self._appends

    def fileno(self) -> NoReturn:
        """Refuse: a file on a disk has no descriptor. From now on the file is kept, as by `seek`.

        Pillow asks for it before it writes a picture, and goes back to the lengths of some.

        Raises:
            io.UnsupportedOperation: Always.
        """
        self._kept = self._kept or self._stream is None
        super().fileno()

    async def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Write bytes, after waiting for a slow storage; return how many.

        A write that is cancelled has written nothing, and can be retried.

        Raises:
            TypeError: `data` is not bytes.
            ValueError: The file is closed.
            StorageException: The storage failed; the file before the write is kept.
        """
        self._check_usable()
        if isinstance(data, str):
            raise TypeError("write() takes bytes, not str: encode the text, or open in mode 'w'")
        # Not bytes(data) alone: bytes(3) is three zeros.
        chunk = data if type(data) is bytes else bytes(memoryview(data))
        end = self._position + len(chunk)
        if self._stream is None and not self._kept and end > _MOST_IN_MEMORY:
            self._stream_from_here()
        if self._stream is not None:
            await self._stream.write(chunk)
            self._position += len(chunk)
        elif chunk:
            await self._write_to_spool(chunk)
        return len(chunk)

    async def writelines(self, lines: Iterable[bytes | bytearray | memoryview], /) -> None:
        """Write several pieces, without adding line breaks. It raises as `write` does."""
        for line in lines:
            await self.write(line)

    async def read(self, size: int | None = -1, /) -> bytes:
        """Read back what was written, which Pillow does for a TIFF of several pages.

        Args:
            size: The most bytes to return; all to the end if it is None or below 0.

        Raises:
            io.UnsupportedOperation: The file is streamed already, or it is appended to.
            ValueError: The file is closed.
            StorageException: The temporary file failed.
        """
        self._check_usable()
        self._keep("read()")
        wanted = self._length - self._position
        if size is not None and size >= 0:
            wanted = min(size, wanted)
        if wanted <= 0:
            return b""
        content = await self._use_spool(self._length, self._read_spool, self._position, wanted)
        self._position += len(content)
        return content

    async def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Change the position; return it. Bytes that are skipped by it are zeros.

        Args:
            offset: The number of bytes from `whence`.
            whence: `io.SEEK_SET`, `io.SEEK_CUR` or `io.SEEK_END`.

        Raises:
            io.UnsupportedOperation: The file is streamed already, or it is appended to.
            ValueError: The position lies before the file's beginning, `whence` is another value, or
                the file is closed.
        """
        self._check_usable()
        end = self._length if self._stream is None else self._position
        target = self._target(offset, whence, end)
        if target != self._position or self._stream is None:
            self._keep("seek()")
        self._position = target
        return target

    async def truncate(self, size: int | None = None, /) -> int:
        """Cut or extend the file; return its new length. The position stays.

        Args:
            size: The length in bytes; None is the position.

        Raises:
            io.UnsupportedOperation: The file is streamed already, or it is appended to.
            ValueError: The size is below 0, or the file is closed.
            StorageException: The temporary file cannot be written.
        """
        self._check_usable()
        size = self._position if size is None else size
        if size < 0:
            raise ValueError("A file is not truncated to less than 0 bytes")
        if self._stream is None or size != self._position:
            self._keep("truncate()")
            await self._use_spool(size, self._truncate_spool, size)
            self._length = size
        return size

    async def close(self) -> None:
        """Store the file. Does nothing the second time, or after `abort`.

        Raises:
            StorageException: The storage failed; the file before the write is kept. A second
                `close` raises it too, as long as the file is not stored.
        """
        again, self._closed = self._closed, True
        async with self._closing:  # another task may be closing it
            if self._aborted or self._stored:
                return
            try:
                await self._finish(again=again)
            finally:
                self._close_spool()
            self._stored = True

    async def abort(self) -> None:
        """Discard what was written; the file before the write is kept."""
        self._closed = self._aborted = True
        self._close_spool()
        if self._stream is not None:
            await self._stream.abort()

    def abandon(self) -> None:
        """Discard what was written from any thread, without waiting."""
        self._closed = self._aborted = True
        self._close_spool()
        if self._stream is not None:
            self._stream.abandon()

    async def _finish(self, *, again: bool) -> None:
        self._check_loop()
        if self._stream is not None:
            await self._stream.finish()
        elif again:
            self._fail(StorageException("The file was not stored: an earlier close() failed"))
        else:
            length = self._length - self._before
            await self._use_spool(self._length, self._rewind_spool, length)
            await self._store(self._spool.read() if self._in_memory else self._spool, length)

    def _stream_from_here(self) -> None:
        store = self._store  # and not this file, which the stream must not keep alive
        self._spool.seek(0)
        self._stream = StreamedPut(lambda chunks: store(chunks, None), self._spool.read())
        self._spool.close()

    def _check_usable(self) -> None:
        self._check_open()
        self._check_loop()

    def _keep(self, method: str) -> None:
        """Keep the whole file from now on, so that it can be changed anywhere.

        Raises:
            io.UnsupportedOperation: A part of it was sent, or the file is appended to.
        """
        if self._appends:
            raise io.UnsupportedOperation(
                f"{method} of {self.name!r}, which is open for appending: it only grows"
            )
        if self._stream is not None:
            raise io.UnsupportedOperation(
                f"{method} of {self.name!r} after its first {_MOST_IN_MEMORY >> 20} MiB, which are "
                "sent by then: call seek(0) before the first write, and the file is kept in a "
                "temporary file until it is closed"
            )
        self._kept = True

    def _where(self) -> int:
        return self._position

    async def _write_to_spool(self, chunk: bytes) -> None:
        start, end = self._position, self._position + len(chunk)
        self._position = end  # before the wait: another task may write meanwhile
        try:
            await self._use_spool(end, self._write_spool, start - self._before, chunk)
        except BaseException:
            if self._position == end:
                self._position = start
            raise
        self._length = max(self._length, end)

    async def _use_spool(self, end: int, use: Callable[..., T], *arguments: Any) -> T:
        """Read or change the spool, in a thread once it is longer than the memory holds.

        A cancellation waits for the thread, so that nothing is written afterwards.
        """
        if max(end, self._length) - self._before <= _MOST_IN_MEMORY and self._in_memory:
            return use(*arguments)
        self._in_memory = False
        thread = asyncio.ensure_future(in_thread(self._use_file, use, *arguments))
        try:
            return await asyncio.shield(thread)
        except asyncio.CancelledError:
            await asyncio.wait([thread])
            raise
        except Exception as error:
            self._fail(error)

    def _close_spool(self) -> None:
        # A thread may be writing, for another task; and closing writes again what found no room.
        with self._lock, contextlib.suppress(OSError):
            self._spool.close()

    def _use_file(self, use: Callable[..., T], *arguments: Any) -> T:
        with self._lock, temporary_file_errors():
            if self._spool.closed:
                raise ValueError("The file was closed meanwhile")
            self._spool.rollover()
            result = use(*arguments)
            self._spool.flush()
        return result

    def _read_spool(self, position: int, size: int) -> bytes:
        self._spool.seek(position)
        return self._spool.read(size)

    def _write_spool(self, position: int, chunk: bytes) -> None:
        self._spool.seek(position)
        self._spool.write(chunk)

    def _truncate_spool(self, size: int) -> None:
        if size > self._spool.seek(0, io.SEEK_END):
            self._write_spool(size - 1, b"\0")
        else:
            self._spool.truncate(size)

    def _rewind_spool(self, length: int) -> None:
        self._spool.truncate(length)  # a write that was cancelled is behind it
        self._spool.seek(0)


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield


def warn_unclosed(file: ReadableFile | WritableFile, source: object) -> None:
    """Warn that a file was dropped without being closed.

    Args:
        file: The file.
        source: The object that was dropped, for the place where it was made.
    """
    lost = ", so what was written is not stored" if file.writable() else ""
    warnings.warn(
        f"unclosed file {file.name!r} of mode {file.mode!r}{lost}: use 'with', or close it",
        ResourceWarning,
        stacklevel=3,
        source=source,
    )
