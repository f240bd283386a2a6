"""The command `ls`: a listing."""

from collections.abc import Callable
from typing import Annotated

import typer

from jtc.storage import Entry
from jtc.storage.cli._options import Directory, Human, Json
from jtc.storage.cli._places.listing import entries_at, entry_as_json, long_line, namer, write_names
from jtc.storage.cli._places.locations import Location, locate
from jtc.storage.cli._running import run
from jtc.storage.cli._terminal.output import write, write_json

EXAMPLES = (
    "jtc-storage ls s3:",
    "jtc-storage ls -lh s3:photos",
    "jtc-storage ls -R --json ./site",
)


def command(
    path: Directory = ".",
    *,
    long: Annotated[bool, typer.Option("--long", "-l", help="Sizes and times, too.")] = False,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-R", help="All files below, at any depth.")
    ] = False,
    human: Human = False,
    json: Json = False,
) -> None:
    """List files and directories, in the disk's order. A directory ends with a slash."""
    location = locate(path)
    if not (json or long):
        run(write_names(location, recursive=recursive))
        return
    name = namer(location)

    def show(entry: Entry) -> None:
        if json:
            write_json(entry_as_json(location, entry))
        else:
            write(long_line(entry, name(entry), human=human))

    run(_list(location, show, recursive=recursive))


async def _list(location: Location, show: Callable[[Entry], None], *, recursive: bool) -> None:
    async for entry in entries_at(location, recursive=recursive):
        show(entry)
