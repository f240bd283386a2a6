"""Growth: the speed with very many files in a directory, and with very many waiting operations.

Each figure is a ratio of ours to the bare calls, first with few and then with many; the two ratios
are compared, not the times. A stall is also measured without garbage collection, which looks at
all objects of all that wait. The rows for S3 are in the suite ``s3``: writing a hundred thousand
objects takes long, and is done once there.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bare import BareLocal
from measuring import UNCOLLECTED, Row, at_once, in_turns, print_rows
from memory import Dictionary
from peers import Ours
from sizes import Sizes

CONTENT = bytes(4096)
HERE = 64
"""Files of the directory that are read or written in turn."""

FEW = 5
"""Concurrent operations of the small case."""


def now_on_a_processor() -> float:
    """Return the time less what this thread has waited for a processor, in seconds."""
    waited = int(Path("/proc/thread-self/schedstat").read_text().split()[1])
    return time.perf_counter() - waited / 1e9


async def longest_stall(way: Any) -> float:
    """Return the longest stall of the loop in ms, without waits for a processor."""
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        last = now_on_a_processor()
        while True:
            await asyncio.sleep(0)
            now = now_on_a_processor()
            longest = max(longest, now - last)
            last = now

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    await way()
    watching.cancel()
    return longest * 1000


class Listed(Dictionary):
    """The limit of a listing in memory: all names, in order."""

    async def list(self, prefix: str) -> int:
        below = f"{prefix}/"
        names = sorted(name for name in self.files if name.startswith(below))
        return sum([len(self.files[name]) for name in names])


def directory_of(count: int) -> str:
    """Return the directory with `count` files."""
    return f"d{count}"


async def fill(where: str, ours: Any, limit: Any, count: int, there: int = 0) -> None:
    """Make a directory with `count` files, of which `there` exist already."""
    # On S3 both ask the same bucket; memory and directories are each one's own.
    for disk in (limit,) if where == "s3" else (ours, limit):
        if where == "local":
            directory = Path(disk.root, directory_of(count))
            directory.mkdir()
            for number in range(count):
                (directory / f"{number:06}").write_bytes(CONTENT)
        else:
            put = one_of(disk, "put", count, count)
            await at_once(64, count - there, lambda n, put=put: put(there + n))()


def one_of(disk: Any, method: str, count: int, spread: int = HERE) -> Any:
    """Return what does something to one of the files of a directory."""
    content = (CONTENT,) if method == "put" else ()
    directory = directory_of(count)
    return lambda number: getattr(disk, method)(f"{directory}/{number % spread:06}", *content)


def listed(disk: Any, count: int) -> Any:
    """Return what lists a directory."""
    return lambda: disk.list(directory_of(count))


async def grown(where: str, ours: Any, limit: Any, sizes: Sizes, there: int = 0) -> list[Row]:
    """Measure a disk with few and with many files, and with few and many operations at once.

    Args:
        where: ``"local"``, ``"memory"`` or ``"s3"``.
        ours: What is measured.
        limit: The bare calls.
        sizes: How much of all.
        there: How many files the large directory has already.
    """
    rows = []
    width, calls = (64, sizes.requests) if where == "s3" else (1, sizes.calls)
    both = (ours, limit)
    for count in sizes.growth:
        await fill(where, ours, limit, count, there if count == sizes.growth[1] else 0)
        for method in ("get", "put"):
            ways = {disk.name: at_once(width, calls, one_of(disk, method, count)) for disk in both}
            name = f"{where} {method}, {count:,} files"
            rows.append(await in_turns(name, ways, rounds=sizes.asked, per=calls))
        if hasattr(limit, "list"):
            ways = {disk.name: listed(disk, count) for disk in both}
            name = f"{where} list, {count:,} files"
            rows.append(await in_turns(name, ways, rounds=sizes.few, per=count))
    count = sizes.growth[0]
    for waiting in (FEW, sizes.waiting):
        times = max(1, calls // waiting)
        ways = {disk.name: together(one_of(disk, "get", count), waiting, times) for disk in both}
        name = f"{where} get, {waiting:,} waiting"
        row = await in_turns(name, ways, rounds=sizes.fewest, per=times * waiting, warm=False)
        rows.append(row)
    get = one_of(ours, "get", count)
    row.notes |= await stalls(get, sizes)
    return rows


async def stalls(get: Any, sizes: Sizes) -> dict[str, float]:
    """Return the longest stalls of the loop in ms, by their names."""
    # Ten thousand tasks take their time before any of them does anything.
    idle = " of as many tasks that do nothing"
    ways = {"": together(get, sizes.waiting, 1), idle: together(nothing, sizes.waiting, 1)}
    found: dict[str, list[float]] = {}
    for _ in range(sizes.fewest):
        for name, way in ways.items():
            found.setdefault(name, []).append(await longest_stall(way))
            gc.disable()
            found.setdefault(f"{name}{UNCOLLECTED}", []).append(await longest_stall(way))
            gc.enable()
        few = at_once(64, sizes.waiting // 5, get)
        found.setdefault(" with 64 at once", []).append(await longest_stall(few))
    return {f"longest stall{name}, ms": statistics.median(each) for name, each in found.items()}


async def nothing(_: int) -> None:
    await asyncio.sleep(0)


def together(work: Any, waiting: int, times: int) -> Any:
    """Return a way that begins `waiting` operations at once, `times` times."""

    async def way() -> None:
        for _ in range(times):
            await asyncio.gather(*(work(number) for number in range(waiting)))

    return way


@asynccontextmanager
async def local() -> AsyncIterator[tuple[Any, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours.local(Path(folder) / "ours")
        ours.root = Path(folder) / "ours"
        ours.root.mkdir()
        yield ours, BareLocal(Path(folder) / "bare")
        await ours.aclose()


@asynccontextmanager
async def memory() -> AsyncIterator[tuple[Any, Any]]:
    yield Ours.memory(), Listed()


async def main(sizes: Sizes) -> None:
    rows = []
    for where, disks in (("local", local), ("memory", memory)):
        async with disks() as (ours, limit):
            rows += await grown(where, ours, limit, sizes)
    print_rows(rows)


if __name__ == "__main__":
    asyncio.run(main(Sizes.named(sys.argv[1])))
