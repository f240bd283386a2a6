"""Reads: several requests under way, and resumed where a connection ends."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

from jtc.storage.driver import ReadStream
from jtc.storage.driver_support.derived import check_version
from jtc.storage.driver_support.ranges import coalesced, resolve_range
from jtc.storage.drivers.sftp_driver._errors import ConnectionEnded
from jtc.storage.drivers.sftp_driver._looks import info_of
from jtc.storage.exceptions import StorageUnavailableException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Sequence

    import asyncssh

    from jtc.storage.drivers.sftp_driver._looks import Root, Status
    from jtc.storage.drivers.sftp_driver._sessions import Session, Sessions
    from jtc.storage.options import ReadOptions

    File = asyncssh.SFTPClientFile

__all__ = ["WINDOW", "Blocks", "open_stream", "read_file", "read_ranges", "read_span"]

WINDOW = 16
"""Requests of one file under way: their blocks, of 255 KiB at most, are what it takes in memory."""

_SETTLED_SECONDS = 60.0
"""A read is resumed in a file that was written this long before: times are in whole seconds, so
that a younger one may have been replaced by another with the same time."""


async def read_file(session: Session, root: Root, path: str) -> bytes:
    """Return a file's content."""
    status = await root.existing_file(session, path)
    file = await session.open(root.at(path), "rb")
    try:
        size = status.size or 0
        if size < session.block:
            content = await session.read(file, session.block, 0)
            # Only the end of a file makes a read short.
            if size <= len(content) < session.block:
                return content
        size = (await session.request(file.stat)).size or 0
        return await read_span(session, file, 0, size)
    finally:
        session.close_later(file)


async def read_span(session: Session, file: File, first: int, last: int) -> bytes:
    """Return the bytes ``[first, last)`` of an open file."""
    blocks = Blocks(session, file, first, last)
    try:
        pieces: list[bytes] = []
        while piece := await blocks.next():
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        blocks.close()


async def read_ranges(
    session: Session,
    root: Root,
    path: str,
    ranges: Sequence[tuple[int, int]],
    options: ReadOptions,
) -> Sequence[bytes]:
    """Return several ranges of one version of a file, which is opened once."""
    status = await root.existing_file(session, path)
    check_version(info_of(path, status), options.if_match, None)
    file = await session.open(root.at(path), "rb")
    try:
        size = (await session.request(file.stat)).size or 0
        spans = [resolve_range(start, end, size) for start, end in ranges]
        parts = [b""] * len(spans)
        for (first, last), members in coalesced(spans):
            content = await read_span(session, file, first, last)
            for index in members:
                start, end = spans[index]
                parts[index] = content[start - first : end - first]
        return parts
    finally:
        session.close_later(file)


async def open_stream(client: Sessions, root: Root, path: str, options: ReadOptions) -> ReadStream:
    """Open a file for reading in chunks. It keeps its place until it is closed."""
    await client.take_place()
    stream = _Stream(client, root, path, options.chunk_size)
    try:
        status = await client.run_in_place(stream.open)
        info = info_of(path, status)
        check_version(info, options.if_match, None)
        stream.at, stream.last = resolve_range(options.start, options.end, info.size)
    except BaseException:
        await stream.aclose()
        raise
    return ReadStream(info, stream.chunks(), stream.aclose)


class _Stream:
    """An open file that is read from a position on.

    Attributes:
        at: Where the next byte is.
        last: Where the bytes end.
    """

    def __init__(self, client: Sessions, root: Root, path: str, chunk_size: int) -> None:
        self._client, self._root, self._path = client, root, path
        self._chunk_size = chunk_size
        self._version: tuple[int | None, int | None] | None = None
        self._is_settled = False
        self._file: File | None = None
        self._blocks: Blocks | None = None
        self._is_closed = False
        self.at = self.last = 0

    async def open(self, session: Session) -> Status:
        """Open the file; the same version of it where it was open before."""
        await self._root.existing_file(session, self._path)
        file = await session.open(self._root.at(self._path), "rb")
        self._session, self._file = session, file
        status = await session.request(file.stat)
        version = status.size, status.mtime
        if self._version is None:
            self._version = version
            self._is_settled = time.time() - (status.mtime or 0) > _SETTLED_SECONDS
        elif version != self._version:
            raise StorageUnavailableException(
                "The connection ended in the middle of the file, which was replaced meanwhile"
            )
        return status

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes."""
        while self.at < self.last:
            block = await self._next_block()
            for start in range(0, len(block), self._chunk_size):
                chunk = block[start : start + self._chunk_size]
                self.at += len(chunk)
                yield chunk

    async def _next_block(self) -> bytes:
        failures = 0
        while True:
            try:
                if self._blocks is None:
                    file = await self._reopened()
                    self._blocks = Blocks(self._session, file, self.at, self.last)
                return await self._blocks.next()
            except ConnectionEnded:
                failures += 1
                self._close_file()
                if failures >= self._client.settings.max_attempts:
                    raise
                if not self._is_settled:
                    raise StorageUnavailableException(
                        "The connection ended in the middle of the file, which was written just "
                        "before: its version cannot be distinguished from another's"
                    ) from None

    async def _reopened(self) -> File:
        if self._file is not None:
            return self._file
        await self.open(await self._client.session())
        return await self._reopened()

    def _close_file(self) -> None:
        blocks, self._blocks = self._blocks, None
        file, self._file = self._file, None
        if blocks is not None:
            blocks.close()
        if file is not None:
            self._session.close_later(file)

    async def aclose(self) -> None:
        """Close the file and give the place back."""
        self._close_file()
        if not self._is_closed:
            self._is_closed = True
            self._client.release_place()


class Blocks:
    """The bytes ``[first, last)`` of an open file in order, several requests ahead."""

    def __init__(self, session: Session, file: File, first: int, last: int) -> None:
        self._session, self._file = session, file
        self._asked, self._last = first, last
        self._window = 2
        self._pending: deque[tuple[int, int, asyncio.Task[bytes]]] = deque()

    async def next(self) -> bytes:
        """Return the next block; none at the end.

        Raises:
            StorageUnavailableException: The file became shorter.
        """
        while self._asked < self._last and len(self._pending) < self._window:
            size = min(self._session.block, self._last - self._asked)
            self._pending.append((self._asked, size, asyncio.create_task(self._read(size))))
            self._asked += size
        if not self._pending:
            return b""
        # More at once for what is read on: a stream that ends soon has few in vain.
        self._window = min(self._window * 2, WINDOW)
        at, size, task = self._pending[0]
        block = await task
        self._pending.popleft()
        while len(block) < size:
            more = await self._session.read(self._file, size - len(block), at + len(block))
            if not more:
                raise StorageUnavailableException("The file became shorter while it was read")
            block += more
        return block

    def _read(self, size: int) -> Coroutine[None, None, bytes]:
        return self._session.read(self._file, size, self._asked)

    def close(self) -> None:
        """Take no more of what was asked for."""
        for _, _, task in self._pending:
            task.cancel()
            task.add_done_callback(_ended)
        self._pending.clear()


def _ended(task: asyncio.Task[bytes]) -> None:
    if not task.cancelled():
        task.exception()
