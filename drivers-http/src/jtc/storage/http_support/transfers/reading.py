"""Readers of one version of a file, in chunks, held to its checksum."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jtc.storage import exceptions
from jtc.storage.driver_support.checksums import new_digest
from jtc.storage.driver_support.ranges import resolve_range
from jtc.storage.http_support.client import SLOWEST_BYTES_PER_SECOND
from jtc.storage.http_support.settings import MIB
from jtc.storage.http_support.transfers.ranges import Range, other_range
from jtc.storage.http_support.transfers.read_ahead import ReadAhead
from jtc.storage.options import DEFAULT_CHUNK_SIZE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.http_support.client import HttpClient
    from jtc.storage.http_support.requests import Body
    from jtc.storage.http_support.transfers.answers import FileAnswer
    from jtc.storage.http_support.transfers.ranges import Version
    from jtc.storage.models import FileInfo
    from jtc.storage.options import ReadOptions

__all__ = ["Checksum", "FileReader", "file_reader", "read_to_end", "taken_at_once"]

_SMALLEST_TAKEN = 16 * 1024
"""Bytes that are taken at once from a connection, also for a reader of smaller chunks."""

_CHECKED = ("crc32", "sha256", "sha1", "md5")
"""The checksums that a whole read is held to: the first of them that the store keeps."""


async def file_reader(version: Version, answer: FileAnswer, options: ReadOptions) -> FileReader:
    """Return a reader of some bytes of a version, of which an answer has the first ones.

    Args:
        version: The version, as the answer says it.
        answer: That to a GET of these bytes, whose content was left open; or to a HEAD, where the
            bytes must be requested. It is closed where this fails.
        options: Which bytes, in which chunks, and whether to read ahead.

    Raises:
        IntegrityException: The answer has other bytes.
    """
    try:
        client, info, _ = version
        first, last = resolve_range(options.start, options.end, info.size)
        body = None if isinstance(answer.content, bytes) else answer.content
        if body is not None and answer.first != first:
            raise other_range()
        checksum = Checksum(info.checksums if (first, last) == (0, info.size) else {})
        source = ReadAhead(
            Range(version, first, last, body, most=taken_at_once(options)),
            await client.memory(),
            is_eager=options.read_ahead and client.has_ranges,
        )
        return FileReader(client, info, checksum, source, last - first, options.chunk_size)
    except BaseException:
        answer.close()  # no reader closes it
        raise


def taken_at_once(options: ReadOptions) -> int | None:
    """Return how many bytes are taken at once for a reader of small chunks: it may be slow.

    It is the `most` of the request that opens a file.
    """
    if options.read_ahead or options.chunk_size >= DEFAULT_CHUNK_SIZE:
        return None
    return max(options.chunk_size, _SMALLEST_TAKEN)


async def read_to_end(body: Body, limit: float) -> bytes:
    """Return the content of an answer that does not say how long it is, and close it.

    Args:
        body: The content.
        limit: The seconds that it may take; more with what comes.

    Raises:
        StorageTimeoutException: Too little came.
    """
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


class Checksum:
    """What a whole content is held to: a checksum that the store keeps, if it keeps any.

    Args:
        checksums: Those of `FileInfo`.
    """

    def __init__(self, checksums: Mapping[str, str]) -> None:
        algorithm = next((each for each in _CHECKED if each in checksums), "")
        self._expected = checksums.get(algorithm)
        self._digest = new_digest(algorithm) if algorithm else None

    def update(self, piece: bytes) -> None:
        """Add the next bytes."""
        if self._digest is not None:
            self._digest.update(piece)

    def check(self) -> None:
        """Compare it with that of all bytes.

        Raises:
            IntegrityException: They are not what was stored.
        """
        if self._digest is not None and self._digest.hexdigest() != self._expected:
            raise exceptions.IntegrityException(
                "The content is not what was stored: its checksum differs"
            )


def _too_little(limit: float) -> exceptions.StorageTimeoutException:
    return exceptions.StorageTimeoutException(f"The store sent too little in {limit:g} s")


@dataclass(eq=False, repr=False)
class FileReader(AsyncIterator[bytes]):
    """Yields the bytes of a source in chunks, within the deadline of each, and checks them.

    A class and not an async generator: one that is dropped before its first step must still
    release its connections.

    Attributes:
        client: Whose deadlines and retries it has.
        info: The version that is read.
        checksum: What all bytes are held to.
        source: Where they come from.
        missing: How many are not yet yielded.
        chunk_size: The length of a chunk.
        loop: The event loop that reads.
    """

    client: HttpClient
    info: FileInfo
    checksum: Checksum
    source: ReadAhead
    missing: int
    chunk_size: int
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    async def __anext__(self) -> bytes:
        return b"".join(await self._next())

    async def read_all(self) -> bytes:
        """Return all bytes: they are copied once, and not into chunks first."""
        pieces: list[bytes] = []
        with suppress(StopAsyncIteration):
            while True:
                pieces += await self._next()
        return b"".join(pieces)

    async def _next(self) -> list[bytes]:
        """Return the pieces of the next chunk."""
        if not self.missing:
            self._finish()
            raise StopAsyncIteration
        limit = self.client.settings.request_timeout
        try:
            async with asyncio.timeout(limit) as timer:
                chunk = await self._chunk(min(self.chunk_size, self.missing), timer)
        except BaseException as error:
            self.client.service.scrub(error)
            self.source.close()
            if type(error) is TimeoutError:
                raise _too_little(limit) from error
            raise
        if not self.missing:
            # With the last chunk and not after it: a reader of all bytes may stop here.
            self._finish()
            self.client.budget.put_back(1)
        return chunk

    async def _chunk(self, size: int, timer: asyncio.Timeout) -> list[bytes]:
        pieces: list[bytes] = []
        while size:
            piece = await self.source.read(size)
            pieces.append(piece)
            size -= len(piece)
            self.missing -= len(piece)
            # A large chunk takes its time, but not a chunk that comes byte by byte.
            timer.reschedule((timer.when() or 0) + len(piece) / SLOWEST_BYTES_PER_SECOND)
            self.checksum.update(piece)
        return pieces

    def _finish(self) -> None:
        self.source.close()
        self.checksum.check()

    async def aclose(self) -> None:
        """Release the connections and the memory, from any event loop."""
        self.missing = 0
        self.checksum = Checksum({})
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
