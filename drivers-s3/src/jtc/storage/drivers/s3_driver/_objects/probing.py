"""Probes of a store: which conditional requests it keeps."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from jtc.storage.drivers.s3_driver._objects.conditions import NO_ETAG, PRESUMED, etag_now
from jtc.storage.drivers.s3_driver._objects.copying import source_of
from jtc.storage.drivers.s3_driver._objects.deleting import (
    delete_directory,
    delete_existing,
    delete_existing_at_once,
)
from jtc.storage.drivers.s3_driver._objects.metadata import head
from jtc.storage.drivers.s3_driver._transport import operations
from jtc.storage.drivers.s3_driver._transport.errors import (
    ConflictException,
    NoUploadException,
)
from jtc.storage.exceptions import (
    FileNotFoundException,
    PreconditionFailedException,
    StorageException,
    UnsupportedOperationException,
)
from jtc.storage.http_support.errors import may_have_acted

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from jtc.storage.drivers.s3_driver._transport.transport import Transport

    _DeleteMany = Callable[
        [Transport, Sequence[str]], Coroutine[object, object, dict[str, bool | Exception]]
    ]

__all__ = ["check", "kept_conditions"]

logger = logging.getLogger("jtc.storage")

_AT_ONCE = 3
_REFUSALS = (
    PreconditionFailedException,
    ConflictException,
    NoUploadException,
    FileNotFoundException,
    UnsupportedOperationException,
)


async def check(transport: Transport, path: str) -> None:
    """Probe the store below a path, once, and refuse from then on what it does not keep.

    Where the option `conditions` says it, nothing is probed.

    Raises:
        StorageException: The store failed.
    """
    learned = transport.learned
    if learned.kept_conditions is not None or transport.settings.conditions is not None:
        return
    learned.kept_conditions = await kept_conditions(transport, path)
    lost = PRESUMED - learned.kept_conditions
    if lost:
        logger.warning(
            "The store of the bucket %r ignores conditional requests of the kinds %s: what needs "
            "them is refused; see the option conditions",
            transport.settings.bucket,
            ", ".join(sorted(lost)),
        )


async def kept_conditions(transport: Transport, path: str) -> frozenset[str]:
    """Return the kinds of conditional requests that the store keeps, whatever the options say.

    Args:
        transport: Where.
        path: A directory that nothing else uses; it is left empty.

    Raises:
        StorageException: The store failed, so that the question is open.
    """
    try:
        writes = await _kept_writes(transport, path)
        return writes | await _kept_deletions(transport, path)
    finally:
        await delete_directory(transport, path)


async def _kept_writes(transport: Transport, path: str) -> frozenset[str]:
    """Return the kinds of conditional writes that the store keeps.

    Of several writers at once under one condition, it must let one write: SeaweedFS keeps
    conditions of completions only where they do not meet.

    Args:
        transport: Where.
        path: A directory that nothing else uses; it is left empty.

    Raises:
        StorageException: The store failed, so that the question is open.
    """
    target, other = f"{path}/target", f"{path}/other"
    await _put(transport, other, b"", {})
    kept = {"put", "parts", "copy"}
    for kind, write in {"put": _put, "parts": _put_in_parts, "copy": _copy}.items():
        await transport.send(operations.delete_object(target, {}))
        headers = {"if-none-match": "*"}
        # Of a copy's target, only whether there is one is ever asked.
        for turn in range(1 if kind == "copy" else 3):
            contents = [f"{turn}{number}".encode() for number in range(_AT_ONCE)]
            writes = [write(transport, target, each, {**headers}) for each in contents]
            if await _made(writes) != 1:
                kept.remove(kind)
                break
            headers = {"if-match": (await head(transport, target)).etag or NO_ETAG}
    return frozenset(kept)


async def _kept_deletions(transport: Transport, path: str) -> frozenset[str]:
    """Return the kinds of conditional deletions that the store keeps.

    Of several at once, one must be made. A condition that any version meets must not be met by a
    directory, with or without a marker or files, and none of them may be deleted.

    Args:
        transport: Where.
        path: A directory that nothing else uses.

    Raises:
        StorageException: The store failed, so that the question is open.
    """
    learned, target = transport.learned, f"{path}/target"
    marked, emptied, full = (f"{path}/{name}" for name in ("marked", "emptied", "full"))
    await transport.send(operations.put_marker(marked, {}))
    await _put(transport, f"{emptied}/file", b"", {})
    await _put(transport, f"{full}/file", b"", {})
    await transport.send(operations.delete_object(f"{emptied}/file", {}))
    learned.keeps_directories = await etag_now(transport, f"{emptied}/") is not None
    kept = {"delete"} if await _keeps_etag(transport, target) else set[str]()
    learned.bulk_conditions = await _keeps_etag_in_bulk(transport, target)
    if not kept:
        # It would ignore the others too, or fail at a directory as `rclone serve s3` does.
        return frozenset()
    missing = [f"{path}/missing", marked, emptied, full]
    for kind, delete in {
        "delete_any": _delete_each,
        "delete_many": delete_existing_at_once,
    }.items():
        # Before any race, for which SeaweedFS takes seconds.
        if set((await delete(transport, missing)).values()) != {False}:
            break
        if None in [await etag_now(transport, key) for key in (f"{marked}/", f"{full}/file")]:
            break
        if await _is_truthful(transport, delete, target, missing):
            kept.add(kind)
    return frozenset(kept)


async def _keeps_etag(transport: Transport, target: str) -> bool:
    await _put(transport, target, b"1", {})
    etag = (await head(transport, target)).etag
    if etag is None:
        return False
    deletions = [operations.delete_object(target, {"if-match": each}) for each in (NO_ETAG, etag)]
    if await _made([transport.send(deletions[0])]):
        return False
    return await _made([transport.send(deletions[1]) for _ in range(2)]) == 1


async def _keeps_etag_in_bulk(transport: Transport, target: str) -> bool:
    await _put(transport, target, b"1", {})
    try:
        answer = await transport.send(operations.delete_objects({target: NO_ETAG}))
    except StorageException as error:
        if error.retryable:
            raise
        return False
    return target not in answer.keys


async def _is_truthful(
    transport: Transport, delete: _DeleteMany, target: str, missing: Sequence[str]
) -> bool:
    """Return whether deletions say of each key whether it was a file, also in a race."""
    for content in (b"1", b""):
        await _put(transport, target, content, {})
        calls = [delete(transport, [target, *missing]) for _ in range(_AT_ONCE)]
        found = await asyncio.gather(*calls)
        if [answers[target] for answers in found].count(True) != 1:
            return False
        if any(answers[key] is not False for answers in found for key in missing):
            return False
    return await delete(transport, [target]) == {target: False}


async def _delete_each(transport: Transport, keys: Sequence[str]) -> dict[str, bool | Exception]:
    async def one(key: str) -> bool | Exception:
        try:
            return await delete_existing(transport, key)
        except StorageException as error:
            if error.retryable and not isinstance(error, ConflictException):
                raise
            return error

    return dict(zip(keys, await asyncio.gather(*map(one, keys)), strict=True))


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
        if not isinstance(result, _REFUSALS) or may_have_acted(result):
            raise result
    return results.count(None)
