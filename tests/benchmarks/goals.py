"""Goals of the benchmarks: each is a limit for a figure of one run."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from bare import BARE, HOP
from directories import WHOLE
from measuring import DOWNLOAD, NEAR, OURS, SHARE, STORE_WORK, TRUSTING, UNCOLLECTED, Row
from programs import PYTHON, RCLONE, Step, equally
from wrk import KINDS, STATIC

__all__ = ["GOALS", "Goal"]

Rows: TypeAlias = Mapping[str, Row]
"""All rows, by ``"suite/name"``."""


@dataclass(frozen=True)
class Goal:
    """A figure that must not be above another.

    Attributes:
        work: The work that is measured.
        against: What it is compared with.
        at_most: The most that the figure may be.
        unit: ``"x"`` for a ratio, or what else the figure is in.
        figure: Takes it from the rows.
        doubt: Says of the rows why the figure certifies nothing, or nothing.
        limit: Says of the rows what else kept the figure from the goal, or nothing.
    """

    work: str
    against: str
    at_most: float
    unit: str
    figure: Callable[[Rows], float]
    doubt: Callable[[Rows], str] = lambda _: ""
    limit: Callable[[Rows], str] = lambda _: ""


def ratio(
    row: str, to: str, at_most: float, *, cpu: bool = False, ours: str = OURS, bound: str = ""
) -> Goal:
    """Return a goal for the time of ours as a multiple of another's.

    Args:
        row: The row.
        to: The other.
        at_most: The goal.
        cpu: Whether processor time is compared.
        ours: Which of ours.
        bound: What of the same row shows how far ours could come, where the goal is missed.
    """
    suite, _, name = row.partition("/")

    def limit(rows: Rows) -> str:
        return f": {bound} take {rows[row].ratio(bound, to, cpu=cpu):.2f} x" if bound else ""

    return Goal(
        f"{suite}: {name}{ours.removeprefix(OURS)}",
        f"{to}{', processor time' if cpu else ''}",
        at_most,
        "x",
        lambda rows: rows[row].ratio(ours, to, cpu=cpu),
        limit=limit,
    )


def above(row: str, to: str, at_most: float, *, ours: str = OURS, unit: str = "µs") -> Goal:
    """Return a goal for how much more ours takes than another."""
    suite, _, name = row.partition("/")

    def figure(rows: Rows) -> float:
        found = rows[row].wall
        return statistics.median(
            one - other for one, other in zip(found[ours], found[to], strict=True)
        )

    return Goal(f"{suite}: {name}", f"more than {to}", at_most, unit, figure)


def memory(row: str, at_most: float, what: str) -> Goal:
    """Return a goal for the memory of ours."""
    suite, _, name = row.partition("/")
    return Goal(f"{suite}: {name}", what, at_most, "MiB", lambda rows: rows[row].memory[OURS])


def note(row: str, name: str, at_most: float, unit: str) -> Goal:
    """Return a goal for another figure of ours."""
    suite, _, work = row.partition("/")
    return Goal(f"{suite}: {work}", name, at_most, unit, lambda rows: rows[row].notes[name])


GROWN = {"local": "growth", "memory": "growth", "s3": "s3"}
"""The suites that have the rows of growth."""


def growth(where: str, to: str, first: str, last: str) -> Goal:
    """Return a goal for how much worse the ratio to a limit gets from one row to another."""
    one, other = f"{GROWN[where]}/{where} {first}", f"{GROWN[where]}/{where} {last}"
    return Goal(
        f"growth: {where} {last}",
        f"the same at {first}",
        1.5,
        "x",
        lambda rows: rows[other].ratio(OURS, to) / rows[one].ratio(OURS, to),
    )


def _large(rows: Rows, start: str) -> str:
    return next(name for name in rows if name.startswith(start))


def found(start: str, goal: Callable[[str], Goal]) -> Goal:
    """Return a goal for the row whose name begins so: sizes differ between runs."""
    shown = goal(start)
    return replace(
        shown,
        work=shown.work.rstrip(","),
        figure=lambda rows: goal(_large(rows, start)).figure(rows),
        limit=lambda rows: goal(_large(rows, start)).limit(rows),
    )


def stall(rows: Rows, where: str, of: str = "") -> float:
    """Return for how many ms a disk kept the loop from everything else."""
    return rows[f"{GROWN[where]}/{where} get, 10,000 waiting"].notes[f"longest stall{of}, ms"]


def more_stalled(rows: Rows, where: str, of: str = "") -> float:
    """Return for how many ms more than tasks that do nothing."""
    return stall(rows, where, of) - stall(rows, where, f" of as many tasks that do nothing{of}")


def collected(rows: Rows, where: str) -> str:
    """Say how much of a stall is not the garbage collector's."""
    return f": {more_stalled(rows, where, UNCOLLECTED):.1f} ms{UNCOLLECTED}"


