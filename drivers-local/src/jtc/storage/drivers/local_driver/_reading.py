"""How a file is read: whole in one call, or piece by piece through aiofiles."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from aiofiles.threadpool import wrap

from jtc.storage.driver import ReadStream
from jtc.storage.driver_support.loop_budget import crowded, next_turn
from jtc.storage.driver_support.ranges import resolve_range
from jtc.storage.drivers.local_driver._metadata import etag_of, file_info, read_declared
from jtc.storage.drivers.local_driver._page_cache import read_cached, remember
from jtc.storage.drivers.local_driver._worker_calls import moving, run
from jtc.storage.exceptions import IntegrityException, PreconditionFailedException

if TYPE_CHECKING:
    from aiofiles.threadpool.binary import AsyncFileIO

    from jtc.storage.drivers.local_driver._safe_open import Root
    from jtc.storage.drivers.local_driver._worker_calls import Turn
    from jtc.storage.models import FileInfo

__all__ = ["open_stream", "read_file", "stat_file"]

_PIECE = 4 * 1024 * 1024

_AT_ONCE = 1024 * 1024
"""Longer chunks are copied in a worker: in the event loop that would take a millisecond or more."""


def read_file(turn: Turn, root: Root, path: str) -> bytes:
    """Return a file's content."""
    root.meet()
    descriptor, facts = root.open_file(path)
    try:
        # One byte more than there should be: a shorter answer is the file's end.
        with moving(turn, facts.st_size):
            content = os.read(descriptor, facts.st_size + 1)
        if len(content) == facts.st_size:
            return content
        # Another program writes into the file, or it is longer than one read() returns (2 GiB).
        pieces = [content]
        while piece := os.read(descriptor, _PIECE):
            turn.check()
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        os.close(descriptor)


def stat_file(_turn: Turn, root: Root, path: str) -> FileInfo:
    """Return a file's facts, with what was declared of it."""
    root.meet()
    descriptor, facts = root.open_file(path)
    try:
        declared = read_declared(descriptor)
        remember(facts, declared)
        return file_info(path, facts, declared)
    finally:
        os.close(descriptor)


async def open_stream(
    root: Root, path: str, *, start: int, end: int | None, if_match: str | None, chunk_size: int
) -> ReadStream:
    """Open a file for reading a range of it in chunks."""
    file, info, length = await run(
        _open_range, root, path, start, end, if_match, discard=_close_first
    )
    carried = wrap(file)
    near = root.near is not None and root.near.reads

    async def close() -> None:
        # Whatever becomes of the task that closes, the file is closed.
        await asyncio.shield(asyncio.ensure_future(carried.close()))

    return ReadStream(info, _Chunks(file, carried, length, chunk_size, near=near), close)


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

    def read_at_once(self, size: int) -> bytes | None:
        """Return what comes next, if the kernel has all of it in memory."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            return read_cached(self.fileno(), size)
        finally:
            self._lock.release()

    def close(self) -> None:
        with self._lock:
            super().close()


class _Chunks(AsyncIterator[bytes]):
    """The chunks of a range, each read in one hop, or in none where the kernel has it."""

    def __init__(
        self, file: _OpenFile, carried: AsyncFileIO, length: int, chunk_size: int, *, near: bool
    ) -> None:
        self._file = file
        self._carried = carried
        self._left = length
        self._chunk_size = chunk_size
        self._may_be_near = near and chunk_size <= _AT_ONCE
        self._near = False

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        size = min(self._chunk_size, self._left)
        if self._near:
            if crowded():
                await next_turn()
            if (chunk := self._file.read_at_once(size)) is not None:
                self._left -= size
                return chunk
        chunk = await self._carried.read(size)
        if not chunk:
            raise IntegrityException("Another program shortened the file while it was read")
        self._left -= len(chunk)
        # A worker has read first, and with that set the file's access time, if need be.
        self._near = self._may_be_near
        return chunk


def _open_range(
    _turn: Turn, root: Root, path: str, start: int, end: int | None, if_match: str | None
) -> tuple[_OpenFile, FileInfo, int]:
    """Open a file at a range's beginning; return it, its facts and the range's length."""
    root.meet()
    descriptor, facts = root.open_file(path)
    try:
        if if_match is not None and if_match != etag_of(facts):
            raise PreconditionFailedException("The file is another version than if_match names")
        info = file_info(path, facts, read_declared(descriptor))
        first, last = resolve_range(start, end, facts.st_size)
        os.lseek(descriptor, first, os.SEEK_SET)
        return _OpenFile(descriptor), info, last - first
    except BaseException:
        os.close(descriptor)
        raise


def _close_first(opened: tuple[_OpenFile, FileInfo, int]) -> None:
    opened[0].close()
