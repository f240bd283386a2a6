"""Writes: one request for what fits in one, else an upload in chunks that appears as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jtc.storage import exceptions
from jtc.storage.driver_support.mime_types import SNIFF_BYTES, guess_type, infer_type
from jtc.storage.drivers.gcs_driver._objects import conditions, metadata
from jtc.storage.drivers.gcs_driver._objects.content_parts import (
    CheckedParts,
    checksum_text,
    crc32c,
)
from jtc.storage.drivers.gcs_driver._objects.upload_parts import Upload
from jtc.storage.drivers.gcs_driver._transport.operations import delete_object, insert_object
from jtc.storage.http_support.conditions import EXISTS, OTHER_VERSION, lost_answer
from jtc.storage.http_support.errors import may_have_acted

if TYPE_CHECKING:
    from jtc.storage.driver import DriverContent
    from jtc.storage.drivers.gcs_driver._transport.operations import Resource
    from jtc.storage.drivers.gcs_driver._transport.transport import Transport
    from jtc.storage.options import WriteOptions

__all__ = ["write_file"]


async def write_file(
    transport: Transport, path: str, content: DriverContent, options: WriteOptions
) -> str:
    """Store a file whole, or leave what was there; return its etag."""
    settings = transport.settings
    fields = {**settings.driver_fields, **metadata.declared_fields(options)}
    limit = settings.multipart_threshold
    if isinstance(content, bytes) and len(content) <= limit:
        _infer_type(path, content, fields)
        return await _put(transport, path, content, await crc32c(content), fields, options)
    size = len(content) if isinstance(content, bytes) else options.size
    chunks = CheckedParts(content, await transport.memory(), settings.memory_for_uploads)
    del content
    try:
        # Of content that is known to need chunks, only what its type needs is held meanwhile.
        is_large = size is not None and size > limit
        beginning = await chunks.head(SNIFF_BYTES if is_large else limit + 1)
        _infer_type(path, beginning, fields)
        is_large = is_large or len(beginning) > limit
        del beginning
        if is_large:
            return await _upload(transport, path, chunks, fields, options)
        body, release = await chunks.next(limit)
        try:
            return await _put(transport, path, body, chunks.crc32c, fields, options)
        finally:
            release()
    finally:
        chunks.close()


def _infer_type(path: str, beginning: bytes, fields: dict[str, Any]) -> None:
    if "contentType" not in fields:
        # Compressed content has the type of what is in it, which only the name says.
        is_compressed = "contentEncoding" in fields
        fields["contentType"] = guess_type(path) if is_compressed else infer_type(path, beginning)


def _query(transport: Transport, fields: dict[str, Any], options: WriteOptions) -> dict[str, str]:
    """Return the parameters of a write. The key that encrypts is one, and no field."""
    query = {**conditions.target_conditions(options), **metadata.acl_query(transport, options)}
    if key := fields.pop("kmsKeyName", None):
        query["kmsKeyName"] = key
    return query


async def _put(
    transport: Transport,
    path: str,
    content: bytes,
    checksum: int,
    fields: dict[str, Any],
    options: WriteOptions,
) -> str:
    query, expected = _query(transport, fields, options), checksum_text(checksum)
    sent = {**fields, "name": path, "crc32c": expected}
    request = insert_object(transport.settings.bucket, sent, content, query)
    try:
        stored = await transport.send(request)
    except exceptions.PreconditionFailedException as error:
        raise await _refused(transport, path, error, options, len(content), expected) from error
    return await _checked(transport, path, stored, expected)


async def _upload(
    transport: Transport,
    path: str,
    chunks: CheckedParts,
    fields: dict[str, Any],
    options: WriteOptions,
) -> str:
    query = _query(transport, fields, options)
    try:
        stored = await Upload(transport, path).send_all(chunks, fields, query)
    except exceptions.PreconditionFailedException as error:
        checksum = checksum_text(chunks.crc32c)
        raise await _refused(transport, path, error, options, chunks.size, checksum) from error
    return await _checked(transport, path, stored, checksum_text(chunks.crc32c))


async def _checked(transport: Transport, path: str, stored: Resource, checksum: str) -> str:
    """Return the etag of what was stored, if that is what was sent.

    Google compares the checksum that is sent with the content; another store may not.

    Raises:
        IntegrityException: It is something else, and was deleted.
    """
    if stored.get("crc32c", checksum) != checksum:
        condition = {"ifGenerationMatch": str(stored["generation"])}
        await transport.send(delete_object(transport.settings.bucket, path, condition))
        raise exceptions.IntegrityException(
            "The content changed on its way to the store", retryable=True
        )
    return conditions.etag_of(stored)


async def _refused(
    transport: Transport,
    path: str,
    error: exceptions.StorageException,
    options: WriteOptions,
    size: int,
    checksum: str,
) -> exceptions.StorageException:
    """Return what a refused condition means, unless the write itself may have made it false.

    Where the answer to a write is lost, it is retried, and the second one meets the file of the
    first. Called refused, an `append` would add its bytes once more, and a file that one of
    several writers was to make would seem to be made by none of them.
    """
    if may_have_acted(error):
        there = await metadata.resource_now(transport, path)
        if there is not None and (str(there.get("size")), there.get("crc32c")) == (
            str(size),
            checksum,
        ):
            return lost_answer(path)
    if not options.overwrite:
        return exceptions.FileExistsException(EXISTS)
    return exceptions.PreconditionFailedException(OTHER_VERSION)
