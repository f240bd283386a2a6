"""Files on this machine: small ones that are hot, large ones, and long listings."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from bare import BARE, HOP, BareLocal, BareLocalHop
from directories import directories
from measuring import MIB, OURS, Row, in_turns, peak_of, print_rows, repeat
from peers import local_peers
from sizes import Sizes

KIB = 1024
OTHER_USER = 65534
"""Reads what root wrote, where root runs this."""


def disks_of(root: Path) -> list[Any]:
    """Return ours, the peers and the limits."""
    return [*local_peers(root), BareLocal(root / "bare"), BareLocalHop(root / "hop")]


def able(disks: list[Any], method: str) -> dict[str, Any]:
    """Return a method by who has it."""
    return {disk.name: getattr(disk, method) for disk in disks if hasattr(disk, method)}


def directory_of(root: Path, disk: Any) -> Path:
    """Return where a disk keeps its files."""
    return root / {BARE: "bare", HOP: "hop"}.get(disk.name, disk.name)


async def small(disks: list[Any], root: Path, sizes: Sizes) -> list[Row]:
    """Small files that were just read or written."""
    rows = []
    for size, name in ((4 * KIB, "get 4 KiB"), (64 * KIB, "get 64 KiB")):
        for disk in disks:
            (directory_of(root, disk) / "hot").write_bytes(os.urandom(size))
        ways = {
            who: repeat(sizes.calls, lambda _, get=get: get("hot"))
            for who, get in able(disks, "get").items()
        }
        rows.append(await in_turns(name, ways, rounds=sizes.rounds, per=sizes.calls, patience=30))
    asking = [disk for disk in disks if disk.name != HOP]
    for method in ("exists", "size", "stat"):
        ways = {
            who: repeat(sizes.calls, lambda _, ask=ask: ask("hot"))
            for who, ask in able(asking, method).items()
        }
        rows.append(await in_turns(method, ways, rounds=sizes.rounds, per=sizes.calls, patience=30))
    content = os.urandom(4 * KIB)
    for name, path in (("put 4 KiB, replacing", "hot"), ("put 4 KiB, new", "new-{}")):
        ways = {
            who: repeat(sizes.calls, lambda n, put=put, path=path: put(path.format(n), content))
            for who, put in able(disks, "put").items()
        }

        async def clear(who: str) -> None:
            for disk in disks:
                if disk.name == who:
                    for file in directory_of(root, disk).glob("new-*"):
                        file.unlink()

        rows.append(await in_turns(name, ways, rounds=sizes.rounds, per=sizes.calls, between=clear))
    return rows


class NewFiles:
    """Small files that were not read since they were written, of each disk."""

    def __init__(self, disks: list[Any], root: Path, count: int) -> None:
        self.content = os.urandom(4 * KIB)
        self.count = count
        self.disks = {disk.name: disk for disk in disks if hasattr(disk, "get")}
        self.places = {who: directory_of(root, disk) for who, disk in self.disks.items()}

    async def remove(self, who: str) -> None:
        for file in self.places[who].glob("new-*"):
            file.unlink()

    async def write(self, who: str) -> None:
        await self.remove(who)
        for number in range(self.count):
            (self.places[who] / f"new-{number}").write_bytes(self.content)

    async def write_by_another(self, who: str) -> None:
        os.seteuid(0)
        await self.write(who)
        os.seteuid(OTHER_USER)

    def puts_and_gets(self) -> dict[str, Any]:
        """Return ways that put files, and get each at once."""

        async def both(disk: Any, number: int) -> None:
            await disk.put(f"new-{number}", self.content)
            await disk.get(f"new-{number}")

        return {who: repeat(self.count, partial(both, disk)) for who, disk in self.disks.items()}

    def gets(self) -> dict[str, Any]:
        """Return ways that get the files that are there."""

        async def get(disk: Any, number: int) -> None:
            await disk.get(f"new-{number}")

        return {who: repeat(self.count, partial(get, disk)) for who, disk in self.disks.items()}


async def first_reads(disks: list[Any], root: Path, sizes: Sizes) -> list[Row]:
    """Reads of small files that were not read since they were written."""
    files = NewFiles(disks, root, sizes.calls)
    rows = [
        await in_turns(
            "put 4 KiB, then get at once",
            files.puts_and_gets(),
            rounds=sizes.rounds,
            per=sizes.calls,
            between=files.remove,
        )
    ]
    name = "get 4 KiB, the first after a write"
    whose: list[tuple[str, dict[str, Any], Any]] = [(name, files.gets(), files.write)]
    if os.geteuid() == 0:
        root.chmod(0o755)
        gets = {who: way for who, way in files.gets().items() if who in (OURS, BARE, HOP)}
        whose.append((f"{name}, of another user", gets, files.write_by_another))
    for name, ways, write in whose:
        for who in ways:
            await write(who)
        row = await in_turns(
            name, ways, rounds=sizes.rounds, per=sizes.calls, between=write, patience=30
        )
        rows.append(row)
    if os.getuid() == 0:
        os.seteuid(0)
    return rows


async def listing(disks: list[Any], root: Path, sizes: Sizes) -> Row:
    """One directory with very many files, and their sizes."""
    listing = [disk for disk in disks if disk.name != HOP]
    many = root / "many"
    many.mkdir()
    for number in range(sizes.files):
        (many / f"{number:06}").write_bytes(b"x")
    for disk in listing:
        # One directory for all: its names are in the kernel's cache for all or none.
        many.rename(directory_of(root, disk) / "many")
        many = directory_of(root, disk) / "many"

    def way(disk: Any) -> Any:
        async def run() -> None:
            nonlocal many
            many = many.rename(directory_of(root, disk) / "many")
            assert await disk.list("many") == sizes.files

        return run

    ways = {disk.name: way(disk) for disk in listing if hasattr(disk, "list")}
    return await in_turns(
        f"list, {sizes.files:,} files with sizes",
        ways,
        rounds=sizes.few,
        unit="ms",
        warm=False,
        patience=4,
    )


def removing(disks: list[Any], root: Path, name: str) -> Any:
    """Return what removes a disk's file of some name."""

    async def remove(who: str) -> None:
        for disk in disks:
            if disk.name == who:
                (directory_of(root, disk) / name).unlink(missing_ok=True)

    return remove


