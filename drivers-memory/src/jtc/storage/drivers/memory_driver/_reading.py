"""Streams and ranges over the bytes of one version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jtc.storage.driver import ReadStream
from jtc.storage.driver_support.ranges import resolve_range
from jtc.storage.drivers.memory_driver._metadata import file_info
from jtc.storage.exceptions import PreconditionFailedException

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from jtc.storage.drivers.memory_driver._metadata import StoredFile

__all__ = ["open_stream"]


def open_stream(
    path: str,
    file: StoredFile,
    *,
    start: int,
    end: int | None,
    if_match: str | None,
    chunk_size: int,
) -> ReadStream:
    """Open a range of a file, as `SupportsReading.open_read` says it.

    Raises:
        PreconditionFailedException: `if_match` names another version.
        ValueError: The range ends before it begins, or `chunk_size` is below 1.
    """
    if if_match is not None and if_match != file.etag:
        raise PreconditionFailedException("The file is another version than if_match names")
    if chunk_size < 1:
        raise ValueError(f"A chunk has at least one byte, not {chunk_size}")
    first, last = resolve_range(start, end, len(file.content))
    chunks = _slices(file.content, first, last, chunk_size)
    return ReadStream(file_info(path, file), chunks, chunks.aclose)


async def _slices(content: bytes, first: int, last: int, size: int) -> AsyncGenerator[bytes, None]:
    for at in range(first, last, size):
        yield content[at : min(at + size, last)]
