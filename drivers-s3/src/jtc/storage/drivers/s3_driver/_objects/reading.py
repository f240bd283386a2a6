"""Reads of one version of a file: whole, or as a stream of chunks."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.driver import ReadStream
from jtc.storage.driver_support.checksums import new_digest
from jtc.storage.driver_support.ranges import resolve_range
from jtc.storage.drivers.s3_driver._objects import metadata
from jtc.storage.drivers.s3_driver._objects.conditions import OTHER_VERSION, one_version
from jtc.storage.drivers.s3_driver._objects.ranges import WHOLE, Range, get, other_range
from jtc.storage.drivers.s3_driver._objects.read_ahead import ReadAhead
from jtc.storage.drivers.s3_driver._transport import operations
from jtc.storage.drivers.s3_driver._transport.redaction import scrub
from jtc.storage.http_support.client import SLOWEST_BYTES_PER_SECOND
from jtc.storage.http_support.errors import RangeException
from jtc.storage.http_support.settings import MIB
from jtc.storage.options import DEFAULT_CHUNK_SIZE, ReadOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.drivers.s3_driver._transport.transport import Transport
    from jtc.storage.http_support.requests import Body
    from jtc.storage.models import FileInfo

__all__ = ["open_stream", "read_all"]

_READ_WITH_HEADERS = 64 * 1024
"""A file of at most this many bytes is read with its answer's head, and again as a whole where
that breaks off: a stream would cost a third of the time."""

_NO_LIMIT = 2**63
"""No file is as long, and a store that reads 64 bits takes a larger number for no range at all."""

_SMALLEST_TAKEN = 16 * 1024
"""Bytes that are taken at once from a connection, also for a reader of smaller chunks."""

_CHECKED = ("crc32", "sha256", "sha1")
"""The checksums that a whole read is held to: the first of them that the store keeps."""


async def read_all(transport: Transport, key: str) -> bytes:
    """Return a whole file's content. The caller has seen to the loop's budget."""
    headers = {"x-amz-checksum-mode": "ENABLED"} if transport.settings.checksums else {}
    request = operations.get_object(key, headers, leave_open_from=_READ_WITH_HEADERS)
    answer = await transport.send(request, is_begun=True)
    if answer.status != WHOLE:
        metadata.close(answer)
        raise other_range()
    content = answer.content
    if not isinstance(content, bytes):
        if answer.size is not None:
            options = ReadOptions(chunk_size=MIB, read_ahead=True)
            async with aclosing(await _reader(transport, key, answer, options)) as reader:
                return b"".join([chunk async for chunk in reader])
        content = await _read_to_end(content, transport.settings.request_timeout)
    crc32 = answer.headers.get("x-amz-checksum-crc32")
    if crc32 != operations.crc32_text(zlib.crc32(content)):
        checksum = _Checksum(metadata.checksums_of(answer.headers))
        checksum.update(content)
        checksum.check()
    return content


async def open_stream(transport: Transport, key: str, options: ReadOptions) -> ReadStream:
    """Open a file for reading."""
    start, end = options.start, options.end
    if end is not None and end >= _NO_LIMIT:
        end = None
    given = {"if-match": options.if_match, "if-none-match": options.if_none_match}
    conditions = {name: one_version(etag) for name, etag in given.items() if etag is not None}
    answer: operations.Object | None = None
    # S3 has no range of no bytes, nor one whose end counts from the beginning and whose start
    # counts from the end: then the length must be known first.
    if start != end and (start >= 0 or end is None):
        # An empty file has no range at all, and a start may lie past the end.
        with suppress(RangeException):
            answer = await get(transport, key, start, end, conditions, most=_most(options))
    if answer is None:
        # The reader requests what there is to read.
        answer = await metadata.head(transport, key, conditions)
    elif not start and end is None and answer.status != WHOLE:
        metadata.close(answer)
        raise other_range()
    answer = await metadata.measured(transport, key, answer)
    try:
        _check_conditions(answer.etag, options)
    except exceptions.StorageException:
        metadata.close(answer)
        raise
    reader = await _reader(transport, key, answer, options)
    return ReadStream(reader.info, reader, reader.aclose)


def _check_conditions(etag: str | None, options: ReadOptions) -> None:
    """Hold an answer to the conditions of its request: some engines ignore them."""
    if options.if_match is not None and etag not in {None, options.if_match}:
        raise exceptions.PreconditionFailedException(OTHER_VERSION)
    if etag is not None and etag == options.if_none_match:
        raise exceptions.NotModifiedException("The file still is the version of if_none_match")


async def _reader(
    transport: Transport, key: str, answer: operations.Object, options: ReadOptions
) -> _Reader:
    try:
        info = metadata.file_info(key, answer)
        first, last = resolve_range(options.start, options.end, info.size)
        body = None if isinstance(answer.content, bytes) else answer.content
        if body is not None and answer.first != first:
            raise other_range()
        checksum = _Checksum(info.checksums if (first, last) == (0, info.size) else {})
        is_eager = options.read_ahead and transport.learned.ranges is not False
        source = ReadAhead(
            transport,
            Range(transport, info, first, last, body, most=_most(options)),
            await transport.memory(),
            is_eager=is_eager,
        )
        return _Reader(transport, info, checksum, source, last - first, options.chunk_size)
    except BaseException:
        metadata.close(answer)  # no reader closes it
        raise


def _most(options: ReadOptions) -> int | None:
    """Return how many bytes are taken at once for a reader of small chunks: it may be slow."""
    if options.read_ahead or options.chunk_size >= DEFAULT_CHUNK_SIZE:
        return None
    return max(options.chunk_size, _SMALLEST_TAKEN)


async def _read_to_end(body: Body, limit: float) -> bytes:
    """Return the content of an answer that does not say how long it is."""
    pieces: list[bytes] = []
    try:
        async with asyncio.timeout(limit) as timer:
            while piece := await body.read(MIB):
                pieces.append(piece)
                more = len(piece) / SLOWEST_BYTES_PER_SECOND
                timer.reschedule((timer.when() or 0) + more)
    except TimeoutError as error:
        if type(error) is TimeoutError:
            raise _too_little(limit) from error
        raise
    finally:
        body.close()
    return b"".join(pieces)


class _Checksum:
    """What a whole content is held to: a checksum that the store keeps, if it keeps any."""

    def __init__(self, checksums: Mapping[str, str]) -> None:
        algorithm = next((each for each in _CHECKED if each in checksums), "")
        self._expected = checksums.get(algorithm)
        self._digest = new_digest(algorithm) if algorithm else None

    def update(self, piece: bytes) -> None:
        if self._digest is not None:
            self._digest.update(piece)

    def check(self) -> None:
        if self._digest is not None and self._digest.hexdigest() != self._expected:
            raise exceptions.IntegrityException(
                "The content is not what was stored: its checksum differs"
            )


def _too_little(limit: float) -> exceptions.StorageTimeoutException:
    return exceptions.StorageTimeoutException(f"The store sent too little in {limit:g} s")


@dataclass(eq=False, repr=False)
class _Reader(AsyncIterator[bytes]):
    """Yields the bytes of a source in chunks, within the deadline of each, and checks them.

    A class and not an async generator: one that is dropped before its first step must still
    release its connections.
    """

    transport: Transport
    info: FileInfo
    checksum: _Checksum
    source: ReadAhead
    missing: int
    chunk_size: int
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    async def __anext__(self) -> bytes:
        if not self.missing:
            self._finish()
            raise StopAsyncIteration
        limit = self.transport.settings.request_timeout
        try:
            async with asyncio.timeout(limit) as timer:
                chunk = await self._chunk(min(self.chunk_size, self.missing), timer)
        except BaseException as error:
            scrub(error)
            self.source.close()
            if type(error) is TimeoutError:
                raise _too_little(limit) from error
            raise
        if not self.missing:
            # With the last chunk and not after it: a reader of all bytes may stop here.
            self._finish()
            self.transport.budget.put_back(1)
        return chunk

    async def _chunk(self, size: int, timer: asyncio.Timeout) -> bytes:
        pieces: list[bytes] = []
        while size:
            piece = await self.source.read(size)
            pieces.append(piece)
            size -= len(piece)
            self.missing -= len(piece)
            # A large chunk takes its time, but not a chunk that comes byte by byte.
            timer.reschedule((timer.when() or 0) + len(piece) / SLOWEST_BYTES_PER_SECOND)
            self.checksum.update(piece)
        return b"".join(pieces)

    def _finish(self) -> None:
        self.source.close()
        self.checksum.check()

    async def aclose(self) -> None:
        self.missing = 0
        self.checksum = _Checksum({})
        if asyncio.get_running_loop() is not self.loop:
            self._close_in_loop()
        elif tasks := self.source.close():
            await asyncio.wait(tasks)

    def __del__(self) -> None:
        if self.missing:
            self._close_in_loop()

    def _close_in_loop(self) -> None:
        # In whatever thread this is; a body may be closed in its loop's thread only.
        if not self.loop.is_closed():
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self.source.close)
