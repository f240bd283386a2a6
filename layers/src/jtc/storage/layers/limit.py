"""The layer that limits concurrent operations and bytes per second: `Limit`."""

from __future__ import annotations

import asyncio
import functools
import io
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

from jtc.storage.driver import SIGNING_METHODS, ReadStream
from jtc.storage.driver_support.content import SourceFile, driver_content, in_thread
from jtc.storage.driver_support.fork_safety import reset_after_fork
from jtc.storage.exceptions import StorageConfigException
from jtc.storage.layers.around import Around
from jtc.storage.options import DEFAULT_CHUNK_SIZE

if TYPE_CHECKING:
    from jtc.storage.driver import StorageDriver
    from jtc.storage.layers.around import Wait

__all__ = ["Limit"]

_UNUSED_SECONDS = 1.0
"""How many seconds of an unused byte rate are kept for later."""


class Limit(Around):
    """Make operations wait for their turn, in all tasks, threads and event loops together.

    An operation counts only while it waits for the storage itself, so that a stream that a slow
    reader holds open, or an upload from a slow client, blocks no other operation. Nothing is
    refused: operations wait in the order in which they came. Presigning is no operation.

    Args:
        inner: The driver within.
        operations: The most operations at once; None does not limit them.
        bytes_per_second: The most bytes of content per second, read and written together, on
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
        self._semaphore = None if operations is None else _Semaphore(operations)
        self._rate = None if bytes_per_second is None else _ByteRate(bytes_per_second)
        super().__init__(inner)
        reset_after_fork(self)

    def _after_fork(self) -> None:
        if self._operations is not None:
            # A new one: operations that the parent began still release their slots of the old one.
            self._semaphore = _Semaphore(self._operations)

    def waiting(self, name: str, *, first: bool = True) -> _Slot:  # noqa: ARG002
        """Return a slot for one operation."""
        return _Slot(self._semaphore)

    def pausing(self, content: Any, wait: Wait) -> Any:
        """Return content that takes no slot while it is read: it may be a file of the same disk."""
        if self._semaphore is not None and isinstance(content, SourceFile):
            content = _read(content)
        return super().pausing(content, wait)

    def wrap(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method with a slot for each wait, and with its content at the byte rate."""
        # Closing may be what ends the operations that hold all slots; presigning only computes.
        if name == "aclose" or name in SIGNING_METHODS:
            return method
        wrapped = super().wrap(name, method)
        limited = _RATE_LIMITED.get(name)
        if self._rate is None or limited is None:
            return wrapped
        return functools.wraps(method)(limited(self._rate, wrapped))


class _Slot:
    """One operation's slot, which is free for others while the caller's content is read."""

    def __init__(self, semaphore: _Semaphore | None) -> None:
        self._semaphore = semaphore
        self._held = False
        self._over = False

    async def __aenter__(self) -> Self:
        await self.resume()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._over = True
        self.pause()

    def pause(self) -> None:
        if self._semaphore is not None and self._held:
            self._held = False
            self._semaphore.release()

    async def resume(self) -> None:
        # A task that the driver left behind may still be reading when the operation is over.
        if self._semaphore is not None and not self._held and not self._over:
            await self._semaphore.acquire()
            self._held = True
            if self._over:
                self.pause()

    def resume_now(self) -> None:
        """Go on without a slot: only cleaning up is left to do."""


class _Semaphore:
    """A semaphore for all event loops of a process: asyncio's belongs to one loop."""

    def __init__(self, slots: int) -> None:
        # Reentrant: the garbage collector may drop a waiting task at any point here, and so call
        # `release` in the same thread.
        self._lock = threading.RLock()
        self._free = slots
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
                self.release()  # the slot came at the same time
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
                continue  # that loop was closed while its tasks were waiting
            return


def _take(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


class _ByteRate:
    """The wait before the next bytes, for all operations that move some.

    A virtual clock: the time at which all bytes so far would have been moved at this rate. One
    unused second is kept, so that a pause does not become a burst.
    """

    def __init__(self, bytes_per_second: float) -> None:
        self._seconds_per_byte = 1 / bytes_per_second
        self._share = max(1, int(bytes_per_second))
        self._lock = threading.Lock()
        self._clock = 0.0
        reset_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()

    async def take(self, size: int) -> None:
        # A second's bytes at a time: small content need not wait for all of the large, and what is
        # cancelled has not taken the time of bytes that never move.
        while size > 0:
            share = min(size, self._share)
            size -= share
            now = time.monotonic()
            with self._lock:
                earliest = now - _UNUSED_SECONDS
                self._clock = max(self._clock, earliest) + share * self._seconds_per_byte
                delay = self._clock - now
            if delay > 0:
                await asyncio.sleep(delay)

    async def chunks(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            await self.take(len(chunk))
            yield chunk


def _get(rate: _ByteRate, method: Callable[..., Any]) -> Callable[..., Any]:
    async def get(path: str, /) -> bytes:
        content: bytes = await method(path)
        await rate.take(len(content))
        return content

    return get


def _read_ranges(rate: _ByteRate, method: Callable[..., Any]) -> Callable[..., Any]:
    async def read_ranges(*arguments: Any) -> Sequence[bytes]:
        pieces: Sequence[bytes] = await method(*arguments)
        await rate.take(sum(map(len, pieces)))
        return pieces

    return read_ranges


def _open_read(rate: _ByteRate, method: Callable[..., Any]) -> Callable[..., Any]:
    async def open_read(*arguments: Any) -> ReadStream:
        stream: ReadStream = await method(*arguments)
        return ReadStream(stream.info, rate.chunks(aiter(stream)), stream.aclose)

    return open_read


def _write(rate: _ByteRate, method: Callable[..., Any]) -> Callable[..., Any]:
    async def write(path: str, content: Any, /, *options: Any) -> Any:
        return await method(path, await _rate_limited(rate, content), *options)

    return write


_RATE_LIMITED: dict[str, Callable[[_ByteRate, Callable[..., Any]], Callable[..., Any]]] = {
    "get": _get,
    "read_ranges": _read_ranges,
    "open_read": _open_read,
    "put": _write,
    "write_file": _write,
}


async def _rate_limited(rate: _ByteRate, content: Any) -> Any:
    """Return content that is read at the rate; wait first for content that is there already."""
    if isinstance(content, io.IOBase) and content.seekable():
        # What was spooled for a driver that takes no stream.
        await rate.take(content.seek(0, io.SEEK_END))
        content.seek(0)
        return content
    source = driver_content(content)
    if isinstance(source, bytes):
        await rate.take(len(source))
        return content
    if isinstance(source, AsyncIterator):
        return rate.chunks(source)
    return rate.chunks(_read(source))


async def _read(file: Any) -> AsyncIterator[bytes]:
    """Read a file in worker threads, none of which is kept until the next chunk."""
    while chunk := await in_thread(file.read, DEFAULT_CHUNK_SIZE):
        yield chunk
