"""Measurement of times in turns: medians, and ratios within one run.

The machine may be shared and noisy, so only ratios within one run are comparable: each round times
all ways one after another, and a ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

__all__ = [
    "DOWNLOAD",
    "NEAR",
    "OURS",
    "PLAIN",
    "SHARE",
    "STORE_WORK",
    "TRUSTING",
    "UNCOLLECTED",
    "Row",
    "Way",
    "at_once",
    "in_turns",
    "inside",
    "peak_of",
    "print_rows",
    "repeat",
]

OURS = "jtc-storage"
TRUSTING = f"{OURS}, one request"
"""Ours where the store is trusted to say whether there was a file."""
DOWNLOAD = f"{OURS}, Disk.download"
"""Ours to any local path, as other libraries' downloads are; a copy is between two disks."""
PLAIN = "plain sockets"
"""The limit at a distance: the same bytes through the same proxy."""
SHARE = "of it the fastest takes, %"
"""A note: above 70, the row says as much of the proxy as of the libraries."""
NEAR = "of the store's own, near, the fastest takes, %"
"""A note: near 100, the store is the limit of all libraries."""
STORE_WORK = "the store's own processor time, s"
UNCOLLECTED = " without garbage collection"
LONGEST = 300
"""Seconds after which a round has failed."""
MIB = 1024 * 1024

Way: TypeAlias = Callable[[], Awaitable[object]]
"""One round of some work; `per` operations in it count as one figure."""


@dataclass
class Row:
    """The time of one kind of work, by way.

    Attributes:
        name: The work.
        unit: Of the figures: ``"µs"``, ``"ms"``, ``"s"``.
        wall: Each way's rounds, in that unit, an operation.
        cpu: The same in this process's processor time, all threads.
        memory: Each way's peak above the process before it, in MiB, where it was measured.
        connections: The most that each way used at once, where they were counted.
        notes: Other figures of ours, such as the longest stall of the loop.
        failed: What was raised by ways that failed, which have no other figures.
        table: The heading of the table that the row is in, where a suite has several.
    """

    name: str
    unit: str = "µs"
    wall: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    connections: dict[str, int] = field(default_factory=dict)
    notes: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    table: str = ""

    def median(self, way: str, *, cpu: bool = False) -> float:
        """Return a way's median."""
        return statistics.median((self.cpu if cpu else self.wall)[way])

    def ratio(self, way: str, to: str, *, cpu: bool = False) -> float:
        """Return the median of the ratios of the rounds that both were in."""
        rounds = self.cpu if cpu else self.wall
        return statistics.median(
            one / other for one, other in zip(rounds[way], rounds[to], strict=False)
        )

    def as_json(self) -> dict[str, Any]:
        """Return all of it, for another process."""
        return asdict(self)


_SCALE = {"µs": 1e6, "ms": 1e3, "s": 1.0}


async def in_turns(
    name: str,
    ways: Mapping[str, Way],
    *,
    rounds: int,
    per: int | Mapping[str, int] = 1,
    unit: str = "µs",
    warm: bool = True,
    patience: float = math.inf,
    between: Callable[[str], Awaitable[object]] | None = None,
) -> Row:
    """Time all ways, a round of each in turn.

    Args:
        name: The row's.
        ways: One round of the work, by the name of the library.
        rounds: The number of rounds.
        per: The number of operations in a round, or by way.
        unit: The unit of the figures.
        warm: Whether a first round, before several, does not count.
        patience: A way that takes more than this multiple of the first way's time has one round,
            unless it is of ours.
        between: Called after each round of a way, outside the measured time.
    """
    print(f"    {name}", file=sys.stderr, flush=True)
    row = Row(name, unit, {way: [] for way in ways}, {way: [] for way in ways})
    ours, *_ = order = list(ways)
    # One round alone only shows that all of it runs.
    for number in range(-1 if warm and rounds > 1 else 0, rounds):
        for way in list(order):
            scale = _SCALE[unit] / (per if isinstance(per, int) else per[way])
            try:
                wall, cpu = await _timed(ways[way])
                if between is not None:
                    await between(way)
            except Exception as error:
                if way == ours or way.startswith(OURS):
                    raise
                # What another library cannot do costs its figures, and no others.
                _leave_out(row, way, error)
                order.remove(way)
                continue
            if number >= 0:
                row.wall[way].append(wall * scale)
                row.cpu[way].append(cpu * scale)
        # No way always comes after the same other.
        order.append(order.pop(0))
        if number >= 0:
            longest = patience * next(iter(row.wall.values()))[0]
            order = [way for way in order if way.startswith(OURS) or row.wall[way][0] <= longest]
    return row


async def _timed(way: Way) -> tuple[float, float]:
    gc.collect()
    gc.disable()
    try:
        async with asyncio.timeout(LONGEST):
            cpu, wall = time.process_time(), time.perf_counter()
            await way()
            return time.perf_counter() - wall, time.process_time() - cpu
    finally:
        gc.enable()


def _leave_out(row: Row, way: str, error: Exception) -> None:
    row.failed[way] = f"{type(error).__name__}: {error}"
    print(f"    {way} failed: {row.failed[way]}", file=sys.stderr, flush=True)
    del row.wall[way], row.cpu[way]


def repeat(times: int, work: Callable[[int], Awaitable[object]]) -> Way:
    """Return a way that does something `times` times, one after another."""

    async def way() -> None:
        for number in range(times):
            await work(number)

    return way


def at_once(width: int, times: int, work: Callable[[int], Awaitable[object]]) -> Way:
    """Return a way that does something `times` times, `width` at once."""

    async def way() -> None:
        numbers = iter(range(times))

        async def worker() -> None:
            for number in numbers:
                await work(number)

        await asyncio.gather(*(worker() for _ in range(width)))

    return way


def peak_of(script: str, *arguments: str) -> dict[str, Any]:
    """Run a script in a process of its own and return the JSON that it prints last.

    Nothing is in it where the script failed, which costs no other figure.
    """
    try:
        done = subprocess.run(
            [sys.executable, script, *arguments],
            check=False,  # obstore's runtime sometimes aborts at a process's end
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
            timeout=LONGEST,
        )
    except subprocess.TimeoutExpired as error:
        print(f"    {error}", file=sys.stderr, flush=True)
        return {}
    lines = done.stdout.splitlines()
    found: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return found


def inside(what: str) -> int:
    """Return a figure of this process in MiB: ``"VmHWM"`` is its peak, ``"VmRSS"`` is now."""
    with Path("/proc/self/status").open() as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith(what))


def print_rows(rows: Iterable[Row]) -> None:
    """Print rows as JSON, for the process that asked."""
    print(json.dumps([row.as_json() for row in rows]))
