"""Layer around the source of a transfer, which is read at a limited rate."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from jtc.storage.driver import ReadStream
from jtc.storage.layer import Layer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage.driver import StorageDriver
    from jtc.storage.options import ReadOptions

__all__ = ["LimitedRate", "Rate"]

_PIECES_PER_SECOND = 10
_SMALLEST_PIECE = 16 * 1024


class Rate:
    """A number of bytes per second, for all that is read through it together.

    Args:
        limit: Bytes per second.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self.piece = max(_SMALLEST_PIECE, int(limit / _PIECES_PER_SECOND))
        self._next = 0.0

    async def wait(self, size: int) -> None:
        """Wait until that number of bytes may pass."""
        begin = max(self._next, monotonic())
        self._next = begin + size / self._limit
        if (pause := begin - monotonic()) > 0:
            await asyncio.sleep(pause)


class LimitedRate(Layer):
    """Read files no faster than a rate permits.

    Args:
        inner: The source's driver.
        rate: The rate of all files together.
    """

    def __init__(self, inner: StorageDriver, rate: Rate) -> None:
        super().__init__(inner)
        self._rate = rate

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        """Open a file for reading."""
        stream = await self.inner.open_read(path, options)
        # Without `duplicate`: the target would read the file itself, as fast as it can.
        return ReadStream(stream.info, _limited(stream, self._rate), stream.aclose)


async def _limited(stream: ReadStream, rate: Rate) -> AsyncIterator[bytes]:
    async for chunk in stream:
        for at in range(0, len(chunk), rate.piece):
            piece = chunk[at : at + rate.piece]
            await rate.wait(len(piece))
            yield piece
