"""What the sync face gives to iterate and to open: iterators, and files as `open` has them."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self, TypeVar

from jtc.storage.contracts import DEFAULT_CHUNK_SIZE
from jtc.storage.sync.portal import portal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage import open_files
    from jtc.storage.files import FileInfo
    from jtc.storage.streams import ByteStream

__all__ = ["ReadableFile", "SyncListing", "SyncStream", "WritableFile"]

T = TypeVar("T")

_MOST_AHEAD = 256


class SyncStream(Iterator[bytes]):
    """A file's bytes as they come: a plain iterator, which reads when it is asked.

    ``with`` opens it at once and closes it however the block ends. One that is dropped is closed
    soon after.

    Args:
        stream: The stream to read from.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._opened = False
        self._chunks: AsyncIterator[bytes] | None = None

    @property
    def info(self) -> FileInfo:
        """The facts of these very bytes; opens the file where it is not open.

        Raises:
            FileNotFoundException: There is no file.
            StorageException: The storage failed.
        """
        self._open()
        return self._stream.info

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        chunk = portal.run(self._next())
        if not chunk:
            raise StopIteration
        return chunk

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. Does nothing the second time.

        Raises:
            StorageException: The storage failed.
        """
        if self._opened:
            portal.finish(self.let_go())

    def _open(self) -> None:
        if not self._opened:
            portal.run(self._open_now())
            self._opened = True

    async def _open_now(self) -> None:
        await self._stream
        portal.left_open.add(self)

    async def _next(self) -> bytes:
        portal.left_open.add(self)
        return await anext(self._as_content(), b"")

    async def let_go(self) -> None:
        """Close what is open, in the loop, as `close` does; it raises what that does."""
        await self._stream.aclose()

    def _as_content(self) -> AsyncIterator[bytes]:
        """Return what is left, for the loop to read without this thread."""
        self._opened = True
        if self._chunks is None:
            self._chunks = aiter(self._stream)
        return self._chunks


class SyncListing(Iterator[T]):
    """What is in a directory: a plain iterator. One that is dropped is closed soon after.

    The first entry is fetched alone, then twice as many each time, up to 256: so the first comes
    at once, and many cost little each.

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
            portal.run(self._fetch())
        if self._fetched:
            return self._fetched.popleft()
        error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration

    def close(self) -> None:
        """Let go of the listing; it has no more entries then.

        Raises:
            StorageException: The storage failed.
        """
        self._ended = True
        self._fetched.clear()
        self._error = None
        portal.finish(_closed(self._entries))

    async def _fetch(self) -> None:
        try:
            for _ in range(self._most):
                self._fetched.append(await anext(self._entries))
        except StopAsyncIteration:
            self._ended = True
        except Exception as error:
            self._ended, self._error = True, error  # after the entries that came before it
        self._most = min(2 * self._most, _MOST_AHEAD)


class ReadableFile(io.BufferedReader):
    """A file open for reading, as ``open(path, "rb")`` gives one: all that reads files takes it.

    `seek` costs nothing until the next read. One that is dropped is closed soon after.
    """

    def __init__(self, file: open_files.ReadableFile) -> None:
        super().__init__(_RawReader(file), DEFAULT_CHUNK_SIZE)
        self._file = file

    @property
    def info(self) -> FileInfo:
        """The facts of the version that is being read."""
        return self._file.info

    # Not the base's, which waits for the closing: the collector runs in any thread.
    def __del__(self) -> None:
        pass


class WritableFile(io.BufferedWriter):
    """A file open for writing. Nobody sees it before `close`, and nobody ever does after `abort`.

    A ``with`` block that raises aborts, and so does dropping the file: the one before stays.
    """

    def __init__(self, file: open_files.WritableFile) -> None:
        self._writer = _RawWriter(file)
        super().__init__(self._writer, DEFAULT_CHUNK_SIZE)

    def __exit__(self, exc_type: type[BaseException] | None, *rest: object) -> None:
        if exc_type is None:
            self.close()
        else:
            self.abort()

    def close(self) -> None:
        """Make the file visible under its name. Does nothing the second time.

        Raises:
            StorageException: The storage failed; the file as it was before is still there.
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
        """Forget what was written; the file as it was before stays. Raises nothing."""
        self._writer.abort()

    def __del__(self) -> None:
        self._writer.drop()


class _RawReader(io.RawIOBase):
    def __init__(self, file: open_files.ReadableFile) -> None:
        super().__init__()
        self._file = file
        portal.left_open.add(self)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = portal.run(self._file.read(len(buffer)))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return portal.run(self._file.read())

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return portal.run(self._file.seek(offset, whence))

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if not self.closed:
            super().close()
            portal.finish(self.let_go())

    async def let_go(self) -> None:
        await self._file.close()

    def __del__(self) -> None:
        pass  # what is open is closed by the loop, once its stream is dropped


class _RawWriter(io.RawIOBase):
    def __init__(self, file: open_files.WritableFile) -> None:
        super().__init__()
        self._file = file
        portal.left_open.add(self)

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        return portal.run(self._file.write(data))

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if not self.closed:
            super().close()
            portal.run(self._file.close())

    def abort(self) -> None:
        if not self.closed:
            super().close()
            portal.finish(self.let_go())

    def drop(self) -> None:
        if not self.closed:
            super().close()
            portal.schedule(self.let_go())

    async def let_go(self) -> None:
        await self._file.abort()

    def __del__(self) -> None:
        self.drop()


async def _closed(entries: Any) -> None:
    aclose = getattr(entries, "aclose", None)
    if aclose is not None:
        await aclose()
