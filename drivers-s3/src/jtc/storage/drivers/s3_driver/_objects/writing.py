"""Writes: one request for what fits in one, else an upload in parts that appears as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.driver_support.mime_types import SNIFF_BYTES, guess_type, infer_type
from jtc.storage.drivers.s3_driver._objects import conditions
from jtc.storage.drivers.s3_driver._objects.content_parts import CheckedParts, crc32_of
from jtc.storage.drivers.s3_driver._objects.metadata import declared_headers
from jtc.storage.drivers.s3_driver._objects.upload_parts import MAX_PARTS, upload_in_parts
from jtc.storage.drivers.s3_driver._transport.errors import ConflictException
from jtc.storage.drivers.s3_driver._transport.operations import put_object
from jtc.storage.http_support.conditions import condition_headers
from jtc.storage.http_support.transfers.sending import part_size
from jtc.storage.options import WriteOptions

if TYPE_CHECKING:
    from jtc.storage.driver import DriverContent
    from jtc.storage.drivers.s3_driver._transport.operations import Request, Stored
    from jtc.storage.drivers.s3_driver._transport.transport import Transport

__all__ = ["write_file"]

_NO_OPTIONS = WriteOptions()


async def write_file(
    transport: Transport, key: str, content: DriverContent, options: WriteOptions
) -> str:
    """Store a file whole, or leave what was there; return its etag."""
    settings = transport.settings
    headers = dict(settings.driver_headers)
    # Only what was passed costs a call here.
    if options != _NO_OPTIONS:
        headers |= declared_headers(options)
    if not isinstance(content, bytes) or len(content) > settings.multipart_threshold:
        return await _write_source(transport, key, content, headers, options)
    if "content-type" not in headers:
        headers["content-type"] = _inferred_type(key, content, headers)
    crc32 = await crc32_of(content)
    request = put_object(key, content, headers, crc32 if settings.checksums else None)
    if options.overwrite and options.if_match is None:
        try:
            return (await transport.send(request)).etag
        except ConflictException:
            pass
    return await _put(transport, request, crc32, options)


def _inferred_type(key: str, beginning: bytes, headers: dict[str, str]) -> str:
    # Compressed content has the type of what is in it, which only the name says.
    return guess_type(key) if "content-encoding" in headers else infer_type(key, beginning)


async def _write_source(
    transport: Transport,
    key: str,
    content: DriverContent,
    headers: dict[str, str],
    options: WriteOptions,
) -> str:
    settings = transport.settings
    size = len(content) if isinstance(content, bytes) else options.size
    # Content of unknown length is sent in parts from the second one on: it has one place in memory.
    limit = settings.multipart_threshold
    if size is None:
        limit = min(limit, settings.part_size)
    parts = CheckedParts(content, await transport.memory(), transport.settings.memory_for_uploads)
    del content
    try:
        # Of content that is known to need parts, only what its type needs is held meanwhile.
        needs_parts = size is not None and size > limit
        beginning = await parts.head(SNIFF_BYTES if needs_parts else limit + 1)
        if "content-type" not in headers:
            headers["content-type"] = _inferred_type(key, beginning, headers)
        needs_parts = needs_parts or len(beginning) > limit
        del beginning
        if needs_parts:
            async with upload_in_parts(transport, key, headers, options) as upload:
                await upload.send_all(parts, part_size(settings.part_size, size, MAX_PARTS))
                return await upload.complete(parts.size, parts.crc32)
        body, release = await parts.next(limit)
        crc32 = parts.part_crc32
        request = put_object(key, body, headers, crc32 if settings.checksums else None)
        try:
            return await _put(transport, request, crc32, options)
        finally:
            release()
    finally:
        parts.close()


async def _put(
    transport: Transport, request: Request[Stored], crc32: int, options: WriteOptions
) -> str:
    if not options.overwrite or options.if_match is not None:
        conditions.check_kept(transport, "put")
        request.headers |= condition_headers(options, conditions.NO_ETAG)
    try:
        return (await conditions.despite_conflicts(transport, request)).etag
    except (exceptions.PreconditionFailedException, exceptions.FileNotFoundException) as error:
        meant, size = conditions.refused(error, options), len(request.body)
        raise await conditions.unless_landed(
            transport, request.key, error, meant, size, crc32
        ) from error
