"""Writing of async sources: a worker writes while the source is asked for more.

No worker waits for the source. Such threads would be used up by a few slow uploads, and forever
where the source itself reads from this disk. So a worker writes the batches that are there, goes on
while it finds more, and ends; the next batch calls another one.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from jtc.storage.drivers.local_driver._staged_file import StagedFile, write_file
from jtc.storage.drivers.local_driver._worker_calls import Call, run
from jtc.storage.exceptions import StorageUnavailableException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage.drivers.local_driver._safe_open import Root
    from jtc.storage.drivers.local_driver._worker_calls import CancelToken
    from jtc.storage.options import WriteOptions

__all__ = ["write_stream"]

_BATCH_BYTES = 1024 * 1024
"""Chunks are joined up to this length: a batch then takes a worker as long as being called does."""

_STAY_BYTES = 32 * 1024 * 1024
"""A worker ends after this length and is called again, since other calls wait for a worker too:
without this limit, some stayed for a hundred MiB."""

_AHEAD_BYTES = 4 * 1024 * 1024
_RESUME_BYTES = 2 * 1024 * 1024
"""With more than `_AHEAD_BYTES` that are not written yet, the source is not asked for more until
`_RESUME_BYTES` are left. With less, the worker runs out of batches before the event loop's thread
has woken up: see ``stream in`` in docs/benchmarks.md."""


async def write_stream(
    root: Root, path: str, chunks: AsyncIterator[bytes], options: WriteOptions
) -> str:
    """Write what an async source yields, as `write_file` does; return the file's etag."""
    writer: _Writer | None = None
    try:
        batch: list[bytes] = []
        length = 0
        async for chunk in chunks:
            batch.append(chunk)
            length += len(chunk)
            if length < _BATCH_BYTES:
                continue
            if writer is None:
                staged = await run(_stage, root, path, discard=StagedFile.close)
                writer = _Writer(root, staged)
            await writer.add(b"".join(batch))
            batch, length = [], 0
        if writer is None:
            return await run(write_file, root, path, b"".join(batch), options)
        await writer.flush()
        return await run(_write_last, root, writer.staged, b"".join(batch), options)
    finally:
        if writer is not None:
            await writer.aclose()


class _Writer:
    """Batches on their way into a staged file.

    Args:
        root: The disk's root.
        staged: The new file; `aclose` closes it.
    """

    def __init__(self, root: Root, staged: StagedFile) -> None:
        self._root = root
        self.staged = staged
        self._loop = asyncio.get_running_loop()
        self._call: Call[None] | None = None
        # What follows is shared by the event loop's thread and the worker.
        self._lock = threading.Lock()
        self._batches: deque[bytes] = deque()
        self._ahead = 0
        self._is_working = False
        self._waiting: asyncio.Future[None] | None = None

    async def add(self, batch: bytes) -> None:
        """Have a batch written; return when the next one may be added.

        Raises:
            OSError: It, or one before it, could not be written.
        """
        with self._lock:
            self._batches.append(batch)
            self._ahead += len(batch)
        await self._call_worker()
        while (room := self._room()) is not None:
            await room
            await self._call_worker()

    async def flush(self) -> None:
        """Return when all is written.

        Raises:
            OSError: A batch could not be written.
        """
        while self._call is not None:
            await self._call.result()
            self._call = None
            await self._call_worker()

    async def aclose(self) -> None:
        """Cancel what is not written, and close the file."""
        try:
            if self._call is not None:
                await self._call.cancel()
        finally:
            try:
                closing = Call(self._root, _close, self.staged)
            except StorageUnavailableException:
                self.staged.close()
            else:
                await closing.wait_briefly()

    async def _call_worker(self) -> None:
        """Call a worker if there are batches and none is at work."""
        if self._is_working:
            return
        if self._call is not None:
            await self._call.result()
            self._call = None
        if self._batches:
            self._is_working = True
            try:
                self._call = Call(self._root, self._work)
            except StorageUnavailableException:
                self._is_working = False
                raise

    def _room(self) -> asyncio.Future[None] | None:
        """Return a future that is done when the worker has made room; None where there is some."""
        with self._lock:
            if self._ahead < _AHEAD_BYTES or not self._is_working:
                return None
            self._waiting = self._loop.create_future()
            return self._waiting

    def _work(self, token: CancelToken) -> None:
        """Write the batches that there are, and those that come meanwhile, in a worker."""
        written = 0
        try:
            while self._batches and written < _STAY_BYTES:
                batch = self._batches.popleft()
                self.staged.write_batch(token, batch)
                written += len(batch)
                with self._lock:
                    self._ahead -= len(batch)
                    if self._ahead <= _RESUME_BYTES:
                        self._wake()
        finally:
            with self._lock:
                self._is_working = False
                self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(_finish, waiting)


def _finish(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _stage(token: CancelToken, root: Root, path: str) -> StagedFile:
    return StagedFile(root, path, token).wait()


def _write_last(
    token: CancelToken, _root: Root, staged: StagedFile, content: bytes, options: WriteOptions
) -> str:
    return staged.write_last(token, content, options)


def _close(_token: CancelToken, staged: StagedFile) -> None:
    staged.close()
