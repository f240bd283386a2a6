"""Objects in a SeaweedFS of this run's own, on loopback: all clients ask the same server."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import statistics
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from bare import BareS3
from growth import directory_of, grown, one_of
from measuring import MIB, STORE_WORK, TRUSTING, Row, at_once, in_turns, peak_of, print_rows
from peers import Litestar, Ours, s3_peers
from sizes import Sizes

from seaweedfs import SeaweedFS

WIDTHS = (16, 64)
CONTENT = os.urandom(4096)
# The others build on these, or hold a whole file in memory.
LISTING = ("jtc-storage", "obstore", "aioboto3", "s3fs")
TRANSFERRING = ("jtc-storage", "obstore", "OpenDAL", "aioboto3")


async def objects(disks: list[Any], store: dict[str, str], sizes: Sizes) -> list[Row]:
    """Small objects, some at once."""
    rows = []
    # SeaweedFS is truthful but for empty directories, of which there are none here.
    conditions = ["put", "copy", "delete", "delete_any"]
    trusting = Ours({"driver": "s3", **store, "conditions": conditions})
    trusting.name = TRUSTING
    # A library that cannot put is left out of the first row too, and says there what it lacks.
    await asyncio.gather(
        *(at_once(64, sizes.requests, _work(disk, "put"))() for disk in disks),
        return_exceptions=True,
    )
    for width in WIDTHS:
        for method in ("get", "put", "exists"):
            ways = {
                disk.name: at_once(width, sizes.requests, _work(disk, method)) for disk in disks
            }
            per = dict.fromkeys(ways, sizes.requests)
            if method == "get" and width == WIDTHS[0]:
                # It makes a client a call, and takes too long to be in every row.
                slow = Litestar.s3(store)
                await at_once(4, 4, _work(slow, "put"))()
                ways[slow.name], per[slow.name] = at_once(4, 4, _work(slow, "get")), 4
            name = "exists" if method == "exists" else f"{method} 4 KiB"
            rows.append(
                await in_turns(
                    f"{name}, {width} at once",
                    ways,
                    rounds=sizes.asked,
                    per=per,
                    patience=5,
                )
            )
        rows.append(await _deletes([*disks[:-1], trusting, disks[-1]], sizes, width))
    await trusting.aclose()
    return rows


def _work(disk: Any, method: str) -> Callable[[int], Awaitable[object]]:
    content = (CONTENT,) if method == "put" else ()
    return lambda number: getattr(disk, method)(f"{disk.name}/{number}", *content)


async def _deletes(disks: list[Any], sizes: Sizes, width: int) -> Row:
    count = sizes.requests

    async def fill(who: str) -> None:
        disk = disks[-1]  # the bare calls put fastest
        await at_once(64, count, lambda n: disk.put(f"gone/{who}/{n}", CONTENT))()

    for disk in disks:
        await fill(disk.name)
    ways = {
        disk.name: at_once(width, count, lambda n, disk=disk: disk.delete(f"gone/{disk.name}/{n}"))
        for disk in disks
    }
    return await in_turns(
        f"delete, {width} at once", ways, rounds=sizes.asked, per=count, between=fill
    )


async def presigned(disks: list[Any], sizes: Sizes) -> Row:
    """Presigned URLs of a page of files: nothing is sent."""
    paths = [f"photos/2026/{number}.jpg" for number in range(1000)]
    ways = {disk.name: partial(disk.presign, paths) for disk in disks if hasattr(disk, "presign")}
    return await in_turns(
        "presigned URL, a batch of 1,000", ways, rounds=sizes.asked, per=len(paths), patience=20
    )


async def listing(disks: list[Any], sizes: Sizes) -> Row:
    """Very many keys in one directory."""
    directory = directory_of(sizes.growth[1])
    put = one_of(disks[-1], "put", sizes.growth[1], sizes.keys)
    await at_once(64, sizes.keys, put)()

    def way(disk: Any) -> Any:
        async def run() -> None:
            assert await disk.list(directory) == sizes.keys * len(CONTENT)

        return run

    ways = {disk.name: way(disk) for disk in disks if disk.name in LISTING}
    return await in_turns(
        f"list, {sizes.keys:,} keys with sizes",
        ways,
        rounds=sizes.fewest,
        unit="ms",
        warm=False,
        patience=4,
    )


async def transfers(
    disks: list[Any], store: dict[str, str], sizes: Sizes, server: SeaweedFS
) -> list[Row]:
    """A file too large for memory."""
    size = sizes.large
    able = [disk for disk in disks if disk.name in TRANSFERRING]
    text = f"{size // MIB} MiB"
    worked, begun = [], server.processor_seconds()

    async def removed(who: str) -> None:
        nonlocal begun
        worked.append(server.processor_seconds() - begun)
        await disks[-1].delete(f"large-{who}")
        begun = server.processor_seconds()

    up = await in_turns(
        f"upload, {text}",
        {disk.name: (lambda disk=disk: disk.upload(f"large-{disk.name}", size)) for disk in able},
        rounds=sizes.fewest, unit="ms", warm=False, patience=1.5, between=removed,
    )  # fmt: skip
    up.notes[STORE_WORK] = statistics.median(worked)
    await able[0].upload("large", size)
    down = await in_turns(
        f"download, {text}",
        {disk.name: (lambda disk=disk: disk.download("large")) for disk in (*able, disks[-1])},
        rounds=sizes.fewest, unit="ms", warm=False, patience=4,
    )  # fmt: skip
    for row, method in ((up, "upload"), (down, "download")):
        for disk in able[: sizes.weighed_near]:
            found = peak_of("peak.py", "s3", disk.name, method, json.dumps(store), str(size))
            if found:
                row.memory[disk.name] = found["whole"]
    return [up, down]


def slow_clients(store: dict[str, str], sizes: Sizes) -> Row:
    """Compare what a web server holds for each client that reads slowly."""
    row = Row("memory for each web client that reads slowly", "kB")
    for _ in range(sizes.fewest):
        for way, figure in peak_of(
            "slow_clients.py", json.dumps(store), str(sizes.readers)
        ).items():
            row.wall.setdefault(way, []).append(figure)
    return row


async def main(sizes: Sizes) -> None:
    # Some peers leave sessions open, and asyncio complains of it at length.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    with SeaweedFS() as server:
        store = {"bucket": server.bucket, **server.options}
        disks = [*s3_peers(store), BareS3(store)]
        rows = await objects(disks, store, sizes)
        rows.append(await presigned(disks, sizes))
        rows.append(await listing(disks, sizes))
        rows += await grown("s3", disks[0], disks[-1], sizes, there=sizes.keys)
        rows += await transfers(disks, store, sizes, server)
        rows.append(slow_clients(store, sizes))
        print_rows(rows)
        for disk in disks:
            await disk.aclose()


if __name__ == "__main__":
    asyncio.run(main(Sizes.named(sys.argv[1])))
