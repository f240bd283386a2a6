"""The caller's content, cut into chunks, with the CRC-32C of all of them."""

from __future__ import annotations

import base64
import functools
import io
import threading
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, BinaryIO

import google_crc32c

from jtc.storage.driver_support.content import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage.driver import DriverContent
    from jtc.storage.http_support.connections import Places

__all__ = ["Chunks", "checksum_text", "crc32c"]

_PIECE = 8 * 1024 * 1024
"""Bytes of one read from a blocking file, after each of which a cancellation is looked for."""

_SMALL = 64 * 1024
"""Bytes that a chunk may have without a place in memory."""

_THREAD_FROM = 4 * 1024 * 1024
"""Bytes from which on a checksum is worth a thread: CRC-32C takes a millisecond for ten MiB."""


def checksum_text(value: int) -> str:
    """Return a CRC-32C as Google writes it."""
    return base64.b64encode(value.to_bytes(4, "big")).decode()


async def crc32c(content: bytes, before: int = 0) -> int:
    """Return the CRC-32C of a content that follows another one."""
    if len(content) < _THREAD_FROM:
        return int(google_crc32c.extend(before, content))
    return int(await in_thread(google_crc32c.extend, before, content))


class Chunks:
    """Content that is read chunk by chunk, always in the task that asks.

    Each chunk takes memory before it is read, unless it is so small that it needs none: those who
    upload slowly must not keep such files out.

    Args:
        content: What a driver is given.
        memory: Bytes that transfers may take.
        most: How many of them a chunk takes at most, whatever it has.

    Attributes:
        size: The length in bytes of all chunks so far.
        crc32c: Their CRC-32C.
    """

    def __init__(self, content: DriverContent, memory: Places, most: int) -> None:
        self._memory, self._most, self._taken = memory, most, 0
        # It shares the bytes.
        self._content = io.BytesIO(content) if isinstance(content, bytes) else content
        self._held = b""
        self.size = 0
        self.crc32c = 0

    async def head(self, size: int) -> bytes:
        """Return the next bytes, `size` or more of them if there are, and keep them."""
        content, held = self._content, [self._held] if self._held else []
        length = len(self._held)
        while length < size:
            if length > _SMALL and not self._taken:
                taken = min(size, self._most)
                await self._memory.take(taken)
                self._taken = taken
            missing = size - length if length else min(size, _SMALL)
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
        chunk = (await self.head(size))[:size]
        self._held = self._held[size:]
        self.crc32c = await crc32c(chunk, self.crc32c)
        self.size += len(chunk)
        taken, self._taken = self._taken, 0
        return chunk, functools.partial(self._memory.release, taken)

    def close(self) -> None:
        """Release the memory of a chunk that was not returned."""
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
