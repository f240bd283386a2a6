"""The command `du`: bytes and files of directories."""

from collections.abc import AsyncIterator
from typing import Annotated

import typer

from jtc.storage import FileInfo, Usage
from jtc.storage.cli._options import Directory, Human, Json
from jtc.storage.cli._places.listing import entries_at, size_column
from jtc.storage.cli._places.locations import Location, locate
from jtc.storage.cli._running import run
from jtc.storage.cli._terminal.output import printable, write, write_json

EXAMPLES = (
    "jtc-storage du -h s3:photos",
    "jtc-storage du -s s3:",
    "jtc-storage du --max-depth 1 media:",
)


def command(
    path: Directory = ".",
    *,
    summarize: Annotated[bool, typer.Option("--summarize", "-s", help="The total only.")] = False,
    max_depth: Annotated[
        int | None,
        typer.Option(
            "--max-depth", "-d", min=0, metavar="N", show_default=False, help="Show none deeper."
        ),
    ] = None,
    human: Human = False,
    json: Json = False,
) -> None:
    """Add up the bytes of the files below each directory. The last line is the whole."""
    depth = 0 if summarize else max_depth
    run(_show(locate(path), depth, human=human, json=json))


async def _show(location: Location, depth: int | None, *, human: bool, json: bool) -> None:
    async for path, usage in _usages(location):
        if depth is not None and path and path.count("/") >= depth:
            continue
        text = location.text_of(path)
        if json:
            write_json({"path": text, "bytes": usage.bytes, "files": usage.files})
        else:
            write(f"{size_column(usage.bytes, human=human)}  {usage.files:>9}  {printable(text)}")


async def _usages(location: Location) -> AsyncIterator[tuple[str, Usage]]:
    """Yield each directory with its usage as soon as it is complete, those within it first.

    A recursive listing has a directory's files one after the other, so only the directories above
    the current file are held.
    """
    names: list[str] = []
    usages = [Usage(files=0, bytes=0)]
    async for entry in entries_at(location, recursive=True):
        if not isinstance(entry, FileInfo):
            continue
        directory = location.relative(entry.path).split("/")[:-1]
        shared = _shared(names, directory)
        while len(names) > shared:
            yield "/".join(names), _close(names, usages)
        while len(names) < len(directory):
            names.append(directory[len(names)])
            usages.append(Usage(files=0, bytes=0))
        usages[-1].files += 1
        usages[-1].bytes += entry.size
    while names:
        yield "/".join(names), _close(names, usages)
    yield "", usages[0]


def _shared(first: list[str], second: list[str]) -> int:
    """Return how many parts two paths begin with alike."""
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return count


def _close(names: list[str], usages: list[Usage]) -> Usage:
    """Add a complete directory to the one above; return its usage."""
    names.pop()
    usage = usages.pop()
    usages[-1].files += usage.files
    usages[-1].bytes += usage.bytes
    return usage
