"""The program `jtc-storage` beside rclone, s5cmd and the AWS CLI: each run is a process of its own.

A tree goes to a store, once more where nothing has changed, and back; near and far away. In each
round, each program has a store of its own: what another one left behind would cost the next one
time, and the disk its space.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from directories import make_files
from measuring import OURS, STORE_WORK, Row, at_once, in_turns, print_rows
from peers import Obstore
from programs import (
    AWS,
    BESIDE,
    OUR_PROGRAM,
    PYTHON,
    RCLONE,
    S5CMD,
    Run,
    Step,
    equally,
    listing,
    run,
    steps,
    variables,
)
from sizes import Sizes
from trees import digests_of, make_tree

from distance_proxy import DistanceProxy
from seaweedfs import SeaweedFS

AWAY = (40.0, 20.0)
"""Milliseconds of a round trip, and megabytes per second of a connection."""
PATIENCE = 2
"""A program that takes more than this multiple of our time for a tree has one round."""


@dataclass(frozen=True)
class Stores:
    """A store, and the way there.

    Attributes:
        server: The store.
        near: Its options.
        far: Its options through a proxy, where there is one.
    """

    server: SeaweedFS
    near: dict[str, str]
    far: dict[str, str]


@contextmanager
def new_store(away: tuple[float, float] | None) -> Iterator[Stores]:
    """Start a store, near or far away."""
    with SeaweedFS() as server:
        near = {"bucket": server.bucket, **server.options}
        if away is None:
            yield Stores(server, near, near)
        else:
            limits = dict(zip(("round_trip", "throughput"), away, strict=True))
            with DistanceProxy(server.endpoint_url, **limits) as proxy:
                yield Stores(server, near, near | {"endpoint_url": proxy.url})
        server.kill()  # it would first save what is deleted next


class Trees:
    """A tree that each program moves in turn.

    Args:
        away: The distance of the store, or None.
        sizes: How much.
        folder: A directory of its own.
    """

    def __init__(self, away: tuple[float, float] | None, sizes: Sizes, folder: Path) -> None:
        small, large = sizes.tree
        make_tree(folder / "tree", small, large)
        place = f"{away[0]:g} ms, {away[1]:g} MB/s" if away else "near"
        self._what = f"{place}: a tree of {small:,} small files and {large} large ones"
        self._away, self._rounds, self._folder = away, sizes.fewest, folder
        self._digests = digests_of(folder / "tree")
        self._rows = {step: Row(f"{place}: {step}", "ms") for step in Step}
        self._work: dict[tuple[Step, str], list[float]] = {}
        equal = (equally(OURS), equally(RCLONE)) if sizes.equal else ()
        self._programs = [OURS, RCLONE, *equal, S5CMD, AWS]

    async def rows(self) -> list[Row]:
        """Return a row for each step."""
        print(f"    {self._what}", file=sys.stderr, flush=True)
        order = self._programs
        for number in range(self._rounds):
            for who in list(order):
                try:
                    await self._round(who)
                except Exception as error:
                    if who.startswith(OURS):
                        raise
                    self._leave_out(who, error)
                    order.remove(who)
            # No program always comes after the same other.
            order.append(order.pop(0))
            if number == 0:
                order = [who for who in order if who.startswith(OURS) or not self._is_slow(who)]
        for (step, who), seconds in self._work.items():
            if who in (OURS, RCLONE):
                note = f"{who}: {STORE_WORK}"
                self._rows[step].notes[note] = statistics.median(seconds)
        return _labelled(self._what, list(self._rows.values()))

    async def _round(self, who: str) -> None:
        with new_store(self._away) as stores:
            back = self._folder / "back"
            back.mkdir()
            commands = steps(who, stores.far, self._folder / "tree", back)
            stored = ""
            for step, command in commands.items():
                worked = stores.server.processor_seconds()
                ran = await run(command, variables(stores.far))
                worked = stores.server.processor_seconds() - worked
                self._count(step, who, ran, worked)
                if step is not Step.DOWN:
                    before, stored = stored, await _last_stored(stores.near)
                    assert step is Step.UP or stored == before, f"{who} stored a file again"
            assert digests_of(back) == self._digests, f"{who} left other files"
            shutil.rmtree(back)

    def _count(self, step: Step, who: str, ran: Run, worked: float) -> None:
        row = self._rows[step]
        row.wall.setdefault(who, []).append(1e3 * ran.wall)
        row.memory[who] = max(ran.memory, row.memory.get(who, 0))
        self._work.setdefault((step, who), []).append(worked)
        print(
            f"      {step}, {who}: {ran.wall:.2f} s, of processors {ran.cpu:.2f} s and "
            f"{worked:.2f} s of the store, {ran.memory:.0f} MiB, load {os.getloadavg()[0]:.1f}",
            file=sys.stderr,
            flush=True,
        )

    def _leave_out(self, who: str, error: Exception) -> None:
        print(f"    {who} failed: {error}", file=sys.stderr, flush=True)
        shutil.rmtree(self._folder / "back", ignore_errors=True)
        for row in self._rows.values():
            row.failed[who] = f"{type(error).__name__}: {error}"
            row.wall.pop(who, None)
            row.memory.pop(who, None)

    def _is_slow(self, who: str) -> bool:
        ours, theirs = (
            sum(row.wall[each][0] for row in self._rows.values()) for each in (OURS, who)
        )
        return theirs > PATIENCE * ours


async def _last_stored(store: dict[str, str]) -> str:
    """Return when the last object was stored."""
    bucket = Obstore.s3(store)
    return max(
        [
            str(entry["last_modified"])
            async for batch in bucket.obstore.list(bucket.store)
            for entry in batch
        ]
    )


async def listings(sizes: Sizes, folder: Path) -> list[Row]:
    """Print the paths of all files below a directory, on S3 and on the local disk."""
    count, rows = sizes.printed, []
    with new_store(None) as stores:
        bucket = Obstore.s3(stores.near)
        width = min(64, count)
        await at_once(width, count, lambda number: bucket.put(f"many/{number:06}", b""))()
        make_files(folder / "many", count)
        for where, prefix in (("S3", "many"), ("a local directory", str(folder / "many"))):
            programs = (OURS, RCLONE) if where != "S3" else (OURS, RCLONE, S5CMD, AWS)

            async def printed(who: str, prefix: str = prefix) -> None:
                ran = await run(listing(who, stores.near, prefix), variables(stores.near))
                assert ran.output.count(b"\n") == count, f"{who} printed other lines"

            ways = {who: partial(printed, who) for who in programs}
            rows.append(await in_turns(
                f"print the paths of {where}, {count:,} files",
                ways, rounds=sizes.fewest, unit="ms", patience=4,
            ))  # fmt: skip
    return _labelled("Listings", rows)


async def starts(sizes: Sizes, folder: Path) -> list[Row]:
    """Start a program that does next to nothing."""
    folder.mkdir()
    (folder / "file").touch()
    python, rows = [sys.executable, "-c", ""], []
    for what, ours, other in (
        ("--version", ["--version"], ["version"]),
        ("ls of a local directory", ["ls", str(folder)], ["lsf", "--config", "", str(folder)]),
    ):
        commands = {
            OURS: [OUR_PROGRAM, *ours],
            PYTHON: python,
            RCLONE: [f"{BESIDE}/rclone", *other],
        }
        ways = {who: partial(run, command, {}) for who, command in commands.items()}
        rows.append(await in_turns(f"start: {what}", ways, rounds=sizes.asked, unit="ms"))
    return _labelled("Starting", rows)


def _labelled(table: str, rows: list[Row]) -> list[Row]:
    for row in rows:
        row.cpu.clear()  # it was another process's
        row.table = table
    return rows


async def main(sizes: Sizes) -> None:
    rows = []
    for away in (None, AWAY)[: 2 if sizes.equal else 1]:
        with tempfile.TemporaryDirectory(prefix="programs-") as folder:
            rows += await Trees(away, sizes, Path(folder)).rows()
    with tempfile.TemporaryDirectory(prefix="programs-") as folder:
        rows += await listings(sizes, Path(folder))
        rows += await starts(sizes, Path(folder) / "empty")
    print_rows(rows)


if __name__ == "__main__":
    asyncio.run(main(Sizes.named(sys.argv[1])))
