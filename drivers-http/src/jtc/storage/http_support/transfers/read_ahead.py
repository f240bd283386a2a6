"""Reading ahead: ranges of one version that come over several connections, delivered in order."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.http_support.concurrency import Climb
from jtc.storage.http_support.settings import MIB
from jtc.storage.http_support.transfers.ranges import NoRangesError, Range, other_range

if TYPE_CHECKING:
    from jtc.storage.http_support.connections import Places

__all__ = ["READ_AHEAD_FROM", "ReadAhead"]

RANGE = 2 * MIB
"""Bytes of a range. What is under way at once is bounded by memory, and each range costs a round
trip: of the same memory, smaller ranges over more connections carry more from afar."""

WINDOW = 64 * MIB
"""Bytes of one file that may be held or requested ahead of its reader."""

READ_AHEAD_FROM = 4 * RANGE
"""Bytes that must be missing: a smaller file has come over the first connection before others, each
with round trips of its own, would carry much of it from any store."""


class _Ahead:
    """A range that a task of its own reads, into memory that was taken for it."""

    def __init__(self, source: Range, owner: ReadAhead) -> None:
        self.source = source
        self._pieces: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self.task = asyncio.create_task(self._fetch(owner.climb))
        self.task.add_done_callback(self._ended)
        self.task.add_done_callback(owner.ended)

    async def _fetch(self, climb: Climb) -> None:
        source = self.source
        while source.position < source.last:
            piece = await source.read(RANGE)
            climb.moved(len(piece))
            self._pieces.append(piece)
            self._arrived.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.source.close()
        self._arrived.set()
        if not task.cancelled():
            task.exception()  # else asyncio reports it where the reader stops before it

    @property
    def is_used_up(self) -> bool:
        """Whether there is nothing more to read."""
        return not self._pieces and self.source.position >= self.source.last

    async def read(self, size: int) -> bytes:
        """Return the next bytes, `size` at most."""
        while not self._pieces:
            if self.task.done():
                if self.task.cancelled():
                    raise _closed()
                self.task.result()
            self._arrived.clear()
            await self._arrived.wait()
        piece = self._pieces.popleft()
        if len(piece) > size:
            self._pieces.appendleft(piece[size:])
            piece = piece[:size]
        return piece


def _closed() -> exceptions.StorageUnavailableException:
    # A reader that was cancelled has lost bytes: it must not go on behind them.
    message = "The stream was closed, or its reading failed or was cancelled: open the file again"
    return exceptions.StorageUnavailableException(message)


class ReadAhead:
    """The bytes of one version in order, of which ranges are read ahead over other connections.

    The first connection is read in the reader's own task up to the first range ahead; while there
    is none it goes on to the end. A range ahead takes a connection and memory only where both are
    free at once, and ends by itself whatever its reader does, so readers never wait for each other.

    Args:
        first: What is open, up to the last byte that is wanted.
        memory: The loop's.
        is_eager: Whether to read ahead at all.
    """

    def __init__(self, first: Range, memory: Places, *, is_eager: bool) -> None:
        client = first.version.client
        self.climb = Climb(client.downloads, WINDOW // RANGE)
        self._client, self._memory = client, memory
        self._leaving = client.settings.memory_for_uploads
        self._first, self._end = first, first.last
        self._ahead: deque[_Ahead] = deque()
        self._busy = self._direct = 0
        self._has_others = self._is_closed = False
        missing = first.last - first.position
        self._is_eager = (
            is_eager and first.version.info.etag is not None and missing >= READ_AHEAD_FROM
        )

    async def read(self, size: int) -> bytes:
        """Return the next bytes, `size` at most; none at the end.

        Raises:
            IntegrityException: The file was replaced, or the store sent another range.
            StorageUnavailableException: A connection broke more often than `max_attempts`, or this
                was closed.
        """
        while not self._is_closed:
            self._extend()
            first = self._first
            if first.position < first.last:
                return await self._read_first(first, size)
            if self._ahead:
                if piece := await self._read_ahead(self._ahead[0], size):
                    return piece
            elif first.last < self._end:
                first.close()
                self._first = Range(first.version, first.last, self._end)
            else:
                first.close()
                return b""
        raise _closed()

    async def _read_first(self, first: Range, size: int) -> bytes:
        try:
            piece = await first.read(size)
        except NoRangesError as error:
            raise other_range() from error
        if self._is_closed:  # meanwhile, by another task
            first.close()
            raise _closed()
        if self._ahead:
            self.climb.moved(len(piece))
        else:
            self.climb.moved_alone(len(piece))
        self._direct += len(piece)
        if self._direct >= RANGE:
            self._direct -= RANGE
            self.climb.ended(self._busy + 1)
        if first.position >= first.last == self._end:
            first.close()
        return piece

    async def _read_ahead(self, ahead: _Ahead, size: int) -> bytes:
        """Return the next bytes of the first range ahead; none where it is read otherwise now."""
        first = self._first
        try:
            piece = await ahead.read(size)
        except NoRangesError as error:
            if first.body is None:
                raise other_range() from error
            # The first connection has the rest as well.
            self._client.has_ranges = self._is_eager = False
            self._drop()
            first.last = self._end
            return b""
        except exceptions.StorageUnavailableException:
            if self._is_closed:
                raise
            # One connection may be all that the path or the store gives: its rest is read so.
            first.close()
            self._first = ahead.source
            self._client.downloads.refusals += 1
            self._ahead.popleft()
            self._memory.release(RANGE)
            return b""
        # Not before: it is what remains where the store has no ranges.
        first.close()
        if ahead.is_used_up:
            self._first = ahead.source
            self._ahead.popleft()
            self._memory.release(RANGE)
        return piece

    def _extend(self) -> None:
        """Request as many ranges as may be under way at once."""
        while (start := self._next_start()) is not None:
            if not self._memory.take_free(RANGE, leaving=self._leaving):
                return
            connections = self._client.free_place()
            if connections is None:
                self._memory.release(RANGE)
                return
            first = self._first
            if not self._ahead:
                first.last = start
            last = min(start + RANGE, self._end)
            source = Range(first.version, start, last, taken=connections)
            self._busy += 1
            self._has_others = True
            self._ahead.append(_Ahead(source, self))

    def _next_start(self) -> int | None:
        """Return where the next range ahead begins; None where none may be requested."""
        first, ahead = self._first, self._ahead
        is_first_busy = first.position < first.last
        if (
            not self._is_eager
            or self._busy + is_first_busy >= self.climb.level
            or len(ahead) * RANGE >= WINDOW
            or not (ahead or is_first_busy)
            or not (self._has_others or self.climb.pays(self._end - first.position))
        ):
            return None
        # The open connection carries two meanwhile: the others have round trips to go.
        start = ahead[-1].source.last if ahead else min(first.position + 2 * RANGE, first.last)
        return start if start < self._end else None

    def ended(self, task: asyncio.Task[None]) -> None:
        """Go on after the end of a range's task."""
        busy = self._busy + (self._first.position < self._first.last)
        self._busy -= 1
        if self._is_eager and not task.cancelled() and task.exception() is None:
            if self._ahead and self._ahead[-1].source.last < self._end:
                self.climb.ended(busy)
            self._extend()

    def close(self) -> list[asyncio.Task[None]]:
        """Release connections and memory; return tasks that are about to end."""
        self._is_eager, self._is_closed = False, True
        self._first.close()
        return self._drop()

    def _drop(self) -> list[asyncio.Task[None]]:
        tasks = [each.task for each in self._ahead]
        for task in tasks:
            task.cancel()
            self._memory.release(RANGE)
        self._ahead.clear()
        return tasks
