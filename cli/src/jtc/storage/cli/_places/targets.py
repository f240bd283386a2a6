"""What goes where: the rules that `put`, `get`, `cp`, `mv` and `sync` share.

A slash at the end of a source means nothing. The contents of a directory go to the target, whether
that exists or not, so that a command that is run again does the same. A file goes into a target
that is a directory, or is written as one.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from jtc.storage import DirectoryInfo
from jtc.storage.cli._exits import UsageError
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.layer import unwrap_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jtc.storage.cli._places.locations import Location

__all__ = [
    "Job",
    "Kind",
    "check_apart",
    "is_inside",
    "kind_of",
    "overlap",
    "pair",
    "require_directory",
]


class Kind(Enum):
    """What is at a location."""

    FILE = "file"
    DIRECTORY = "directory"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Job:
    """One source, and where it goes.

    Attributes:
        source: The file, or the directory whose contents are transferred.
        target: The place, whose path is given by `path`.
        path: The path of the file, or of the directory, on the target's disk.
        is_directory: The source is a directory.
    """

    source: Location
    target: Location
    path: str
    is_directory: bool

    @property
    def name(self) -> str:
        """The target as a user may write it."""
        text = self.target.text
        if self.path == self.target.path:
            return text
        return f"{text}{'' if text.endswith((':', '/')) else '/'}{self.source.name}"


async def kind_of(location: Location, *, prefer_directory: bool = False) -> Kind:
    """Return what is at a location. A store may have both a file and a directory of one path.

    Args:
        location: The place.
        prefer_directory: If there are both, return the directory.
    """
    if location.is_local:
        return await asyncio.to_thread(_kind_of_machine_path, location.text)
    if not location.path:
        return Kind.DIRECTORY
    if prefer_directory and await location.disk.directory_exists(location.path):
        return Kind.DIRECTORY
    entry = await location.disk.entry(location.path)
    if entry is None:
        return Kind.NOTHING
    return Kind.DIRECTORY if isinstance(entry, DirectoryInfo) else Kind.FILE


async def pair(
    command: str, sources: Sequence[Location], target: Location, *, recursive: bool = False
) -> list[Job]:
    """Return where each source goes.

    Args:
        command: The command's name, for messages.
        sources: One or more.
        target: Where they go.
        recursive: Where a source is both a file and a directory, take the directory.

    Raises:
        FileNotFoundException: A source does not exist.
        UsageError: They do not go together; the message says what to do.
    """
    kinds = [await _existing(source, recursive=recursive) for source in sources]
    there = await kind_of(target)
    if len(sources) > 1:
        _check_several(command, sources, kinds, target, there)
    jobs = []
    for source, kind in zip(sources, kinds, strict=True):
        is_directory = kind is Kind.DIRECTORY
        path = target.path
        if is_directory and there is Kind.FILE:
            raise UsageError(
                f"{source.text!r} is a directory, and {target.text!r} is a file: name a directory"
            )
        if not is_directory and (there is Kind.DIRECTORY or target.is_directory_text):
            path = target.within(source.name)
        job = Job(source, target, path, is_directory)
        check_apart(command, job)
        jobs.append(job)
    return jobs


def check_apart(command: str, job: Job) -> None:
    """Refuse a source and a target that are one, or of which one is in the other.

    Raises:
        UsageError: They are.
    """
    source = _place(job.source, job.source.path)
    target = _place(job.target, job.path)
    if source == target:
        raise UsageError(f"{job.source.text!r} and the target are the same: nothing to {command}")
    if not job.is_directory:
        return
    if is_inside(target, source):
        raise UsageError(
            f"The target {job.target.text!r} is in the directory {job.source.text!r} itself: "
            "name a target outside"
        )
    if is_inside(source, target):
        raise UsageError(
            f"The directory {job.source.text!r} is in the target {job.target.text!r}: files could "
            f"be read and replaced at once. To {command} it, name a target outside, and then that"
        )


def overlap(job: Job) -> bool:
    """Return whether two directories are one, or one of them is in the other."""
    source = _place(job.source, job.source.path)
    target = _place(job.target, job.path)
    return source == target or is_inside(source, target) or is_inside(target, source)


async def require_directory(location: Location) -> None:
    """Check that there is a directory.

    Raises:
        FileNotFoundException: There is nothing.
        UsageError: It is a file.
    """
    if await _existing(location, recursive=True) is Kind.FILE:
        raise UsageError(f"{location.text!r} is a file: name a directory")


def is_inside(inner: str, outer: str) -> bool:
    """Return whether a place is below another one."""
    return inner.startswith(outer if outer.endswith("/") else f"{outer}/")


async def _existing(source: Location, *, recursive: bool) -> Kind:
    kind = await kind_of(source, prefer_directory=recursive)
    if kind is Kind.NOTHING:
        raise source.missing("stat")
    return kind


def _check_several(
    command: str,
    sources: Sequence[Location],
    kinds: Sequence[Kind],
    target: Location,
    there: Kind,
) -> None:
    if there is Kind.FILE or (there is Kind.NOTHING and not target.is_directory_text):
        raise UsageError(
            f"Several files go into a directory, and {target.text!r} is none. If it is to be a "
            f"new one, write '{target.text}/'"
        )
    for source, kind in zip(sources, kinds, strict=True):
        if kind is Kind.DIRECTORY:
            inner = f"{target.text.rstrip('/')}/" if target.path else target.text
            raise UsageError(
                f"{source.text!r} is a directory, whose contents would be mixed with the other "
                f"sources: {command} it by itself, to '{inner}{source.name}'"
            )
    name, number = Counter(source.name for source in sources).most_common(1)[0]
    if number > 1:
        raise UsageError(f"{number} of the sources are named {name!r}: only one would be left")


def _kind_of_machine_path(path: str) -> Kind:
    if Path(path).is_dir():
        return Kind.DIRECTORY
    return Kind.FILE if os.path.lexists(path) else Kind.NOTHING


def _place(location: Location, path: str) -> str:
    """Return a text that is the same for two locations of one file or directory."""
    driver, inner = unwrap_path(location.disk.driver, path)
    where = getattr(driver, "location", None)
    kind = LocalDriver if isinstance(driver, LocalDriver) else type(driver)
    root = f"{kind.__name__}:{where if isinstance(where, str) else id(driver)}"
    return f"{root.rstrip('/')}/{inner}" if inner else root
