"""The one place that opens what is below the root, and never follows a link there.

Linux does it in one call, `openat2` with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS
(https://man7.org/linux/man-pages/man2/openat2.2.html). Elsewhere, and under a seccomp filter that
refuses it, each part of the path is opened with O_NOFOLLOW in the directory before it. Either way
there is no moment between looking and opening in which a link could be slipped in. The root itself
may be a link: it is the administrator's.

What the kernel has in memory is opened without a worker: RESOLVE_CACHED makes `openat2` say EAGAIN
where it would have to wait. That holds for the names. To open a file, NFS and FUSE ask their
servers as well, so it is done only in one mount, and on file systems of this machine.
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

    from jtc.storage.drivers.local_driver._worker_calls import Turn

__all__ = ["ATTEMPTS", "Near", "Root", "look", "make_file", "make_unnamed", "open_name"]

ATTEMPTS = 100
"""How often a write makes its directories anew while somebody else deletes them."""

# `at_once` makes bytes as CPython does, on 64 bits.
_CAN_BE_NEAR = sys.implementation.name == "cpython" and sys.maxsize > 2**32

_OPENAT2 = 437
# RESOLVE_* of <linux/openat2.h>: _NO_XDEV, _NO_MAGICLINKS | _NO_SYMLINKS, _BENEATH, _CACHED
_ONE_MOUNT = 0x01
_BENEATH = 0x08
_CACHED = 0x20
_RESOLVE = 0x02 | 0x04 | _BENEATH
_NEAR = _ONE_MOUNT | _CACHED
_AT_FDCWD = -100

_O_PATH = getattr(os, "O_PATH", 0)
_O_TMPFILE = getattr(os, "O_TMPFILE", 0)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_PASSING = _O_PATH | os.O_DIRECTORY
# Not to wait at a FIFO for somebody to write into it, nor to take over a terminal.
_READING = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
_LOOKING = _O_PATH or _READING
_MAKING = os.O_WRONLY | os.O_CREAT | os.O_EXCL
# What open() says of a socket, and of a device without a driver.
_NO_FILE = frozenset({errno.ENXIO, errno.ENODEV})

# A link, or another mount, on the way.
_ELSEWHERE = frozenset({errno.ELOOP, errno.EXDEV})
# Their open() asks nobody. Not overlay: nobody knows what lies below it.
_LOCAL = frozenset({"btrfs", "ext2", "ext3", "ext4", "f2fs", "tmpfs", "xfs"})

# What file systems and kernels without O_TMPFILE say.
_NO_TMPFILE = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL})


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
        self.portable = portable or sys.platform != "linux"
        self._open_below: Callable[[int, str, int], int] = (
            _walk if self.portable or not _has_openat2() else _beneath
        )
        self.near: Near | None = None
        self._met = self._open_below is not _beneath or not _CAN_BE_NEAR

    def meet(self) -> None:
        """Find out, once, whether files can be opened without a worker: `near` opens them then."""
        if self._met:
            return
        try:
            root = self._open_root(_PASSING)
        except (OSError, PathConflictException):
            return  # there is none yet
        self._met = True
        try:
            if _has_cached() and (mount := _mount_of(root)) is not None and mount[0] in _LOCAL:
                self.near = Near(self, root, mount[1])
        finally:
            os.close(root)

    def part(self) -> None:
        """Forget what `meet` found out, as the root has become another directory."""
        self.near = None
        self._met = False

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


class Near:
    """Opens what is below a root without blocking: by names that the kernel has in memory.

    The root is on the file system that it was on when this was made, or nothing is opened.

    Args:
        root: The root.
        descriptor: The root, opened for passing.
        options: How it is mounted.
    """

    def __init__(self, root: Root, descriptor: int, options: frozenset[str]) -> None:
        self._root = root
        self._call = _quick_system_call()
        self._name = os.fsencode(root.path)
        self._prefix = self._name.rstrip(b"/") + b"/"
        self._device = os.fstat(descriptor).st_dev
        # A root in the mount of "/", and behind no link, needs no opening of its own: one mount
        # is then the one that was met, and a checked path, without links, leads nowhere else.
        self._straight = self._is_straight(0)
        resolve = _NEAR | (_RESOLVE & ~_BENEATH if self._straight else _RESOLVE)
        self._reading = _how(_READING, resolve)
        self._looking = _how(_LOOKING, resolve)
        # A read that sets the access time changes the inode, which may wait for the disk.
        self.stamps = not options & {"noatime", "ro"}
        self.reads = not self.stamps or "relatime" in options

    def open_file(self, path: str) -> int | None:
        """Open for reading what a path names, be it a file or not; None if that takes a worker.

        Raises:
            FileNotFoundError: There is nothing.
        """
        return self._open(path, self._reading)

    def stat_file(self, path: str) -> os.stat_result | None:
        """Return a regular file's facts; None if that takes a worker.

        Raises:
            FileNotFoundError: There is no file.
        """
        descriptor = self._open(path, self._looking)
        if descriptor is None:
            return None
        try:
            return _regular(os.fstat(descriptor))
        finally:
            os.close(descriptor)

    def _open(self, path: str, how: bytes) -> int | None:
        if self._straight:
            descriptor = self._call(_OPENAT2, _AT_FDCWD, self._prefix + path.encode(), how, 24)
        else:
            descriptor = self._open_below_root(path.encode(), how)
        if descriptor >= 0:
            return descriptor
        number = ctypes.get_errno()
        if number == errno.ENOENT:
            raise _no_file()
        if self._straight and number in _ELSEWHERE and not self._is_straight(_CACHED):
            self._root.part()
        return None

    def _open_below_root(self, name: bytes, how: bytes) -> int:
        root = self._call(_OPENAT2, _AT_FDCWD, self._name, _HOW_PASSING, 24)
        if root < 0:
            return root
        try:
            if os.fstat(root).st_dev == self._device:
                return self._call(_OPENAT2, root, name, how, 24)
        finally:
            os.close(root)
        self._root.part()
        ctypes.set_errno(errno.EXDEV)
        return -1

    def _is_straight(self, cached: int) -> bool:
        how = _how(_PASSING, _RESOLVE & ~_BENEATH | _ONE_MOUNT | cached)
        descriptor = self._call(_OPENAT2, _AT_FDCWD, self._name, how, 24)
        if descriptor < 0:
            return False
        os.close(descriptor)
        return True


def open_name(directory: int, name: str) -> int:
    """Open a name in a directory for reading; raise ELOOP for a symbolic link."""
    return _step(directory, name, _READING)


def make_file(directory: int, name: str) -> int:
    """Make a file in a directory, under a name that must be free, and open it for writing."""
    # O_EXCL follows no link either.
    return os.open(name, _MAKING | os.O_CLOEXEC, 0o666, dir_fd=directory)


def make_unnamed(directory: int) -> int | None:
    """Make a file in a directory that has no name yet, and open it for writing.

    Returns:
        The descriptor, or None where the system or the file system makes no such files.
    """
    # A name is then given to what /proc shows of the descriptor.
    if not _O_TMPFILE or not _has_proc():
        return None
    try:
        return os.open(".", _O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666, dir_fd=directory)
    except OSError as error:
        if error.errno not in _NO_TMPFILE:
            raise
        return None


@cache
def _has_proc() -> bool:
    return Path("/proc/self/fd").is_dir()


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


# The root itself may be a link, and in any mount.
_HOW_PASSING = struct.pack("=QQQ", _PASSING | os.O_CLOEXEC, 0, _CACHED)


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
    return _how(flags, _RESOLVE)


def _how(flags: int, resolve: int) -> bytes:
    """Return a `struct open_how`: flags, mode and resolve, 64 bits each."""
    return struct.pack("=QQQ", flags | os.O_CLOEXEC, 0, resolve)


@cache
def _system_call() -> Callable[..., int]:
    return _typed(ctypes.CDLL(None, use_errno=True))


@cache
def _quick_system_call() -> Callable[..., int]:
    # What cannot block need not let other threads run: letting go of the interpreter's lock and
    # taking it again may take longer than the call.
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


@cache
def _has_openat2() -> bool:
    """Ask the kernel; a seccomp filter may say EPERM for it."""
    return _understands(0)


@cache
def _has_cached() -> bool:
    """Ask the kernel for RESOLVE_CACHED, which is in Linux 5.12."""
    return _understands(_CACHED)


def _understands(resolve: int) -> bool:
    how = _how(_PASSING, resolve)
    descriptor = _system_call()(_OPENAT2, _AT_FDCWD, b"/", how, len(how))
    if descriptor < 0:
        return False
    os.close(descriptor)
    return True


def _mount_of(descriptor: int) -> tuple[str, frozenset[str]] | None:
    """Return the type of the file system that something is on, and how it is mounted."""
    try:
        facts = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii")
        wanted = facts.partition("mnt_id:")[2].split(None, 1)[0]
        for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
            # https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
            number, *fields = line.decode("ascii", "replace").split()
            if number == wanted:
                return fields[fields.index("-") + 1], frozenset(fields[4].split(","))
    except (OSError, ValueError, IndexError):
        pass  # no /proc
    return None


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
    while True:
        try:
            descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            break
        except NotADirectoryError:
            # Of a link, O_DIRECTORY says this before O_NOFOLLOW speaks.
            facts = look(directory, name)
            if facts is None or not stat.S_ISDIR(facts.st_mode):
                raise  # and otherwise it has become a directory meanwhile
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
