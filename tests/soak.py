"""Mixed load on three disks with injected faults, to find wrong results and growth.

``python tests/soak.py 600`` runs for ten minutes and prints the figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import random
import re
import statistics
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faulty_proxy import Fault, FaultyProxy
from jtc.storage import Disk, IntegrityException, StorageException, StorageManager
from seaweedfs import SeaweedFS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Report", "soak"]

WORKERS = 4
KEYS = [f"soak/{number // 5}/{number}" for number in range(25)]
SAMPLES = 20
MIB = 1024 * 1024


@dataclass(frozen=True)
class Sample:
    """What the process holds while nothing is under way and all is closed.

    Attributes:
        memory: MiB that are resident. It goes up in steps, by what malloc cannot give back after
            several large uploads at once.
        blocks: Allocations of Python's own, in thousands: the objects that are alive.
    """

    memory: float
    blocks: float
    descriptors: int
    threads: int
    tasks: int

    @classmethod
    def now(cls) -> Sample:
        gc.collect()
        # What malloc keeps for later is no growth.
        with contextlib.suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
        status = Path("/proc/self/status").read_text()
        resident = re.search(r"VmRSS:\s+(\d+) kB", status)
        return cls(
            memory=int(resident[1]) / 1024 if resident else 0.0,
            blocks=sys.getallocatedblocks() / 1000,
            descriptors=len(list(Path("/proc/self/fd").iterdir())),
            threads=threading.active_count(),
            tasks=len(asyncio.all_tasks()),
        )


@dataclass
class Report:
    """What a soak found.

    Attributes:
        done: How often each kind of step ended well, by disk and name.
        failed: How often each typed error was raised.
        faults: How many faults were injected, by kind.
        cancelled: How many steps were cancelled.
        wrong: What must not be: torn files, and errors of another kind.
        samples: What was held at each pause.
    """

    done: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    cancelled: int = 0
    wrong: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    def growth(self) -> dict[str, float]:
        """Return how much more is held in the last quarter than in the second, by medians."""
        quarter = max(1, len(self.samples) // 4)
        early, late = self.samples[quarter : 2 * quarter], self.samples[-quarter:]
        return {
            name: statistics.median(getattr(each, name) for each in late)
            - statistics.median(getattr(each, name) for each in early)
            for name in ("memory", "blocks", "descriptors", "threads", "tasks")
        }

    def __str__(self) -> str:
        last, growth = self.samples[-1], self.growth()
        by_disk: Counter[str] = Counter()
        for name, number in self.done.items():
            by_disk[name.partition(" ")[0]] += number
        return (
            f"{self.done.total()} operations ({listed(by_disk)}), {self.cancelled} cancelled, "
            f"{self.faults.total()} faults ({listed(self.faults)}), typed errors: "
            f"{listed(self.failed)}; {len(self.wrong)} wrong; growth from the second quarter to "
            f"the last: memory {growth['memory']:+.1f} MiB (to {last.memory:.0f}), "
            f"Python's blocks {growth['blocks']:+.1f} thousand (to {last.blocks:.0f}), descriptors "
            f"{growth['descriptors']:+g} (to {last.descriptors}), threads {growth['threads']:+g} "
            f"(to {last.threads}), tasks {growth['tasks']:+g} (to {last.tasks})"
        )


def listed(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.most_common()) or "none"


def sealed(chance: random.Random, size: int) -> bytes:
    """Return content that shows by itself whether it is whole."""
    body = chance.randbytes(size)
    return zlib.crc32(body).to_bytes(4, "big") + size.to_bytes(4, "big") + body


def is_whole(content: bytes) -> bool:
    body = content[8:]
    return content[:8] == zlib.crc32(body).to_bytes(4, "big") + len(body).to_bytes(4, "big")


class Soak:
    """A load of workers, each doing one random thing after another.

    Args:
        disks: By name.
        proxy: What stands before S3.
        report: Where everything is counted.
    """

    def __init__(self, disks: dict[str, Disk], proxy: FaultyProxy, report: Report) -> None:
        self._disks = disks
        self._proxy = proxy
        self._report = report

    async def run(self, seconds: float) -> None:
        """Load all disks for `seconds`."""
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for name, disk in self._disks.items():
                for _ in range(WORKERS):
                    group.create_task(self._work(name, disk, until))
        self._proxy.faults.clear()

    async def _work(self, name: str, disk: Disk, until: float) -> None:
        chance = random.Random()
        steps = {
            "put": self._put,
            "get": self._get,
            "stream": self._stream,
            "range": self._range,
            "list": self._list,
            "copy": self._copy,
            "move": self._move,
            "delete": self._delete,
            "write": self._write,
        }
        while time.monotonic() < until:
            step = chance.choice(tuple(steps))
            if name == "s3" and chance.random() < 0.1:
                self._break(chance)
            task = asyncio.ensure_future(steps[step](disk, chance))
            if chance.random() < 0.04:
                asyncio.get_running_loop().call_later(chance.random() * 0.02, task.cancel)
            try:
                await task
                self._report.done[f"{name} {step}"] += 1
            except asyncio.CancelledError:
                self._report.cancelled += 1
            except StorageException as error:
                self._report.failed[f"{type(error).__name__} on {name}"] += 1
                if name != "s3" and not isinstance(error, (FileNotFoundError, IntegrityException)):
                    self._report.wrong.append(f"{name} {step}: {error}")
            except Exception as error:
                self._report.wrong.append(f"{name} {step}: {error!r}")
            # The fast disks would otherwise leave no time to the others.
            await asyncio.sleep(0 if name == "s3" else 0.01)

    def _break(self, chance: random.Random) -> None:
        method = chance.choice(("GET", "GET", "PUT", "HEAD", "POST", "DELETE"))
        kind, fault = chance.choice(
            [
                ("503", Fault(method, status=503)),
                ("lost answer", Fault(method, lose=True)),
                ("reset", Fault("GET", cut=chance.randrange(3000))),
                ("truncation", Fault("GET", truncate=chance.randrange(3000))),
                ("stall", Fault("GET", stall=chance.randrange(3000))),
                ("hang", Fault(method, hang=True)),
            ]
        )
        if kind in ("stall", "hang") and chance.random() < 0.8:
            return  # each holds a worker for as long as the deadline
        if len(self._proxy.faults) < 5:
            self._proxy.faults.append(fault)
            self._report.faults[kind] += 1

    def _check(self, content: bytes, where: str) -> None:
        if not is_whole(content):
            self._report.wrong.append(f"torn: {where}")

    async def _put(self, disk: Disk, chance: random.Random) -> None:
        large = chance.random() < 0.01
        content = sealed(chance, 6 * MIB if large else chance.randrange(20_000))
        await disk.put(chance.choice(KEYS), pieces(content) if chance.random() < 0.5 else content)

    async def _write(self, disk: Disk, chance: random.Random) -> None:
        content = sealed(chance, chance.randrange(20_000))
        async with disk.open(chance.choice(KEYS), "wb") as file:
            for start in range(0, len(content), 4096):
                await file.write(content[start : start + 4096])

    async def _get(self, disk: Disk, chance: random.Random) -> None:
        self._check(await disk.get(chance.choice(KEYS)), "get")

    async def _stream(self, disk: Disk, chance: random.Random) -> None:
        async with disk.stream(chance.choice(KEYS), chunk_size=5000) as stream:
            if chance.random() < 0.1:
                async for _ in stream:
                    return  # left in its middle
            self._check(b"".join([chunk async for chunk in stream]), "stream")

    async def _range(self, disk: Disk, chance: random.Random) -> None:
        await disk.get_range(chance.choice(KEYS), chance.randrange(-100, 100), None)

    async def _list(self, disk: Disk, chance: random.Random) -> None:
        async for _ in disk.list("soak", recursive=chance.random() < 0.5):
            if chance.random() < 0.05:
                break

    async def _copy(self, disk: Disk, chance: random.Random) -> None:
        await disk.copy(chance.choice(KEYS), chance.choice(KEYS))

    async def _move(self, disk: Disk, chance: random.Random) -> None:
        await disk.move(chance.choice(KEYS), chance.choice(KEYS))

    async def _delete(self, disk: Disk, chance: random.Random) -> None:
        await disk.delete_many(chance.sample(KEYS, 2))


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 65_536):
        yield content[start : start + 65_536]


async def _soak(seconds: float, store: SeaweedFS, root: str, *, samples: int, tell: bool) -> Report:
    report = Report()
    async with FaultyProxy(store.endpoint_url) as proxy:
        options: dict[str, Any] = {**store.options, "endpoint_url": proxy.endpoint_url}
        storage = StorageManager.isolated(
            {
                "disks": {
                    "memory": {"driver": "memory"},
                    "local": {"driver": "local", "root": root},
                    "s3": {
                        "driver": "s3",
                        "bucket": store.bucket,
                        "multipart_threshold": 5 * MIB,
                        "request_timeout": 3,
                        **options,
                    },
                }
            }
        )
        disks = {name: storage.disk(name) for name in storage.disks()}
        load = Soak(disks, proxy, report)
        for number in range(samples):
            await load.run(seconds / samples)
            for disk in disks.values():
                for path in await disk.all_files():
                    await disk.delete(path)
            await storage.aclose()
            # Connections that were given up are closed on both sides.
            await proxy.settle()
            proxy.requests.clear()
            report.samples.append(Sample.now())
            if tell:
                sys.stdout.write(
                    f"{(number + 1) * seconds / samples:4.0f} s {report.samples[-1]}\n"
                )
                sys.stdout.flush()
    return report


def soak(seconds: float, store: SeaweedFS, *, samples: int = SAMPLES, tell: bool = False) -> Report:
    """Load three disks for `seconds` with `samples` pauses, and return the report."""
    with tempfile.TemporaryDirectory() as root:
        return asyncio.run(_soak(seconds, store, root, samples=samples, tell=tell))


if __name__ == "__main__":
    with SeaweedFS() as running:
        outcome = soak(float(sys.argv[1]), running, tell=True)
    sys.stdout.write(f"{outcome}\n")
    for each in outcome.wrong[:20]:
        sys.stdout.write(f"WRONG {each}\n")
    sys.exit(1 if outcome.wrong else 0)
