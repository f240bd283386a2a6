"""Probes of a store: which conditional requests it keeps."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from jtc.storage.drivers.s3_driver._objects.conditions import NO_ETAG
from jtc.storage.drivers.s3_driver._objects.copying import source_of
from jtc.storage.drivers.s3_driver._objects.deleting import delete_directory
from jtc.storage.drivers.s3_driver._objects.metadata import head
from jtc.storage.drivers.s3_driver._transport import operations
from jtc.storage.drivers.s3_driver._transport.errors import (
    ConflictException,
    NoUploadException,
    was_retried,
)
from jtc.storage.exceptions import (
    FileNotFoundException,
    PreconditionFailedException,
    UnsupportedOperationException,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from jtc.storage.drivers.s3_driver._transport.http import Transport

__all__ = ["check", "probe_conditions"]

logger = logging.getLogger("jtc.storage")

_AT_ONCE = 3
_REFUSALS = (
    PreconditionFailedException,
    ConflictException,
    NoUploadException,
    UnsupportedOperationException,
)


async def check(transport: Transport, path: str) -> None:
    """Probe the store below a path, once, and refuse from then on what it does not keep.

    Where the option `conditions` says it, nothing is probed.

    Raises:
        StorageException: The store failed.
    """
    learned = transport.learned
    if learned.is_probed or transport.settings.conditions is not None:
        return
    learned.lost_conditions = await probe_conditions(transport, path)
    learned.is_probed = True
    if learned.lost_conditions:
        logger.warning(
            "The store of the bucket %r ignores conditional requests of the kinds %s: what needs "
            "them is refused; see the option conditions",
            transport.settings.bucket,
            ", ".join(sorted(learned.lost_conditions)),
        )


async def probe_conditions(transport: Transport, path: str) -> frozenset[str]:
    """Return the kinds of conditional requests that the store does not keep.

    Of several writers at once under one condition, it must let one write: SeaweedFS keeps
    conditions of completions only where they do not meet.

    Args:
        transport: Where.
        path: A directory that nothing else uses; it is left empty.

    Raises:
        StorageException: The store failed, so that the question is open.
    """
    target, other = f"{path}/target", f"{path}/other"
    lost: set[str] = set()
    try:
        await transport.send(operations.put_object(other, b"", {}, None))
        for kind, write in {"put": _put, "parts": _put_in_parts, "copy": _copy}.items():
            await transport.send(operations.delete_object(target, {}))
            headers = {"if-none-match": "*"}
            # Of a copy's target, only whether there is one is ever asked.
            for turn in range(1 if kind == "copy" else 3):
                contents = [f"{turn}{number}".encode() for number in range(_AT_ONCE)]
                writes = [write(transport, target, each, {**headers}) for each in contents]
                if await _made(writes) != 1:
                    lost.add(kind)
                    break
                headers = {"if-match": (await head(transport, target)).etag or NO_ETAG}
        deletion = operations.delete_object(other, {"if-match": NO_ETAG})
        if await _made([transport.send(deletion)]):
            lost.add("delete")
        return frozenset(lost)
    finally:
        await delete_directory(transport, path)


async def _put(transport: Transport, key: str, content: bytes, headers: dict[str, str]) -> None:
    await transport.send(operations.put_object(key, content, headers, None))


async def _copy(transport: Transport, key: str, _: bytes, headers: dict[str, str]) -> None:
    source = source_of(transport.settings.bucket, f"{key.rpartition('/')[0]}/other")
    await transport.send(operations.copy_object(key, source, headers))


async def _put_in_parts(
    transport: Transport, key: str, content: bytes, headers: dict[str, str]
) -> None:
    send = transport.send
    upload_id = (await send(operations.create_upload(key, {}, checksums=False))).upload_id
    try:
        stored = await send(operations.upload_part(key, upload_id, 1, content, None))
        parts = [operations.Part(1, *stored)]
        await send(operations.complete_upload(key, upload_id, parts, headers, None))
    finally:
        with suppress(NoUploadException, FileNotFoundException):  # it was completed
            await send(operations.abort_upload(key, upload_id))


async def _made(writes: list[Coroutine[object, object, None]]) -> int:
    """Return how many of some writes at once were not refused."""
    results = await asyncio.gather(*writes, return_exceptions=True)
    for result in results:
        if result is None:
            continue
        # A refused retry says nothing: the first request may have been the one that was made.
        if not isinstance(result, _REFUSALS) or was_retried(result):
            raise result
    return results.count(None)
