"""Files on this machine: small ones that are hot, large ones, and long listings."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from bare import BARE, HOP, BareLocal, BareLocalHop
from measuring import MIB, Row, in_turns, peak_of, print_rows, repeat
from peers import local_peers
from sizes import Sizes

KIB = 1024


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


async def large(disks: list[Any], root: Path, sizes: Sizes) -> list[Row]:
    """A file too large for memory."""
    size = sizes.large
    text = f"{size // MIB} MiB"
    streaming = [disk for disk in disks if disk.name not in (HOP, "fsspec")]
    ways: dict[str, Any] = {
        who: (lambda upload=upload: upload("large", size))
        for who, upload in able(streaming, "upload").items()
    }

    up = await in_turns(
        f"stream in, {text}",
        ways,
        rounds=sizes.few,
        unit="ms",
        warm=False,
        patience=4,
        between=removing(disks, root, "large"),
    )
    one = root / "one"
    BareLocal(root).upload_here("one", size)
    # One file, in the kernel's cache, for all libraries.
    for disk in streaming:
        os.link(one, directory_of(root, disk) / "large")
    ways = {
        who: (lambda download=download: download("large"))
        for who, download in able(streaming, "download").items()
    }
    down = await in_turns(
        f"stream out, {text}", ways, rounds=sizes.few, unit="ms", warm=False, patience=4
    )
    ways = {
        who: (lambda copy=copy: copy("large", "copy"))
        for who, copy in able([*streaming, *_fsspec(disks)], "copy").items()
    }
    os.link(one, root / "fsspec" / "large")

    copy = await in_turns(
        f"copy, {text}",
        ways,
        rounds=sizes.few,
        unit="ms",
        warm=False,
        patience=4,
        between=removing(disks, root, "copy"),
    )
    for row, method in ((up, "upload"), (down, "download")):
        for who in row.wall:
            if who != BARE:
                row.memory[who] = _peak(who, method, root, size)
    return [up, down, copy]


def _fsspec(disks: list[Any]) -> list[Any]:
    return [disk for disk in disks if disk.name == "fsspec"]


def _peak(who: str, method: str, root: Path, size: int) -> float:
    found = peak_of("peak.py", "local", who, method, str(root / who), str(size))
    return float(found["grown"])


async def main(sizes: Sizes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        disks = disks_of(root)
        rows = await small(disks, root, sizes)
        rows.append(await listing(disks, root, sizes))
        rows += await large(disks, root, sizes)
        print_rows(rows)
        for disk in disks:
            if hasattr(disk, "aclose"):
                await disk.aclose()


if __name__ == "__main__":
    asyncio.run(main(Sizes.named(sys.argv[1])))
