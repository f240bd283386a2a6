"""Reads of one version of a file: whole, or as a stream of chunks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import google_crc32c

from jtc.storage import exceptions
from jtc.storage.driver import ReadStream
from jtc.storage.driver_support.ranges import resolve_range
from jtc.storage.drivers.gcs_driver._objects import metadata, versions
from jtc.storage.drivers.gcs_driver._objects.chunks import checksum_text
from jtc.storage.drivers.gcs_driver._transport.errors import RangeException
from jtc.storage.drivers.gcs_driver._transport.operations import get_media
from jtc.storage.http_support.client import SLOWEST_BYTES_PER_SECOND
from jtc.storage.http_support.redaction import scrub
from jtc.storage.http_support.settings import MIB
from jtc.storage.http_support.token_bucket import RETRY_PRICE
from jtc.storage.options import DEFAULT_CHUNK_SIZE, ReadOptions

if TYPE_CHECKING:
    from jtc.storage.drivers.gcs_driver._transport.operations import Media
    from jtc.storage.drivers.gcs_driver._transport.store import Store
    from jtc.storage.http_support.requests import Body
    from jtc.storage.models import FileInfo

__all__ = ["open_stream", "read_all"]

_READ_WITH_HEADERS = 64 * 1024
"""A file of at most this many bytes is read with its answer's head, and again as a whole where
that breaks off."""

_NO_LIMIT = 2**63
"""No file is as long."""

_SMALLEST_TAKEN = 16 * 1024
"""Bytes that are taken at once from a connection, also for a reader of smaller chunks."""

_RETRY_SECONDS = 0.1
"""The pause before a broken connection is replaced, more or less by half, so that not all readers
come back at once; twice as long each time that no byte came."""

_WHOLE = 200


async def read_all(store: Store, path: str) -> bytes:
    """Return a whole file's content. The caller has seen to the loop's budget."""
    request = get_media(store.settings.bucket, path, {}, leave_open_from=_READ_WITH_HEADERS)
    media = await store.send(request, is_begun=True)
    if media.status != _WHOLE:
        media.close()
        raise _other_range()
    content = media.content
    if isinstance(content, bytes):
        checksum = metadata.crc32c_of_media(media.headers)
        if checksum is not None and checksum_text(google_crc32c.value(content)) != checksum:
            raise _damaged()
        return content
    async with aclosing(_reader(store, path, media, ReadOptions(chunk_size=MIB))) as reader:
        return b"".join([chunk async for chunk in reader])


async def open_stream(store: Store, path: str, options: ReadOptions) -> ReadStream:
    """Open a file for reading."""
    if options.if_none_match is not None:
        # No condition of Google's names both numbers of a version that must not be there.
        there = await metadata.resource_of(store, path)
        if versions.etag_of(there) == options.if_none_match:
            raise exceptions.NotModifiedException("The file still is the version of if_none_match")
    media = await _opened(store, path, options)
    try:
        reader = _reader(store, path, media, options)
        etag = reader.info.etag
        if options.if_match is not None and etag != options.if_match:
            raise exceptions.PreconditionFailedException(versions.OTHER_VERSION)
        if etag == options.if_none_match:
            raise exceptions.NotModifiedException("The file still is the version of if_none_match")
    except BaseException:
        media.close()
        raise
    return ReadStream(reader.info, reader, reader.aclose)


async def _opened(store: Store, path: str, options: ReadOptions) -> Media:
    """Request a file or a range of it: ``Range`` of RFC 9110, 14.1.2."""
    start, end = options.start, options.end
    if end is not None and end >= _NO_LIMIT:
        end = None
    headers = versions.media_conditions(options.if_match)
    try:
        # HTTP has no range of no bytes, nor one whose end counts from the beginning and whose start
        # counts from the end: then the length must be known first.
        if start != end and (start >= 0 or end is None):
            with suppress(RangeException):  # an empty file, or a start past the end
                return await store.send(
                    get_media(
                        store.settings.bucket,
                        path,
                        headers | _range(start, end),
                        most=_most(options),
                    )
                )
        # The reader requests what there is to read.
        media = await store.send(get_media(store.settings.bucket, path, headers))
    except exceptions.PreconditionFailedException as error:
        if await metadata.resource_now(store, path) is None:
            raise exceptions.FileNotFoundException("There is no such file") from error
        raise exceptions.PreconditionFailedException(versions.OTHER_VERSION) from error
    first, _ = resolve_range(start, options.end, metadata.media_info(path, media).size)
    if first:
        media.close()
        media.content = b""
    return media


def _range(start: int, end: int | None) -> dict[str, str]:
    if start < 0:
        return {"range": f"bytes={start}"}
    if start or end is not None:
        # The last byte is included.
        return {"range": f"bytes={start}-{'' if end is None else end - 1}"}
    return {}


def _most(options: ReadOptions) -> int | None:
    """Return how many bytes are taken at once for a reader of small chunks: it may be slow."""
    if options.read_ahead or options.chunk_size >= DEFAULT_CHUNK_SIZE:
        return None
    return max(options.chunk_size, _SMALLEST_TAKEN)


def _first_of(media: Media) -> int | None:
    """Return where an answer begins; None where that cannot be known."""
    if media.status == _WHOLE:
        return 0
    unit, _, extent = media.headers.get("content-range", "").partition(" ")
    first = extent.partition("-")[0]
    return int(first) if unit == "bytes" and first.isdecimal() else None


def _other_range() -> exceptions.IntegrityException:
    return exceptions.IntegrityException("The store sent another range than was requested")


def _damaged() -> exceptions.IntegrityException:
    return exceptions.IntegrityException("The content is not what was stored: its checksum differs")


def _replaced() -> exceptions.IntegrityException:
    message = "The file was replaced or deleted while it was read"
    return exceptions.IntegrityException(message, retryable=True)


def _too_little(limit: float) -> exceptions.StorageTimeoutException:
    return exceptions.StorageTimeoutException(f"The store sent too little in {limit:g} s")


def _reader(store: Store, path: str, media: Media, options: ReadOptions) -> _Reader:
    info = metadata.media_info(path, media)
    first, last = resolve_range(options.start, options.end, info.size)
    body = None if isinstance(media.content, bytes) else media.content
    if body is not None and _first_of(media) != first:
        raise _other_range()
    is_whole = (first, last) == (0, info.size)
    checksum = metadata.crc32c_of_media(media.headers) if is_whole else None
    source = _Source(store, info, first, last, body, _most(options))
    return _Reader(store, info, source, checksum, options.chunk_size)


@dataclass(slots=True, eq=False, repr=False)
class _Source:
    """The bytes from `position` to `last` of one version, over as many connections as it needs."""

    store: Store
    info: FileInfo
    position: int
    last: int
    body: Body | None
    most: int | None

    async def read(self, size: int) -> bytes:
        """Return the next bytes, `size` at most; a broken connection is replaced."""
        budget, attempts = self.store.client.budget, self.store.settings.max_attempts
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
                if failures >= attempts or not budget.take():
                    raise
                pause = _RETRY_SECONDS * 2 ** (failures - 1)
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
                continue
            budget.put_back(failures * RETRY_PRICE)
            self.position += len(piece)
            return piece

    async def _requested(self) -> Body:
        """Request what is missing, of the same version."""
        headers = versions.media_conditions(self.info.etag) | _range(self.position, self.last)
        request = get_media(self.store.settings.bucket, self.info.path, headers, most=self.most)
        try:
            media = await self.store.send(request)
        except (
            exceptions.PreconditionFailedException,
            exceptions.FileNotFoundException,
            RangeException,
        ) as changed:
            raise _replaced() from changed
        is_same = False
        try:
            there = metadata.media_info(self.info.path, media)
            is_same = (there.etag, there.size) == (self.info.etag, self.info.size)
            if not is_same:
                raise _replaced()
            if _first_of(media) != self.position or isinstance(media.content, bytes):
                is_same = False
                raise _other_range()
        finally:
            if not is_same:
                media.close()
        return media.content

    def close(self) -> None:
        """Release the connection."""
        body, self.body = self.body, None
        if body is not None:
            body.close()


@dataclass(eq=False, repr=False)
class _Reader(AsyncIterator[bytes]):
    """Yields the bytes of a source in chunks, within the deadline of each, and checks them.

    A class and not an async generator: one that is dropped before its first step must still
    release its connection.
    """

    store: Store
    info: FileInfo
    source: _Source
    checksum: str | None
    chunk_size: int
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    crc32c: int = 0
    is_closed: bool = False

    @property
    def _missing(self) -> int:
        return self.source.last - self.source.position

    async def __anext__(self) -> bytes:
        if self.is_closed or self._missing <= 0:
            self._finish()
            raise StopAsyncIteration
        limit = self.store.settings.request_timeout
        try:
            async with asyncio.timeout(limit) as timer:
                chunk = await self._chunk(min(self.chunk_size, self._missing), timer)
        except BaseException as error:
            scrub(error)
            self.source.close()
            # Bytes may be lost: a reader must not go on behind them.
            self.source.position, self.checksum = self.source.last, None
            if type(error) is TimeoutError:
                raise _too_little(limit) from error
            raise
        if not self._missing:
            # With the last chunk and not after it: a reader of all bytes may stop here.
            self._finish()
            self.store.client.budget.put_back(1)
        return chunk

    async def _chunk(self, size: int, timer: asyncio.Timeout) -> bytes:
        pieces: list[bytes] = []
        while size:
            piece = await self.source.read(size)
            if self.is_closed:
                self.source.close()
                message = "The stream was closed: open the file again"
                raise exceptions.StorageUnavailableException(message)
            pieces.append(piece)
            size -= len(piece)
            # A large chunk takes its time, but not a chunk that comes byte by byte.
            timer.reschedule((timer.when() or 0) + len(piece) / SLOWEST_BYTES_PER_SECOND)
            if self.checksum is not None:
                self.crc32c = google_crc32c.extend(self.crc32c, piece)
        return b"".join(pieces)

    def _finish(self) -> None:
        self.source.close()
        checksum, self.checksum = self.checksum, None
        if checksum is not None and checksum_text(self.crc32c) != checksum:
            raise _damaged()

    async def aclose(self) -> None:
        self.is_closed, self.checksum = True, None
        if asyncio.get_running_loop() is self.loop:
            self.source.close()
        else:
            self._close_in_loop()

    def __del__(self) -> None:
        if self.source.body is not None:
            self._close_in_loop()

    def _close_in_loop(self) -> None:
        # In whatever thread this is; a body may be closed in its loop's thread only.
        if not self.loop.is_closed():
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self.source.close)
