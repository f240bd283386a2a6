"""The command `tree`: a directory and what is below it, drawn."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

import typer

from jtc.storage import Disk, Entry, FileInfo
from jtc.storage.cli._options import Directory
from jtc.storage.cli._places.listing import DIRECTORY_COLOUR, entries_at
from jtc.storage.cli._places.locations import Location, locate
from jtc.storage.cli._running import run
from jtc.storage.cli._terminal.output import coloured, printable, size_text, write

EXAMPLES = ("jtc-storage tree s3:photos", "jtc-storage tree --max-depth 2 --sizes ./site")


@dataclass
class _Totals:
    """Numbers of a tree."""

    directories: int = 0
    files: int = 0
    bytes: int = 0


def command(
    path: Directory = ".",
    *,
    max_depth: Annotated[
        int | None,
        typer.Option(
            "--max-depth", "-L", min=1, metavar="N", show_default=False, help="No deeper than this."
        ),
    ] = None,
    sizes: Annotated[bool, typer.Option("--sizes", "-s", help="The sizes of files, too.")] = False,
) -> None:
    """Draw a directory and what is below it. Each directory is listed by itself."""
    run(_draw(locate(path), max_depth, sizes=sizes))


async def _draw(location: Location, max_depth: int | None, *, sizes: bool) -> None:
    totals = _Totals()
    write(coloured(printable(location.text), DIRECTORY_COLOUR))
    await _draw_entries(location.disk, entries_at(location), "", max_depth, totals, sizes=sizes)
    directories = _count(totals.directories, "directory", "directories")
    write(f"\n{directories}, {_count(totals.files, 'file', 'files')}, {size_text(totals.bytes)}")


async def _draw_entries(
    disk: Disk,
    entries: AsyncIterator[Entry],
    indent: str,
    depth: int | None,
    totals: _Totals,
    *,
    sizes: bool,
) -> None:
    previous: Entry | None = None
    async for entry in entries:
        if previous is not None:
            await _draw_entry(disk, previous, indent, depth, totals, sizes=sizes, is_last=False)
        previous = entry
    if previous is not None:
        await _draw_entry(disk, previous, indent, depth, totals, sizes=sizes, is_last=True)


async def _draw_entry(
    disk: Disk,
    entry: Entry,
    indent: str,
    depth: int | None,
    totals: _Totals,
    *,
    sizes: bool,
    is_last: bool,
) -> None:
    name = printable(entry.path.rpartition("/")[2])
    branch = "└── " if is_last else "├── "
    if isinstance(entry, FileInfo):
        totals.files += 1
        totals.bytes += entry.size
        size = coloured(f"  {size_text(entry.size)}", "2") if sizes else ""
        write(f"{indent}{branch}{name}{size}")
        return
    totals.directories += 1
    write(f"{indent}{branch}{coloured(name, DIRECTORY_COLOUR)}/")
    if depth is None or depth > 1:
        below = indent + ("    " if is_last else "│   ")
        rest = None if depth is None else depth - 1
        await _draw_entries(disk, disk.list(entry.path), below, rest, totals, sizes=sizes)


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"
