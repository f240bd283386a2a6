"""Peak memory of a plan over many keys: ``python tests/benchmarks/sync_memory.py [KEYS]``.

Two disks list synthetic keys, of which one in a hundred differs, and one in a hundred is missing at
the target; the target does not promise the order of keys, so that its listing is sorted in a
temporary file. Each number runs in a process of its own.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from jtc.storage import StorageManager
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.models import listed_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage.models import Entry
    from jtc.storage.options import ListOptions

__all__ = ["SyntheticKeys", "plan", "planned_in_process"]


class SyntheticKeys(MemoryDriver):
    """A driver that lists a number of keys, and has no file.

    Args:
        keys: Their number.
        seed: What differs from other drivers' listings.
        lists_in_key_order: Whether it says that it lists in order, which it does.
    """

    def __init__(self, keys: int, seed: int, *, lists_in_key_order: bool) -> None:
        super().__init__()
        self._keys = keys
        self._seed = seed
        self.lists_in_key_order = lists_in_key_order

    async def list_entries(self, _prefix: str, _options: ListOptions, /) -> AsyncIterator[Entry]:
        """Yield the keys."""
        seed = self._seed
        for number in range(self._keys):
            if seed and number % 100 == seed:
                continue
            size = 1000 + (seed if number % 100 == 50 else 0)
            path = f"{number // 1000:05}/reports/{number:08}.json"
            yield listed_file(path, size, 1_700_000_000.5, f"{number:032x}")
            if number % 1000 == 0:
                await asyncio.sleep(0)


async def plan(keys: int) -> str:
    """Plan a synchronization, and return its counts."""
    manager = StorageManager.isolated()
    manager.set_driver(SyntheticKeys(keys, 0, lists_in_key_order=True), "source")
    manager.set_driver(SyntheticKeys(keys, 7, lists_in_key_order=False), "target")
    async with await manager.disk("source").plan_sync(
        to="target", compare="size", delete=True
    ) as made:
        listed = 0
        async for _ in made:
            listed += 1
        counts = made.counts
        assert listed == counts.new + counts.changed + counts.deleted
        return f"{counts.new} new, {counts.changed} changed, {counts.unchanged} unchanged"


def planned_in_process(keys: int) -> tuple[float, float, float]:
    """Plan in a process of its own.

    Returns:
        Its peak of memory in MiB, what it had before, and the seconds.
    """
    said = subprocess.run(
        [sys.executable, __file__, str(keys), "here"], check=True, capture_output=True, text=True
    )
    peak, before, seconds, *_ = said.stdout.split()
    return float(peak), float(before), float(seconds)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _main() -> None:
    keys = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    if sys.argv[2:] == ["here"]:
        asyncio.run(plan(100))  # what an import takes is not the plan's
        before, began = _peak(), time.perf_counter()
        counts = asyncio.run(plan(keys))
        print(f"{_peak():.1f} {before:.1f} {time.perf_counter() - began:.1f} {counts}")
        return
    peak, _, seconds = planned_in_process(keys)
    print(f"{keys} keys on both sides: {peak:.0f} MiB at most, {seconds:.0f} s")


if __name__ == "__main__":
    _main()
