"""Reads of one version of a file: whole, or as a stream of chunks."""

from __future__ import annotations

from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

import google_crc32c

from jtc.storage import exceptions
from jtc.storage.driver import ReadStream
from jtc.storage.drivers.gcs_driver._objects import conditions, metadata
from jtc.storage.drivers.gcs_driver._objects.content_parts import checksum_text
from jtc.storage.drivers.gcs_driver._transport.operations import get_media
from jtc.storage.http_support.conditions import OTHER_VERSION, SAME_VERSION, check_read
from jtc.storage.http_support.errors import RangeException
from jtc.storage.http_support.settings import MIB
from jtc.storage.http_support.transfers.answers import WHOLE
from jtc.storage.http_support.transfers.ranges import Version, other_range, range_header
from jtc.storage.http_support.transfers.reading import (
    Checksum,
    FileReader,
    file_reader,
    taken_at_once,
)
from jtc.storage.options import ReadOptions

if TYPE_CHECKING:
    from jtc.storage.drivers.gcs_driver._transport.operations import Media
    from jtc.storage.drivers.gcs_driver._transport.transport import Transport
    from jtc.storage.http_support.requests import Request

__all__ = ["open_stream", "read_all"]

_READ_WITH_HEADERS = 64 * 1024
"""A file of at most this many bytes is read with its answer's head, and again as a whole where
that breaks off."""

_NO_LIMIT = 2**63
"""No file is as long."""


class _Crc32c(Checksum):
    """What a whole content is held to: its CRC-32C, in base64."""

    def __init__(self, expected: str) -> None:
        super().__init__({})
        self._text, self._value = expected, 0

    def update(self, piece: bytes) -> None:
        self._value = google_crc32c.extend(self._value, piece)

    def check(self) -> None:
        if checksum_text(self._value) != self._text:
            raise exceptions.IntegrityException(
                "The content is not what was stored: its checksum differs"
            )


async def read_all(transport: Transport, path: str) -> bytes:
    """Return a whole file's content. The caller has seen to the loop's budget."""
    request = get_media(transport.settings.bucket, path, {}, leave_open_from=_READ_WITH_HEADERS)
    media = await transport.send(request, is_begun=True)
    if media.status != WHOLE:
        media.close()
        raise other_range()
    content = media.content
    if isinstance(content, bytes):
        if (expected := metadata.crc32c_of_media(media.headers)) is not None:
            checksum = _Crc32c(expected)
            checksum.update(content)
            checksum.check()
        return content
    options = ReadOptions(chunk_size=MIB, read_ahead=True)
    async with aclosing(await _reader(transport, path, media, options)) as reader:
        return await reader.read_all()


async def open_stream(transport: Transport, path: str, options: ReadOptions) -> ReadStream:
    """Open a file for reading."""
    if options.if_none_match is not None:
        # No condition of Google's names both numbers of a version that must not be there.
        there = await metadata.resource_of(transport, path)
        if conditions.etag_of(there) == options.if_none_match:
            raise exceptions.NotModifiedException(SAME_VERSION)
    try:
        media = await _opened(transport, path, options)
    except exceptions.PreconditionFailedException as error:
        # Which of the two a missing file is answered by is not documented.
        if await metadata.resource_now(transport, path) is None:
            raise exceptions.FileNotFoundException("File not found") from error
        raise exceptions.PreconditionFailedException(OTHER_VERSION) from error
    try:
        # Held to them again: an emulator may ignore conditions.
        check_read(media.etag, options)
        if not options.start and options.end is None and media.status != WHOLE:
            raise other_range()
    except exceptions.StorageException:
        media.close()
        raise
    reader = await _reader(transport, path, media, options)
    return ReadStream(reader.info, reader, reader.aclose)


async def _opened(transport: Transport, path: str, options: ReadOptions) -> Media:
    """Request a file or a range of it."""
    start, end, bucket = options.start, options.end, transport.settings.bucket
    if end is not None and end >= _NO_LIMIT:
        end = None
    headers = conditions.media_conditions(options.if_match)
    # HTTP has no range of no bytes, nor one whose end counts from the beginning and whose start
    # counts from the end: then the length must be known first.
    if start != end and (start >= 0 or end is None):
        with suppress(RangeException):  # an empty file, or a start past the end
            return await transport.send(
                get_media(
                    bucket, path, headers | range_header(start, end), most=taken_at_once(options)
                )
            )
    # The reader requests what there is to read.
    return await transport.send(get_media(bucket, path, headers, method="HEAD"))


async def _reader(
    transport: Transport, path: str, media: Media, options: ReadOptions
) -> FileReader:
    try:
        if media.size is None:  # fake-gcs-server does not say it of an empty file
            media.length = (await metadata.stat(transport, path)).size
        info = metadata.media_info(path, media)
    except BaseException:
        media.close()
        raise
    condition = conditions.media_conditions(info.etag)

    def request(start: int, end: int) -> Request[Media]:
        return get_media(transport.settings.bucket, path, condition | range_header(start, end))

    reader = await file_reader(Version(transport, info, request), media, options)
    expected = metadata.crc32c_of_media(media.headers)
    is_whole = reader.missing == info.size and expected is not None
    reader.checksum = _Crc32c(expected) if is_whole and expected else Checksum({})
    return reader
