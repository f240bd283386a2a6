"""What a listing of a directory of this machine leaves out, which must not go unseen."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from jtc.storage.exceptions import InvalidPathException
from jtc.storage.paths import RESERVED_DIRECTORY, TEMPORARY_PREFIX, check_listed_path

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LeftOut", "left_out"]

_KINDS = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)


class LeftOut(NamedTuple):
    """A name that no listing has.

    Attributes:
        path: Its path below the directory.
        reason: Why.
        is_error: It is a file, or a directory, that was to be transferred; not so a symbolic link,
            and what is no regular file.
        is_directory: Files below it are left out with it, and what they are is unknown.
    """

    path: str
    reason: str
    is_error: bool
    is_directory: bool = False


def left_out(root: str, prefix: str = "") -> Iterator[LeftOut]:
    """Yield what is below a directory, and not in the listing of a disk. Blocks.

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
                    if (found := _judge(entry, path, base + path)) is not None:
                        yield found
                    elif entry.is_dir(follow_symlinks=False):
                        pending.append(f"{path}/")
        except FileNotFoundError:
            continue  # deleted meanwhile
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
            yield LeftOut(above[:-1], reason, is_error=True, is_directory=True)


def _is_own(name: str, disk_path: str) -> bool:
    """Return whether it is the library's own, and no file of a user."""
    return disk_path == RESERVED_DIRECTORY or name.startswith(TEMPORARY_PREFIX)


def _judge(entry: os.DirEntry[str], path: str, disk_path: str) -> LeftOut | None:
    """Return why an entry is left out; None if it is listed."""
    is_directory = entry.is_dir(follow_symlinks=False)
    if not is_directory and not entry.is_file(follow_symlinks=False):
        return LeftOut(path, f"is {_kind(entry)}, which is skipped", is_error=False)
    try:
        check_listed_path(disk_path)
    except InvalidPathException as error:
        return LeftOut(path, str(error.args[0]), is_error=True, is_directory=is_directory)
    return None


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "a symbolic link"
    try:
        mode = entry.stat(follow_symlinks=False).st_mode
    except OSError:
        return "no file"
    return next((words for test, words in _KINDS if test(mode)), "no file")
