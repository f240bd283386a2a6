"""Copies and moves within the store, and changes of metadata, which are copies to S3.

A copy from another bucket is sent to the target's, whose keys read the original.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.drivers.s3_driver._driver_options import ACLS
from jtc.storage.drivers.s3_driver._objects import conditions, metadata
from jtc.storage.drivers.s3_driver._objects.at_once import both
from jtc.storage.drivers.s3_driver._objects.deleting import delete_version
from jtc.storage.drivers.s3_driver._objects.upload_parts import MAX_PARTS, upload_in_parts
from jtc.storage.drivers.s3_driver._objects.visibility import ensure_visibility
from jtc.storage.drivers.s3_driver._settings import LEAST_PART
from jtc.storage.drivers.s3_driver._transport import errors
from jtc.storage.drivers.s3_driver._transport.operations import copy_object, is_public, set_acl
from jtc.storage.http_support.conditions import EXISTS, condition_headers
from jtc.storage.http_support.settings import GIB
from jtc.storage.http_support.transfers.sending import part_size
from jtc.storage.models import Visibility
from jtc.storage.options import WriteOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.drivers.s3_driver._settings import Settings
    from jtc.storage.drivers.s3_driver._transport.transport import Transport

__all__ = ["copy_file", "copy_from", "move_file", "source_of", "update_metadata"]

_COPY_PART = GIB
"""Nothing of a copied part goes over the network, so it may be large; the last is the rest."""

_DIRECTIVE = "x-amz-metadata-directive"

_OF_ONE_STORE = (
    *("endpoint_url", "access_key", "secret_key", "session_token", "profile", "credentials"),
    *("session", "anonymous", "sse_customer_key"),
)


@dataclass(slots=True, eq=False, repr=False)
class _Original:
    """The version of a file that is copied.

    Attributes:
        transport: Its bucket.
        key: The file.
        etag: None where the store has none.
        size: The length in bytes.
        headers: Those of the answer to a HEAD.
        kind: The kind of conditions that the copy's target is under: above `copy_threshold`, it is
            made of parts.
    """

    transport: Transport
    key: str
    etag: str | None
    size: int
    headers: Mapping[str, str]
    kind: str


async def copy_file(transport: Transport, src: str, dst: str, options: WriteOptions) -> str | None:
    """Copy a file with its content type and metadata; return the new file's etag."""
    original = await _original(transport, src, "if_source_match", options.if_source_match)
    if src != dst:
        return await _copied(transport, original, dst, options)
    if not options.overwrite:
        raise exceptions.FileExistsException(EXISTS, path=dst)
    if _replaces_metadata(options) or options.visibility or options.driver_options:
        was_public = options.visibility is None and await _is_public(transport, src)
        return await _updated(original, options, was_public=was_public)
    return original.etag


async def copy_from(
    transport: Transport, dst: str, source: Transport, src: str, options: WriteOptions
) -> str:
    """Copy a file of another bucket of the store; return the new file's etag.

    Raises:
        UnsupportedOperationException: The store does not let the target's keys copy from there.
    """
    _check_one_store(transport.settings, source.settings)
    looking = _original(source, src, "if_source_match", options.if_source_match)
    if source.learned.copies_acls and _may_keep_acl(transport.settings, options):
        original, is_public = await both(looking, _is_public(source, src))
        if is_public:
            options = dataclasses.replace(options, visibility=options.visibility_if_new)
    else:
        original = await looking
    original.kind = _kind(transport, original.size)
    try:
        etag = await _made(transport, original, dst, options)
    except (exceptions.StoragePermissionException, exceptions.FileNotFoundException) as error:
        # The original is there: who may not see its bucket gets the answer that there is nothing.
        raise exceptions.UnsupportedOperationException(
            f"The store refuses to copy from the bucket {source.settings.bucket!r} with the keys "
            "of this disk"
        ) from error
    await _ensure_visibility(transport, dst, options.visibility)
    return etag


def _may_keep_acl(settings: Settings, options: WriteOptions) -> bool:
    """Return whether a copy might be public since its original is: not on AWS, but on SeaweedFS."""
    is_given = options.visibility or settings.visibility or options.visibility_if_new is None
    return not is_given and settings.endpoint_url is not None


