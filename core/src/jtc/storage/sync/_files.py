"""Streams, listings and open files of the sync API."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self, SupportsIndex, TypeVar

from jtc.storage._file_base import warn_unclosed
from jtc.storage.driver_support._whole_content import check_unread
from jtc.storage.exceptions import IntegrityException
from jtc.storage.options import DEFAULT_CHUNK_SIZE
from jtc.storage.sync._portal import portal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from jtc.storage._byte_stream import ByteStream
    from jtc.storage._open_files import ReadableFile, WritableFile
    from jtc.storage.models import FileInfo

__all__ = ["SyncListing", "SyncReadableFile", "SyncStream", "SyncTextFile", "SyncWritableFile"]

T = TypeVar("T")

_MOST_AHEAD = 256


class _Owned:
    """An open object of the process that opened it.

    In a forked child, its event loop does not run and its connections are the parent's.
    """

    _owner: int | None = None

    def _own(self) -> None:
        self._owner = self._owner or os.getpid()

    def _is_foreign(self) -> bool:
        return self._owner not in {None, os.getpid()}

    def _check_owner(self) -> None:
        if self._is_foreign():
            raise RuntimeError(
                "This was opened before the process forked: open it again in the child"
            )


class SyncStream(_Owned, Iterator[bytes]):
    """A file's bytes in chunks: an iterator that reads on demand.

    ``with`` opens it first and closes it however the block ends. One that is dropped is closed
    soon after.

    Args:
        stream: The stream to read from.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._opened = False
        self._chunks: AsyncIterator[bytes] | None = None
        self._fetched = b""  # kept if an interruption came after it

    @property
    def info(self) -> FileInfo:
        """The metadata of the version that is read; opens the file if it is not open.

        Raises:
            FileNotFoundException: There is no file.
            StorageException: The storage failed.
        """
        self._open()
        return self._stream.info

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        self._check_owner()
        if not self._fetched:
            portal.run(self._fetch())
        chunk, self._fetched = self._fetched, b""
        if not chunk:
            raise StopIteration
        return chunk

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Does nothing the second time.

        Raises:
            StorageException: The storage failed.
        """
        self._fetched = b""
        if self._opened and not self._is_foreign():
            portal.finish(self.release())

    def _open(self) -> None:
        self._check_owner()
        if not self._opened:
            portal.run(self._open_now())
            self._opened = True

    async def _open_now(self) -> None:
        self._own()
        await self._stream
        portal.left_open.add(self)

    async def _fetch(self) -> None:
        portal.left_open.add(self)
        self._fetched = await anext(self._rest(), b"")

    async def release(self) -> None:
        """Close the stream in the event loop, with the errors of `close`."""
        await self._stream.aclose()

    async def _as_content(self) -> AsyncIterator[bytes]:
        """Yield the rest, for the event loop to read without this thread."""
        if not self._fetched:
            check_unread(self._chunks)
        fetched, self._fetched = self._fetched, b""
        if fetched:
            yield fetched
        async for chunk in self._rest():
            yield chunk

    def _rest(self) -> AsyncIterator[bytes]:
        self._check_owner()
        self._own()
        self._opened = True
        if self._chunks is None:
            self._chunks = aiter(self._stream)
        return self._chunks


class SyncListing(_Owned, Iterator[T]):
    """Entries of a directory. A listing that is dropped is closed soon after.

    The first entry is fetched alone, then twice as many each time, up to 256: so the first one
    comes early, and many are fetched with few calls.

    Args:
        entries: The entries.
    """

    def __init__(self, entries: AsyncIterator[T]) -> None:
        self._entries = entries
        self._fetched: deque[T] = deque()
        self._error: BaseException | None = None
        self._ended = False
        self._most = 1

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        if not self._fetched and not self._ended:
            self._check_owner()
            self._own()
            portal.run(self._fetch())
        if self._fetched:
            return self._fetched.popleft()
        error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration

    def close(self) -> None:
        """Close the listing; it has no more entries.

        Raises:
            StorageException: The storage failed.
        """
        self._ended = True
        self._fetched.clear()
        self._error = None
        if not self._is_foreign():
            portal.finish(_closed(self._entries))

    async def _fetch(self) -> None:
        try:
            for _ in range(self._most):
                self._fetched.append(await anext(self._entries))
        except StopAsyncIteration:
            self._ended = True
        except Exception as error:
            self._ended, self._error = True, error  # raised after the entries before it
        self._most = min(2 * self._most, _MOST_AHEAD)


def _reduce(self: Any, protocol: SupportsIndex, /) -> str:
    """Refuse to pickle an open file: the method of three classes."""
    refused: str = self._file.__reduce_ex__(protocol)
    return refused


class SyncReadableFile(io.BufferedReader):
    """A file open for reading, like one of ``open(path, "rb")``.

    `seek` costs nothing until the next read. A file that is dropped is closed soon after, with a
    ResourceWarning.
    """

    __reduce_ex__ = _reduce

    def __init__(self, file: ReadableFile) -> None:
        super().__init__(_RawReader(file), DEFAULT_CHUNK_SIZE)
        self._file = file

    @property
    def info(self) -> FileInfo:
        """The metadata of the version that is read."""
        return self._file.info

    # Not the base's, which waits for close(): the garbage collector runs in any thread.
    def __del__(self) -> None:
        pass


class SyncWritableFile(io.BufferedWriter):
    """A file open for writing; it is stored by `close`, and never after `abort`.

    A ``with`` block that raises aborts it, and so does dropping it, with a ResourceWarning: the
    file before is kept. `seek` works as in `Disk.open`: in the first 8 MiB, and at any length if it
    was called before they were written.
    """

    __reduce_ex__ = _reduce

    def __init__(self, file: WritableFile) -> None:
        self._file = file
        self._writer = _RawWriter(file)
        super().__init__(self._writer, DEFAULT_CHUNK_SIZE)

    def __exit__(self, exc_type: type[BaseException] | None, *rest: object) -> None:
        if exc_type is None:
            self.close()
        else:
            self.abort()

    def read(self, size: int | None = -1, /) -> bytes:
        """Read back what was written, which Pillow does for a TIFF of several pages.

        Raises:
            io.UnsupportedOperation: The file is streamed already, or it is appended to.
            ValueError: The file is closed.
            StorageException: The temporary file failed.
        """
        self.flush()
        content = self._writer.read_back(size)
        super().seek(0, io.SEEK_CUR)  # the base keeps the position too
        return content

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Change the position; return it. Bytes that are skipped by it are zeros.

        Raises:
            io.UnsupportedOperation: The file is streamed already, or it is appended to.
            ValueError: The position lies before the file's beginning, or the file is closed.
            StorageException: The storage failed.
        """
        if self.seekable():
            return super().seek(offset, whence)
        self.flush()
        return self._writer.seek(offset, whence)  # refuses, in words of ours

    def close(self) -> None:
        """Store the file. Does nothing the second time.

        Raises:
            StorageException: The storage failed; the file before the write is kept.
        """
        if self.closed:
            return
        try:
            self.flush()
        except BaseException:
            self.abort()
            raise
        self._writer.close()

    def abort(self) -> None:
        """Discard what was written; the file before the write is kept. Raises nothing."""
        self._writer.abort()

    def __del__(self) -> None:
        pass  # the base's stores the file


