"""The caller's content, cut into chunks, with the CRC-32C of all of them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import google_crc32c

from jtc.storage.driver_support.content import in_thread
from jtc.storage.http_support.settings import MIB
from jtc.storage.http_support.transfers.content_parts import ContentParts

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage.driver import DriverContent
    from jtc.storage.http_support.connections import Places

__all__ = ["CheckedParts", "checksum_text", "crc32c"]

_THREAD_FROM = 4 * MIB
"""Bytes from which on a checksum is worth a thread: CRC-32C takes a millisecond for ten MiB."""


def checksum_text(value: int) -> str:
    """Return a CRC-32C as Google writes it."""
    return base64.b64encode(value.to_bytes(4, "big")).decode()


async def crc32c(content: bytes, before: int = 0) -> int:
    """Return the CRC-32C of a content that follows another one."""
    if len(content) < _THREAD_FROM:
        return int(google_crc32c.extend(before, content))
    return int(await in_thread(google_crc32c.extend, before, content))


class CheckedParts(ContentParts):
    """Content in parts, with their checksum.

    Args:
        content: What a driver is given.
        memory: Bytes that transfers may take.
        most: How many of them a chunk takes at most, whatever it has.

    Attributes:
        crc32c: The CRC-32C of all chunks so far.
    """

    def __init__(self, content: DriverContent, memory: Places, most: int) -> None:
        super().__init__(content, memory, most)
        self.crc32c = 0

    async def next(self, size: int) -> tuple[bytes, Callable[[], None]]:
        """Return the next `size` bytes; fewer at the end, and none after it.

        Returns:
            The bytes, and what releases their memory, to be called once.
        """
        chunk, release = await super().next(size)
        try:
            self.crc32c = await crc32c(chunk, self.crc32c)
        except BaseException:
            release()
            raise
        return chunk, release