async def move_file(transport: Transport, src: str, dst: str, options: WriteOptions) -> str | None:
    """Copy a file, and then delete that very version of the original.

    Raises:
        PreconditionFailedException: The original was replaced or deleted meanwhile: it is left
            as it is, and the copy stays.
    """
    if src == dst:
        return await copy_file(transport, src, dst, options)
    if options.if_source_match is not None:
        conditions.check_kept(transport, "delete")
    original = await _original(transport, src, "if_source_match", options.if_source_match)
    etag = await _copied(transport, original, dst, options)
    replaced = exceptions.PreconditionFailedException(
        "The file was replaced or deleted while it was moved; the copy stays", path=src
    )
    is_decided = conditions.is_kept(transport, "delete")
    # Else a look leaves only a moment for the race.
    if not is_decided and await conditions.etag_now(transport, src) != (original.etag or ""):
        raise replaced
    try:
        await delete_version(transport, src, original.etag)
    except exceptions.PreconditionFailedException as error:
        raise replaced from error
    return etag


async def update_metadata(transport: Transport, path: str, options: WriteOptions) -> str | None:
    """Replace declared fields of a file, and keep the others; return the etag.

    Raises:
        FileNotFoundException: There is no file.
        PreconditionFailedException: `if_match` names another version, or the file was replaced
            meanwhile.
    """
    looking = _original(transport, path, "if_match", options.if_match)
    if options.visibility is not None:
        return await _updated(await looking, options, was_public=False)
    original, was_public = await both(looking, _is_public(transport, path))
    return await _updated(original, options, was_public=was_public)


async def _original(transport: Transport, key: str, option: str, expected: str | None) -> _Original:
    # First in any case: a missing file is the source, the copy is of this version, and a large file
    # must be copied in parts.
    found = await metadata.measured(transport, key, await metadata.head(transport, key))
    if expected not in {None, found.etag}:
        message = f"The file is not the version that {option} names"
        raise exceptions.PreconditionFailedException(message)
    size = metadata.size_of(found)
    return _Original(transport, key, found.etag, size, found.headers, _kind(transport, size))


def _kind(transport: Transport, size: int) -> str:
    """Return the kind of conditions that a copy of this size to a bucket is under."""
    return "parts" if size > transport.settings.copy_threshold else "copy"


def _replaces_metadata(options: WriteOptions) -> bool:
    return not (
        options.content_type is options.cache_control is options.content_disposition is None
        and options.content_encoding is None
        and options.metadata is None
    )


async def _copied(
    transport: Transport, original: _Original, dst: str, options: WriteOptions
) -> str:
    etag = await _made(transport, original, dst, options)
    await _ensure_visibility(transport, dst, options.visibility)
    return etag


async def _ensure_visibility(transport: Transport, dst: str, visibility: Visibility | None) -> None:
    await ensure_visibility(transport, dst, visibility)
    if visibility is not Visibility.PRIVATE or transport.settings.endpoint_url is None:
        return
    # SeaweedFS copies the original's ACL, whatever the request says.
    if await _is_public(transport, dst):
        await transport.send(set_acl(dst, ACLS[visibility]))


async def _made(transport: Transport, original: _Original, dst: str, options: WriteOptions) -> str:
    headers = {**transport.settings.driver_headers, **metadata.declared_headers(options)}
    if (
        original.kind == "parts"
        or _replaces_metadata(options)
        or headers.keys() & {"content-encoding", "content-language", "expires"}
    ):
        # S3 keeps all of the original's headers or none.
        kept = metadata.kept_headers(original.headers, options)
        headers = {**kept, **headers, _DIRECTIVE: "REPLACE"}
    try:
        await conditions.check_target(transport, original.kind, dst, options)
        return await _transferred(transport, original, dst, headers, options)
    except exceptions.PreconditionFailedException as error:
        # S3 answers both alike: the condition of the source, and that of the target.
        meant: exceptions.StorageException = exceptions.FileExistsException(EXISTS, path=dst)
        there = await conditions.etag_now(original.transport, original.key)
        if options.overwrite or there != (original.etag or ""):
            message = "The source was replaced while it was copied"
            meant = exceptions.PreconditionFailedException(message, path=original.key)
        raise await conditions.unless_landed(transport, dst, error, meant, original.size) from error
    except exceptions.StorageException as error:
        is_missing = isinstance(error, exceptions.FileNotFoundException)
        error.path = original.key if is_missing else error.path or dst
        raise


