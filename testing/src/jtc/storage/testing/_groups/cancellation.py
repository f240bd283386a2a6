"""Cancelled tasks, and what they leave behind."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.testing._suite import Suite, also_alone, awaited, must_raise, needs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from jtc.storage import Disk

__all__ = ["CancellationTests"]

_SIZE = 300_000


_CALLS: dict[str, Callable[[Disk], Any]] = {
    "get": lambda disk: disk.get("a"),
    "put": lambda disk: disk.put("a", b"new"),
    "exists": lambda disk: disk.exists("a"),
    "size": lambda disk: disk.size("a"),
    "last_modified": lambda disk: disk.last_modified("a"),
    "stat": lambda disk: disk.stat("a"),
    "get_range": lambda disk: disk.get_range("a", 0, 1),
    "copy": lambda disk: disk.copy("a", "b"),
    "move": lambda disk: disk.move("a", "c"),
    "delete_many": lambda disk: disk.delete_many(["a", "b"]),
    "delete": lambda disk: disk.delete("a"),
}


class CancellationTests(Suite):
    """Always CancelledError; the old file or the new one; a storage that goes on working."""

    rules = "every method"

    @also_alone
    async def test_a_put_cancelled_while_its_source_waits_changes_nothing(
        self, storage: Disk
    ) -> None:
        await storage.put("a", b"old")
        waiting = asyncio.Event()

        async def source() -> AsyncIterator[bytes]:
            yield b"new"
            waiting.set()
            await asyncio.Event().wait()

        await _cancelled(storage, source(), waiting)
        assert await storage.get("a") == b"old"

    async def test_a_put_cancelled_while_its_file_blocks_changes_nothing(
        self, storage: Disk
    ) -> None:
        await storage.put("a", b"old")
        loop, waiting, resume = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

        def source() -> Iterator[bytes]:
            yield b"new"
            loop.call_soon_threadsafe(waiting.set)
            resume.wait(30)

        await _cancelled(storage, source(), waiting, resume)
        # Its worker thread has the rest of the source now: it must not finish the work.
        await _settled()
        assert await storage.get("a") == b"old"

    @needs("listing")
    async def test_a_cancelled_put_leaves_nothing_to_be_listed(self, storage: Disk) -> None:
        waiting = asyncio.Event()

        async def source() -> AsyncIterator[bytes]:
            yield b"new"
            waiting.set()
            await asyncio.Event().wait()

        await _cancelled(storage, source(), waiting)
        assert [entry.path async for entry in storage.list(recursive=True)] == []

    async def test_a_put_cancelled_at_any_moment_is_whole_or_not_at_all(
        self, storage: Disk
    ) -> None:
        contents = {b"o" * _SIZE, b"n" * _SIZE}
        for turns in range(25):
            await storage.put("a", b"o" * _SIZE)
            put = asyncio.create_task(storage.put("a", b"n" * _SIZE))
            await _turns(turns)
            put.cancel()
            await asyncio.gather(put, return_exceptions=True)
            if not self.replaces_without_gap:
                await asyncio.sleep(0.05)  # the backend may be replacing it still
            assert await storage.get("a") in contents

    async def test_nothing_changes_after_a_put_was_cancelled(self, storage: Disk) -> None:
        if not self.changes_nothing_after_cancellation:
            pytest.skip("a request that was sent already may land")
        for turns in range(25):
            await storage.put("a", b"old")
            put = asyncio.create_task(storage.put("a", b"n" * _SIZE))
            await _turns(turns)
            put.cancel()
            await asyncio.gather(put, return_exceptions=True)
            content = await storage.get("a")
            await _settled()
            assert await storage.get("a") == content

    @pytest.mark.parametrize("turns", [1, 2, 3, 5, 8])
    async def test_a_cancelled_call_is_a_cancelled_error(self, storage: Disk, turns: int) -> None:
        for name, call in _CALLS.items():
            await storage.put("a", b"old")
            task = asyncio.create_task(awaited(call(storage)))
            for _ in range(turns):
                await asyncio.sleep(0)
            if task.cancel():  # False: it was done already
                with must_raise(asyncio.CancelledError, f"{name}() that is cancelled"):
                    await task

    async def test_put_after_cancelled_put_does_not_wait_for_it(self, storage: Disk) -> None:
        for number in range(3):
            waiting = asyncio.Event()

            async def source(waiting: asyncio.Event) -> AsyncIterator[bytes]:
                yield b"new"
                waiting.set()
                await asyncio.Event().wait()

            await _cancelled(storage, source(waiting), waiting)
            await asyncio.wait_for(storage.put("a", b"%d" % number), self.patience)
            assert await storage.get("a") == b"%d" % number

    async def test_the_storage_works_after_cancellations(self, storage: Disk) -> None:
        for turns in range(10):
            tasks = [
                asyncio.create_task(storage.put("a", b"n" * _SIZE)),
                asyncio.create_task(storage.exists("a")),
            ]
            await _turns(turns)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await _settled()
        await storage.put("a", b"new")
        # A request that was sent before its task was cancelled may land even now.
        late = set() if self.changes_nothing_after_cancellation else {b"n" * _SIZE}
        assert await storage.get("a") in {b"new", *late}
        assert await storage.delete("a") is True

    async def test_a_cancelled_reader_leaves_the_file_usable(self, storage: Disk) -> None:
        await storage.put("a", b"x" * _SIZE)
        reading = asyncio.Event()

        async def read() -> None:
            async for _ in storage.stream("a", chunk_size=1000):
                reading.set()
                await asyncio.Event().wait()

        reader = asyncio.create_task(read())
        await asyncio.wait_for(reading.wait(), 30)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        await storage.put("a", b"new")
        assert await storage.get("a") == b"new"


async def _cancelled(
    storage: Disk,
    source: AsyncIterator[bytes] | Iterator[bytes],
    waiting: asyncio.Event,
    resume: threading.Event | None = None,
) -> None:
    """Put a source to "a", and cancel that once the source waits."""
    put = asyncio.create_task(storage.put("a", source))
    await asyncio.wait_for(waiting.wait(), 30)
    put.cancel()
    # A driver may have to wait for its thread before it can say that nothing will change.
    asyncio.get_running_loop().call_soon(resume.set if resume else waiting.set)
    with pytest.raises(asyncio.CancelledError):
        await put


async def _turns(number: int) -> None:
    """Let the loop turn this often, the later turns with time for a thread to work."""
    for turn in range(number):
        await asyncio.sleep(0 if turn < 5 else 0.0001)


async def _settled() -> None:
    """Wait for what a driver may still do in the background."""
    await asyncio.sleep(0.02)
