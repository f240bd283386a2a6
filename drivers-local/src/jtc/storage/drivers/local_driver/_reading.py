"""Reads: whole files and ranges in one call of a worker, streams chunk by chunk by aiofiles."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Protocol

from aiofiles.threadpool import wrap

from jtc.storage.driver import ReadStream
from jtc.storage.driver_support.derived import check_version
from jtc.storage.driver_support.error_translation import no_thread
from jtc.storage.driver_support.loop_budget import next_iteration, over_budget
from jtc.storage.driver_support.ranges import resolve_range
from jtc.storage.drivers.local_driver._metadata import etag_of, file_info, remember
from jtc.storage.drivers.local_driver._page_cache import read_next
from jtc.storage.drivers.local_driver._system_calls import read_at
from jtc.storage.drivers.local_driver._worker_calls import LARGE_BYTES, processor_slot, run
from jtc.storage.exceptions import IntegrityException, PreconditionFailedException

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiofiles.threadpool.binary import AsyncFileIO

    from jtc.storage.drivers.local_driver._safe_open import Root
    from jtc.storage.drivers.local_driver._worker_calls import CancelToken
    from jtc.storage.models import FileInfo
    from jtc.storage.options import ReadOptions

__all__ = ["file_status", "open_stream", "read_file", "read_ranges", "stat_file"]

_PIECE = 4 * 1024 * 1024

_LARGEST_AT_OPENING = 64 * 1024
"""A range of at most this many bytes is read where its file is opened: a small file takes one way
to a worker and back in place of three."""

_LARGEST_FOR_ALL = 256 * 1024
"""The same for a reader that takes all bytes as fast as they come, and so holds them briefly."""

_LEAST_REOPENED = 256 * 1024
"""How much is read at least where a file is opened for each piece."""

_LARGEST_CACHED = 1024 * 1024
"""Longer chunks are copied in a worker: in the event loop that would take a millisecond or more."""


def read_file(token: CancelToken, root: Root, path: str) -> bytes:
    """Return a file's content."""
    root.find_page_cache()
    descriptor, status = root.open_file(path)
    size = status.st_size
    try:
        # One byte more than there should be: a shorter result is the file's end.
        if size < LARGE_BYTES:
            content = os.read(descriptor, size + 1)
        else:
            with processor_slot(token):
                content = os.read(descriptor, size + 1)
        if len(content) == size:
            return content
        # Another program writes into the file, or it is longer than one read() returns (2 GiB).
        pieces = [content]
        while piece := os.read(descriptor, _PIECE):
            token.check()
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        os.close(descriptor)


def read_ranges(
    token: CancelToken,
    root: Root,
    path: str,
    ranges: Sequence[tuple[int, int]],
    options: ReadOptions,
) -> list[bytes]:
    """Return ranges of a file, all of one version."""
    root.find_page_cache()
    descriptor, status = root.open_file(path)
    try:
        check_version(file_info(path, status), options.if_match, options.if_none_match)
        return [
            _read_range(token, descriptor, *resolve_range(start, end, status.st_size))
            for start, end in ranges
        ]
    finally:
        os.close(descriptor)


def _read_range(token: CancelToken, descriptor: int, first: int, last: int) -> bytes:
    pieces = []
    while first < last:
        token.check()
        with processor_slot(token):
            piece = read_at(descriptor, min(last - first, _PIECE), first)
        if not piece:
            raise _shortened()
        pieces.append(piece)
        first += len(piece)
    return b"".join(pieces)


def stat_file(_token: CancelToken, root: Root, path: str) -> FileInfo:
    """Return a file's metadata, with what was declared of it."""
    root.find_page_cache()
    opened = root.open_declared(path)
    try:
        if root.page_cache is not None:
            remember(opened.status, opened.declared)
        return file_info(path, opened.status, opened.declared)
    finally:
        os.close(opened.descriptor)


def file_status(_token: CancelToken, root: Root, path: str) -> os.stat_result:
    """Return a file's status."""
    root.find_page_cache()
    return root.file_status(path)


async def open_stream(root: Root, path: str, options: ReadOptions) -> ReadStream:
    """Open a file for reading a range of it in chunks."""
    opened = await run(_open_range, root, path, options, discard=_close_first)
    file, info, length, content = opened
    if isinstance(file, _ReopenedFile):
        return ReadStream(info, _Chunks(file, file, length, options.chunk_size, content), _nothing)
    in_thread = wrap(file, executor=root.workers.executor)
    may_be_cached = (
        root.page_cache is not None
        and root.page_cache.has_content
        and options.chunk_size <= _LARGEST_CACHED
    )

    async def close() -> None:
        if content is not None and is_quickly_closed:
            file.close()
            return
        # The file is closed even if the task that closes it is cancelled, or the loop ends: that
        # cancels all tasks, so this is none.
        try:
            loop = asyncio.get_running_loop()
            await asyncio.shield(loop.run_in_executor(root.workers.executor, file.close))
        except RuntimeError:  # no thread can be started, or the interpreter ends
            file.close()

    # The last descriptor of a deleted file frees what it had; network file systems have no cache.
    is_quickly_closed = root.page_cache is not None and info.size <= _LARGEST_AT_OPENING
    chunks = _Chunks(
        file, in_thread, length, options.chunk_size, content, may_be_cached=may_be_cached
    )
    return ReadStream(info, chunks, close, duplicate=lambda: os.dup(file.fileno()))


