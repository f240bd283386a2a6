"""Writes: one request for what fits in one, else blocks that appear as a whole."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.driver_support.content import in_thread
from jtc.storage.driver_support.mime_types import SNIFF_BYTES, guess_type, infer_type
from jtc.storage.drivers.azure_driver._objects import conditions
from jtc.storage.drivers.azure_driver._objects.listing import is_marked
from jtc.storage.drivers.azure_driver._objects.metadata import SERVED, declared_headers
from jtc.storage.drivers.azure_driver._objects.upload_parts import Upload
from jtc.storage.drivers.azure_driver._transport.errors import BlocksLostException
from jtc.storage.http_support.conditions import condition_headers
from jtc.storage.http_support.transfers.content_parts import ContentParts
from jtc.storage.options import WriteOptions

if TYPE_CHECKING:
    from jtc.storage.driver import DriverContent
    from jtc.storage.drivers.azure_driver._transport.transport import Transport

__all__ = ["make_marker", "write_file"]

_NO_OPTIONS = WriteOptions()
_TYPE = SERVED["content-type"]
_UPLOADS = 3
"""How often bytes are sent in blocks at most, where other writers' ends drop these."""

THREAD_FROM = 1024 * 1024
"""Bytes from which on a checksum is worth a thread: MD5 takes up to two milliseconds a MiB."""


async def write_file(
    transport: Transport, path: str, content: DriverContent, options: WriteOptions
) -> str:
    """Store a file whole, or leave what was there; return its etag."""
    settings = transport.settings
    headers = dict(settings.driver_headers)
    # Only what was passed costs a call here.
    if options != _NO_OPTIONS:
        headers |= declared_headers(options)
    if not isinstance(content, bytes):
        return await _write_source(transport, path, content, headers, options)
    if _TYPE not in headers:
        headers[_TYPE] = _inferred_type(path, content, headers)
    if len(content) <= settings.multipart_threshold:
        return await _put(transport, path, content, headers, options)
    for attempt in range(1, _UPLOADS + 1):
        try:
            return await _write_blocks(transport, path, content, headers, options)
        except BlocksLostException:
            if attempt == _UPLOADS:
                raise
    raise AssertionError("unreachable")


def _inferred_type(path: str, beginning: bytes, headers: dict[str, str]) -> str:
    # Compressed content has the type of what is in it, which only the name says.
    is_compressed = SERVED["content-encoding"] in headers
    return guess_type(path) if is_compressed else infer_type(path, beginning)


async def _write_blocks(
    transport: Transport, path: str, content: bytes, headers: dict[str, str], options: WriteOptions
) -> str:
    settings = transport.settings
    parts = ContentParts(content, await transport.memory(), settings.memory_for_uploads)
    try:
        upload = Upload(transport, path)
        await upload.send_all(parts, len(content))
        return await upload.commit(headers, options)
    finally:
        parts.close()


async def _write_source(
    transport: Transport,
    path: str,
    content: DriverContent,
    headers: dict[str, str],
    options: WriteOptions,
) -> str:
    settings, size = transport.settings, options.size
    # Content of unknown length is sent in blocks from the second one on: it has one place in
    # memory.
    limit = settings.multipart_threshold
    if size is None:
        limit = min(limit, settings.part_size)
    parts = ContentParts(content, await transport.memory(), settings.memory_for_uploads)
    del content
    try:
        # Of content that is known to need blocks, only what its type needs is held meanwhile.
        needs_blocks = size is not None and size > limit
        beginning = await parts.head(SNIFF_BYTES if needs_blocks else limit + 1)
        if _TYPE not in headers:
            headers[_TYPE] = _inferred_type(path, beginning, headers)
        needs_blocks = needs_blocks or len(beginning) > limit
        del beginning
        if needs_blocks:
            upload = Upload(transport, path)
            await upload.send_all(parts, size)
            return await upload.commit(headers, options)
        body, release = await parts.next(limit)
        try:
            return await _put(transport, path, body, headers, options)
        finally:
            release()
    finally:
        parts.close()


async def _put(
    transport: Transport, path: str, body: bytes, headers: dict[str, str], options: WriteOptions
) -> str:
    md5: bytes | None = None
    if transport.settings.checksums:
        digest = _md5(body) if len(body) < THREAD_FROM else await in_thread(_md5, body)
        md5 = digest
        headers["content-md5"] = base64.b64encode(digest).decode()
    if not options.overwrite or options.if_match is not None:
        headers |= condition_headers(options, conditions.NO_ETAG)
    try:
        return await transport.send(transport.requests.put_blob(path, body, headers))
    except exceptions.PreconditionFailedException as error:
        meant = conditions.refused(error, options)
        said = None if md5 is None else md5.hex()
        raise await conditions.unless_landed(
            transport, path, error, meant, said, len(body)
        ) from error


async def make_marker(transport: Transport, name: str, headers: dict[str, str]) -> None:
    """Store the empty blob that stands for a directory; one that is there stays."""
    request = transport.requests.put_blob(name, b"", dict(headers))
    try:
        await transport.send(request)
    except exceptions.FileExistsException as error:
        if "if-none-match" in headers and not await is_marked(transport, name):
            raise exceptions.PathConflictException("A file is there, and no directory") from error


def _md5(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()
