"""What the sync face gives to iterate and to open: iterators, and files as `open` has them."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self, TypeVar

from jtc.storage.driver import DEFAULT_CHUNK_SIZE
from jtc.storage.exceptions import IntegrityException
from jtc.storage.sync._portal import portal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from jtc.storage import _open_files as open_files
    from jtc.storage._byte_stream import ByteStream
    from jtc.storage.models import FileInfo

__all__ = ["ReadableFile", "SyncListing", "SyncStream", "WritableFile"]

T = TypeVar("T")

_MOST_AHEAD = 256


class _Owned:
    """What is open belongs to the process that opened it.

    In a forked child its loop does not run, and its connections are the parent's.
    """

    _owner: int | None = None

    def _own(self) -> None:
        self._owner = self._owner or os.getpid()

    def _is_foreign(self) -> bool:
        return self._owner not in {None, os.getpid()}

    def _check_owner(self) -> None:
        if self._is_foreign():
            raise RuntimeError(
                "This was open when the process forked, and is the parent's: open it again here"
            )


class SyncStream(_Owned, Iterator[bytes]):
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
        self._fetched = b""  # kept where an interruption came after it

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
        """Let go of the file. Does nothing the second time.

        Raises:
            StorageException: The storage failed.
        """
        self._fetched = b""
        if self._opened and not self._is_foreign():
            portal.finish(self.let_go())

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
        self._fetched = await anext(self._left(), b"")

    async def let_go(self) -> None:
        """Close what is open, in the loop, as `close` does; it raises what that does."""
        await self._stream.aclose()

    async def _as_content(self) -> AsyncIterator[bytes]:
        """Return what is left, for the loop to read without this thread."""
        fetched, self._fetched = self._fetched, b""
        if fetched:
            yield fetched
        async for chunk in self._left():
            yield chunk

    def _left(self) -> AsyncIterator[bytes]:
        self._check_owner()
        self._own()
        self._opened = True
        if self._chunks is None:
            self._chunks = aiter(self._stream)
        return self._chunks


class SyncListing(_Owned, Iterator[T]):
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
        """Let go of the listing; it has no more entries then.

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


class _RawReader(_Owned, io.RawIOBase):
    def __init__(self, file: open_files.ReadableFile) -> None:
        super().__init__()
        self._file = file
        self._position = 0
        self._own()
        portal.left_open.add(self)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return self._read(-1)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._check_owner()
        self._position = portal.run(self._go(offset, whence))
        return self._position

    def tell(self) -> int:
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
        # The file is elsewhere where an interrupted call went on to its end.
        if self._file.tell() != self._position:
            await self._file.seek(self._position)
        return await self._file.seek(offset, whence)

    def close(self) -> None:
        if not self.closed:
            super().close()
            if not self._is_foreign():
                portal.finish(self.let_go())

    async def let_go(self) -> None:
        await self._file.close()

    def __del__(self) -> None:
        pass  # what is open is closed by the loop, once its stream is dropped


class _RawWriter(_Owned, io.RawIOBase):
    def __init__(self, file: open_files.WritableFile) -> None:
        super().__init__()
        self._file = file
        self._unclear = False
        self._own()
        portal.left_open.add(self)

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._check_owner()
        before = self._file.tell()
        try:
            return portal.run(self._file.write(data))
        except BaseException:
            # Interrupted when the bytes were taken: the buffer would send them once more.
            self._unclear = self._unclear or self._file.tell() != before
            raise

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if not self.closed:
            super().close()
            try:
                self._check_owner()
                if self._unclear:
                    raise IntegrityException(
                        "A write was interrupted, and it is not clear what the file would hold"
                    )
                portal.run(self._file.close())
            except BaseException:
                self._give_up(portal.schedule)  # where a loop runs, nobody could wait for it
                raise

    def abort(self) -> None:
        if not self.closed:
            super().close()
            self._give_up(portal.finish)

    def drop(self) -> None:
        if not self.closed:
            super().close()
            self._give_up(portal.schedule)

    def _give_up(self, how: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        if not self._is_foreign():
            how(self.let_go())

    async def let_go(self) -> None:
        await self._file.abort()

    def __del__(self) -> None:
        self.drop()


async def _closed(entries: Any) -> None:
    aclose = getattr(entries, "aclose", None)
    if aclose is not None:
        await aclose()
