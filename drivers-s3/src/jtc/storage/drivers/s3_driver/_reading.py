"""Reads of one version of a file, over as many connections as they need."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from jtc.storage.driver import ReadStream
from jtc.storage.driver_support.checksums import new_digest
from jtc.storage.driver_support.ranges import resolve_range
from jtc.storage.drivers.s3_driver._bucket import SLOWEST_BYTES_PER_SECOND
from jtc.storage.drivers.s3_driver._errors import RangeException, raise_mapped
from jtc.storage.drivers.s3_driver._metadata import checksums_of, file_info
from jtc.storage.drivers.s3_driver._redaction import forgotten_requests
from jtc.storage.exceptions import (
    FileNotFoundException,
    IntegrityException,
    PreconditionFailedException,
    StorageException,
    StorageTimeoutException,
    StorageUnavailableException,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.driver_support.checksums import Digest
    from jtc.storage.drivers.s3_driver._bucket import Bucket
    from jtc.storage.models import FileInfo
    from jtc.storage.options import ReadOptions

__all__ = ["open_stream", "read_all"]

_RETRY_SECONDS = 0.1
"""The pause before a broken connection is replaced, more or less by half, so that not all readers
come back at once; twice as long each time that no byte came."""

_WHOLE_READ_CHUNK = 1024 * 1024

_READ_AT_ONCE = 64 * 1024
"""A file of at most this many bytes is read with its answer's head, and again as a whole where
that breaks off: a stream would cost a third of the time."""

_NO_LIMIT = 2**63
"""No file is as long, and a store that reads 64 bits takes a larger number for no range at all."""

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/\d+")


async def open_stream(bucket: Bucket, key: str, options: ReadOptions) -> ReadStream:
    """Open a file for reading."""
    start, end, if_match = options.start, options.end, options.if_match
    if end is not None and end >= _NO_LIMIT:
        end = None
    # S3 has no range of no bytes, nor one whose end counts from the beginning and whose start
    # counts from the end: then the length must be known first.
    if start == end or (start < 0 and end is not None):
        info = await _stat(bucket, key, if_match)
        start, end = resolve_range(start, end, info.size)
        if start == end:
            return _nothing(info)
        if_match = info.etag
    try:
        answer = await _get(bucket, key, _range_header(start, end), if_match)
    except RangeException:
        # An empty file has no range at all, and a start may lie past the end.
        return _nothing(await _stat(bucket, key, if_match))
    return _stream(bucket, key, answer, start, end, options.chunk_size)


async def read_all(bucket: Bucket, key: str) -> bytes:
    """Return a whole file's content."""
    answer = await _get(bucket, key, None, None, read_up_to=_READ_AT_ONCE)
    if isinstance(answer["Body"], bytes):
        return _checked(answer["Body"], answer)
    stream = _stream(bucket, key, answer, 0, None, _WHOLE_READ_CHUNK)
    try:
        chunks = [chunk async for chunk in stream]
    finally:
        await stream.aclose()
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _checked(content: bytes, answer: Any) -> bytes:
    expected, digest = _expectation(checksums_of(answer))
    if digest is not None:
        digest.update(content)
        if digest.hexdigest() != expected:
            raise _is_not_what_was_stored()
    return content


def _stream(
    bucket: Bucket, key: str, answer: Any, start: int, end: int | None, chunk_size: int
) -> ReadStream:
    try:
        info = file_info(key, answer)
        first, last = resolve_range(start, end, info.size)
    except BaseException:
        answer["Body"].close()  # no reader closes it
        raise
    reader = _Reader(bucket, info, answer["Body"], first, last, chunk_size)
    reader.check_position(answer)
    return ReadStream(info, reader, reader.aclose)


def _range_header(start: int, end: int | None) -> str | None:
    """Return a Range header (RFC 9110, 14.1.2), whose last byte is included."""
    if start < 0:
        return f"bytes={start}"
    if end is not None:
        return f"bytes={start}-{end - 1}"
    return f"bytes={start}-" if start else None


async def _get(
    bucket: Bucket, key: str, byte_range: str | None, if_match: str | None, *, read_up_to: int = -1
) -> Any:
    parameters: dict[str, Any] = {"Key": key}
    if byte_range is not None:
        parameters["Range"] = byte_range
    elif bucket.settings.checksums:
        parameters["ChecksumMode"] = "ENABLED"
    if if_match is not None:
        parameters["IfMatch"] = if_match
    return await bucket.call("get_object", read_up_to=read_up_to, **parameters)


async def _stat(bucket: Bucket, key: str, if_match: str | None) -> FileInfo:
    condition: dict[str, Any] = {} if if_match is None else {"IfMatch": if_match}
    return file_info(key, await bucket.head(key, **condition))


def _nothing(info: FileInfo) -> ReadStream:
    return ReadStream(info, _NoChunks())


