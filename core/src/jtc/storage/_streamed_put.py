"""`StreamedPut`: a put whose content is written chunk by chunk."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING

from jtc.storage.exceptions import StorageException
from jtc.storage.options import DEFAULT_CHUNK_SIZE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["StreamedPut"]

_MOST_PENDING = 4 * DEFAULT_CHUNK_SIZE


class StreamedPut:
    """A put in a task of its own, which gets the chunks that are written here.

    It holds no reference to the open file, so that a file that is dropped can be collected while
    its put waits for more.

    Args:
        store: Stores content; it gets an async iterator.
        first: The first chunk, of any length.
    """

    def __init__(
        self, store: Callable[[AsyncIterator[bytes]], Awaitable[object]], first: bytes
    ) -> None:
        self._pending = deque([first] if first else [])
        self._pending_bytes = len(first)
        self._ended = False
        self._aborted = False
        self._changed = asyncio.Event()
        self._drained = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.ensure_future(store(self._chunks()))
        self._task.add_done_callback(lambda _: self._drained.set())

    async def write(self, chunk: bytes) -> None:
        """Add a chunk, after waiting for a slow storage.

        Raises:
            ValueError: The file was closed meanwhile.
            StorageException: The storage failed.
        """
        room = _MOST_PENDING - len(chunk)
        while self._pending and self._pending_bytes > room and not self._task.done():
            self._drained.clear()
            await self._drained.wait()
        if self._task.done():
            await self._outcome()
        if self._ended:
            raise ValueError("The file was closed meanwhile")
        self._pending.append(chunk)
        self._pending_bytes += len(chunk)
        self._changed.set()

    async def finish(self) -> None:
        """End the content, and wait until it is stored.

        Raises:
            StorageException: The storage failed.
        """
        self._ended = True
        self._changed.set()
        await self._outcome()

    async def abort(self) -> None:
        """Cancel the put, and wait for its end. Raises nothing."""
        self._cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.exception()  # retrieved, so that the loop does not log it

    def abandon(self) -> None:
        """Cancel the put from any thread, without waiting for its end."""
        with contextlib.suppress(RuntimeError):  # the loop is closed, and its tasks are cancelled
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        self._ended = self._aborted = True
        self._changed.set()
        self._task.cancel()
        self._task.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _outcome(self) -> None:
        if self._task.cancelled():
            # Awaiting it would cancel this task, which was not cancelled.
            raise StorageException(
                "The file was not stored: its event loop ended before close(), or close() was "
                "cancelled"
            )
        await self._task

    async def _chunks(self) -> AsyncIterator[bytes]:
        while True:
            while self._pending:
                chunk = self._pending.popleft()
                self._pending_bytes -= len(chunk)
                self._drained.set()
                yield chunk
            if self._aborted:
                # A driver that reads in its own task must not take this for the end.
                raise RuntimeError("The file was aborted")
            if self._ended:
                return
            self._changed.clear()
            await self._changed.wait()
