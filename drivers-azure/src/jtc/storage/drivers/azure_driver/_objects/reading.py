"""Reads of one version of a file: whole, or as a stream of chunks."""

from __future__ import annotations

from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.driver import ReadStream
from jtc.storage.drivers.azure_driver._objects import metadata
from jtc.storage.drivers.azure_driver._objects.conditions import NO_ETAG
from jtc.storage.http_support.conditions import check_read, read_headers
from jtc.storage.http_support.errors import RangeException
from jtc.storage.http_support.settings import MIB
from jtc.storage.http_support.transfers.answers import WHOLE
from jtc.storage.http_support.transfers.ranges import Version, other_range, range_header
from jtc.storage.http_support.transfers.reading import Checksum, file_reader, taken_at_once
from jtc.storage.options import ReadOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.drivers.azure_driver._transport.operations import Blob
    from jtc.storage.drivers.azure_driver._transport.transport import Transport
    from jtc.storage.http_support.requests import Request

__all__ = ["open_stream", "read_all"]

_READ_WITH_HEADERS = 64 * 1024
"""A file of at most this many bytes is read with its answer's head, and again as a whole where
that breaks off: a stream would cost a third of the time."""

_NO_LIMIT = 2**63
"""No file is as long, and a store that reads 64 bits takes a larger number for no range at all."""


async def read_all(transport: Transport, path: str) -> bytes:
    """Return a whole file's content. The caller has seen to the loop's budget."""
    request = transport.requests.get_blob(path, {}, leave_open_from=_READ_WITH_HEADERS)
    blob = (await transport.send(request, is_begun=True)).check_file()
    if blob.status != WHOLE:
        blob.close()
        raise other_range()
    version = _version(transport, path, blob)
    if not isinstance(blob.content, bytes):
        options = ReadOptions(chunk_size=MIB, read_ahead=True)
        async with aclosing(await file_reader(version, blob, options)) as reader:
            return await reader.read_all()
    checksum = Checksum(version.info.checksums)
    checksum.update(blob.content)
    checksum.check()
    return blob.content


async def open_stream(transport: Transport, path: str, options: ReadOptions) -> ReadStream:
    """Open a file for reading."""
    conditions = read_headers(options, NO_ETAG)
    try:
        blob = await _opened(transport, path, options, conditions)
    except exceptions.PreconditionFailedException:
        await metadata.head(transport, path)  # Azure says the same where there is none
        raise
    reader = await file_reader(_version(transport, path, blob), blob, options)
    return ReadStream(reader.info, reader, reader.aclose)


async def _opened(
    transport: Transport, path: str, options: ReadOptions, conditions: Mapping[str, str]
) -> Blob:
    """Return the answer with the bytes that are wanted, or with the file's headers alone."""
    start, end = options.start, options.end
    if end is not None and end >= _NO_LIMIT:
        end = None
    blob: Blob | None = None
    # Azure has no range of no bytes, nor one that counts from the end: then the length must be
    # known first.
    if start != end and start >= 0:
        headers = {**conditions, **range_header(start, end)}
        request = transport.requests.get_blob(path, headers, most=taken_at_once(options))
        # An empty file has no range at all, and a start may lie past the end.
        with suppress(RangeException):
            blob = await transport.send(request)
    if blob is None:
        # The reader requests what there is to read.
        blob = await metadata.head(transport, path, dict(conditions))
    blob.check_file()
    try:
        if not start and end is None and blob.status != WHOLE:
            raise other_range()
        # The answer is held to the conditions of its request.
        check_read(blob.etag, options)
    except BaseException:
        blob.close()
        raise
    return blob


def _version(transport: Transport, path: str, blob: Blob) -> Version:
    """Return the version of which an answer is, which is closed where it does not say that."""
    try:
        info = metadata.file_info(path, blob)
    except BaseException:
        blob.close()
        raise
    condition = {"if-match": blob.confirmed_etag}

    def request(start: int, end: int) -> Request[Blob]:
        return transport.requests.get_blob(path, condition | range_header(start, end))

    return Version(transport, info, request)
