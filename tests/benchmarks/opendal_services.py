"""The time that the OpenDAL driver adds to OpenDAL's own client, on servers of the tests.

``python tests/benchmarks/opendal_services.py [webdav] [ftp] [redis] [memory] [--smoke]``: each row
times both in turns within one run. Those of `memory`, which has no server, are of processor time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import opendal
from measuring import OURS, in_turns, repeat

from engines.engine import free_ports
from ftp import FTP
from jtc.storage.drivers.opendal_driver import OpenDALDriver
from jtc.storage.options import ListOptions
from redis_server import redis_server
from webdav import WebDAV

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from measuring import Row

BARE = "opendal"
SAME = "opendal, with the same promise"
"""OpenDAL's calls for what ours promises: staged files and renames, or looks at lengths."""

KIB, MIB = 1024, 1024 * 1024


@contextlib.contextmanager
def servers(name: str) -> Iterator[dict[str, Any]]:
    """Serve a service, and yield its options."""
    if name == "redis":
        port = free_ports(1)[0]
        with redis_server(port):
            yield {"scheme": "redis", "endpoint": f"redis://127.0.0.1:{port}", "db": "0"}
    else:
        with {"webdav": WebDAV, "ftp": FTP}[name]() as server:
            yield server.options


async def service(name: str, rounds: int, calls: int) -> list[Row]:
    """Time all kinds of work on one service."""
    with servers(name) as options:
        ours, bare = OpenDALDriver(**options), opendal.AsyncOperator(**options)
        small, large = os.urandom(4 * KIB), os.urandom(16 * MIB)
        await ours.put("small", small)
        await ours.put("large", large)

        async def staged(number: int) -> None:
            await bare.write(f".jtc/opendal/{number}", small)
            assert not await bare.exists("same/")  # a rename would remove a directory
            await bare.rename(f".jtc/opendal/{number}", "same")

        async def checked(path: str) -> None:
            found = await bare.read(path)
            assert len(found) == (await bare.stat(path)).content_length

        def ways(same: Callable[[int], Awaitable[object]] | None, times: int, **two: Any) -> Any:
            found = {OURS: two["ours"], BARE: two["bare"]}
            if same is not None:
                found[SAME] = same
            return {way: repeat(times, work) for way, work in found.items()}

        put = ways(
            staged if name == "webdav" else None,
            calls,
            ours=lambda _: ours.put("ours", small),
            bare=lambda _: bare.write("bare", small),
        )
        by_ftp = name == "ftp"
        get = ways(
            (lambda _: checked("small")) if by_ftp else None,
            calls,
            ours=lambda _: ours.get("small"),
            bare=lambda _: bare.read("small"),
        )
        get_large = ways(
            (lambda _: checked("large")) if by_ftp else None,
            2,
            ours=lambda _: ours.get("large"),
            bare=lambda _: bare.read("large"),
        )
        rows = [
            await in_turns(f"{name}: put 4 KiB", put, rounds=rounds, per=calls),
            await in_turns(f"{name}: get 4 KiB", get, rounds=rounds, per=calls),
            await in_turns(f"{name}: get 16 MiB", get_large, rounds=rounds, per=2, unit="ms"),
        ]
        if "listing" not in ours.unsupported:
            rows.append(await listing(name, ours, bare, rounds))
        return rows


async def listing(name: str, ours: OpenDALDriver, bare: opendal.AsyncOperator, rounds: int) -> Row:
    """Time a listing of a thousand files, with their sizes and times."""
    for number in range(1000):
        await bare.write(f"d/{number:04}", b"content")

    async def our_list(_: int) -> None:
        entries = ours.list_entries("d", ListOptions())
        assert len([(each.path, each.size) async for each in entries]) == 1000  # type: ignore[union-attr]

    async def bare_list(_: int) -> None:
        found = []
        async for each in await bare.list("d/"):
            metadata = each.metadata
            found.append((each.path, metadata.content_length, metadata.last_modified))
        assert len(found) >= 1000

    ways = {OURS: repeat(1, our_list), BARE: repeat(1, bare_list)}
    return await in_turns(f"{name}: list 1,000", ways, rounds=rounds, unit="ms")


async def added(rounds: int, calls: int) -> list[str]:
    """Return the processor time that ours adds to a call, from OpenDAL's service in memory."""
    ours, bare = OpenDALDriver("memory"), opendal.AsyncOperator("memory")
    content = os.urandom(4 * KIB)
    await bare.write("a", content)
    await ours.put("a", content)
    work: dict[str, tuple[Callable[[int], Awaitable[object]], Callable[[int], Awaitable[object]]]]
    work = {
        "put": (lambda _: ours.put("a", content), lambda _: bare.write("a", content)),
        "get": (lambda _: ours.get("a"), lambda _: bare.read("a")),
    }
    found = []
    for name, (our_call, bare_call) in work.items():
        ways = {OURS: repeat(calls, our_call), BARE: repeat(calls, bare_call)}
        row = await in_turns(f"memory: {name} 4 KiB", ways, rounds=rounds, per=calls)
        ours_took, bare_took = row.median(OURS, cpu=True), row.median(BARE, cpu=True)
        found.append(
            f"{row.name}, processor time of a call: {OURS} {ours_took:.4g} µs; "
            f"{BARE} {bare_took:.4g} µs: {ours_took - bare_took:.0f} µs added"
        )
    return found


def show(row: Row) -> None:
    """Print a row's medians, and ours as a multiple of each."""
    figures = [f"{way} {row.median(way):.4g} {row.unit}" for way in row.wall]
    ratios = [f"{row.ratio(OURS, way):.2f} x {way}" for way in row.wall if way != OURS]
    print(f"{row.name}: {'; '.join(figures)}: {', '.join(ratios)}", flush=True)


async def main(names: list[str], *, smoke: bool) -> None:
    """Time the services."""
    for name in names or ["webdav", "ftp", "redis", "memory"]:
        if name == "memory":
            print(*await added(*((1, 2) if smoke else (15, 200))), sep="\n", flush=True)
            continue
        for row in await service(name, *((1, 2) if smoke else (15, 20))):
            show(row)


if __name__ == "__main__":
    given = sys.argv[1:]
    asyncio.run(main([name for name in given if name != "--smoke"], smoke="--smoke" in given))
