"""The Azure driver beside obstore alone, on an Azurite of this run's own, in turns.

python tests/benchmarks/azure.py          each row 15 rounds
python tests/benchmarks/azure.py smoke    small sizes, to see that it runs
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import obstore
from obstore.store import AzureStore

from azurite import Azurite
from jtc.storage import Disk, StorageManager

MIB = 1024 * 1024
SMALL = os.urandom(4096)

Way = Callable[[], Awaitable[object]]


def peer(store: Azurite) -> AzureStore:
    """Return obstore's client of the container."""
    return AzureStore(
        store.container,
        account_name=store.account,
        account_key=store.key,
        endpoint=store.endpoint_url,
        client_options={"allow_http": True},
    )


def times(way: Way, repeat: int) -> Way:
    """Return a way that does another one several times, one after another."""

    async def repeated() -> None:
        for _ in range(repeat):
            await way()

    return repeated


async def in_turns(name: str, ours: Way, theirs: Way, rounds: int) -> None:
    """Time two ways one after another, and print the median of the rounds' ratios."""
    took: list[tuple[float, float]] = []
    for number in range(rounds + 1):
        pair = []
        for way in (ours, theirs) if number % 2 else (theirs, ours):
            begun = time.perf_counter()
            await way()
            pair.append(time.perf_counter() - begun)
        took.append((pair[0], pair[1]) if number % 2 else (pair[1], pair[0]))
    mine, other = zip(*took[1:], strict=True)  # the first one opens connections
    ratio = statistics.median(each / its for each, its in took[1:])
    sys.stdout.write(
        f"{name:16}  {statistics.median(mine) * 1000:9.2f} ms  "
        f"{statistics.median(other) * 1000:9.2f} ms  {ratio:5.2f} x\n"
    )
    sys.stdout.flush()


async def compare(disk: Disk, bare: AzureStore, *, smoke: bool) -> None:
    """Print a row for each kind of work."""
    rounds, repeat, large, many = (1, 2, 2 * MIB, 20) if smoke else (15, 20, 64 * MIB, 5000)
    content = os.urandom(large)
    await disk.put("small", SMALL)
    await disk.put("large", content)
    for start in range(0, many, 50):
        await asyncio.gather(*(disk.put(f"many/{start + n:05}", b"1") for n in range(50)))

    async def get(path: str) -> object:
        return await (await obstore.get_async(bare, path)).bytes_async()

    async def listed_here() -> int:
        return len([each async for each in disk.list("many")])

    async def listed_there() -> int:
        return sum([len(page) async for page in obstore.list(bare, "many")])

    rows: list[tuple[str, Way, Way]] = [
        (
            "put 4 KiB",
            times(lambda: disk.put("small", SMALL), repeat),
            times(lambda: obstore.put_async(bare, "small", SMALL), repeat),
        ),
        (
            "get 4 KiB",
            times(lambda: disk.get("small"), repeat),
            times(lambda: get("small"), repeat),
        ),
        (
            "stat",
            times(lambda: disk.stat("small"), repeat),
            times(lambda: obstore.head_async(bare, "small"), repeat),
        ),
        (
            f"put {large // MIB} MiB",
            lambda: disk.put("large", content),
            lambda: obstore.put_async(bare, "large", content),
        ),
        (f"get {large // MIB} MiB", lambda: disk.get("large"), lambda: get("large")),
        (f"list {many}", listed_here, listed_there),
    ]
    sys.stdout.write(f"{'':16}  {'jtc-storage':>12}  {'obstore':>12}\n")
    for name, ours, theirs in rows:
        await in_turns(name, ours, theirs, rounds)


async def main() -> None:
    smoke = "smoke" in sys.argv[1:]
    with Azurite("benchmark") as store:
        options = {"driver": "azure", "container": store.container, **store.options}
        manager = StorageManager.isolated({"default": "azure", "disks": {"azure": options}})
        await compare(manager.disk(), peer(store), smoke=smoke)
        await manager.aclose()


if __name__ == "__main__":
    asyncio.run(main())
