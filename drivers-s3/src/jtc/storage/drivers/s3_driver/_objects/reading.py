"""Reads of one version of a file, over as many connections as they need."""

from __future__ import annotations

import asyncio
import random
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
from jtc.storage.drivers.s3_driver._objects.conditions import one_version
from jtc.storage.drivers.s3_driver._settings import MIB
from jtc.storage.drivers.s3_driver._transport import errors, http, operations
from jtc.storage.drivers.s3_driver._transport.redaction import scrub
from jtc.storage.options import ReadOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.drivers.s3_driver._transport.http import Transport
    from jtc.storage.models import FileInfo

__all__ = ["open_stream", "read_all"]

_RETRY_SECONDS = 0.1
"""The pause before a broken connection is replaced, more or less by half, so that not all readers
come back at once; twice as long each time that no byte came."""

_READ_WITH_HEADERS = 64 * 1024
"""A file of at most this many bytes is read with its answer's head, and again as a whole where
that breaks off: a stream would cost a third of the time."""

_NO_LIMIT = 2**63
"""No file is as long, and a store that reads 64 bits takes a larger number for no range at all."""

_CHECKED = ("crc32", "sha256", "sha1")
"""The checksums that a whole read is held to: the first of them that the store keeps."""

_WHOLE = 200


async def read_all(transport: Transport, key: str) -> bytes:
    """Return a whole file's content."""
    headers = {"x-amz-checksum-mode": "ENABLED"} if transport.settings.checksums else {}
    request = operations.get_object(key, headers, leave_open_from=_READ_WITH_HEADERS)
    answer = await transport.send(request)
    if answer.status != _WHOLE:
        metadata.close(answer)
        raise _other_range()
    content = answer.content
    if not isinstance(content, bytes):
        if answer.size is not None:
            options = ReadOptions(chunk_size=MIB)
            async with aclosing(_stream(transport, key, answer, options)) as stream:
                return b"".join([chunk async for chunk in stream])
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
        with suppress(errors.RangeException):
            answer = await _get(transport, key, start, end, conditions)
    if answer is None:
        # The reader requests what there is to read.
        answer = await metadata.head(transport, key, conditions)
    elif not start and end is None and answer.status != _WHOLE:
        metadata.close(answer)
        raise _other_range()
    answer = await metadata.measured(transport, key, answer)
    return _stream(transport, key, answer, options)


async def _get(
    transport: Transport, key: str, start: int, end: int | None, conditions: Mapping[str, str]
) -> operations.Object:
    headers = dict(conditions)
    # RFC 9110, 14.1.2; the last byte is included.
    if start < 0:
        headers["range"] = f"bytes={start}"
    elif start or end is not None:
        headers["range"] = f"bytes={start}-{'' if end is None else end - 1}"
    elif transport.settings.checksums:
        headers["x-amz-checksum-mode"] = "ENABLED"
    return await transport.send(operations.get_object(key, headers))


def _stream(
    transport: Transport, key: str, answer: operations.Object, options: ReadOptions
) -> ReadStream:
    try:
        info = metadata.file_info(key, answer)
        first, last = resolve_range(options.start, options.end, info.size)
        body = None if isinstance(answer.content, bytes) else answer.content
        if body is not None and answer.first != first:
            raise _other_range()
        checksum = _Checksum(info.checksums if (first, last) == (0, info.size) else {})
        reader = _Reader(transport, info, checksum, body, first, last, options.chunk_size)
    except BaseException:
        metadata.close(answer)  # no reader closes it
        raise
    return ReadStream(info, reader, reader.aclose)


async def _read_to_end(body: operations.Body, limit: float) -> bytes:
    """Return the content of an answer that does not say how long it is."""
    pieces: list[bytes] = []
    try:
        async with asyncio.timeout(limit) as timer:
            while piece := await body.read(MIB):
                pieces.append(piece)
                more = len(piece) / http.SLOWEST_BYTES_PER_SECOND
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


def _other_range() -> exceptions.IntegrityException:
    return exceptions.IntegrityException("The store sent another range than was requested")


def _too_little(limit: float) -> exceptions.StorageTimeoutException:
    return exceptions.StorageTimeoutException(f"The store sent too little in {limit:g} s")


def _replaced() -> exceptions.IntegrityException:
    message = "The file was replaced or deleted while it was read"
    return exceptions.IntegrityException(message, retryable=True)


@dataclass(eq=False, repr=False)
class _Reader(AsyncIterator[bytes]):
    """Yields the bytes from `position` to `last`, over as many connections as it takes.

    A class and not an async generator: one that is dropped before its first step must still
    release its connection.
    """

    transport: Transport
    info: FileInfo
    checksum: _Checksum
    body: operations.Body | None
    position: int
    last: int
    chunk_size: int
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    async def __anext__(self) -> bytes:
        if self.position >= self.last:
            self._finish()
            raise StopAsyncIteration
        limit = self.transport.settings.request_timeout
        try:
            async with asyncio.timeout(limit) as timer:
                chunk = await self._chunk(min(self.chunk_size, self.last - self.position), timer)
        except BaseException as error:
            scrub(error)
            self._close()
            if type(error) is TimeoutError:
                raise _too_little(limit) from error
            raise
        if self.position >= self.last:
            # With the last chunk and not after it: a reader of all bytes may stop here.
            self._finish()
            self.transport.budget.put_back(1)
        return chunk

    async def _chunk(self, missing: int, timer: asyncio.Timeout) -> bytes:
        budget, most = self.transport.budget, self.transport.settings.max_attempts
        pieces: list[bytes] = []
        failures = 0
        while missing:
            try:
                if self.body is None:
                    self.body = await self._reopened()
                piece = await self.body.read(missing)
                if not piece:
                    raise exceptions.StorageUnavailableException("The connection broke off")
            except exceptions.StorageUnavailableException:
                self._close()
                failures += 1
                if failures >= most or not budget.take():
                    raise
                pause = _RETRY_SECONDS * 2 ** (failures - 1)
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
                continue
            budget.put_back(failures * http.RETRY_PRICE)
            failures = 0
            pieces.append(piece)
            missing -= len(piece)
            self.position += len(piece)
            # A large chunk takes its time, but not a chunk that comes byte by byte.
            timer.reschedule((timer.when() or 0) + len(piece) / http.SLOWEST_BYTES_PER_SECOND)
            self.checksum.update(piece)
        return b"".join(pieces)

    async def _reopened(self) -> operations.Body:
        """Request the rest of the same version."""
        etag = self.info.etag
        conditions = {} if etag is None else {"if-match": etag}
        try:
            answer = await _get(
                self.transport, self.info.path, self.position, self.last, conditions
            )
        except (
            exceptions.PreconditionFailedException,
            exceptions.FileNotFoundException,
            errors.RangeException,
        ) as changed:
            raise _replaced() from changed
        # A store that ignores the condition, or has no etags, may still say that it is another one.
        is_same = answer.size in (None, self.info.size)
        is_same = is_same and (None in (etag, answer.etag) or answer.etag == etag)
        if not is_same or answer.first != self.position or isinstance(answer.content, bytes):
            metadata.close(answer)
            raise _other_range() if is_same else _replaced()
        return answer.content

    def _finish(self) -> None:
        self._close()
        self.checksum.check()

    async def aclose(self) -> None:
        self.position = self.last
        self.checksum = _Checksum({})
        self._close()

    def _close(self) -> None:
        body, self.body = self.body, None
        if body is not None:
            body.close()

    def __del__(self) -> None:
        # In whatever thread drops it last; a body may be closed in its loop's thread only.
        if self.body is not None and not self.loop.is_closed():
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self.body.close)
