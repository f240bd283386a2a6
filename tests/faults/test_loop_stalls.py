"""Stalls of the event loop while files are read and written, seen by a task that runs each ms."""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jtc.storage import StorageManager
from jtc.storage.drivers.local_driver import LocalDriver

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CONTENT = bytes(4 * 1024 * 1024)
AT_ONCE = 64
FILES = 5_000
STALL = 0.025
TICK = 0.001


def without_processor() -> float:
    """Return for how long this thread was ready and another one had the processor, in seconds."""
    # https://docs.kernel.org/scheduler/sched-stats.html: the second figure is in nanoseconds.
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


class Stalls:
    """The longest stall of each round: as the clock saw it, and what of it was not the machine's.

    A loop whose thread gets no processor stands still whatever the code does, and this machine
    may be shared. The kernel reports for how long that was. It does not report on the threads that
    hold the interpreter meanwhile, so that one round says little: where other tests run at the
    same time the best round counts, else the median. What blocks the loop does so in each.
    """

    def __init__(self, *, alone: bool) -> None:
        self._alone = alone
        self.seen: list[float] = []
        self.own: list[float] = []

    async def watch(self, work: Awaitable[object]) -> None:
        """Await a round's work."""
        longest = longest_own = 0.0

        async def tick() -> None:
            nonlocal longest, longest_own
            last, waited = time.perf_counter(), without_processor()
            while True:
                await asyncio.sleep(TICK)
                now, waits = time.perf_counter(), without_processor()
                stall = now - last - TICK
                longest = max(longest, stall)
                longest_own = max(longest_own, stall - (waits - waited))
                last, waited = now, waits

        watching = asyncio.create_task(tick())
        await asyncio.sleep(0)
        await work
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        self.seen.append(longest)
        self.own.append(longest_own)

    @property
    def judged(self) -> float:
        return statistics.median(self.own) if self._alone else min(self.own)

    def __str__(self) -> str:
        median, own = (statistics.median(each) * 1000 for each in (self.seen, self.own))
        return (
            f"{len(self.own)} rounds, the longest stall of each: median {own:.1f} ms, worst "
            f"{max(self.own) * 1000:.1f} ms, {sum(each > STALL for each in self.own)} over 25 ms; "
            f"with what the thread waited for a processor {median:.1f} ms, "
            f"{max(self.seen) * 1000:.1f} ms and {sum(each > STALL for each in self.seen)}"
        )


@pytest.mark.row(10)
@pytest.mark.alone
async def test_large_puts_and_gets_at_once_do_not_stall_the_loop(
    tmp_path: Path, report: Callable[[str], None], rounds: Callable[..., int]
) -> None:
    manager = StorageManager.isolated()
    manager.set_driver(LocalDriver(tmp_path), "files")
    disk = manager.disk("files")
    names = [f"{number}" for number in range(AT_ONCE)]

    async def put_and_get() -> None:
        await asyncio.gather(*(disk.put(name, CONTENT) for name in names))
        for content in await asyncio.gather(*map(disk.get, names)):
            assert len(content) == len(CONTENT)

    await put_and_get()
    stalls = Stalls(alone=bool(rounds(1, brief=0)))
    for _ in range(rounds(15, brief=5)):
        await stalls.watch(put_and_get())
    report(f"{AT_ONCE} puts and gets of 4 MiB at once: {stalls}")
    assert stalls.judged <= STALL


@pytest.mark.row(10)
@pytest.mark.alone
async def test_a_long_listing_does_not_stall_the_loop(
    tmp_path: Path, report: Callable[[str], None], rounds: Callable[..., int]
) -> None:
    manager = StorageManager.isolated()
    manager.set_driver(LocalDriver(tmp_path), "files")
    disk = manager.disk("files")
    for number in range(FILES):
        (tmp_path / f"{number}").touch()

    async def drain() -> None:
        assert len([entry async for entry in disk.list()]) == FILES

    await drain()
    stalls = Stalls(alone=bool(rounds(1, brief=0)))
    for _ in range(rounds(30, brief=10)):
        await stalls.watch(drain())
    report(f"a listing of {FILES:,} files: {stalls}")
    assert stalls.judged <= STALL