def near(goal: Goal) -> Goal:
    """Return a goal for an upload that the store's own work bounds."""

    def limit(rows: Rows) -> str:
        work = rows[_large(rows, "s3/upload")].notes[STORE_WORK]
        return f": the store itself works for {work:.1f} s of its processors"

    return replace(goal, limit=limit)


def far(work: str, goal: Callable[[str], Goal], away: str = "40 ms, 20 MB/s") -> Goal:
    """Return a goal for a row of a store far away, unless the proxy is what it measures."""
    row = f"distance/{away}: {work}"
    made = found(row, goal)

    def doubt(rows: Rows) -> str:
        share = rows[_large(rows, row)].notes[SHARE]
        return f"**certifies nothing**: {share:.0f} % of the proxy's ceiling" if share > 70 else ""

    def limit(rows: Rows) -> str:
        share = rows[_large(rows, row)].notes.get(NEAR, 0)
        return (
            f": the fastest takes {share:.0f} % of what the store does near" if share > 70 else ""
        )

    return replace(made, doubt=doubt, limit=limit)


def tree(step: str, goal: Callable[[str], Goal]) -> Goal:
    """Return a goal for a step of a program that moves a tree."""
    made = goal(f"cli/{step}")

    def limit(rows: Rows) -> str:
        work = rows[f"cli/{step}"].notes[f"{OURS}: {STORE_WORK}"]
        return f": the store itself works for {work:.1f} s of its processors"

    return replace(made, limit=limit)


STEPS = tuple(f"{place}: {step}" for place in ("near", "40 ms, 20 MB/s") for step in Step)
"""The rows of a tree."""

LIMITS = {"local": BARE, "memory": "a dict", "s3": BARE}

