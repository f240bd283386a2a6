"""Reads derived from the eight methods, for drivers that lack the capability."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jtc.storage._capabilities import ResolvedDriver, resolve
from jtc.storage.driver import DEFAULT_CHUNK_SIZE, ReadStream
from jtc.storage.driver_support.ranges import resolve_range
from jtc.storage.exceptions import PreconditionFailedException
from jtc.storage.models import FileInfo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
__all__ = ["ResolvedDriver", "derived_stat", "open_read", "read_all", "resolve"]


async def open_read(
    resolved: ResolvedDriver,
    path: str,
    *,
    start: int = 0,
    end: int | None = None,
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    if_match: str | None = None,
) -> ReadStream:
    """Open a file through its driver, or read it whole where the driver has no streams."""
    if resolved.reading is not None:
        return await resolved.reading.open_read(
            path, start=start, end=end, if_match=if_match, chunk_size=chunk_size
        )
    content = await resolved.driver.get(path)
    info = await derived_stat(resolved, path)
    if if_match is not None and info.etag != if_match:
        raise PreconditionFailedException("The file is another version by now")
    info.size = len(content)
    first, last = resolve_range(start, end, len(content))
    return ReadStream(info, _slices(content, first, last, chunk_size))


async def read_all(stream: ReadStream) -> bytes:
    """Return what a stream still has, and let go of it."""
    try:
        return b"".join([chunk async for chunk in stream])
    finally:
        await stream.aclose()


async def derived_stat(resolved: ResolvedDriver, path: str) -> FileInfo:
    """Return a file's facts, by `size` and `last_modified` where the driver has no `stat`."""
    if resolved.stat is not None:
        return await resolved.stat.stat(path)
    return FileInfo(
        path=path,
        size=await resolved.driver.size(path),
        last_modified=await resolved.driver.last_modified(path),
    )


async def _slices(content: bytes, first: int, last: int, size: int) -> AsyncIterator[bytes]:
    for at in range(first, last, size):
        yield content[at : min(at + size, last)]