class SyncTextFile(io.TextIOWrapper):
    """A text file, like one of ``open(path, "r")`` or ``open(path, "w")``.

    A written one is stored by `close`, and never after `abort`; a ``with`` block that raises aborts
    it. Line breaks are written as they are, on every system.

    Args:
        file: The binary file.
        mode: The mode in which it was opened.
        encoding: The encoding; None is UTF-8.
        errors: The error handler of `codecs`; None is ``"strict"``.
        newline: As for the builtin `open`.
    """

    __reduce_ex__ = _reduce

    def __init__(
        self,
        file: SyncReadableFile | SyncWritableFile,
        mode: str,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> None:
        if newline is None and file.writable():
            newline = ""
        super().__init__(file, encoding or "utf-8", errors, newline)
        self._file = file
        self._mode = mode

    @property
    def mode(self) -> str:
        """The mode in which the file was opened."""
        return self._mode

    def abort(self) -> None:
        """Close the file without storing it. Raises nothing."""
        if isinstance(self._file, SyncWritableFile):
            self._file.abort()
        else:
            self._file.close()

    def __exit__(self, exc_type: type[BaseException] | None, *rest: object) -> None:
        if exc_type is None:
            self.close()
        else:
            self.abort()

    def __del__(self) -> None:
        pass  # the base's stores the file


class _Raw(_Owned, io.RawIOBase):
    """A file of `Disk.open` as a raw file of `io`."""

    def __init__(self, file: ReadableFile | WritableFile) -> None:
        super().__init__()
        self.name = file.name
        self.mode = file.mode
        self._opened = file
        self._dropped = False
        self._own()
        portal.left_open.add(self)

    def seekable(self) -> bool:
        return self._opened.seekable()

    async def release(self) -> None:
        await self._opened.abort()

    def fileno(self) -> int:
        self._opened.fileno()

    # Called by the finalizers of io, TextIOWrapper's among them, before they call close().
    def _dealloc_warn(self, source: object) -> None:
        if not self.closed and not self._dropped and not self._is_foreign():
            self._dropped = True
            try:
                warn_unclosed(self._opened, source)
            finally:
                self._opened.abandon()

    def __del__(self) -> None:
        self._dealloc_warn(self)  # and no close(), which waits


class _RawReader(_Raw):
    def __init__(self, file: ReadableFile) -> None:
        super().__init__(file)
        self._file = file
        self._position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._read(len(view))
        view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return self._read(-1)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._check_owner()
        self._position = portal.run(self._go(offset, whence))
        return self._position

    def tell(self) -> int:
        self._file.tell()  # raises where the file is closed
        return self._position

    def _read(self, size: int) -> bytes:
        self._check_owner()
        data = portal.run(self._read_on(size))
        self._position += len(data)
        return data

    async def _read_on(self, size: int) -> bytes:
        await self._go(0, io.SEEK_CUR)
        return await self._file.read(size)

    async def _go(self, offset: int, whence: int) -> int:
        # The position differs if an interrupted call ran to its end.
        if self._file.tell() != self._position:
            await self._file.seek(self._position)
        return await self._file.seek(offset, whence)

    def close(self) -> None:
        if not self.closed:
            super().close()
            if not self._is_foreign():
                (portal.schedule if self._dropped else portal.finish)(self.release())


class _RawWriter(_Raw):
    def __init__(self, file: WritableFile) -> None:
        super().__init__(file)
        self._file = file
        self._unclear = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        if self._dropped:
            return memoryview(data).nbytes  # what a finalizer flushes is not stored
        return self._change(self._file.write(data))

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._change(self._file.seek(offset, whence))

    def truncate(self, size: int | None = None, /) -> int:
        return self._change(self._file.truncate(size))

    def read_back(self, size: int | None) -> bytes:
        return self._change(self._file.read(size))

    def tell(self) -> int:
        return self._file.tell()

    def _change(self, change: Coroutine[Any, Any, T]) -> T:
        try:
            self._check_owner()
            before = self._file.tell()
        except BaseException:
            change.close()
            raise
        try:
            return portal.run(change)
        except BaseException:
            # Interrupted after the bytes were taken: the buffer would write them again.
            unclear = self._file.closed or self._file.tell() != before
            self._unclear = self._unclear or unclear
            raise

    def close(self) -> None:
        if self._dropped:
            super().close()
        elif not self.closed:
            super().close()
            try:
                self._check_owner()
                if self._unclear:
                    raise IntegrityException(
                        "A write was interrupted, and may be incomplete: write the file again"
                    )
                portal.run(self._file.close())
            except BaseException:
                self._discard(portal.schedule)  # in a thread with a loop, waiting is impossible
                raise

    def abort(self) -> None:
        if not self.closed:
            super().close()
            self._discard(portal.finish)

    def _discard(self, how: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        if not self._is_foreign():
            how(self.release())


async def _closed(entries: Any) -> None:
    aclose = getattr(entries, "aclose", None)
    if aclose is not None:
        await aclose()
