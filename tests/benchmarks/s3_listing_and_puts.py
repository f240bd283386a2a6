"""Small puts one after another, and a long listing, on S3. Run it with Python; it takes minutes.

Starts a SeaweedFS of its own. Prints milliseconds a put (median and worst of 100), and what
listing many keys costs in time and in memory, a page at a time.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from jtc.storage import Disk, Storage
from seaweedfs import SeaweedFS

KEYS = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
AT_ONCE = 64


def resident_mib() -> float:
    with Path("/proc/self/status").open() as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


async def small_puts(disk: Disk) -> None:
    content = bytes(1000)
    await disk.put("warm", content)
    took = []
    for number in range(100):
        begun = time.perf_counter()
        await disk.put(f"small/{number}", content)
        took.append(1000 * (time.perf_counter() - begun))
    print(f"put of 1 kB: median {statistics.median(took):.1f} ms, worst {max(took):.1f} ms")


async def long_listing(disk: Disk) -> None:
    numbers = iter(range(KEYS))

    async def worker() -> None:
        for number in numbers:
            await disk.put(f"many/{number:07}", b"")

    begun = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    print(f"{KEYS} puts, {AT_ONCE} at once: {time.perf_counter() - begun:.0f} s")
    before, most, count, begun = resident_mib(), 0.0, 0, time.perf_counter()
    async for _ in disk.list("many"):
        count += 1
        if count % 1000 == 0:
            most = max(most, resident_mib() - before)
    assert count == KEYS
    print(f"{count} keys listed: {time.perf_counter() - begun:.1f} s, {most:+.1f} MiB at most")


async def main() -> None:
    with SeaweedFS() as store:
        config = {"driver": "s3", "bucket": store.bucket, **store.options}
        async with Storage.build(config) as disk:
            await small_puts(disk)
            await long_listing(disk)


if __name__ == "__main__":
    asyncio.run(main())
