"""Directories below a root, in which names are looked at, renamed and deleted."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from functools import cache
from typing import TYPE_CHECKING

from jtc.storage.drivers.local_driver._system_calls import AT_FDCWD, is_link, os_error, sync
from jtc.storage.drivers.local_driver._windows_names import name_error
from jtc.storage.exceptions import InvalidPathException

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

__all__ = [
    "Directory",
    "NoExclusiveRename",
    "full_name",
    "is_directory",
    "look",
    "rename_exclusively",
    "replace",
]

# RENAME_NOREPLACE of Linux's renameat2, RENAME_EXCL of macOS's renameatx_np.
_EXCLUSIVE_RENAMES = {"renameat2": 1, "renameatx_np": 4}
# An old kernel; a file system without the flag, such as NFS; a seccomp filter.
_NO_EXCLUSIVE_RENAME = frozenset({errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.ENOTSUP})
# A file system without links.
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})

# From here on Windows takes a name only with a prefix that says that it is whole: that of a file is
# limited to 260 characters, that of a directory to 248.
_LONG_NAME = 240
_LONG, _LONG_ON_SERVER = "\\\\?\\", "\\\\?\\UNC\\"


class NoExclusiveRename(Exception):
    """Neither the system nor the file system has a rename that replaces nothing."""


class Directory:
    """A directory: an open descriptor, or its path where the system opens no directories.

    Args:
        descriptor: An open descriptor, which `close` closes; None with a path.
        path: The path, if there is no descriptor.

    Attributes:
        descriptor: For the argument `dir_fd` of the functions of `os`.
        handle: For functions that take a descriptor or a path.
    """

    __slots__ = ("descriptor", "handle")

    def __init__(self, descriptor: int | None, path: str = "") -> None:
        self.descriptor = descriptor
        self.handle: int | str = path if descriptor is None else descriptor

    def at(self, name: str) -> str:
        """Return what to call a name in this directory, beside ``dir_fd=directory.descriptor``.

        Raises:
            InvalidPathException: Windows takes the name for something else.
        """
        if self.descriptor is None:
            if (reason := name_error(name)) is not None:
                raise InvalidPathException(reason)
            return full_name(self.path_of(name))
        return name

    def path_of(self, name: str) -> str:
        """Return the whole path of a name, where this is the path of a directory."""
        return os.path.join(str(self.handle), name)  # noqa: PTH118 - a str

    def status(self) -> os.stat_result:
        """Return the directory's status."""
        return os.stat(self.handle)  # noqa: PTH116 - mostly a descriptor

    def set_mode(self, mode: int) -> None:
        """Set the directory's permission bits, where there are such."""
        if sys.platform != "win32" and self.descriptor is not None:
            os.fchmod(self.descriptor, mode)

    def entries(self) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
        """Return what is in the directory."""
        return os.scandir(self.handle)

    def sync(self) -> None:
        """Have the names in it survive a power cut, where the system syncs directories."""
        if self.descriptor is not None:
            sync(self.descriptor)

    def close(self) -> None:
        """Close the descriptor, once."""
        if self.descriptor is not None and self.descriptor >= 0:
            descriptor = self.descriptor
            self.descriptor = self.handle = -1
            os.close(descriptor)


def full_name(path: str) -> str:
    """Return what to call a path: on Windows a long one has a prefix.

    https://learn.microsoft.com/windows/win32/fileio/maximum-file-path-limitation
    """
    if sys.platform != "win32" or len(path) < _LONG_NAME or path.startswith(_LONG):
        return path
    if path.startswith("\\\\"):
        return _LONG_ON_SERVER + path[2:]
    return _LONG + path


def look(directory: Directory, name: str) -> os.stat_result | None:
    """Return the status of a name in a directory, or None where it is free.

    Raises:
        OSError: ELOOP for a symbolic link.
    """
    try:
        status = os.stat(directory.at(name), dir_fd=directory.descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if is_link(status):
        raise os_error(errno.ELOOP)
    return status


def is_directory(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a directory, and no link or junction to one."""
    if not entry.is_dir(follow_symlinks=False):
        return False
    return sys.platform != "win32" or not is_link(entry.stat(follow_symlinks=False))


def replace(source: Directory, name: str, target: Directory, new_name: str) -> None:
    """Rename a file, in place of what has the new name."""
    old, new = source.at(name), target.at(new_name)
    if sys.platform == "win32":
        os.replace(old, new, src_dir_fd=None, dst_dir_fd=None)  # noqa: PTH105
        return
    os.rename(old, new, src_dir_fd=source.descriptor, dst_dir_fd=target.descriptor)


def rename_exclusively(source: Directory, name: str, target: Directory, new_name: str) -> None:
    """Rename a file; fail if the new name is taken.

    By renameat2 (https://man7.org/linux/man-pages/man2/rename.2.html), or what other systems have;
    where there is none, by `link` and `unlink`: for a moment the file then has both names.

    Args:
        source: The directory that the file is in.
        name: The file's name in it.
        target: The directory to put it in.
        new_name: Its name there.

    Raises:
        FileExistsError: The new name is taken.
        NoExclusiveRename: There is no such rename here.
        OSError: What else `rename` answers.
    """
    old, new = source.at(name), target.at(new_name)
    if sys.platform == "win32":
        # Replaces nothing there.
        os.rename(old, new, src_dir_fd=None, dst_dir_fd=None)  # noqa: PTH104
        return
    if (function := _exclusive_rename()) is not None:
        arguments = (_number(source), os.fsencode(old), _number(target), os.fsencode(new))
        if function(*arguments) == 0:
            return
        number = ctypes.get_errno()
        if number not in _NO_EXCLUSIVE_RENAME:
            raise os_error(number)
    try:
        os.link(
            old,
            new,
            src_dir_fd=source.descriptor,
            dst_dir_fd=target.descriptor,
            follow_symlinks=False,
        )
    except OSError as error:
        if error.errno in _NO_LINKS:
            raise NoExclusiveRename from error
        raise
    os.unlink(old, dir_fd=source.descriptor)


def _number(directory: Directory) -> int:
    return AT_FDCWD if directory.descriptor is None else directory.descriptor


@cache
def _exclusive_rename() -> Callable[..., int] | None:
    library = ctypes.CDLL(None, use_errno=True)
    for name, flag in _EXCLUSIVE_RENAMES.items():
        function = getattr(library, name, None)
        if function is not None:
            place, number = ctypes.c_int, ctypes.c_uint
            function.argtypes = (place, ctypes.c_char_p, place, ctypes.c_char_p, number)
            function.restype = ctypes.c_int
            return lambda *arguments: int(function(*arguments, flag))
    return None
