"""Reads of one version of a file: whole, or as a stream of chunks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.driver import ReadStream
from jtc.storage.driver_support.checksums import new_digest
from jtc.storage.driver_support.ranges import resolve_range
from jtc.storage.drivers.azure_driver._blobs import metadata
from jtc.storage.drivers.azure_driver._blobs.conditions import OTHER_VERSION, one_version
from jtc.storage.drivers.azure_driver._settings import MIB
from jtc.storage.http_support.client import SLOWEST_BYTES_PER_SECOND
from jtc.storage.http_support.errors import RangeException
from jtc.storage.http_support.redaction import scrub
from jtc.storage.http_support.token_bucket import RETRY_PRICE
from jtc.storage.options import DEFAULT_CHUNK_SIZE, ReadOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.drivers.azure_driver._transport.operations import Blob
    from jtc.storage.drivers.azure_driver._transport.transport import Transport
    from jtc.storage.http_support.requests import Body
    from jtc.storage.models import FileInfo

__all__ = ["open_stream", "read_all"]

_READ_WITH_HEADERS = 64 * 1024
"""A file of at most this many bytes is read with its answer's head, and again as a whole where
that breaks off: a stream would cost a third of the time."""

_NO_LIMIT = 2**63
_SMALLEST_TAKEN = 16 * 1024
"""Bytes that are taken at once from a connection, also for a reader of smaller chunks."""

_RETRY_SECONDS = 0.1
"""The pause before a broken connection is replaced, more or less by half, so that not all readers
come back at once; twice as long each time that no byte came."""

_WHOLE = 200


async def read_all(transport: Transport, path: str) -> bytes:
    """Return a whole file's content. The caller has seen to the loop's budget."""
    request = transport.requests.get_blob(path, {}, leave_open_from=_READ_WITH_HEADERS)
    blob = (await transport.send(request, is_begun=True)).check_file()
    if blob.status != _WHOLE:
        blob.close()
        raise _other_range()
    if not isinstance(blob.content, bytes):
        options = ReadOptions(chunk_size=MIB, read_ahead=True)
        async with aclosing(_reader(transport, path, blob, options)) as reader:
            return b"".join([chunk async for chunk in reader])
    checksum = _Checksum(metadata.file_info(path, blob).checksums)
    checksum.update(blob.content)
    checksum.check()
    return blob.content


async def open_stream(transport: Transport, path: str, options: ReadOptions) -> ReadStream:
    """Open a file for reading."""
    start, end = options.start, options.end
    if end is not None and end >= _NO_LIMIT:
        end = None
    given = {"if-match": options.if_match, "if-none-match": options.if_none_match}
    conditions = {name: one_version(etag) for name, etag in given.items() if etag is not None}
    try:
        blob = await _opened(transport, path, start, end, conditions, options)
    except exceptions.PreconditionFailedException:
        await metadata.head(transport, path)  # Azure says the same where there is none
        raise
    reader = _reader(transport, path, blob, options)
    return ReadStream(reader.info, reader, reader.aclose)


async def _opened(
    transport: Transport,
    path: str,
    start: int,
    end: int | None,
    conditions: Mapping[str, str],
    options: ReadOptions,
) -> Blob:
    blob: Blob | None = None
    # Azure has no range of no bytes, nor one that counts from the end: then the length must be
    # known first.
    if start != end and start >= 0:
        # An empty file has no range at all, and a start may lie past the end.
        with suppress(RangeException):
            blob = await _get(transport, path, start, end, conditions, _most(options))
    if blob is None:
        # The reader requests what there is to read.
        blob = await metadata.head(transport, path, dict(conditions))
    blob.check_file()
    try:
        if not start and end is None and blob.status != _WHOLE:
            raise _other_range()
        # The answer is held to the conditions of its request.
        if options.if_match is not None and blob.etag != options.if_match:
            raise exceptions.PreconditionFailedException(OTHER_VERSION)
        if blob.etag == options.if_none_match:
            message = "The file still is the version of if_none_match"
            raise exceptions.NotModifiedException(message)
    except BaseException:
        blob.close()
        raise
    return blob


async def _get(
    transport: Transport,
    path: str,
    start: int,
    end: int | None,
    conditions: Mapping[str, str],
    most: int | None,
) -> Blob:
    headers = dict(conditions)
    if start or end is not None:
        headers["range"] = f"bytes={start}-{'' if end is None else end - 1}"  # the last is included
    return await transport.send(transport.requests.get_blob(path, headers, most=most))


def _reader(transport: Transport, path: str, blob: Blob, options: ReadOptions) -> _Reader:
    try:
        info = metadata.file_info(path, blob)
        first, last = resolve_range(options.start, options.end, info.size)
        body = None if isinstance(blob.content, bytes) else blob.content
        if body is not None and blob.first != first:
            raise _other_range()
        checksum = _Checksum(info.checksums if (first, last) == (0, info.size) else {})
        source = _Range(transport, info, first, last, body, most=_most(options))
        return _Reader(transport, info, checksum, source, last - first, options.chunk_size)
    except BaseException:
        blob.close()  # no reader closes it
        raise


def _most(options: ReadOptions) -> int | None:
    """Return how many bytes are taken at once for a reader of small chunks: it may be slow."""
    if options.read_ahead or options.chunk_size >= DEFAULT_CHUNK_SIZE:
        return None
    return max(options.chunk_size, _SMALLEST_TAKEN)


def _other_range() -> exceptions.IntegrityException:
    return exceptions.IntegrityException("The store sent another range than was requested")


def _replaced() -> exceptions.IntegrityException:
    message = "The file was replaced or deleted while it was read"
    return exceptions.IntegrityException(message, retryable=True)


@dataclass(slots=True, eq=False, repr=False)
class _Range:
    """The bytes from `position` to `last` of one version of a file.

    Attributes:
        transport: Where.
        info: The version.
        position: The next byte that is read.
        last: The byte after the last.
        body: What they come from, which may have more of them; None where it must be requested.
        most: As that of a request.
    """

    transport: Transport
    info: FileInfo
    position: int
    last: int
    body: Body | None = None
    most: int | None = None

    async def read(self, size: int) -> bytes:
        """Return the next bytes, `size` at most; a broken connection is replaced."""
        budget, most = self.transport.http.budget, self.transport.settings.max_attempts
        failures = 0
        while True:
            try:
                if self.body is None:
                    self.body = await self._requested()
                piece = await self.body.read(min(size, self.last - self.position))
                if not piece:
                    raise exceptions.StorageUnavailableException("The connection broke off")
            except exceptions.StorageUnavailableException:
                self.close()
                failures += 1
                if failures >= most or not budget.take():
                    raise
                pause = _RETRY_SECONDS * 2 ** (failures - 1)
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
                continue
            budget.put_back(failures * RETRY_PRICE)
            self.position += len(piece)
            return piece

    async def _requested(self) -> Body:
        """Request what is missing, of the same version."""
        info, condition = self.info, {"if-match": self.info.etag or ""}
        try:
            blob = await _get(
                self.transport, info.path, self.position, self.last, condition, self.most
            )
        except (
            exceptions.PreconditionFailedException,
            exceptions.FileNotFoundException,
            RangeException,
        ) as changed:
            raise _replaced() from changed
        try:
            # Held to the condition, as a cache on the way might ignore it.
            if blob.etag != info.etag or blob.size != info.size:
                raise _replaced()
            if blob.first != self.position or isinstance(blob.content, bytes):
                raise _other_range()
        except BaseException:
            blob.close()
            raise
        return blob.content

    def close(self) -> None:
        """Release the connection."""
        body, self.body = self.body, None
        if body is not None:
            body.close()


class _Checksum:
    """What a whole content is held to: the MD5 that the store keeps, if it keeps one."""

    def __init__(self, checksums: Mapping[str, str]) -> None:
        self._expected = checksums.get("md5")
        self._digest = None if self._expected is None else new_digest("md5")

    def update(self, piece: bytes) -> None:
        if self._digest is not None:
            self._digest.update(piece)

    def check(self) -> None:
        if self._digest is not None and self._digest.hexdigest() != self._expected:
            raise exceptions.IntegrityException(
                "The content is not what was stored: its checksum differs"
            )


@dataclass(eq=False, repr=False)
class _Reader(AsyncIterator[bytes]):
    """Yields the bytes of a source in chunks, within the deadline of each, and checks them.

    A class and not an async generator: one that is dropped before its first step must still
    release its connections.
    """

    transport: Transport
    info: FileInfo
    checksum: _Checksum
    source: _Range
    missing: int
    chunk_size: int
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    is_closed: bool = False

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
            self.is_closed = True
            self.source.close()
            if type(error) is TimeoutError:
                message = f"The store sent too little in {limit:g} s"
                raise exceptions.StorageTimeoutException(message) from error
            raise
        if not self.missing:
            # With the last chunk and not after it: a reader of all bytes may stop here.
            self._finish()
            self.transport.http.budget.put_back(1)
        return chunk

    async def _chunk(self, size: int, timer: asyncio.Timeout) -> bytes:
        if self.is_closed:
            # A reader that was cancelled has lost bytes: it must not go on behind them.
            message = "The stream was closed, or its reading failed: open the file again"
            raise exceptions.StorageUnavailableException(message)
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
        else:
            self.source.close()

    def __del__(self) -> None:
        if self.missing:
            self._close_in_loop()

    def _close_in_loop(self) -> None:
        # In whatever thread this is; a body may be closed in its loop's thread only.
        if not self.loop.is_closed():
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self.source.close)
