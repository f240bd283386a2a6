"""Objects far away: a SeaweedFS behind a proxy that delays and limits each connection.

Beside each row: what plain sockets take for the same bytes, and what the proxy carries at most.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import math
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from distance_peers import PEERS, FarObstore, OursDownload, OursTrusting
from measuring import (
    MIB,
    NEAR,
    OURS,
    PLAIN,
    SHARE,
    Row,
    Way,
    at_once,
    in_turns,
    peak_of,
    print_rows,
)
from peers import Obstore, made
from sizes import Sizes

from distance_proxy import DistanceProxy, ceiling, exchanges
from seaweedfs import SeaweedFS

AWAY = (40.0, 20.0)
"""The distance of the goals: milliseconds of a round trip, and megabytes per second."""
SLOWLY = (40.0, 5.0)
"""One at which the store is not the limit of an upload."""
WIDTH = 32
"""Requests of one transfer at once, where all have as many as ours by default."""
AT_ONCE = 64
CONTENT = os.urandom(4096)


@dataclass(frozen=True)
class Far:
    """A store, and the way there.

    Attributes:
        near: The store without the proxy, which fills it and looks into it.
        store: The store through the proxy.
        proxy: What is between.
        root: A directory for local files.
        limits: The proxy's, as it takes them.
    """

    near: FarObstore
    store: dict[str, str]
    proxy: DistanceProxy
    root: Path
    limits: dict[str, float]

    @property
    def name(self) -> str:
        """The distance as a part of a row's name."""
        throughput = self.limits["throughput"]
        return f"{self.limits['round_trip']:g} ms, " + (
            f"{throughput:g} MB/s" if throughput else "no limit"
        )


@asynccontextmanager
async def far_away(server: SeaweedFS, round_trip: float, throughput: float) -> AsyncIterator[Far]:
    """Put the store at a distance for as long as the context is."""
    limits = {"round_trip": round_trip, "throughput": throughput}
    store = {"bucket": server.bucket, **server.options}
    with (
        DistanceProxy(server.endpoint_url, **limits) as proxy,
        tempfile.TemporaryDirectory(prefix="distance-") as root,
    ):
        far = store | {"endpoint_url": proxy.url}
        yield Far(FarObstore(store, Path(root), WIDTH), far, proxy, Path(root), limits)


def _peers(far: Far, names: list[tuple[str, int | None]]) -> dict[str, Any]:
    peers = made((name, partial(PEERS[name], far.store, far.root, width)) for name, width in names)
    return {peer.name: peer for peer in peers}


async def transfers(far: Far, size: int, rounds: int, *, equal: bool) -> list[Row]:
    """One large file there and back, each by its library's managed transfer."""
    names: list[tuple[str, int | None]] = [(name, None) for name in PEERS]
    if equal:
        names += [(name, WIDTH) for name in PEERS if name not in (OURS, OursDownload.name)]
    peers = _peers(far, names)
    source, digest = _source(far, size)
    await far.near.obstore.put_async(far.near.store, "large", source)
    rows = [
        await _download(far, peers, size, rounds, digest),
        await _upload(far, peers, source, rounds, digest),
    ]
    await _end(peers, source)
    return rows


async def slow_upload(far: Far, size: int, rounds: int) -> list[Row]:
    """One large file over connections so slow that the store could take more of them."""
    peers = _peers(far, [(OURS, None), ("aioboto3", None), ("obstore", None)])
    source, digest = _source(far, size)
    rows = [await _upload(far, peers, source, rounds, digest)]
    await _end(peers, source)
    return rows


def _source(far: Far, size: int) -> tuple[Path, bytes]:
    content = os.urandom(size)
    (source := far.root / "source").write_bytes(content)
    return source, hashlib.sha256(content).digest()


async def _end(peers: dict[str, Any], source: Path) -> None:
    for peer in peers.values():
        await peer.aclose()
    source.unlink()


async def _download(far: Far, peers: dict[str, Any], size: int, rounds: int, digest: bytes) -> Row:
    target = far.root / "target"

    async def check(who: str) -> None:
        with target.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").digest()
        target.unlink()
        assert found == digest, f"{who} wrote other bytes"

    return await _transfers_of(
        far,
        f"download {size // MIB} MiB to a local file",
        {who: partial(peer.download, "large", target) for who, peer in peers.items()},
        partial(far.near.download, "large", target),
        size,
        rounds,
        check,
    )


async def _upload(far: Far, peers: dict[str, Any], source: Path, rounds: int, digest: bytes) -> Row:
    async def check(who: str) -> None:
        found = hashlib.sha256(await far.near.get("target")).digest()
        await far.near.delete("target")
        assert found == digest, f"{who} stored other bytes"

    able = {who: peer for who, peer in peers.items() if who != OursDownload.name}
    return await _transfers_of(
        far,
        f"upload {source.stat().st_size // MIB} MiB from a file",
        {who: partial(peer.upload, source, "target") for who, peer in able.items()},
        partial(far.near.upload, source, "target"),
        source.stat().st_size,
        rounds,
        check,
        upload=True,
    )


