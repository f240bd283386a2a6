"""Conditional writes: their headers, their refusals, and answers to them that were lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.drivers.azure_driver._objects import metadata
from jtc.storage.http_support.conditions import EXISTS, OTHER_VERSION, lost_answer
from jtc.storage.http_support.errors import may_have_acted

if TYPE_CHECKING:
    from jtc.storage.drivers.azure_driver._transport.transport import Transport
    from jtc.storage.options import WriteOptions

__all__ = [
    "NO_ETAG",
    "refused",
    "unless_landed",
]

NO_ETAG = '"0x0"'
"""An etag that no file has."""


def refused(
    error: exceptions.StorageException, options: WriteOptions
) -> exceptions.StorageException:
    """Return what a refused condition of a write means."""
    if not options.overwrite:
        return exceptions.FileExistsException(EXISTS)
    if options.if_match is not None:
        return exceptions.PreconditionFailedException(OTHER_VERSION)
    return error


async def unless_landed(
    transport: Transport,
    path: str,
    error: exceptions.StorageException,
    meant: exceptions.StorageException,
    md5: str | None,
    size: int,
) -> exceptions.StorageException:
    """Return what a refused condition means, unless the write itself may have made it false.

    Where the answer to a write is lost, it is retried, and the second one meets the file of the
    first. Called refused, an `append` would add its bytes once more, and a file that one of
    several writers was to make would seem to be made by none of them.

    Args:
        transport: Where.
        path: What was written.
        error: The refusal.
        meant: What it means if nothing landed.
        md5: That of what was sent, in hexadecimal, if it is known.
        size: Its length in bytes.
    """
    if not may_have_acted(error):
        return meant
    try:
        there = await metadata.stat(transport, path)
    except exceptions.FileNotFoundException:
        return meant
    if there.size != size or (md5 is not None and there.checksums.get("md5") not in (None, md5)):
        return meant
    return lost_answer(path)
