"""Streams and ranges over the bytes of one version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jtc.storage.driver import ReadStream
from jtc.storage.driver_support.derived import check_version
from jtc.storage.driver_support.ranges import resolve_range
from jtc.storage.drivers.memory_driver._metadata import file_info

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from jtc.storage.drivers.memory_driver._metadata import StoredFile
    from jtc.storage.options import ReadOptions

__all__ = ["open_stream"]


def open_stream(
    path: str, file: StoredFile, options: ReadOptions, *, infer: bool = True
) -> ReadStream:
    """Open a range of one version of a file; `infer` is as for `file_info`.

    Raises:
        PreconditionFailedException: `if_match` names another version.
        NotModifiedException: `if_none_match` names this version.
    """
    info = file_info(path, file, infer=infer)
    check_version(info, options.if_match, options.if_none_match)
    first, last = resolve_range(options.start, options.end, len(file.content))
    chunks = _slices(file.content, first, last, options.chunk_size)
    return ReadStream(info, chunks, chunks.aclose)


async def _slices(content: bytes, first: int, last: int, size: int) -> AsyncGenerator[bytes, None]:
    for at in range(first, last, size):
        yield content[at : min(at + size, last)]
