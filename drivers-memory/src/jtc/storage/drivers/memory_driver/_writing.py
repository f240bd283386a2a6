"""Reading content to its end, and the conditions under which it then takes the old file's place."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, BinaryIO

from jtc.storage.driver import DEFAULT_CHUNK_SIZE
from jtc.storage.driver_support.content import SourceFile
from jtc.storage.exceptions import FileExistsException, PreconditionFailedException

if TYPE_CHECKING:
    from jtc.storage.driver import DriverContent
    from jtc.storage.drivers.memory_driver._metadata import StoredFile
    from jtc.storage.options import WriteOptions

__all__ = ["check_conditions", "read_whole"]


async def read_whole(content: DriverContent) -> bytes:
    """Return all bytes of a content. What it raises is the content's own error, never ours.

    Args:
        content: Bytes, a blocking file (read in a worker thread, which stops when this is
            cancelled), or an async iterator.
    """
    if isinstance(content, bytes):
        return bytes(content)
    if isinstance(content, AsyncIterator):
        return b"".join([chunk async for chunk in content])
    stopped = threading.Event()
    try:
        return await asyncio.to_thread(_read_file, content, stopped)
    finally:
        stopped.set()


def _read_file(source: BinaryIO, stopped: threading.Event) -> bytes:
    chunks = []
    try:
        while not stopped.is_set() and (chunk := source.read(DEFAULT_CHUNK_SIZE)):
            chunks.append(chunk)
    finally:
        # A path's file is ours to close; closing the wrapper leaves the caller's own file open.
        if isinstance(source, SourceFile):
            source.close()
    return b"".join(chunks)


def check_conditions(there: StoredFile | None, options: WriteOptions) -> None:
    """Check what a write asks of the file that it replaces.

    Args:
        there: The file that is there, or None.
        options: `overwrite` and `if_match` count.

    Raises:
        FileExistsException: `overwrite` is False, and there is a file.
        PreconditionFailedException: `if_match` names another version, or there is no file.
    """
    if there is not None and not options.overwrite:
        raise FileExistsException("The file exists already")
    if options.if_match is not None and (there is None or there.etag != options.if_match):
        raise PreconditionFailedException("The file is not the version that if_match names")
