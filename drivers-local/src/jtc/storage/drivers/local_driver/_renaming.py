"""Renaming onto a name only if it is free, which Python's `os` does not have."""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NoExclusiveRename", "rename_exclusively"]

_RENAME_NOREPLACE = 1
# An old kernel; a file system without the flag, such as NFS; a seccomp filter.
_NOT_THERE = frozenset({errno.ENOSYS, errno.EINVAL, errno.EPERM})
# A file system without links.
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class NoExclusiveRename(Exception):
    """Neither the system nor the file system has a rename that replaces nothing."""


def rename_exclusively(source: int, name: str, target: int, new_name: str) -> None:
    """Rename a file; fail if the new name is taken.

    By renameat2 (https://man7.org/linux/man-pages/man2/rename.2.html); where there is none, by
    `link` and `unlink`: for a moment the file then has both names.

    Args:
        source: The directory that the file is in.
        name: The file's name in it.
        target: The directory to put it in.
        new_name: Its name there.

    Raises:
        FileExistsError: The new name is taken.
        NoExclusiveRename: There is no such rename here.
        OSError: What else `rename` says.
    """
    if (function := _renameat2()) is not None:
        arguments = (source, os.fsencode(name), target, os.fsencode(new_name), _RENAME_NOREPLACE)
        if function(*arguments) == 0:
            return
        number = ctypes.get_errno()
        if number not in _NOT_THERE:
            raise OSError(number, os.strerror(number))
    try:
        os.link(name, new_name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_LINKS:
            raise NoExclusiveRename from error
        raise
    os.unlink(name, dir_fd=source)


@cache
def _renameat2() -> Callable[..., int] | None:
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return None
    function.argtypes = (
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_uint,
    )
    function.restype = ctypes.c_int
    checked: Callable[..., int] = function
    return checked
