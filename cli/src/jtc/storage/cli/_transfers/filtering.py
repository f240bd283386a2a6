"""Which files of a directory count: by their sizes and ages, and by a list."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from jtc.storage.cli._exits import UsageError
from jtc.storage.cli._options import duration, size_with_unit
from jtc.storage.cli._places.locations import STANDARD
from jtc.storage.sync_plan import path_filter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jtc.storage import FileInfo
    from jtc.storage.transfers import Compare

__all__ = [
    "Checksum",
    "FilesFrom",
    "Filter",
    "MaxAge",
    "MaxSize",
    "MinAge",
    "MinSize",
    "SizeOnly",
    "check_patterns",
    "comparison",
    "make_filter",
]

FilesFrom: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--files-from",
        metavar="FILE",
        show_default=False,
        help="Only the files that FILE lists, a path a line; - is standard input.",
    ),
]
MinSize: TypeAlias = Annotated[
    str | None, typer.Option(metavar="SIZE", show_default=False, help="Not smaller files: 100K.")
]
MaxSize: TypeAlias = Annotated[
    str | None, typer.Option(metavar="SIZE", show_default=False, help="Not larger files: 10M.")
]
MinAge: TypeAlias = Annotated[
    str | None, typer.Option(metavar="TIME", show_default=False, help="Not younger files: 15m, 7d.")
]
MaxAge: TypeAlias = Annotated[
    str | None, typer.Option(metavar="TIME", show_default=False, help="Not older files: 15m, 7d.")
]

SizeOnly: TypeAlias = Annotated[
    bool, typer.Option("--size-only", help="Compare sizes, and not times or checksums.")
]
Checksum: TypeAlias = Annotated[
    bool, typer.Option("--checksum", help="Compare checksums; files without one are read.")
]


@dataclass(slots=True, kw_only=True)
class Filter:
    """Judges files by what a listing says of them.

    Attributes:
        min_size: The smallest size in bytes.
        max_size: The largest size in bytes.
        since: The earliest time, in seconds since 1970.
        until: The latest time.
        listed: The paths below the directory; None are all.
        seen: Those of them that were found.
    """

    min_size: int | None = None
    max_size: int | None = None
    since: float | None = None
    until: float | None = None
    listed: frozenset[str] | None = None
    seen: set[str] = field(default_factory=set)

    def missing(self) -> list[str]:
        """Return which of the listed paths were not found."""
        return sorted(self.listed - self.seen) if self.listed else []

    def __call__(self, info: FileInfo) -> bool:
        """Return whether a file counts."""
        if self.listed is not None:
            if info.path not in self.listed:
                return False
            self.seen.add(info.path)
        return not (
            (self.min_size is not None and info.size < self.min_size)
            or (self.max_size is not None and info.size > self.max_size)
            or (self.since is not None and info.last_modified < self.since)
            or (self.until is not None and info.last_modified > self.until)
        )


def make_filter(
    min_size: str | None,
    max_size: str | None,
    min_age: str | None,
    max_age: str | None,
    files_from: str | None,
) -> Filter | None:
    """Return what judges files by the values of options; None where all count.

    Raises:
        UsageError: A value is none, or the file cannot be read.
    """
    if not any((min_size, max_size, min_age, max_age, files_from)):
        return None
    now = time.time()
    return Filter(
        min_size=None if min_size is None else size_with_unit(min_size, "--min-size"),
        max_size=None if max_size is None else size_with_unit(max_size, "--max-size"),
        since=None if max_age is None else now - duration(max_age, "--max-age"),
        until=None if min_age is None else now - duration(min_age, "--min-age"),
        listed=None if files_from is None else _listed(files_from),
    )


def check_patterns(include: Sequence[str] | None, exclude: Sequence[str] | None) -> None:
    """Check the patterns of options.

    Raises:
        UsageError: One is invalid.
    """
    try:
        path_filter(include or (), exclude or ())
    except ValueError as error:
        raise UsageError(str(error)) from error


def comparison(*, checksum: bool, size_only: bool) -> Compare:
    """Return how files are compared, by the values of options.

    Raises:
        UsageError: Both are set.
    """
    if checksum and size_only:
        raise UsageError("--checksum and --size-only exclude each other: pass one of them")
    return "checksum" if checksum else "size" if size_only else "auto"


def _listed(name: str) -> frozenset[str]:
    """Return the paths that a file lists, with rclone's comments and spaces."""
    try:
        text = sys.stdin.read() if name == STANDARD else Path(name).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--files-from {name!r} cannot be read: {error}") from error
    lines = (line.strip() for line in text.splitlines())
    return frozenset(line.strip("/") for line in lines if line and line[0] not in "#;")
