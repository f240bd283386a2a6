"""The command `cat`: contents of files."""

import re
from typing import Annotated

import typer

from jtc.storage.cli._exits import UsageError
from jtc.storage.cli._options import Places
from jtc.storage.cli._places.locations import locate
from jtc.storage.cli._places.streams import write_out
from jtc.storage.cli._running import run

EXAMPLES = (
    "jtc-storage cat media:notes.txt",
    "jtc-storage cat --range 0-99 s3:backup.tar | xxd",
    "jtc-storage cat --range -1024 s3:app.log",
)

_RANGE = re.compile(r"(\d*)-(\d*)", re.ASCII)


def command(
    paths: Places,
    *,
    range_: Annotated[
        str | None,
        typer.Option(
            "--range",
            metavar="FIRST-LAST",
            show_default=False,
            help="Only these bytes: 0-99 are the first hundred, 100- the rest, -100 the last.",
        ),
    ] = None,
) -> None:
    """Write the contents of files to standard output."""
    start, end = _bounds(range_)
    run(write_out([locate(path) for path in paths], start, end))


def _bounds(text: str | None) -> tuple[int, int | None]:
    """Return the start and the end of a range of bytes, as a stream takes them."""
    if text is None:
        return 0, None
    found = _RANGE.fullmatch(text)
    first, last = found.groups() if found is not None else ("", "")
    if not (first or last) or (first and last and int(last) < int(first)):
        raise UsageError(f"--range is FIRST-LAST, FIRST- or -COUNT, not {text!r}")
    if not first:
        return -int(last), None
    return int(first), int(last) + 1 if last else None