class _NoChunks(AsyncIterator[bytes]):
    async def __anext__(self) -> bytes:
        raise StopAsyncIteration


_CHECKED = ("crc32", "sha256", "sha1")
"""The checksums that a whole read is held to: the first of them that the store keeps."""


def _expectation(checksums: Mapping[str, str]) -> tuple[str | None, Digest | None]:
    for algorithm in _CHECKED:
        if algorithm in checksums:
            return checksums[algorithm], new_digest(algorithm)
    return None, None


def _is_not_what_was_stored() -> IntegrityException:
    return IntegrityException("The content is not what was stored: its checksum differs")


class _Reader(AsyncIterator[bytes]):
    """Yields the bytes from `position` to `last`, over as many connections as it takes.

    A class and not an async generator: one that is dropped before its first step must still
    release its connection.
    """

    def __init__(
        self, bucket: Bucket, info: FileInfo, body: Any, position: int, last: int, chunk_size: int
    ) -> None:
        self._bucket = bucket
        self._info = info
        # aiohttp's response.
        self._response: Any = body
        self._position = position
        self._last = last
        self._chunk_size = chunk_size
        self._loop = asyncio.get_running_loop()
        self._expected: str | None = None
        self._digest: Digest | None = None
        if position == 0 and last == info.size:
            self._expected, self._digest = _expectation(info.checksums)

    def check_position(self, answer: Any) -> None:
        """Refuse an answer that does not begin at the byte that is next.

        Raises:
            IntegrityException: The store answered another range.
        """
        content_range = answer.get("ContentRange")
        found = _CONTENT_RANGE.fullmatch(content_range) if content_range else None
        begins = int(found[1]) if found else 0
        if begins != self._position:
            self._close()
            raise IntegrityException("The store sent another range than was requested")

    async def __anext__(self) -> bytes:
        if self._position >= self._last:
            await self._finish()
            raise StopAsyncIteration
        limit = self._bucket.settings.request_timeout
        with forgotten_requests():
            try:
                async with asyncio.timeout(limit) as timer:
                    chunk = await self._chunk(
                        min(self._chunk_size, self._last - self._position), timer
                    )
            except TimeoutError as error:
                self._close()
                if isinstance(error, StorageException):
                    raise
                raise StorageTimeoutException(
                    f"The store sent too little in {limit:g} s"
                ) from error
            except BaseException:
                self._close()
                raise
        if self._position >= self._last:
            # With the last chunk and not after it: a reader of all bytes may stop here.
            await self._finish()
            self._bucket.retries.put_back(1)
        return chunk

    async def _chunk(self, wanted: int, timer: asyncio.Timeout) -> bytes:
        pieces: list[bytes] = []
        missing = wanted
        failures = 0
        while missing:
            try:
                piece = await self._response.content.read(missing)
            except Exception as error:
                failures += 1
                await self._reconnect(error, failures)
                continue
            if not piece:
                failures += 1
                await self._reconnect(
                    StorageUnavailableException("The connection broke off"), failures
                )
                continue
            self._bucket.retries.put_back(failures)
            failures = 0
            pieces.append(piece)
            missing -= len(piece)
            self._position += len(piece)
            # A large chunk takes its time, but not a chunk that comes byte by byte.
            timer.reschedule((timer.when() or 0) + len(piece) / SLOWEST_BYTES_PER_SECOND)
            if self._digest is not None:
                self._digest.update(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _reconnect(self, error: Exception, failures: int) -> None:
        """Request the rest of the same version; raise the error after too many failures."""
        self._close()
        if failures >= self._bucket.settings.max_attempts or not self._bucket.retries.take():
            raise_mapped(error, self._bucket.name)
        await asyncio.sleep(_RETRY_SECONDS * 2 ** (failures - 1) * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        try:
            answer = await _get(
                self._bucket,
                self._info.path,
                _range_header(self._position, self._last),
                self._info.etag,
            )
        except (PreconditionFailedException, FileNotFoundException, RangeException) as changed:
            raise IntegrityException(
                "The file was replaced or deleted while it was read", retryable=True
            ) from changed
        self._response = answer["Body"]
        self.check_position(answer)

    async def _finish(self) -> None:
        self._close()
        digest, self._digest = self._digest, None
        if digest is not None and digest.hexdigest() != self._expected:
            raise _is_not_what_was_stored()

    async def aclose(self) -> None:
        self._position = self._last
        self._digest = None
        self._close()

    def _close(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            # Read to its end, the connection went back to the pool; else this closes it.
            response.close()

    def __del__(self) -> None:
        # In whatever thread drops it last; a response may be closed in its loop's thread only.
        response, self._response = getattr(self, "_response", None), None
        if response is None or self._loop.is_closed():
            return
        try:
            self._loop.call_soon_threadsafe(response.close)
        except RuntimeError:
            return
