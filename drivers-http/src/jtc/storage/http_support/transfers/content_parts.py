"""The caller's content, cut into parts, each of which takes memory before it is read."""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, BinaryIO

from jtc.storage.driver_support.content import in_thread
from jtc.storage.http_support.settings import MIB

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage.driver import DriverContent
    from jtc.storage.http_support.connections import Places

__all__ = ["ContentParts"]

_PIECE = 8 * MIB
"""Bytes of one read from a blocking file, after each of which a cancellation is looked for. More
than a part has: what is read at once is not copied."""

_SMALL = 64 * 1024
"""Bytes that a part may have without a place in memory."""


class ContentParts:
    """Content that is read part by part, always in the task that asks.

    Each part takes memory before it is read, unless it is so small that it needs none: those who
    upload slowly must not keep such files out.

    Args:
        content: What a driver is given.
        memory: Bytes that transfers may take.
        most: How many of them a part takes at most, whatever it has: the part of a file of more
            than a terabyte must not wait for what downloads hold, which may wait for this upload.

    Attributes:
        size: The length in bytes of all parts so far.
    """

    def __init__(self, content: DriverContent, memory: Places, most: int) -> None:
        self._memory, self._most, self._taken = memory, most, 0
        # It shares the bytes.
        self._content = io.BytesIO(content) if isinstance(content, bytes) else content
        self._held = b""
        self.size = 0

    async def head(self, size: int) -> bytes:
        """Return the next bytes, `size` or more of them if there are, and keep them."""
        content, held = self._content, [self._held] if self._held else []
        length = len(self._held)
        while length < size:
            if length > _SMALL and not self._taken:
                taken = min(size, self._most)
                await self._memory.take(taken)
                self._taken = taken
            # One byte more: what else is there is not read before its place is taken.
            missing = size - length if length else min(size, _SMALL + 1)
            if isinstance(content, AsyncIterator):
                chunk = await anext(content, None)
            else:
                chunk = await _read(content, missing) or None
            if chunk is None:
                break
            held.append(chunk)
            length += len(chunk)
        self._held = b"".join(held)
        return self._held

    async def next(self, size: int) -> tuple[bytes, Callable[[], None]]:
        """Return the next `size` bytes; fewer at the end, and none after it.

        Returns:
            The bytes, and what releases their memory, to be called once.
        """
        part = (await self.head(size))[:size]
        self._held = self._held[size:]
        self.size += len(part)
        taken, self._taken = self._taken, 0
        return part, functools.partial(self._memory.release, taken)

    def close(self) -> None:
        """Release the memory of a part that was not returned."""
        taken, self._taken = self._taken, 0
        self._memory.release(taken)


async def _read(file: BinaryIO, size: int) -> bytes:
    cancelled = threading.Event()
    try:
        return await in_thread(_read_blocking, file, size, cancelled)
    finally:
        # If this task is cancelled, the thread ends after the piece that it reads.
        cancelled.set()


def _read_blocking(file: BinaryIO, size: int, cancelled: threading.Event) -> bytes:
    pieces: list[bytes] = []
    missing = size
    while missing and not cancelled.is_set():
        # A pipe or a socket may return less than there is to come.
        piece = file.read(min(missing, _PIECE))
        if not piece:
            break
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)