GOALS = (
    ratio("local/get 4 KiB", BARE, 2.0),
    ratio("local/get 64 KiB", BARE, 2.0),
    ratio("local/get 4 KiB", "obstore", 0.1),
    ratio("local/get 4 KiB, the first after a write", BARE, 2.0),
    ratio("local/get 4 KiB, the first after a write, of another user", HOP, 2.0),
    ratio("local/put 4 KiB, then get at once", HOP, 1.3),
    ratio("local/exists", BARE, 2.0),
    ratio("local/size", BARE, 2.0),
    ratio("local/stat", BARE, 2.0),
    ratio("local/put 4 KiB, replacing", HOP, 1.3),
    ratio("local/put 4 KiB, new", HOP, 1.3),
    ratio("local/put 4 KiB, replacing", "obstore", 0.9, bound=HOP),
    ratio("local/put 4 KiB, new", "obstore", 0.9, bound=HOP),
    found("local/stream in", lambda row: ratio(row, BARE, 1.15)),
    found("local/stream out", lambda row: ratio(row, BARE, 1.15)),
    found("local/stream in", lambda row: memory(row, 64, "grown by at most")),
    found("local/stream out", lambda row: memory(row, 64, "grown by at most")),
    found("local/copy,", lambda row: ratio(row, BARE, 1.1)),
    found("local/copy of", lambda row: ratio(row, BARE, 1.1)),
    found("local/copy of", lambda row: note(row, "MiB allocated", 5, "MiB")),
    found("local/list,", lambda row: ratio(row, BARE, 1.5)),
    found("local/list,", lambda row: ratio(row, "obstore", 0.35, bound=BARE)),
    found("local/list in pages", lambda row: ratio(row, WHOLE, 1.5)),
    found("local/the first page", lambda row: ratio(row, BARE, 1.5)),
    found("local/directory_exists", lambda row: ratio(row, BARE, 5.0)),
    above("memory/get 4 KiB", "a dict", 3.0),
    above("memory/put 4 KiB", "a dict", 3.0),
    ratio("memory/get 4 KiB", "obstore", 0.02),
    ratio("memory/put 4 KiB", "obstore", 0.02),
    *(
        goal
        for width in (16, 64)
        for goal in (
            ratio(f"s3/get 4 KiB, {width} at once", "obstore", 0.85),
            ratio(f"s3/get 4 KiB, {width} at once", "obstore", 0.7, cpu=True),
            ratio(f"s3/put 4 KiB, {width} at once", "obstore", 1.1, bound=BARE),
            *(
                ratio(f"s3/{work}, {width} at once", "aioboto3", 1 / 3, bound=BARE)
                for work in ("get 4 KiB", "put 4 KiB", "exists")
            ),
            *(
                ratio(f"s3/delete, {width} at once", "aioboto3", 1 / 3, ours=ours, bound=bound)
                for ours, bound in ((OURS, TRUSTING), (TRUSTING, BARE))
            ),
        )
    ),
    Goal(
        "s3: presigned URL, a batch of 1,000",
        "each",
        25.0,
        "µs",
        lambda rows: rows["s3/presigned URL, a batch of 1,000"].median(OURS),
    ),
    found("s3/list", lambda row: ratio(row, "obstore", 1.0)),
    near(found("s3/upload", lambda row: ratio(row, "obstore", 1.0))),
    found("s3/download", lambda row: ratio(row, "obstore", 1.0, bound=BARE)),
    above(
        "s3/memory for each web client that reads slowly",
        "Starlette's FileResponse",
        64.0,
        unit="kB",
    ),
    found("s3/upload", lambda row: memory(row, 150, "the whole process at most")),
    found("s3/download", lambda row: memory(row, 150, "the whole process at most")),
    far("download 256 MiB", lambda row: ratio(row, "aioboto3", 0.6, ours=DOWNLOAD)),
    far("download 256 MiB", lambda row: ratio(row, "obstore", 0.2, ours=DOWNLOAD)),
    *(
        far("upload 256 MiB", goal, away)
        for away in ("40 ms, 20 MB/s", "40 ms, 5 MB/s")
        for goal in (
            lambda row: ratio(row, "aioboto3", 0.8),
            lambda row: ratio(row, "obstore", 1.0),
        )
    ),
    *(
        far(f"{work} 1,000 of 4 KiB", lambda row: ratio(row, "obstore", 1.1))
        for work in ("put", "get")
    ),
    far("delete 1,000 of 4 KiB", lambda row: ratio(row, "obstore", 1.1, ours=TRUSTING)),
    far("download 256 MiB", lambda row: memory(row, 150, "the whole process at most")),
    far("upload 256 MiB", lambda row: memory(row, 150, "the whole process at most")),
    *(
        ratio(f"web/{work}", "Starlette's FileResponse", 1.2)
        for work in ("1 MiB whole", "its second half, by a range")
    ),
    ratio("web/1 MiB for 16 at once, the 99th percentile", "Starlette's FileResponse", 1.0),
    *(
        ratio(f"web/{kind.work}, {what}", STATIC, 1.0)
        for kind in KINDS
        for what in (
            "the 99th percentile of 64 connections",
            "the application's processor time a request",
        )
    ),
    above(
        "web/memory for each of the clients that read slowly",
        "Starlette's FileResponse",
        64.0,
        unit="kB",
    ),
    above("startup/import", "asyncio alone", 40.0, unit="ms"),
    ratio("startup/first S3 get of a process", "aioboto3", 0.5, bound=BARE),
    *(
        above(f"facade/Disk.{name}", "the driver's own method", 2.0, ours="Disk")
        for name in ("get", "put", "exists", "size", "delete")
    ),
    above("facade/hooks", "Disk, were there no hooks", 0.2, ours="Disk"),
    *(
        growth(where, limit, f"{work}, 1,000 files", f"{work}, 100,000 files")
        for where, limit in LIMITS.items()
        for work in ("get", "put", *(("list",) if where != "s3" else ()))
    ),
    *(
        growth(where, limit, "get, 5 waiting", "get, 10,000 waiting")
        for where, limit in LIMITS.items()
    ),
    *(
        goal
        for where in ("local", "s3")
        for goal in (
            Goal(
                f"growth: {where} get, 64 at once",
                "the loop's longest stall",
                25.0,
                "ms",
                lambda rows, where=where: stall(rows, where, " with 64 at once"),
            ),
            Goal(
                f"growth: {where} get, 10,000 waiting",
                "the loop's longest stall, more than that of tasks that do nothing",
                25.0,
                "ms",
                lambda rows, where=where: more_stalled(rows, where),
                limit=lambda rows, where=where: collected(rows, where),
            ),
        )
    ),
    *(
        tree(step, goal)
        for step in STEPS
        for goal in (
            lambda row: ratio(row, RCLONE, 1.0),
            lambda row: ratio(row, equally(RCLONE), 1.0, ours=equally(OURS)),
            lambda row: memory(row, 200, "all of its processes at most"),
        )
    ),
    *(
        found(f"cli/print the paths of {where}", lambda row: ratio(row, RCLONE, 1.2))
        for where in ("S3", "a local directory")
    ),
    *(
        above(f"cli/start: {command}", PYTHON, 250.0, unit="ms")
        for command in ("--version", "ls of a local directory")
    ),
)  # fmt: skip