async def _transfers_of(
    far: Far,
    name: str,
    ways: dict[str, Way],
    near_way: Way,
    size: int,
    rounds: int,
    check: Callable[[str], Awaitable[None]],
    *,
    upload: bool = False,
) -> Row:
    """Time transfers in turns, and in each round plain sockets, as many as any way had used."""
    used: dict[str, int] = {}
    plain: list[float] = []

    async def sockets(**limits: float) -> float:
        count = max(used.values())
        return await asyncio.to_thread(ceiling, count, size, **limits, upload=upload)

    async def between(who: str) -> None:
        used[who] = max(used.get(who, 0), far.proxy.figures()["connections"])
        await check(who)
        if who == OURS:
            plain.append(1e3 * size / await sockets(**far.limits))

    # Only goals need each round of what takes long.
    is_goal = (far.limits["round_trip"], far.limits["throughput"]) in (AWAY, SLOWLY)
    row = await in_turns(
        f"{far.name}: {name}",
        ways,
        rounds=rounds,
        unit="ms",
        # What takes so little shows what a first time takes, memory and connections.
        warm=not far.limits["throughput"],
        patience=math.inf if is_goal else 2,
        between=between,
    )
    row.wall[PLAIN] = plain
    row.connections |= used
    unlimited = far.limits | {"throughput": 0}
    most = statistics.median([await sockets(**unlimited) for _ in range(3)])
    _judge(row, "MB/s", most / 1e6, size / 1e6)
    near = await in_turns("the same, near", {"near": near_way}, rounds=rounds, unit="s", warm=False)
    row.notes["the store's own, near, MB/s"] = size / 1e6 / near.median("near")
    row.notes[NEAR] = 100 * near.median("near") / _fastest(row)
    return row


def _fastest(row: Row) -> float:
    return min(row.median(way) for way in row.wall if way != PLAIN) / 1e3


def _judge(row: Row, unit: str, most: float, work: float) -> None:
    """Note what the proxy carries at most, and how much of it the fastest way takes."""
    row.notes[f"the proxy's ceiling, {unit}"] = most
    row.notes[SHARE] = 100 * work / _fastest(row) / most


async def memory(far: Far, rows: list[Row], size: int, names: Iterable[str]) -> None:
    """Add the peak of a process with one transfer."""
    (source := far.root / "source").write_bytes(os.urandom(size))
    await far.near.obstore.put_async(far.near.store, "large", source)
    place = json.dumps({"store": far.store, "root": str(far.root)})
    for row, method in zip(rows, ("download", "upload"), strict=True):
        for who in names:
            if who in row.wall:
                found = peak_of("peak.py", "distance", who, method, place, str(size))
                if found:
                    row.memory[who] = found["whole"]
    source.unlink()


async def requests(far: Far, sizes: Sizes) -> list[Row]:
    """Small objects, many at once."""
    peers = _peers(far, [(OURS, None), ("obstore", None), ("aioboto3", None)])
    count, rows = sizes.exchanged, []

    async def fill(who: str) -> None:
        put = partial(_put, far.near, who)
        await at_once(AT_ONCE, count, put)()

    for method in ("put", "get", "delete"):
        if method == "delete":
            # SeaweedFS is truthful but for empty directories, of which there are none here.
            peers[OursTrusting.name] = OursTrusting(far.store, far.root)
            for who in peers:
                await fill(who)
        row = await in_turns(
            f"{far.name}: {method} {count:,} of 4 KiB, {AT_ONCE} at once",
            {who: _small(peer, method, count) for who, peer in peers.items()},
            rounds=sizes.fewest, unit="ms", between=fill if method == "delete" else None,
        )  # fmt: skip
        asked = partial(asyncio.to_thread, exchanges, AT_ONCE, count, len(CONTENT))
        row.wall[PLAIN] = [1e3 * count / await asked(**far.limits) for _ in range(sizes.fewest)]
        _judge(row, "requests per second", await asked(), count)
        rows.append(row)
    for peer in peers.values():
        await peer.aclose()
    return rows


async def _put(disk: Obstore, who: str, number: int) -> None:
    await disk.put(f"{who}/{number}", CONTENT)


def _small(peer: Any, method: str, count: int) -> Way:
    content = (CONTENT,) if method == "put" else ()
    work = getattr(peer, method)
    return at_once(AT_ONCE, count, lambda number: work(f"{peer.name}/{number}", *content))


def _below(heading: str, rows: list[Row]) -> list[Row]:
    for row in rows:
        row.table = heading
    return rows


async def main(sizes: Sizes) -> None:
    # Some peers leave sessions open, and asyncio complains of it at length.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    rows = []
    with SeaweedFS() as server:
        async with far_away(server, *AWAY) as far:
            large = await transfers(far, sizes.moved, sizes.fewest, equal=sizes.equal)
            await memory(far, large, sizes.moved, list(PEERS)[: sizes.weighed])
            rows += _below(f"One large file, {far.name}", large)
            rows += _below(f"Small objects, {far.name}", await requests(far, sizes))
        if sizes.equal:
            async with far_away(server, *SLOWLY) as far:
                slow = await slow_upload(far, sizes.moved, sizes.fewest)
                rows += _below(f"One large file, {far.name}", slow)
        for distance in sizes.distances:
            async with far_away(server, *distance) as far:
                elsewhere = await transfers(far, sizes.moved_elsewhere, sizes.fewest, equal=False)
                rows += _below("One large file at other distances", elsewhere)
    print_rows(rows)


if __name__ == "__main__":
    asyncio.run(main(Sizes.named(sys.argv[1])))
