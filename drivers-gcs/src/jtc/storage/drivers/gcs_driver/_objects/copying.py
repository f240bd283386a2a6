"""Copies and moves within the store, and changes of metadata."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from jtc.storage import exceptions
from jtc.storage.drivers.gcs_driver._objects import conditions, metadata
from jtc.storage.drivers.gcs_driver._transport.operations import (
    delete_object,
    move_object,
    patch_object,
    rewrite_object,
)
from jtc.storage.http_support.conditions import EXISTS, OTHER_VERSION, lost_answer
from jtc.storage.http_support.errors import may_have_acted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.drivers.gcs_driver._transport.operations import Resource
    from jtc.storage.drivers.gcs_driver._transport.transport import Transport
    from jtc.storage.options import WriteOptions

__all__ = ["copy_file", "copy_from", "move_file", "update_metadata"]

_ATTEMPTS = 10
"""How often metadata may be changed by others between the look at it and its replacement."""

_OF_ONE_STORE = (
    *("endpoint_url", "credentials_file", "credentials_info", "credentials", "anonymous"),
)

_NOT_SOURCE = "The file is not the version that if_source_match names"
_CHANGED = "The source was replaced while it was copied"


async def copy_file(transport: Transport, src: str, dst: str, options: WriteOptions) -> str:
    """Copy a file with its content type and metadata; return the new file's etag."""
    if src == dst:
        return await _onto_itself(transport, src, options)
    return conditions.etag_of(await _copied(transport, transport, src, dst, options))


async def copy_from(
    transport: Transport, dst: str, source: Transport, src: str, options: WriteOptions
) -> str:
    """Copy a file of another bucket of the store; return the new file's etag.

    Raises:
        UnsupportedOperationException: The store does not let the target's account copy from there.
    """
    target, other = transport.settings, source.settings
    if any(getattr(target, name) != getattr(other, name) for name in _OF_ONE_STORE):
        raise exceptions.UnsupportedOperationException(
            "The two disks have different endpoints or credentials: the store cannot copy"
        )
    original = await _original(source, src, options.if_source_match)
    try:
        return conditions.etag_of(await _copied(transport, source, src, dst, options, original))
    except (exceptions.StoragePermissionException, exceptions.FileNotFoundException) as error:
        # The original is there: who may not see its bucket gets the answer that there is nothing.
        raise exceptions.UnsupportedOperationException(
            f"The store refuses to copy from the bucket {other.bucket!r} with the account of this "
            "disk"
        ) from error


async def move_file(transport: Transport, src: str, dst: str, options: WriteOptions) -> str:
    """Give a file another name; where options change it, copy it and delete the original.

    Raises:
        PreconditionFailedException: The original was replaced meanwhile: it is left as it is, and
            so is the copy.
    """
    if src == dst:
        return await _onto_itself(transport, src, options)
    visibility = options.visibility or transport.settings.visibility
    if transport.learned.moves and not (_declared(transport, options) or visibility):
        moved = await _renamed(transport, src, dst, options)
        if moved is not None:
            return conditions.etag_of(moved)
    original = await _original(transport, src, options.if_source_match)
    etag = conditions.etag_of(await _copied(transport, transport, src, dst, options, original))
    condition = conditions.if_version(conditions.etag_of(original))
    try:
        await transport.send(delete_object(transport.settings.bucket, src, condition))
    except exceptions.FileNotFoundException as error:
        if not may_have_acted(error):
            raise _replaced(src) from error
    except exceptions.PreconditionFailedException as error:
        if not may_have_acted(error) or await metadata.resource_now(transport, src) is not None:
            raise _replaced(src) from error
    return etag


def _replaced(src: str) -> exceptions.PreconditionFailedException:
    return exceptions.PreconditionFailedException(
        "The file was replaced or deleted while it was moved; the copy stays", path=src
    )


def _declared(transport: Transport, options: WriteOptions) -> dict[str, Any]:
    return {**transport.settings.driver_fields, **metadata.declared_fields(options)}


async def _original(transport: Transport, src: str, if_source_match: str | None) -> Resource:
    original = await metadata.resource_of(transport, src)
    if if_source_match not in (None, conditions.etag_of(original)):
        raise exceptions.PreconditionFailedException(_NOT_SOURCE, path=src)
    return original


async def _renamed(
    transport: Transport, src: str, dst: str, options: WriteOptions
) -> Resource | None:
    """Have the store rename a file, in one step; None where it does not know how."""
    query = {
        **conditions.target_conditions(options),
        **conditions.if_version(options.if_source_match, of="Source"),
    }
    try:
        return await transport.send(move_object(transport.settings.bucket, src, dst, query))
    except exceptions.PreconditionFailedException as error:
        raise await _why_refused(transport, transport, src, dst, options, error, None) from error
    except exceptions.FileNotFoundException as error:
        error.path = src
        if await metadata.resource_now(transport, src) is None:
            if may_have_acted(error) and await metadata.resource_now(transport, dst) is not None:
                raise lost_answer(dst) from error
            raise
    except exceptions.StorageException as error:
        # Another store takes it for another request, in words of its own.
        if error.retryable or isinstance(
            error, (exceptions.StoragePermissionException, exceptions.StorageConfigException)
        ):
            raise
    transport.learned.moves = False
    return None


