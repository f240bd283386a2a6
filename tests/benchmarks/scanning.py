"""Time to have clamd judge a file: sent by 64 KiB, by 1 KiB a hop, and through a layer.

``python tests/benchmarks/scanning.py`` starts a clamd of its own with one signature, and prints
milliseconds and ratios of one run, the ways in turns. The way by 1 KiB is that of aioclamd 1.1: a
hop to a thread for each.
"""

from __future__ import annotations

import asyncio
import io
import statistics
import struct
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from clamd import RealClamd
from jtc.storage import Disk, StorageManager
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.layers.clamav_layer import Clamd

ROUNDS = 15
SIZES = (1_000, 900_000, 9_000_000)
BLOCK = 1024 * 1024


async def by_hops(address: str, content: bytes, piece: int) -> None:
    """Send a file in pieces, each read in a thread, written and waited for by itself."""
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"zINSTREAM\0")
    file = io.BytesIO(content)
    while chunk := await asyncio.to_thread(file.read, piece):
        writer.write(struct.pack("!L", len(chunk)))
        writer.write(chunk)
        await writer.drain()
    writer.write(bytes(4))
    await writer.drain()
    assert await reader.readuntil(b"\0") == b"stream: OK\0"
    writer.close()
    await writer.wait_closed()


async def blocks(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), BLOCK):
        yield content[at : at + BLOCK]


async def measured(scanner: Clamd, disk: Disk, address: str, content: bytes) -> list[str]:
    """Return a line for each way to have a file judged."""
    ways: dict[str, Callable[[], Awaitable[object]]] = {
        "Clamd.scan": lambda: scanner.scan(blocks(content), len(content)),
        "disk.put": lambda: disk.put("a.bin", content),
        "1 KiB a hop": lambda: by_hops(address, content, 1024),
        "64 KiB a hop": lambda: by_hops(address, content, 65_536),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(ROUNDS + 1):
        for name, way in ways.items():
            begun = time.perf_counter()
            await way()
            if number:  # the first round warms up, and probes
                times[name].append(time.perf_counter() - begun)
    lines = []
    for name, taken in times.items():
        pairs = zip(taken, times["Clamd.scan"], strict=True)
        ratio = statistics.median(one / ours for one, ours in pairs)
        took = statistics.median(taken) * 1000
        lines.append(f"{len(content):>9} bytes  {name:<13} {took:8.2f} ms {ratio:6.2f}")
    return lines


async def main() -> None:
    with RealClamd(AlertExceedsMax="yes") as daemon:
        scanner = Clamd(daemon.tcp)
        manager = StorageManager.isolated()
        manager.set_driver(MemoryDriver(), "memory")
        disk = manager.disk("memory").with_layer("clamav", address=daemon.tcp)
        for size in SIZES:
            for line in await measured(scanner, disk, daemon.tcp, bytes(size)):
                print(line)


if __name__ == "__main__":
    asyncio.run(main())
