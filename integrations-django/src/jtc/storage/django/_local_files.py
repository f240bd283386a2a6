"""Files of a local disk: the modes of saved ones, and symbolic links, which disks refuse."""

from __future__ import annotations

import contextlib
import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["change_mode", "is_link", "links_in", "missing_directories"]


def missing_directories(root: str, path: str) -> list[str]:
    """Return the directories above a file that do not exist yet, the lowest first."""
    missing = []
    directory = posixpath.dirname(path)
    while directory and not os.path.lexists(posixpath.join(root, directory)):
        missing.append(posixpath.join(root, directory))
        directory = posixpath.dirname(directory)
    return missing


def change_mode(paths: Iterable[str], mode: int) -> None:
    """Set the mode of files or directories, but not of what a symbolic link leads to.

    Raises:
        OSError: There is no such file, or the mode cannot be set.
    """
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)


def is_link(root: str, path: str) -> bool:
    """Return whether a path is a symbolic link, in a directory that is reached without one."""
    above = posixpath.dirname(path)
    return not _leads_over_link(root, above) and Path(root, path).is_symlink()


def links_in(root: str, directory: str) -> list[str]:
    """Return the names of the symbolic links in a directory that is reached without one."""
    if _leads_over_link(root, directory):
        return []
    with contextlib.suppress(OSError), os.scandir(posixpath.join(root, directory)) as entries:
        return [entry.name for entry in entries if entry.is_symlink()]
    return []


def _leads_over_link(root: str, path: str) -> bool:
    while path:
        if Path(root, path).is_symlink():
            return True
        path = posixpath.dirname(path)
    return False
