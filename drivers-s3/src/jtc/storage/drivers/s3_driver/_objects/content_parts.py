"""The caller's content, cut into parts, each with its checksum."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from jtc.storage.driver_support.content import in_thread
from jtc.storage.drivers.s3_driver._objects.crc32 import combined
from jtc.storage.http_support.settings import MIB
from jtc.storage.http_support.transfers.content_parts import ContentParts

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage.driver import DriverContent
    from jtc.storage.http_support.connections import Places

__all__ = ["CheckedParts", "crc32_of"]

_THREAD_FROM = MIB
"""Bytes from which on a checksum is worth a thread: CRC-32 takes up to a millisecond a MiB."""


async def crc32_of(content: bytes) -> int:
    """Return the CRC-32 of a content."""
    return (
        zlib.crc32(content) if len(content) < _THREAD_FROM else await in_thread(zlib.crc32, content)
    )


class CheckedParts(ContentParts):
    """Parts with their CRC-32s.

    Args:
        content: As of `ContentParts`.
        memory: As of `ContentParts`.
        most: As of `ContentParts`.

    Attributes:
        crc32: That of all parts so far.
        part_crc32: That of the last one.
    """

    def __init__(self, content: DriverContent, memory: Places, most: int) -> None:
        super().__init__(content, memory, most)
        self.crc32 = self.part_crc32 = 0

    async def next(self, size: int) -> tuple[bytes, Callable[[], None]]:
        """Return the next `size` bytes, and what releases their memory."""
        before = self.size
        part, release = await super().next(size)
        try:
            self.part_crc32 = await crc32_of(part)
        except BaseException:
            release()
            raise
        crc32 = self.part_crc32
        self.crc32 = combined(self.crc32, crc32, len(part)) if before else crc32
        return part, release
