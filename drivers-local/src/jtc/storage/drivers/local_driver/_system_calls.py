"""System calls that Python's `os` lacks, such as `openat2`, or has on some systems only."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys
from functools import cache
from typing import TYPE_CHECKING

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "AT_FDCWD",
    "CLOSING",
    "DIRECTORY",
    "HOW_BYTES",
    "NO_FOLLOW",
    "OPENAT2",
    "PASSING",
    "READING",
    "RESOLVE_BENEATH",
    "RESOLVE_CACHED",
    "RESOLVE_NO_LINKS",
    "RESOLVE_NO_XDEV",
    "STATUS_ONLY",
    "after_fork",
    "check_regular",
    "data_ranges",
    "has_openat2",
    "is_link",
    "open_how",
    "openat2",
    "os_error",
    "quick_system_call",
    "read_at",
    "sync",
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


def _flags(*names: str) -> int:
    """Return those of some flags that the system has."""
    found = 0
    for name in names:
        found |= getattr(os, name, 0)
    return found


CLOSING = _flags("O_CLOEXEC", "O_NOINHERIT", "O_BINARY")
"""Not for programs that this one starts; and Windows changes no line end."""
DIRECTORY = os.O_RDONLY | _flags("O_DIRECTORY")
NO_FOLLOW = _flags("O_NOFOLLOW")
_O_PATH = _flags("O_PATH")
PASSING = _O_PATH | _flags("O_DIRECTORY")
# Not to wait at a FIFO for a writer, nor to take over a terminal.
READING = os.O_RDONLY | _flags("O_NONBLOCK", "O_NOCTTY")
STATUS_ONLY = _O_PATH or READING

# What st_blocks counts in, whatever the file system's blocks are.
_BLOCK_BYTES = 512

# Of a reparse point that stands for another name: a symbolic link or a junction, and not, say, a
# file whose content is in a cloud (IsReparseTagNameSurrogate of <winnt.h>).
_NAME_SURROGATE = 0x20000000

# What file systems answer that cannot have the drive write its cache.
_NO_FULL_SYNC = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY})


def after_fork(function: Callable[[], None]) -> None:
    """Have a function called in each child of this process, where processes fork."""
    if sys.platform != "win32":
        os.register_at_fork(after_in_child=function)


def sync(descriptor: int) -> None:
    """Have what was written to an open file or directory survive a power cut.

    On macOS, `fsync` leaves it in the drive's cache; see fcntl(2) there.
    """
    if sys.platform == "darwin":
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        except OSError as error:
            if error.errno not in _NO_FULL_SYNC:
                raise
        else:
            return
    os.fsync(descriptor)


def read_at(descriptor: int, length: int, first: int) -> bytes:
    """Read bytes of an open file from a place on; where it stands afterwards is not said."""
    if sys.platform != "win32":
        return os.pread(descriptor, length, first)
    os.lseek(descriptor, first, os.SEEK_SET)
    return os.read(descriptor, length)


def is_link(status: os.stat_result) -> bool:
    """Return whether a status is that of a symbolic link, or of a junction."""
    tag: int = getattr(status, "st_reparse_tag", 0)
    return stat.S_ISLNK(status.st_mode) or bool(tag & _NAME_SURROGATE)


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
    if sys.platform == "win32" or not hasattr(os, "SEEK_DATA"):
        return None
    if status.st_blocks * _BLOCK_BYTES >= status.st_size:
        return None
    return _data_ranges(descriptor, status.st_size)


def _data_ranges(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    end = 0
    if sys.platform == "win32":
        return
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
    return struct.pack("=QQQ", flags | CLOSING, 0, resolve)


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
    if sys.platform != "linux":
        return False
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
