"""The one place that opens what is below the root, and never follows a link there.

Linux does it in one call, `openat2` with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS
(https://man7.org/linux/man-pages/man2/openat2.2.html). Elsewhere, and under a seccomp filter that
refuses it, each part of the path is opened with O_NOFOLLOW in the directory before it. Either way
there is no moment between looking and opening in which a link could be slipped in. The root itself
may be a link: it is the administrator's.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jtc.storage.exceptions import PathConflictException

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage.drivers.local_driver.threads import Turn

__all__ = ["ATTEMPTS", "Root", "look"]

ATTEMPTS = 100
"""How often a write makes its directories anew while somebody else deletes them."""

_OPENAT2 = 437
# RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH of <linux/openat2.h>
_RESOLVE = 0x02 | 0x04 | 0x08
_AT_FDCWD = -100

_O_PATH = getattr(os, "O_PATH", 0)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_PASSING = _O_PATH | os.O_DIRECTORY
# Not to wait at a FIFO for somebody to write into it, nor to take over a terminal.
_READING = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
_LOOKING = _O_PATH or _READING
# What open() says of a socket, and of a device without a driver.
_NO_FILE = frozenset({errno.ENXIO, errno.ENODEV})


class Root:
    """A directory, and the ways to open what is below it.

    Paths are relative and checked; ``""`` is the root. Every method blocks: call it in a worker.
    Every descriptor is closed on exec.

    Args:
        path: The directory, absolute. It need not exist yet.
        durable: Have what is written survive a power cut.
        portable: Do without what only Linux has: `openat2`, O_TMPFILE, copies in the kernel.
    """

    def __init__(self, path: str, *, durable: bool = False, portable: bool = False) -> None:
        self.path = path
        self.durable = durable
        self.portable = portable
        self._open_below: Callable[[int, str, int], int] = (
            _walk if portable or not _has_openat2() else _beneath
        )

    def _open(self, path: str, flags: int) -> int:
        root = self._open_root(_PASSING)
        try:
            return self._open_below(root, path, flags)
        finally:
            os.close(root)

    def _open_root(self, flags: int) -> int:
        try:
            return os.open(self.path, flags | os.O_CLOEXEC)
        except NotADirectoryError as error:
            raise _root_in_the_way() from error

    def open_file(self, path: str) -> tuple[int, os.stat_result]:
        """Open a regular file for reading.

        Returns:
            Its descriptor and its facts.

        Raises:
            FileNotFoundError: There is no file; what is there is none, such as a FIFO.
            OSError: ELOOP for a symbolic link; what else `open` says.
        """
        try:
            descriptor = self._open(path, _READING)
        except OSError as error:
            if isinstance(error, NotADirectoryError) or error.errno in _NO_FILE:
                raise _no_file() from error
            raise
        try:
            return descriptor, _regular(os.fstat(descriptor))
        except BaseException:
            os.close(descriptor)
            raise

    def stat_file(self, path: str) -> os.stat_result:
        """Return the facts of a regular file without opening it; raise as `open_file` does."""
        try:
            descriptor = self._open(path, _LOOKING)
        except NotADirectoryError as error:
            raise _no_file() from error
        try:
            return _regular(os.fstat(descriptor))
        finally:
            os.close(descriptor)

    def open_directory(self, path: str) -> int:
        """Open a directory for reading its names and for locking it.

        Raises:
            FileNotFoundError: It is not there.
            NotADirectoryError: It, or a part before it, is something else.
            OSError: ELOOP for a symbolic link; what else `open` says.
        """
        if not path:
            return self._open_root(_DIRECTORY)
        return self._open(path, _DIRECTORY)

    def open_nearest(self, path: str, turn: Turn) -> tuple[int, bool]:
        """Open a directory, or the nearest one above it that is there; make the root if need be.

        Returns:
            The descriptor, and whether it is the directory itself.
        """
        nearest = path
        while True:
            try:
                return self.open_directory(nearest), nearest == path
            except FileNotFoundError:
                if not nearest:
                    self._make_root(turn)
                nearest = nearest.rpartition("/")[0]

    def make_directory(self, path: str, turn: Turn) -> int:
        """Make a directory and those above it where they are not there, and open it.

        Raises:
            NotADirectoryError: Something else is in the way.
            OSError: ELOOP for a symbolic link; what else `mkdir` says.
        """
        for _ in range(ATTEMPTS):
            with suppress(FileNotFoundError):
                return self.open_directory(path)
            with suppress(FileNotFoundError):  # somebody deletes what was made just now
                return self._make_parts(path, turn)
        return self.open_directory(path)

    def _make_parts(self, path: str, turn: Turn) -> int:
        self._make_root(turn)
        directory = self._open_root(_DIRECTORY)
        try:
            for part in path.split("/") if path else ():
                with suppress(FileExistsError), turn:
                    os.mkdir(part, dir_fd=directory)
                    if self.durable:
                        os.fsync(directory)
                child = _step(directory, part, _DIRECTORY)
                os.close(directory)
                directory = child
        except BaseException:
            os.close(directory)
            raise
        return directory

    def _make_root(self, turn: Turn) -> None:
        try:
            with turn:
                Path(self.path).mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise _root_in_the_way() from error


def look(directory: int, name: str) -> os.stat_result | None:
    """Return the facts of a name in a directory, or None where it is free.

    Raises:
        OSError: ELOOP for a symbolic link.
    """
    try:
        facts = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(facts.st_mode):
        raise _link()
    return facts


def _beneath(root: int, path: str, flags: int) -> int:
    """Open a path below a directory with openat2."""
    name = os.fsencode(path)
    how = _open_how(flags)
    while True:
        descriptor: int = _system_call()(_OPENAT2, root, name, how, len(how))
        if descriptor >= 0:
            return descriptor
        number = ctypes.get_errno()
        # EAGAIN: something was renamed meanwhile, and the kernel could not be sure.
        if number not in (errno.EAGAIN, errno.EINTR):
            raise OSError(number, os.strerror(number))


@cache
def _open_how(flags: int) -> bytes:
    """Return a `struct open_how`: flags, mode and resolve, 64 bits each."""
    return struct.pack("=QQQ", flags | os.O_CLOEXEC, 0, _RESOLVE)


@cache
def _system_call() -> Callable[..., int]:
    # syscall(), for glibc has no openat2() before 2.43.
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.argtypes = (
        ctypes.c_long,
        ctypes.c_long,
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.c_size_t,
    )
    function.restype = ctypes.c_long
    return function


@cache
def _has_openat2() -> bool:
    """Ask the kernel; a seccomp filter may say EPERM for it."""
    if sys.platform != "linux":
        return False
    how = struct.pack("=QQQ", _PASSING | os.O_CLOEXEC, 0, 0)
    descriptor = _system_call()(_OPENAT2, _AT_FDCWD, b"/", how, len(how))
    if descriptor < 0:
        return False
    os.close(descriptor)
    return True


def _walk(root: int, path: str, flags: int) -> int:
    """Open a path below a directory part by part."""
    *parents, name = path.split("/")
    directory = root
    try:
        for part in parents:
            child = _step(directory, part, _PASSING)
            if directory != root:
                os.close(directory)
            directory = child
        return _step(directory, name, flags)
    finally:
        if directory != root:
            os.close(directory)


def _step(directory: int, name: str, flags: int) -> int:
    """Open one name in a directory, unless it is a link."""
    try:
        descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except NotADirectoryError:
        look(directory, name)  # of a link, O_DIRECTORY says this before O_NOFOLLOW speaks
        raise
    # With O_PATH, O_NOFOLLOW opens the link itself.
    if flags & _O_PATH and stat.S_ISLNK(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _link()
    return descriptor


def _regular(facts: os.stat_result) -> os.stat_result:
    if not stat.S_ISREG(facts.st_mode):
        raise _no_file()
    return facts


def _no_file() -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _link() -> OSError:
    return OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _root_in_the_way() -> PathConflictException:
    return PathConflictException("The disk's root is not a directory")
