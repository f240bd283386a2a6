"""Reading of content to its end, and conditions of a write."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, BinaryIO

from jtc.storage.driver_support.content import in_thread
from jtc.storage.exceptions import FileExistsException, PreconditionFailedException
from jtc.storage.options import DEFAULT_CHUNK_SIZE

if TYPE_CHECKING:
    from jtc.storage.driver import DriverContent
    from jtc.storage.drivers.memory_driver._metadata import StoredFile
    from jtc.storage.options import WriteOptions

__all__ = ["check_conditions", "read_whole"]


async def read_whole(content: DriverContent) -> bytes:
    """Return all bytes of content. What the content raises comes unchanged.

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
        return await in_thread(_read_file, content, stopped)
    finally:
        stopped.set()


def _read_file(source: BinaryIO, stopped: threading.Event) -> bytes:
    chunks = []
    while not stopped.is_set() and (chunk := source.read(DEFAULT_CHUNK_SIZE)):
        chunks.append(chunk)
    return b"".join(chunks)


def check_conditions(path: str, there: StoredFile | None, options: WriteOptions) -> None:
    """Check the conditions of a write against the file that it replaces.

    Args:
        path: The file's path, for errors.
        there: The file that is there, or None.
        options: `overwrite` and `if_match` count.

    Raises:
        FileExistsException: `overwrite` is False, and there is a file.
        PreconditionFailedException: `if_match` names another version, or there is no file.
    """
    if there is not None and not options.overwrite:
        raise FileExistsException("The file exists already", path=path)
    if options.if_match is not None and (there is None or there.etag != options.if_match):
        raise PreconditionFailedException(
            "The file is not the version that if_match names", path=path
        )
