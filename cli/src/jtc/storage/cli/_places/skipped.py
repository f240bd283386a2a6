"""What a directory of this machine has besides files and directories: no listing has it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from jtc.storage.exceptions import InvalidPathException
from jtc.storage.paths import RESERVED_DIRECTORY, TEMPORARY_PREFIX, check_listed_path

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Skipped", "skipped"]

_KINDS = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)


class Skipped(NamedTuple):
    """A symbolic link, or what is no regular file.

    Attributes:
        path: Its path below the directory.
        kind: What it is, in words.
    """

    path: str
    kind: str


def skipped(root: str, prefix: str = "") -> Iterator[Skipped]:
    """Yield what is skipped below a directory. Blocks.

    Args:
        root: The disk's root.
        prefix: The directory's path on the disk.
    """
    base = f"{prefix}/" if prefix else ""
    pending = [""]
    while pending:
        above = pending.pop()
        try:
            with os.scandir(f"{root}/{base}{above}") as entries:
                for entry in entries:
                    path = above + entry.name
                    if _is_own(entry.name, base + path):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        if _is_listed(base + path):
                            pending.append(f"{path}/")
                    elif not entry.is_file(follow_symlinks=False):
                        yield Skipped(path, _kind(entry))
        except OSError:
            continue  # deleted meanwhile, or it may not be read: the listing says so


def _is_own(name: str, disk_path: str) -> bool:
    """Return whether it is the library's own, and no file of a user."""
    return disk_path == RESERVED_DIRECTORY or name.startswith(TEMPORARY_PREFIX)


def _is_listed(disk_path: str) -> bool:
    try:
        check_listed_path(disk_path)
    except InvalidPathException:
        return False
    return True


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "a symbolic link"
    try:
        mode = entry.stat(follow_symlinks=False).st_mode
    except OSError:
        return "no file"
    return next((words for test, words in _KINDS if test(mode)), "no file")
