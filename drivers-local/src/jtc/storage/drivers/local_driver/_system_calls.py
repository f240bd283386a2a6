"""System calls that Python's `os` lacks: `openat2`, and a rename that replaces nothing.

Also the ranges of a sparse file that hold data.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "AT_FDCWD",
    "HOW_BYTES",
    "OPENAT2",
    "PASSING",
    "READING",
    "RESOLVE_BENEATH",
    "RESOLVE_CACHED",
    "RESOLVE_NO_LINKS",
    "RESOLVE_NO_XDEV",
    "STATUS_ONLY",
    "NoExclusiveRename",
    "check_regular",
    "data_ranges",
    "has_openat2",
    "open_how",
    "openat2",
    "os_error",
    "quick_system_call",
    "rename_exclusively",
    "understands_resolve",
]

OPENAT2 = 437
AT_FDCWD = -100
HOW_BYTES = 24

# RESOLVE_* of <linux/openat2.h>
RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_LINKS = 0x02 | 0x04  # _NO_MAGICLINKS and _NO_SYMLINKS
RESOLVE_BENEATH = 0x08
RESOLVE_CACHED = 0x20

_O_PATH = getattr(os, "O_PATH", 0)
PASSING = _O_PATH | os.O_DIRECTORY
# Not to wait at a FIFO for a writer, nor to take over a terminal.
READING = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
STATUS_ONLY = _O_PATH or READING

_RENAME_NOREPLACE = 1
# An old kernel; a file system without the flag, such as NFS; a seccomp filter.
_NO_RENAMEAT2 = frozenset({errno.ENOSYS, errno.EINVAL, errno.EPERM})
# What st_blocks counts in, whatever the file system's blocks are.
_BLOCK_BYTES = 512
# A file system without links.
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class NoExclusiveRename(Exception):
    """Neither the system nor the file system has a rename that replaces nothing."""


def os_error(number: int) -> OSError:
    """Return the error that `os` raises for a number: FileNotFoundError for ENOENT."""
    return OSError(number, os.strerror(number))


def check_regular(status: os.stat_result) -> os.stat_result:
    """Return the status of a regular file.

    Raises:
        FileNotFoundError: It is another one's, such as a FIFO's.
    """
    if not stat.S_ISREG(status.st_mode):
        raise os_error(errno.ENOENT)
    return status


def data_ranges(descriptor: int, status: os.stat_result) -> Iterator[tuple[int, int]] | None:
    """Return the ranges of an open file that hold data, in order; None for a file without holes.

    By SEEK_DATA and SEEK_HOLE (https://man7.org/linux/man-pages/man2/lseek.2.html), which file
    systems without holes answer as if all were data.
    """
    if status.st_blocks * _BLOCK_BYTES >= status.st_size or not hasattr(os, "SEEK_DATA"):
        return None
    return _data_ranges(descriptor, status.st_size)


def _data_ranges(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
            end = os.lseek(descriptor, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # a hole at the end
            if error.errno != errno.EINVAL:
                raise
            start, end = end, size  # there is no such call
        yield start, end


def open_how(flags: int, resolve: int) -> bytes:
    """Return a `struct open_how`: flags, mode and resolve, 64 bits each."""
    return struct.pack("=QQQ", flags | os.O_CLOEXEC, 0, resolve)


def openat2(directory: int, path: str, how: bytes) -> int:
    """Open a path in a directory; https://man7.org/linux/man-pages/man2/openat2.2.html.

    Raises:
        OSError: What the call answers.
    """
    name = os.fsencode(path)
    while True:
        descriptor: int = _system_call()(OPENAT2, directory, name, how, HOW_BYTES)
        if descriptor >= 0:
            return descriptor
        number = ctypes.get_errno()
        # EAGAIN: something was renamed meanwhile, and the kernel could not be sure.
        if number not in (errno.EAGAIN, errno.EINTR):
            raise os_error(number)


@cache
def has_openat2() -> bool:
    """Return whether the kernel has `openat2`; a seccomp filter may answer EPERM for it."""
    return understands_resolve(0)


@cache
def understands_resolve(resolve: int) -> bool:
    """Return whether the kernel's `openat2` takes flags such as RESOLVE_CACHED (Linux 5.12)."""
    how = open_how(PASSING, resolve)
    descriptor = _system_call()(OPENAT2, AT_FDCWD, b"/", how, HOW_BYTES)
    if descriptor < 0:
        return False
    os.close(descriptor)
    return True


@cache
def _system_call() -> Callable[..., int]:
    return _typed(ctypes.CDLL(None, use_errno=True))


@cache
def quick_system_call() -> Callable[..., int]:
    """Return `syscall` for calls that cannot block.

    It keeps the interpreter's lock: releasing that and taking it again may take longer than the
    call.
    """
    return _typed(ctypes.PyDLL(None, use_errno=True))


def _typed(library: ctypes.CDLL) -> Callable[..., int]:
    # syscall(), for glibc has no openat2() before 2.43.
    function = library.syscall
    function.argtypes = (
        ctypes.c_long,
        ctypes.c_long,
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.c_size_t,
    )
    function.restype = ctypes.c_long
    return function


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
        OSError: What else `rename` answers.
    """
    if (function := _renameat2()) is not None:
        arguments = (source, os.fsencode(name), target, os.fsencode(new_name), _RENAME_NOREPLACE)
        if function(*arguments) == 0:
            return
        number = ctypes.get_errno()
        if number not in _NO_RENAMEAT2:
            raise os_error(number)
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
