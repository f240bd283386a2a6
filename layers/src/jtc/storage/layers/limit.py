"""`Limit`: so many operations at once, and so many bytes a second."""

from __future__ import annotations

import asyncio
import functools
import io
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Self

from jtc.storage.driver import DEFAULT_CHUNK_SIZE, ReadStream
from jtc.storage.driver_support.content import SourceFile, driver_content
from jtc.storage.driver_support.fork_safety import at_fork
from jtc.storage.exceptions import StorageConfigException
from jtc.storage.layers.around import Around

if TYPE_CHECKING:
    from jtc.storage.driver import StorageDriver
    from jtc.storage.layers.around import Wait

__all__ = ["Limit"]

_KEPT = 1.0
"""Seconds of unused pace that are kept."""


class Limit(Around):
    """Have operations wait for their turn, in all tasks, threads and event loops together.

    Waiting costs nothing of the storage: an operation holds its place only while it waits for the
    storage itself, so that a stream held open by a slow reader, or an upload from a slow client,
    keeps nobody out. Nothing is refused, and who comes first goes first.

    Args:
        inner: The driver within.
        operations: The most operations at once; None does not limit them.
        bytes_per_second: The most bytes of content a second, of reads and writes together, on
            average; None does not limit them.

    Raises:
        StorageConfigException: A limit is not above 0, or there is none.
    """

    def __init__(
        self,
        inner: StorageDriver,
        *,
        operations: int | None = None,
        bytes_per_second: float | None = None,
    ) -> None:
        if operations is None and bytes_per_second is None:
            raise StorageConfigException("A limit needs operations, bytes_per_second, or both")
        if operations is not None and (not isinstance(operations, int) or operations < 1):
            raise StorageConfigException(f"operations is 1 or more, not {operations!r}")
        if bytes_per_second is not None and not (
            isinstance(bytes_per_second, (int, float)) and bytes_per_second > 0
        ):
            raise StorageConfigException(f"bytes_per_second is above 0, not {bytes_per_second!r}")
        self._operations = operations
        self._gate = None if operations is None else _Gate(operations)
        self._pace = None if bytes_per_second is None else _Pace(bytes_per_second)
        super().__init__(inner)
        at_fork(self)

    def _after_fork(self) -> None:
        if self._operations is not None:
            # Not the old one emptied: what the parent had under way still gives its places back.
            self._gate = _Gate(self._operations)

    def waiting(self, name: str, *, first: bool = True) -> _Place:  # noqa: ARG002
        """Return a place among the operations."""
        return _Place(self._gate)

    def left_alone(self, content: Any, wait: Wait) -> Any:
        """Return content whose reading holds no place: a file may be one of this very disk."""
        if self._gate is not None and isinstance(content, SourceFile):
            content = _read(content)
        return super().left_alone(content, wait)

    def wrap(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method in its turn, and its content at its pace."""
        if name == "aclose":
            return method  # it may be what ends the operations that hold the places
        placed = super().wrap(name, method)
        paced = _PACED.get(name)
        if self._pace is None or paced is None:
            return placed
        return functools.wraps(method)(paced(self._pace, placed))


class _Place:
    """One operation's place, which it gives up while the caller's content is waited for."""

    def __init__(self, gate: _Gate | None) -> None:
        self._gate = gate
        self._held = False
        self._over = False

    async def __aenter__(self) -> Self:
        await self.enter()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._over = True
        self.leave()

    def leave(self) -> None:
        if self._gate is not None and self._held:
            self._held = False
            self._gate.release()

    async def enter(self) -> None:
        # A task that the driver left behind may still be reading when the operation is over.
        if self._gate is not None and not self._held and not self._over:
            await self._gate.acquire()
            self._held = True
            if self._over:
                self.leave()

    def go_on(self) -> None:
        """Do without a place: what is left to do is cleaning up."""


class _Gate:
    """A semaphore for all event loops of a process: asyncio's belongs to one."""

    def __init__(self, places: int) -> None:
        # The garbage collector may drop a waiting task amid any of this, in the same thread.
        self._lock = threading.RLock()
        self._free = places
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        with self._lock:
            if self._free:
                self._free -= 1
                return
            self._waiting.append(turn)
        try:
            await turn
        except BaseException:  # cancelled, or dropped
            try:
                self._waiting.remove(turn)
            except ValueError:
                self.release()  # the place came at the same time
            raise

    def release(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._free += 1
                    return
                turn = self._waiting.popleft()
            try:
                turn.get_loop().call_soon_threadsafe(_take, turn)
            except RuntimeError:
                continue  # that loop was closed with its tasks waiting
            return


def _take(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


class _Pace:
    """Says how long to wait before the next bytes, for all who move some.

    A virtual clock: the time at which what was moved so far would have been moved at this pace.
    An unused second is kept, and no more, so that a pause does not become a burst.
    """

    def __init__(self, bytes_per_second: float) -> None:
        self._seconds_a_byte = 1 / bytes_per_second
        self._share = max(1, int(bytes_per_second))
        self._lock = threading.Lock()
        self._clock = 0.0
        at_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()

    async def take(self, size: int) -> None:
        # A second's bytes at a time: large content keeps no small one waiting for all of it, and
        # what is cancelled has not paid for what never moves.
        while size > 0:
            share = min(size, self._share)
            size -= share
            now = time.monotonic()
            with self._lock:
                self._clock = max(self._clock, now - _KEPT) + share * self._seconds_a_byte
                delay = self._clock - now
            if delay > 0:
                await asyncio.sleep(delay)

    async def chunks(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            await self.take(len(chunk))
            yield chunk


def _paced_get(pace: _Pace, method: Callable[..., Any]) -> Callable[..., Any]:
    async def get(path: str, /) -> bytes:
        content: bytes = await method(path)
        await pace.take(len(content))
        return content

    return get


def _paced_stream(pace: _Pace, method: Callable[..., Any]) -> Callable[..., Any]:
    async def open_read(*args: Any, **options: Any) -> ReadStream:
        stream: ReadStream = await method(*args, **options)
        return ReadStream(stream.info, pace.chunks(aiter(stream)), stream.aclose)

    return open_read


def _paced_put(pace: _Pace, method: Callable[..., Any]) -> Callable[..., Any]:
    async def put(path: str, content: Any, /) -> str:
        stored: str = await method(path, await _paced(pace, content))
        return stored

    return put


def _paced_write(pace: _Pace, method: Callable[..., Any]) -> Callable[..., Any]:
    async def write_file(path: str, content: Any, options: Any, /) -> str | None:
        etag: str | None = await method(path, await _paced(pace, content), options)
        return etag

    return write_file


_PACED: dict[str, Callable[[_Pace, Callable[..., Any]], Callable[..., Any]]] = {
    "get": _paced_get,
    "open_read": _paced_stream,
    "put": _paced_put,
    "write_file": _paced_write,
}


async def _paced(pace: _Pace, content: Any) -> Any:
    """Return content that is read at the pace, or has been paid for."""
    if isinstance(content, io.IOBase) and content.seekable():
        # What was spooled for a driver that takes no stream.
        start = content.tell()
        await pace.take(content.seek(0, io.SEEK_END) - start)
        content.seek(start)
        return content
    source = driver_content(content)
    if isinstance(source, bytes):
        await pace.take(len(source))
        return content
    if isinstance(source, AsyncIterator):
        return pace.chunks(source)
    return pace.chunks(_read(source))


async def _read(file: Any) -> AsyncIterator[bytes]:
    """Read a file in threads that are given back before the next wait."""
    while chunk := await asyncio.to_thread(file.read, DEFAULT_CHUNK_SIZE):
        yield chunk
