"""Conditional writes: their headers, their refusals, and answers to them that were lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from jtc.storage import exceptions
from jtc.storage.drivers.s3_driver._objects import metadata
from jtc.storage.drivers.s3_driver._transport import errors
from jtc.storage.http_support.conditions import EXISTS, OTHER_VERSION, lost_answer
from jtc.storage.http_support.errors import may_have_acted

if TYPE_CHECKING:
    from collections.abc import Collection

    from jtc.storage.drivers.s3_driver._transport.operations import Request
    from jtc.storage.drivers.s3_driver._transport.transport import Transport
    from jtc.storage.models import FileInfo
    from jtc.storage.options import WriteOptions

__all__ = [
    "NO_ETAG",
    "PRESUMED",
    "check_kept",
    "check_target",
    "despite_conflicts",
    "etag_now",
    "is_kept",
    "is_shown",
    "landed",
    "refused",
    "unless_landed",
]

T = TypeVar("T")

PRESUMED = frozenset({"put", "parts", "copy", "delete"})
"""The kinds of conditions that a store keeps unless something else is known. Those that spare a
request are used only where they were tried out, or are said to be kept."""

_CONFLICT_DELAYS = (0.05, 0.2, 1.0)
"""Seconds before a conditional write that met another one is sent again."""

NO_ETAG = f'"{"0" * 32}"'
"""An etag that no file has. Stores take an empty one for no condition."""


def is_kept(transport: Transport, kind: str) -> bool:
    """Return whether the store keeps conditions of a kind, as far as that is known."""
    kept = _known(transport)
    return kind in PRESUMED if kept is None else kind in kept


def is_shown(transport: Transport, kind: str) -> bool:
    """Return whether the store is known to keep conditions of a kind."""
    return kind in (_known(transport) or ())


def _known(transport: Transport) -> Collection[str] | None:
    if (given := transport.settings.conditions) is not None:
        return given
    return transport.learned.kept_conditions


def check_kept(transport: Transport, kind: str) -> None:
    """Refuse a conditional request of a kind that the store does not keep.

    Raises:
        UnsupportedOperationException: It would overwrite or delete what it must not.
    """
    if not is_kept(transport, kind):
        raise exceptions.UnsupportedOperationException(
            f"The store does not keep conditions of the kind {kind!r}, as the option conditions "
            "says or check() found"
        )


async def check_target(transport: Transport, kind: str, key: str, options: WriteOptions) -> None:
    """Look whether a condition holds before the request: some engines ignore it.

    Not before a copy, where the store is known to keep its condition; of completions SeaweedFS
    keeps it only until two meet.

    Raises:
        FileExistsException: `overwrite` is False, and there is a file.
        PreconditionFailedException: The file is not the version of `if_match`.
        UnsupportedOperationException: The store does not keep conditions of the kind.
    """
    if options.overwrite and options.if_match is None:
        return
    check_kept(transport, kind)
    if kind == "copy" and is_shown(transport, kind):
        return
    etag = await etag_now(transport, key)
    if etag is not None and not options.overwrite:
        raise exceptions.FileExistsException(EXISTS)
    if options.if_match is not None and (not etag or etag != options.if_match):
        raise exceptions.PreconditionFailedException(OTHER_VERSION)


async def etag_now(transport: Transport, key: str) -> str | None:
    """Return a file's etag; None where there is no file, ``""`` where the store has no etags."""
    try:
        return (await metadata.head(transport, key)).etag or ""
    except exceptions.FileNotFoundException:
        return None


async def despite_conflicts(transport: Transport, request: Request[T]) -> T:
    """Send a conditional request, again where another one was under way.

    AWS answers 409 to one of two at once, and says to send it again:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    """
    for delay in _CONFLICT_DELAYS:
        try:
            return await transport.send(request)
        except errors.ConflictException:
            await asyncio.sleep(delay)
    return await transport.send(request)


def refused(
    error: exceptions.StorageException, options: WriteOptions
) -> exceptions.StorageException:
    """Return what a refused condition of a write means. AWS says 404 where nothing is there."""
    if isinstance(error, exceptions.PreconditionFailedException) and not options.overwrite:
        return exceptions.FileExistsException(EXISTS)
    if options.if_match is not None:
        return exceptions.PreconditionFailedException(OTHER_VERSION)
    return error


async def landed(
    transport: Transport, key: str, size: int | None, crc32: int | None
) -> FileInfo | None:
    """Return the file that is there, unless its length or its CRC-32 is not that of what was sent.

    Args:
        transport: Where.
        key: What was written.
        size: The length in bytes of what was sent.
        crc32: Its CRC-32, if that is known.
    """
    try:
        there = await metadata.stat(transport, key)
    except exceptions.FileNotFoundException:
        return None
    is_other = crc32 is not None and there.checksums.get("crc32") not in {None, f"{crc32:08x}"}
    return None if is_other or there.size != size else there


async def unless_landed(
    transport: Transport,
    key: str,
    error: exceptions.StorageException,
    meant: exceptions.StorageException,
    size: int | None,
    crc32: int | None = None,
) -> exceptions.StorageException:
    """Return what a refused condition means, unless the write itself may have made it false.

    Where the answer to a write is lost, it is retried, and the second one meets the file of the
    first. Called refused, an `append` would add its bytes once more, and a file that one of
    several writers was to make would seem to be made by none of them.

    Args:
        transport: Where.
        key: What was written.
        error: The refusal.
        meant: What it means if nothing landed.
        size: The length in bytes of what was sent.
        crc32: Its CRC-32, if that is known.
    """
    if not may_have_acted(error) or await landed(transport, key, size, crc32) is None:
        return meant
    return lost_answer(key)
