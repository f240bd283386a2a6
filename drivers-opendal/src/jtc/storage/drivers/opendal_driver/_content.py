"""Content to be written, in pieces or whole."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, BinaryIO

from jtc.storage.driver_support.content import in_thread
from jtc.storage.options import DEFAULT_CHUNK_SIZE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from jtc.storage.driver import DriverContent

__all__ = ["pieces", "read_whole"]


async def pieces(content: DriverContent) -> AsyncGenerator[bytes, None]:
    """Yield content as it comes. What the content raises comes unchanged."""
    if isinstance(content, bytes):
        yield content
    elif isinstance(content, AsyncIterator):
        async for piece in content:
            yield piece
    else:
        stopped = threading.Event()
        try:
            while piece := await in_thread(_next, content, stopped):
                yield piece
        finally:
            stopped.set()


async def read_whole(content: DriverContent) -> bytes:
    """Return all bytes of content. What the content raises comes unchanged."""
    if isinstance(content, bytes):
        return bytes(content)
    return b"".join([piece async for piece in pieces(content)])


def _next(source: BinaryIO, stopped: threading.Event) -> bytes:
    return b"" if stopped.is_set() else source.read(4 * DEFAULT_CHUNK_SIZE)