async def _copied(
    transport: Transport,
    source: Transport,
    src: str,
    dst: str,
    options: WriteOptions,
    original: Resource | None = None,
) -> Resource:
    """Have the store copy a file, in as many rounds as it wants."""
    fields = _declared(transport, options)
    key = fields.pop("kmsKeyName", None)
    if fields and original is None:
        original = await _original(source, src, options.if_source_match)
    if_source_match = conditions.etag_of(original) if original else options.if_source_match
    query: dict[str, object] = {
        **conditions.target_conditions(options),
        **conditions.if_version(if_source_match, of="Source"),
        **metadata.acl_query(transport, options, "destinationPredefinedAcl"),
        "destinationKmsKeyName": key,
    }
    if fields and original is not None:
        # Google copies all of the original's fields or none.
        fields = {**metadata.kept_fields(original), **fields}
    copied, stalled = -1, 0
    while True:
        request = rewrite_object(
            source.settings.bucket, src, transport.settings.bucket, dst, fields or None, query
        )
        try:
            rewritten = await transport.send(request)
        except exceptions.PreconditionFailedException as error:
            meant = await _why_refused(transport, source, src, dst, options, error, original)
            raise meant from error
        except exceptions.StorageException as error:
            is_missing = isinstance(error, exceptions.FileNotFoundException)
            error.path = src if is_missing else error.path or dst
            raise
        if rewritten.resource is not None:
            return rewritten.resource
        stalled = 0 if rewritten.copied > copied else stalled + 1
        if stalled > transport.settings.max_attempts:
            raise exceptions.StorageUnavailableException("The store copies no more of the file")
        copied, query["rewriteToken"] = rewritten.copied, rewritten.token


async def _why_refused(
    transport: Transport,
    source: Transport,
    src: str,
    dst: str,
    options: WriteOptions,
    error: exceptions.StorageException,
    original: Resource | None,
) -> exceptions.StorageException:
    """Return what a refusal means, which is one for the source's conditions and the target's."""
    there = await metadata.resource_now(source, src)
    if there is None and not may_have_acted(error):
        return exceptions.FileNotFoundException("File not found", path=src)
    if there is not None:
        wanted = options.if_source_match if original is None else conditions.etag_of(original)
        if wanted not in (None, conditions.etag_of(there)):
            message = _NOT_SOURCE if original is None else _CHANGED
            return exceptions.PreconditionFailedException(message, path=src)
    target = await metadata.resource_now(transport, dst)
    if target is None:
        return exceptions.PreconditionFailedException(_CHANGED, path=src)
    if may_have_acted(error) and (there is None or target.get("crc32c") == there.get("crc32c")):
        return lost_answer(dst)
    return exceptions.FileExistsException(EXISTS, path=dst)


async def _onto_itself(transport: Transport, path: str, options: WriteOptions) -> str:
    original = await _original(transport, path, options.if_source_match)
    if not options.overwrite:
        raise exceptions.FileExistsException(EXISTS, path=path)
    if options.driver_options:
        # A storage class and a key are given to new generations only.
        copied = await _copied(transport, transport, path, path, options, original)
        return conditions.etag_of(copied)
    fields = metadata.declared_fields(options)
    if not fields and options.visibility is None:
        return conditions.etag_of(original)
    return await _patched(transport, path, options, options.if_source_match)


async def update_metadata(transport: Transport, path: str, options: WriteOptions) -> str:
    """Replace declared fields of a file, and keep the others; return the etag.

    Raises:
        FileNotFoundException: There is no file.
        PreconditionFailedException: `if_match` names another version.
    """
    return await _patched(transport, path, options, options.if_match)


async def _patched(
    transport: Transport, path: str, options: WriteOptions, if_match: str | None
) -> str:
    fields = metadata.declared_fields(options)
    query = {**metadata.acl_query(transport, options)} if options.visibility else {}
    if query:
        fields["acl"] = []
    if options.metadata is None:
        return await _patch(transport, path, fields, query, if_match)
    # Names that are not sent stay, so those that are there must be known.
    for attempt in range(_ATTEMPTS):
        there = await metadata.resource_of(transport, path)
        if if_match not in (None, conditions.etag_of(there)):
            raise exceptions.PreconditionFailedException(OTHER_VERSION)
        names: dict[str, str | None] = dict.fromkeys(there.get("metadata") or {})
        sent = {**fields, "metadata": {**names, **options.metadata}}
        try:
            return await _patch(transport, path, sent, query, conditions.etag_of(there))
        except exceptions.PreconditionFailedException:
            if if_match is not None:
                raise
            await asyncio.sleep(random.uniform(0.0, 0.02) * attempt)  # noqa: S311 - no secret
    raise exceptions.StorageUnavailableException("The file is being changed all the time")


async def _patch(
    transport: Transport,
    path: str,
    fields: Mapping[str, Any],
    query: Mapping[str, str],
    if_match: str | None,
) -> str:
    condition = conditions.if_version(if_match)
    request = patch_object(transport.settings.bucket, path, fields, {**query, **condition})
    try:
        patched = await transport.send(request)
    except exceptions.PreconditionFailedException as error:
        there = await metadata.resource_of(transport, path)  # which a missing file is not
        if may_have_acted(error) and _has(there, fields):
            return conditions.etag_of(there)
        raise exceptions.PreconditionFailedException(OTHER_VERSION) from error
    return conditions.etag_of(patched)


def _has(there: Mapping[str, Any], fields: Mapping[str, Any]) -> bool:
    """Return whether a file is as a change was to make it: the answer was lost, no more."""
    for name, value in fields.items():
        if name == "metadata":
            wanted = {key: text for key, text in value.items() if text is not None}
            if (there.get(name) or {}) != wanted:
                return False
        elif name != "acl" and there.get(name) != value:
            return False
    return True