async def streams(disks: list[Any], root: Path, sizes: Sizes) -> list[Row]:
    """Streams of a file, in and out."""
    size = sizes.streamed
    streaming = [disk for disk in disks if disk.name not in (HOP, "fsspec")]
    remove = removing(disks, root, "large")

    async def settle(who: str) -> None:
        """Leave nothing for the kernel to write during the next round."""
        await remove(who)
        os.sync()

    os.sync()
    ways: dict[str, Any] = {
        who: (lambda upload=upload: upload("large", size))
        for who, upload in able(streaming, "upload").items()
    }
    up = await in_turns(
        f"stream in, {size // MIB} MiB", ways,
        rounds=sizes.rounds, unit="ms", patience=4, between=settle,
    )  # fmt: skip
    one = root / "streamed"
    BareLocal(root).upload_here("streamed", sizes.large)
    # One file, in the kernel's cache, for all libraries.
    for disk in streaming:
        os.link(one, directory_of(root, disk) / "large")
    ways = {
        who: (lambda download=download: download("large"))
        for who, download in able(streaming, "download").items()
    }
    down = await in_turns(
        f"stream out, {sizes.large // MIB} MiB", ways, rounds=sizes.asked, unit="ms", patience=4
    )
    for row, method in ((up, "upload"), (down, "download")):
        for who in [*row.wall][: sizes.weighed_near]:
            if who != BARE and (found := _peak(who, method, root, sizes.large)):
                row.memory[who] = found["grown"]
    for disk in streaming:
        await remove(disk.name)
    return [up, down]


async def copies(disks: list[Any], root: Path, sizes: Sizes) -> list[Row]:
    """Copies of a large file, and of one that is mostly holes."""
    size = sizes.large
    one = root / "streamed"
    sparse = root / "sparse"
    with sparse.open("wb") as file:
        file.truncate(size)
        for quarter in range(4):
            file.seek(quarter * size // 4)
            file.write(os.urandom(MIB))
    copying = [disk for disk in disks if disk.name != HOP]
    for disk in copying:
        os.link(one, directory_of(root, disk) / "large")
        os.link(sparse, directory_of(root, disk) / "sparse")
    rows = []
    for name, text in (("large", "copy"), ("sparse", "copy of a sparse file")):
        ways = {
            who: (lambda copy=copy, name=name: copy(name, "copy"))
            for who, copy in able(copying, "copy").items()
        }
        allocated: dict[str, int] = {}

        async def clear(who: str, allocated: dict[str, int] = allocated) -> None:
            for disk in copying:
                if disk.name == who:
                    copied = directory_of(root, disk) / "copy"
                    allocated[who] = copied.stat().st_blocks * 512
                    copied.unlink()

        row = await in_turns(
            f"{text}, {size // MIB} MiB", ways,
            rounds=sizes.few, unit="ms", warm=False, patience=4, between=clear,
        )  # fmt: skip
        if name == "sparse":
            row.notes["MiB allocated"] = allocated[OURS] / MIB
        rows.append(row)
    return rows


def _peak(who: str, method: str, root: Path, size: int) -> dict[str, Any]:
    return peak_of("peak.py", "local", who, method, str(root / who), str(size))


async def main(sizes: Sizes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        disks = disks_of(root)
        rows = await small(disks, root, sizes)
        rows += await first_reads(disks, root, sizes)
        rows.append(await listing(disks, root, sizes))
        rows += await streams(disks, root, sizes)
        rows += await copies(disks, root, sizes)
        rows += await directories(sizes)
        print_rows(rows)
        for disk in disks:
            if hasattr(disk, "aclose"):
                await disk.aclose()


if __name__ == "__main__":
    asyncio.run(main(Sizes.named(sys.argv[1])))
