"""How a file is written from a source that yields: a worker writes while the source is asked on.

No worker waits for the source. Such threads would be used up by a few slow uploads, and for ever
where the source itself reads from this disk. So a worker writes what has been gathered, goes on for
as long as it finds more, and leaves; the next batch calls another one.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from jtc.storage.drivers.local_driver._staged_file import Draft, write_file
from jtc.storage.drivers.local_driver._worker_calls import Call, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage.drivers.local_driver._safe_open import Root
    from jtc.storage.drivers.local_driver._worker_calls import Turn
    from jtc.storage.options import WriteOptions

__all__ = ["write_stream"]

_BATCH_BYTES = 1024 * 1024
"""Chunks are joined until they are so many: a batch takes a worker as long as being called does."""

_STAY_BYTES = 32 * 1024 * 1024
"""So much a worker writes, and then is called again, since others wait for one too: where nothing
made them leave, some stayed for a hundred MiB."""

_AHEAD_BYTES = 4 * 1024 * 1024
_RESUME_BYTES = 2 * 1024 * 1024
"""From so many bytes on that are not written yet, the source is not asked for more, until only so
many are left. With less, the worker runs out of them before the event loop's thread has woken up:
see ``stream in`` in docs/benchmarks.md."""


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
                writer = _Writer(await run(_open_draft, root, path, discard=Draft.close))
            await writer.add(b"".join(batch))
            batch, length = [], 0
        if writer is None:
            return await run(write_file, root, path, b"".join(batch), options)
        await writer.flush()
        return await run(writer.draft.write_last, b"".join(batch), options)
    finally:
        if writer is not None:
            await writer.aclose()


class _Writer:
    """Batches on their way into a draft.

    Args:
        draft: The new file, to be closed by `aclose`.
    """

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self._loop = asyncio.get_running_loop()
        self._call: Call[None] | None = None
        # What follows is the event loop's and the worker's.
        self._lock = threading.Lock()
        self._batches: deque[bytes] = deque()
        self._ahead = 0
        self._is_working = False
        self._waiting: asyncio.Future[None] | None = None

    async def add(self, batch: bytes) -> None:
        """Have a batch written; return when there may be another one.

        Raises:
            OSError: It, or one before it, could not be written.
        """
        with self._lock:
            self._batches.append(batch)
            self._ahead += len(batch)
        await self._go_on()
        while (room := self._room()) is not None:
            await room
            await self._go_on()

    async def flush(self) -> None:
        """Return when all is written.

        Raises:
            OSError: Something could not be.
        """
        while self._call is not None:
            await self._call.result()
            self._call = None
            await self._go_on()

    async def aclose(self) -> None:
        """Call off what is not written, and close the draft."""
        try:
            if self._call is not None:
                await self._call.call_off()
        finally:
            await Call(_close_draft, self.draft).ended()

    async def _go_on(self) -> None:
        """See to it that a worker writes what there is."""
        if self._is_working:
            return
        if self._call is not None:
            await self._call.result()
            self._call = None
        if self._batches:
            self._is_working = True
            self._call = Call(self._work)

    def _room(self) -> asyncio.Future[None] | None:
        """Return what is done once the worker has made room, or None where there is some."""
        with self._lock:
            if self._ahead < _AHEAD_BYTES or not self._is_working:
                return None
            self._waiting = self._loop.create_future()
            return self._waiting

    def _work(self, turn: Turn) -> None:
        """Write what there is, and what comes meanwhile, in a worker."""
        written = 0
        try:
            while self._batches and written < _STAY_BYTES:
                batch = self._batches.popleft()
                self.draft.write_batch(turn, batch)
                written += len(batch)
                with self._lock:
                    self._ahead -= len(batch)
                    if self._ahead <= _RESUME_BYTES:
                        self._tell()
        finally:
            with self._lock:
                self._is_working = False
                self._tell()

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            with suppress(RuntimeError):  # the loop is closed, and nobody waits
                self._loop.call_soon_threadsafe(_wake, waiting)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _open_draft(turn: Turn, root: Root, path: str) -> Draft:
    return Draft(root, path, turn).wait()


def _close_draft(_turn: Turn, draft: Draft) -> None:
    draft.close()