class _OpenFile(io.FileIO):
    """A file that one thread may close while another one still reads.

    A cancelled task leaves its read to the thread, and then closes the file: without the lock the
    descriptor's number could belong to another file by the time that the read begins.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "rb")
        self._lock = threading.Lock()

    def read(self, size: int | None = -1, /) -> bytes:
        with self._lock:
            return super().read(-1 if size is None else size) or b""

    def read_cached(self, size: int) -> bytes | None:
        """Return the next bytes, if the page cache has them all."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            return read_next(self.fileno(), size)
        finally:
            self._lock.release()

    def close(self) -> None:
        with self._lock:
            super().close()


class _ReopenedFile:
    """A version of a file that is opened for each piece: between two, it can be replaced.

    On Windows a file that is open can be neither replaced nor deleted, and a stream may stay open
    for hours.

    Args:
        root: The disk's root.
        path: The file.
        etag: Its version.
        first: Where to begin.
    """

    def __init__(self, root: Root, path: str, etag: str, first: int) -> None:
        self._root = root
        self._path = path
        self._etag = etag
        self._position = first
        self._piece = b""

    async def read(self, size: int) -> bytes:
        """Return the next bytes.

        Raises:
            PreconditionFailedException: The file has been replaced.
        """
        if not self._piece:
            length = max(size, _LEAST_REOPENED)
            self._piece = await run(
                _read_version, self._root, self._path, self._etag, self._position, length
            )
            self._position += len(self._piece)
        chunk, self._piece = self._piece[:size], self._piece[size:]
        return chunk

    def close(self) -> None:
        """Do nothing: the file is closed."""


def _read_version(
    token: CancelToken, root: Root, path: str, etag: str, first: int, length: int
) -> bytes:
    descriptor, status = root.open_file(path)
    try:
        if etag_of(status) != etag:
            raise PreconditionFailedException("The file was replaced while it was read")
        with processor_slot(token):
            return read_at(descriptor, length, first)
    finally:
        os.close(descriptor)


async def _nothing() -> None:
    """Close what is not open."""


class _HasRead(Protocol):
    async def read(self, size: int, /) -> bytes: ...


class _Chunks(AsyncIterator[bytes]):
    """The chunks of a range, each read in one hop to a thread, or without one from the page cache.

    Args:
        file: The file, at the range's beginning.
        in_thread: The same file, read in a thread.
        length: The range's length in bytes.
        chunk_size: The length of a chunk in bytes.
        content: All bytes of the range, where they were read.
        may_be_cached: Whether the page cache may be read.
    """

    def __init__(
        self,
        file: _OpenFile | _ReopenedFile,
        in_thread: AsyncFileIO | _HasRead,
        length: int,
        chunk_size: int,
        content: bytes | None,
        *,
        may_be_cached: bool = False,
    ) -> None:
        self._file = file
        self._in_thread = in_thread
        self._left = length
        self._chunk_size = chunk_size
        self._content = content
        self._may_be_cached = may_be_cached
        self._has_read = False

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        if self._content is not None:
            self._left = 0
            return self._content
        size = min(self._chunk_size, self._left)
        # The first read, in a thread, sets the file's access time if need be.
        if self._has_read and self._may_be_cached and isinstance(self._file, _OpenFile):
            if over_budget():
                await next_iteration()
            if (chunk := self._file.read_cached(size)) is not None:
                self._left -= size
                return chunk
        try:
            chunk = await self._in_thread.read(size)
        except RuntimeError as error:
            raise no_thread(error) from error
        if not chunk:
            raise _shortened()
        self._left -= len(chunk)
        self._has_read = True
        return chunk


def _open_range(
    _token: CancelToken, root: Root, path: str, options: ReadOptions
) -> tuple[_OpenFile | _ReopenedFile, FileInfo, int, bytes | None]:
    """Open a file at a range's beginning.

    Returns:
        The file, its metadata, the range's length, and its content where that is one small chunk.
    """
    root.find_page_cache()
    descriptor, status, declared, _ = root.open_declared(path)
    try:
        info = file_info(path, status, declared)
        check_version(info, options.if_match, options.if_none_match)
        first, last = resolve_range(options.start, options.end, status.st_size)
        length, content = last - first, None
        largest = _LARGEST_FOR_ALL if options.read_ahead else _LARGEST_AT_OPENING
        if length <= min(largest, options.chunk_size):
            content = read_at(descriptor, length, first)
            if len(content) < length:
                content = None  # the reader says so
        # A reader of all bytes has them, and no use for the file.
        if not root.keeps_files_open or (content is not None and options.read_ahead):
            os.close(descriptor)
            return _ReopenedFile(root, path, etag_of(status), first), info, length, content
        os.lseek(descriptor, first, os.SEEK_SET)
        return _OpenFile(descriptor), info, length, content
    except BaseException:
        os.close(descriptor)
        raise


def _close_first(opened: tuple[_OpenFile | _ReopenedFile, FileInfo, int, bytes | None]) -> None:
    opened[0].close()


def _shortened() -> IntegrityException:
    return IntegrityException("Another program shortened the file while it was read")
