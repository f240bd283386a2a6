"""Binary files that `Disk.open` opened for writing."""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from jtc.storage._file_base import File
from jtc.storage._streamed_put import StreamedPut
from jtc.storage.driver_support.content import in_thread
from jtc.storage.driver_support.error_translation import temporary_file_errors
from jtc.storage.exceptions import StorageException

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

__all__ = ["WritableFile"]

T = TypeVar("T")

_MOST_IN_MEMORY = 8 * 1024 * 1024
"""How many bytes of a written file are kept in memory. Nothing is sent before: an S3 store gets a
file up to this length in one request."""


class WritableFile(File):
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
