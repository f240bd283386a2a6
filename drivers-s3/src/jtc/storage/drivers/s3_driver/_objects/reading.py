"""Reads of one version of a file: whole, or as a stream of chunks."""

from __future__ import annotations

import zlib
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.driver import ReadStream
from jtc.storage.drivers.s3_driver._objects import metadata
from jtc.storage.drivers.s3_driver._objects.conditions import NO_ETAG
from jtc.storage.drivers.s3_driver._transport import operations
from jtc.storage.http_support.conditions import check_read, read_headers
from jtc.storage.http_support.errors import RangeException
from jtc.storage.http_support.settings import MIB
from jtc.storage.http_support.transfers.answers import WHOLE
from jtc.storage.http_support.transfers.ranges import Version, other_range, range_header
from jtc.storage.http_support.transfers.reading import (
    Checksum,
    file_reader,
    read_to_end,
    taken_at_once,
)
from jtc.storage.options import ReadOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from jtc.storage.drivers.s3_driver._transport.transport import Transport
    from jtc.storage.http_support.transfers.answers import FileAnswer

__all__ = ["open_stream", "read_all"]

_READ_WITH_HEADERS = 64 * 1024
"""A file of at most this many bytes is read with its answer's head, and again as a whole where
that breaks off: a stream would cost a third of the time."""

_READ_AT_OPENING = 256 * 1024
"""The same of a file that is opened by a reader of all its bytes."""

_NO_LIMIT = 2**63
"""No file is as long, and a store that reads 64 bits takes a larger number for no range at all."""


async def read_all(transport: Transport, key: str) -> bytes:
    """Return a whole file's content. The caller has seen to the loop's budget."""
    headers = {"x-amz-checksum-mode": "ENABLED"} if transport.settings.checksums else {}
    request = operations.get_object(key, headers, leave_open_from=_READ_WITH_HEADERS)
    answer = await transport.send(request, is_begun=True)
    if answer.status != WHOLE:
        answer.close()
        raise other_range()
    content = answer.content
    if not isinstance(content, bytes):
        if answer.size is not None:
            options = ReadOptions(chunk_size=MIB, read_ahead=True)
            version = _version(transport, key, answer)
            async with aclosing(await file_reader(version, answer, options)) as reader:
                return await reader.read_all()
        content = await read_to_end(content, transport.settings.request_timeout)
    _check_whole(answer.headers, content)
    return content


def _check_whole(headers: Mapping[str, str], content: bytes) -> None:
    """Compare a whole content with the checksum that its answer has, if it has any.

    Raises:
        IntegrityException: It is not what was stored.
    """
    if headers.get("x-amz-checksum-crc32") != operations.crc32_text(zlib.crc32(content)):
        checksum = Checksum(metadata.checksums_of(headers))
        checksum.update(content)
        checksum.check()


async def _one_chunk(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def open_stream(transport: Transport, key: str, options: ReadOptions) -> ReadStream:
    """Open a file for reading."""
    start, end = options.start, options.end
    if end is not None and end >= _NO_LIMIT:
        end = None
    conditions = read_headers(options, NO_ETAG)
    answer: FileAnswer | None = None
    # S3 has no range of no bytes, nor one whose end counts from the beginning and whose start
    # counts from the end: then the length must be known first.
    if start != end and (start >= 0 or end is None):
        # An empty file has no range at all, and a start may lie past the end.
        with suppress(RangeException):
            answer = await _get(transport, key, options, end, conditions)
    if answer is None:
        # The reader requests what there is to read.
        answer = await metadata.head(transport, key, conditions)
    elif not start and end is None and answer.status != WHOLE:
        answer.close()
        raise other_range()
    answer = await metadata.measured(transport, key, answer)
    try:
        _check_version(answer, options)
    except exceptions.StorageException:
        answer.close()
        raise
    version, content = _version(transport, key, answer), answer.content
    if isinstance(content, bytes) and content and len(content) == version.info.size:
        _check_whole(answer.headers, content)
        return ReadStream(version.info, _one_chunk(content))
    reader = await file_reader(version, answer, options)
    return ReadStream(reader.info, reader, reader.aclose)


def _check_version(answer: FileAnswer, options: ReadOptions) -> None:
    """Check that an answer is the version that was asked for.

    Raises:
        StorageUnavailableException: It does not say of which version it is, as each of a store
            does: it is a page of a proxy in between, say.
        StorageException: What `check_read` raises.
    """
    if options.if_match is not None and answer.etag is None:
        raise exceptions.StorageUnavailableException(
            "The answer names no version of the file, though one was asked for: it may not be the "
            "store's"
        )
    check_read(answer.etag, options)


async def _get(
    transport: Transport,
    key: str,
    options: ReadOptions,
    end: int | None,
    conditions: Mapping[str, str],
) -> FileAnswer:
    """Request a file or a range of it."""
    start, limit = options.start, -1
    headers = {**conditions, **range_header(start, end)}
    if not start and end is None:
        if transport.settings.checksums:
            headers["x-amz-checksum-mode"] = "ENABLED"
        if options.read_ahead:
            limit = min(_READ_AT_OPENING, options.chunk_size)
    most = taken_at_once(options)
    return await transport.send(
        operations.get_object(key, headers, leave_open_from=limit, most=most)
    )


def _version(transport: Transport, key: str, answer: FileAnswer) -> Version:
    """Return the version of which an answer is, which is closed where it does not say that."""
    try:
        info = metadata.file_info(key, answer)
    except BaseException:
        answer.close()
        raise
    conditions = {} if info.etag is None else {"if-match": info.etag}

    def request(start: int, end: int) -> operations.Request[FileAnswer]:
        return operations.get_object(key, {**conditions, **range_header(start, end)})

    return Version(transport, info, request)
