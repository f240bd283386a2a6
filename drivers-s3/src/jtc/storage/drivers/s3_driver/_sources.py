"""The caller's content, cut into parts, each with its checksum."""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from jtc.storage.driver import DriverContent

__all__ = ["Part", "Parts"]

_PIECE = 1024 * 1024
"""Bytes of one read from a blocking file, after each of which a cancellation is looked for."""

_THREAD_FROM = 1024 * 1024
"""From so many bytes on, a checksum is worth a thread: CRC-32 takes up to a millisecond a MiB."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some consecutive bytes of a file.

    Attributes:
        content: The bytes.
        crc32: Their CRC-32.
        total_crc32: The CRC-32 of all bytes from the file's beginning to the end of these.
    """

    content: bytes
    crc32: int
    total_crc32: int


class Parts:
    """Content that is read part by part, always in the task that asks.

    Args:
        content: What a driver is given.
    """

    def __init__(self, content: DriverContent) -> None:
        self._source = _source(content)
        self._held = b""
        self._total_crc32 = 0

    async def head(self, size: int) -> bytes:
        """Return the next bytes, `size` or more of them if there are, and keep them."""
        if len(self._held) < size:
            self._held += await self._source.read(size - len(self._held))
        return self._held

    async def next(self, size: int) -> Part:
        """Return the next `size` bytes; fewer at the end, and none after it."""
        content = (await self.head(size))[:size]
        self._held = self._held[size:]
        if len(content) < _THREAD_FROM:
            part = _part(content, self._total_crc32)
        else:
            part = await asyncio.to_thread(_part, content, self._total_crc32)
        self._total_crc32 = part.total_crc32
        return part


def _part(content: bytes, before: int) -> Part:
    return Part(content, zlib.crc32(content), zlib.crc32(content, before))


class _Source(Protocol):
    async def read(self, size: int) -> bytes:
        """Return the next `size` bytes; fewer at the end only."""
        ...


def _source(content: DriverContent) -> _Source:
    if isinstance(content, bytes):
        return _BytesSource(content)
    if isinstance(content, AsyncIterator):
        return _IteratorSource(content)
    return _FileSource(content)


class _BytesSource:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    async def read(self, size: int) -> bytes:
        # All of it at once is no copy.
        content = self._content[self._position : self._position + size]
        self._position += len(content)
        return content


class _IteratorSource:
    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    async def read(self, size: int) -> bytes:
        held = [self._rest]
        missing = size - len(self._rest)
        while missing > 0:
            chunk = await anext(self._chunks, b"")
            if not chunk:
                break
            held.append(chunk)
            missing -= len(chunk)
        content = b"".join(held)
        self._rest = content[size:]
        return content[:size]


class _FileSource:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    async def read(self, size: int) -> bytes:
        cancelled = threading.Event()
        try:
            return await asyncio.to_thread(self._read, size, cancelled)
        except asyncio.CancelledError:
            # The thread goes on with the piece that it is at, and then lets go of the file.
            cancelled.set()
            raise

    def _read(self, size: int, cancelled: threading.Event) -> bytes:
        pieces: list[bytes] = []
        missing = size
        while missing and not cancelled.is_set():
            # A pipe or a socket may return less than there is to come.
            piece = self._file.read(min(missing, _PIECE))
            if not piece:
                break
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)