async def _updated(original: _Original, options: WriteOptions, *, was_public: bool) -> str:
    """Copy a file onto itself, with other headers, under the condition that it is this version.

    Args:
        original: The file as it is.
        options: What is to be different.
        was_public: Whether it stays public, where the options leave that open.
    """
    transport, path, visibility = original.transport, original.key, options.visibility
    headers = metadata.kept_headers(original.headers, options, is_same_file=True)
    headers |= {**metadata.declared_headers(options), _DIRECTIVE: "REPLACE"}
    if was_public and visibility is None:
        # S3 copies all but the ACL.
        visibility, headers["x-amz-acl"] = Visibility.PUBLIC, "public-read"
    # The source's condition holds when the copy begins, the target's, where it is kept, at its end.
    if_match = original.etag if conditions.is_kept(transport, original.kind) else None
    try:
        try:
            conditional = WriteOptions(if_match=if_match)
            etag = await _transferred(transport, original, path, headers, conditional)
        except exceptions.UnsupportedOperationException:
            etag = await _transferred(transport, original, path, headers, WriteOptions())
    except exceptions.PreconditionFailedException as error:
        message = "The file was replaced while its metadata was changed"
        meant = exceptions.PreconditionFailedException(message)
        raise await conditions.unless_landed(
            transport, path, error, meant, original.size
        ) from error
    if visibility is not None:
        await ensure_visibility(transport, path, visibility)
    return etag


async def _is_public(transport: Transport, path: str) -> bool:
    try:
        return await transport.send(is_public(path))
    except exceptions.UnsupportedOperationException:
        transport.learned.copies_acls = False  # there are none
        return False
    except exceptions.StoragePermissionException:
        return False  # a program that may not read them has not set them either


async def _transferred(
    transport: Transport,
    original: _Original,
    dst: str,
    headers: Mapping[str, str],
    options: WriteOptions,
) -> str:
    source = source_of(original.transport.settings.bucket, original.key)
    condition = {} if original.etag is None else {"x-amz-copy-source-if-match": original.etag}
    if original.kind == "parts":
        created = {name: value for name, value in headers.items() if name != _DIRECTIVE}
        return await _copied_in_parts(transport, original, dst, created, options, condition)
    tags = {"x-amz-tagging-directive": "REPLACE"} if "x-amz-tagging" in headers else {}
    sent = {**headers, **tags, **condition, **condition_headers(options, conditions.NO_ETAG)}
    request = copy_object(dst, source, sent, original.size)
    return (await conditions.despite_conflicts(transport, request)).etag


async def _copied_in_parts(
    transport: Transport,
    original: _Original,
    dst: str,
    headers: dict[str, str],
    options: WriteOptions,
    condition: dict[str, str],
) -> str:
    size, settings, learned = original.size, transport.settings, transport.learned
    source = source_of(original.transport.settings.bucket, original.key)
    checksums = learned.copy_checksums
    step = part_size(max(min(_COPY_PART, settings.copy_threshold), LEAST_PART), size, MAX_PARTS)
    try:
        async with upload_in_parts(transport, dst, headers, options, checksums=checksums) as upload:
            await upload.copy_all(source, size, step, condition)
            return await upload.complete(size)
    except exceptions.StorageException as error:
        # MinIO computes no checksums of copied parts, and then misses them.
        if not checksums or not errors.is_for_checksums(error):
            raise
    learned.copy_checksums = False
    return await _copied_in_parts(transport, original, dst, headers, options, condition)


def _check_one_store(target: Settings, source: Settings) -> None:
    """Check that two disks are of one store, and of the same keys there.

    Raises:
        UnsupportedOperationException: They are not; or an original that the client encrypts has
            another key.
    """
    if any(getattr(target, name) != getattr(source, name) for name in _OF_ONE_STORE) or (
        target.endpoint_url is not None
        and target.bucket != source.bucket
        and any(each.holds_bucket(target.endpoint_url) for each in (target, source))
    ):
        raise exceptions.UnsupportedOperationException(
            "The two disks have different endpoints or keys: no store can copy between them"
        )


def source_of(bucket: str, key: str) -> str:
    """Return an object's name as a copy's source."""
    return f"{bucket}/object/{key}" if bucket.startswith("arn:") else f"{bucket}/{key}"
