"""Comparisons as lines of a sign and a path: rclone's ``--combined``."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from jtc.storage.cli._exits import UsageError
from jtc.storage.cli._places.locations import STANDARD
from jtc.storage.cli._terminal.output import printable, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Combined", "combined_lines"]

Combined: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--combined",
        metavar="FILE",
        show_default=False,
        help="Write a line for each file to FILE, with a sign as rclone's: + - * = !. - is "
        "standard output.",
    ),
]


@contextlib.contextmanager
def combined_lines(name: str | None) -> Iterator[Callable[[str, str], None] | None]:
    """Give a function that writes a line of a sign and a path; None where none are wanted.

    Raises:
        UsageError: The file cannot be written.
    """
    if name is None:
        yield None
        return
    if name == STANDARD:
        yield lambda sign, path: write(f"{sign} {printable(path)}")
        return
    try:
        with Path(name).open("w", encoding="utf-8", errors="surrogateescape") as file:
            yield lambda sign, path: print(sign, path, file=file)
    except OSError as error:
        if error.filename != name:
            raise
        raise UsageError(f"--combined {name!r} cannot be written: {error.strerror}") from error
