"""Opening of what is below the root without following a link, and locks on directories.

Linux opens a path in one call, `openat2` with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS
(https://man7.org/linux/man-pages/man2/openat2.2.html). Elsewhere, and under a seccomp filter that
refuses it, each part of the path is opened with O_NOFOLLOW in the directory before it. Either way
there is no moment between looking and opening in which a link could be slipped in. The root itself
may be a link: it is the administrator's.

A conditional change of a directory takes its `flock` exclusively, every other change shares it
(https://man7.org/linux/man-pages/man2/flock.2.html), so that a condition and the write that depends
on it are one. A lock is held for a look and a rename, never while content is read, and the system
releases it when a process dies.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
import time
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jtc.storage.driver_support.error_translation import translate
from jtc.storage.drivers.local_driver._page_cache import CAN_READ_CACHED, PageCache
from jtc.storage.drivers.local_driver._system_calls import (
    PASSING,
    READING,
    RESOLVE_BENEATH,
    RESOLVE_CACHED,
    RESOLVE_NO_LINKS,
    STATUS_ONLY,
    check_regular,
    has_openat2,
    open_how,
    openat2,
    os_error,
    understands_resolve,
)
from jtc.storage.exceptions import PathConflictException, UnsupportedOperationException
from jtc.storage.paths import RESERVED_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jtc.storage.drivers.local_driver._worker_calls import CancelToken
    from jtc.storage.exceptions import StorageException

__all__ = [
    "ATTEMPTS",
    "Root",
    "failed_at",
    "locked",
    "look",
    "make_file",
    "make_unnamed",
    "open_name",
]

ATTEMPTS = 100
"""How often a write makes its directories again while others delete them."""

_O_PATH = getattr(os, "O_PATH", 0)
_O_TMPFILE = getattr(os, "O_TMPFILE", 0)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_MAKING = os.O_WRONLY | os.O_CREAT | os.O_EXCL
# What open() answers for a socket, and for a device without a driver.
_NO_FILE = frozenset({errno.ENXIO, errno.ENODEV})
# What file systems and kernels without O_TMPFILE answer.
_NO_TMPFILE = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL})

# File systems whose open() asks no server. Not overlay: what is below it is unknown.
_OF_THIS_MACHINE = frozenset({"btrfs", "ext2", "ext3", "ext4", "f2fs", "tmpfs", "xfs"})

_FIRST_PAUSE = 0.000_05
_LONGEST_PAUSE = 0.002


class Root:
    """A directory, and the ways to open what is below it.

    Paths are relative and checked; ``""`` is the root. Every method blocks: call it in a worker.
    Every descriptor is closed on exec.

    Args:
        path: The directory, absolute. It need not exist yet.
        durable: Have what is written survive a power cut.
        portable: Do without what only Linux has: `openat2`, O_TMPFILE, copies in the kernel.

    Attributes:
        page_cache: Where `find_page_cache` found it: reads without a worker.
        has_staging: Whether files may be staged in the reserved directory.
    """

    def __init__(self, path: str, *, durable: bool = False, portable: bool = False) -> None:
        self.path = path
        self.durable = durable
        self.portable = portable or sys.platform != "linux"
        # On Linux, a file system without unnamed files is mostly one of FUSE or of a network. On
        # NTFS by FUSE, renames from another directory made one in a hundred later puts fail.
        self.has_staging = self.portable
        self._open_below: Callable[[int, str, int], int] = (
            _walk if self.portable or not has_openat2() else _open_by_openat2
        )
        self.page_cache: PageCache | None = None
        self._has_looked = self._open_below is not _open_by_openat2 or not CAN_READ_CACHED

    def find_page_cache(self) -> None:
        """Find out, once, whether files can be read without a worker, and set `page_cache`."""
        if self._has_looked:
            return
        try:
            root = self._open("", PASSING)
        except (OSError, PathConflictException):
            return  # there is none yet
        self._has_looked = True
        try:
            mount = _mount_of(root)
            if mount is None or mount[0] not in _OF_THIS_MACHINE:
                return
            if understands_resolve(RESOLVE_CACHED):
                device = os.fstat(root).st_dev
                self.page_cache = PageCache(self.path, device, mount[1], self._forget_page_cache)
        finally:
            os.close(root)

    def _forget_page_cache(self) -> None:
        """Look again, as another directory has taken the root's place."""
        self.page_cache = None
        self._has_looked = False

    def _open(self, path: str, flags: int) -> int:
        try:
            root = os.open(self.path, (PASSING if path else flags) | os.O_CLOEXEC)
        except NotADirectoryError as error:
            raise _root_conflict() from error
        if not path:
            return root
        try:
            return self._open_below(root, path, flags)
        finally:
            os.close(root)

    def open_file(self, path: str) -> tuple[int, os.stat_result]:
        """Open a regular file for reading.

        Returns:
            Its descriptor and its status.

        Raises:
            FileNotFoundError: There is no file; what is there is none, such as a FIFO.
            OSError: ELOOP for a symbolic link; what else `open` answers.
        """
        try:
            descriptor = self._open(path, READING)
        except NotADirectoryError as error:
            raise os_error(errno.ENOENT) from error
        except OSError as error:
            if error.errno in _NO_FILE:
                self.file_status(path)  # a file whose device is gone is not missing
            raise
        try:
            return descriptor, check_regular(os.fstat(descriptor))
        except BaseException:
            os.close(descriptor)
            raise

    def file_status(self, path: str) -> os.stat_result:
        """Return the status of a regular file without opening it; raise as `open_file` does."""
        try:
            descriptor = self._open(path, STATUS_ONLY)
        except NotADirectoryError as error:
            raise os_error(errno.ENOENT) from error
        try:
            return check_regular(os.fstat(descriptor))
        finally:
            os.close(descriptor)

    def open_directory(self, path: str) -> int:
        """Open a directory for reading its names and for locking it.

        Raises:
            FileNotFoundError: It is not there.
            NotADirectoryError: It, or a part before it, is something else.
            OSError: ELOOP for a symbolic link; what else `open` answers.
        """
        return self._open(path, _DIRECTORY)

    def open_nearest(self, path: str, token: CancelToken) -> tuple[int, bool]:
        """Open a directory, or the nearest existing one above it; make the root if need be.

        Returns:
            The descriptor, and whether it is the directory itself.
        """
        nearest = path
        while True:
            try:
                return self._open(nearest, _DIRECTORY), nearest == path
            except FileNotFoundError:
                if not nearest:
                    self._make_root(token)
                nearest = nearest.rpartition("/")[0]

    def open_staging(self, target: int, token: CancelToken) -> int | None:
        """Open the directory for staged files, and make it if need be.

        It is the reserved directory, with mode 0700.

        Args:
            target: The directory, or one above it, that a staged file will be renamed into.
            token: The call's.

        Returns:
            The descriptor; None where a file may have to be staged beside its target: the target is
            on another device or gives its files another group, or this process may not write there.
        """
        if not self.has_staging:
            return None
        try:
            staging = self.make_directory(RESERVED_DIRECTORY, token, 0o700)
        except OSError:
            return None
        here, there = os.fstat(staging), os.fstat(target)
        if (here.st_dev, here.st_gid, here.st_mode & stat.S_ISGID) == (
            there.st_dev,
            there.st_gid,
            there.st_mode & stat.S_ISGID,
        ):
            return staging
        os.close(staging)
        return None

    def make_directory(self, path: str, token: CancelToken, mode: int = 0o777) -> int:
        """Make a directory and those above it where they are missing, and open it.

        Raises:
            NotADirectoryError: Something else is in the way.
            OSError: ELOOP for a symbolic link; what else `mkdir` answers.
        """
        for _ in range(ATTEMPTS):
            with suppress(FileNotFoundError):
                return self.open_directory(path)
            with suppress(FileNotFoundError):  # others delete what was made just now
                return self._make_parts(path, token, mode)
        return self.open_directory(path)

    def _make_parts(self, path: str, token: CancelToken, mode: int) -> int:
        self._make_root(token)
        directory = self._open("", _DIRECTORY)
        try:
            for part in path.split("/") if path else ():
                with suppress(FileExistsError), token:
                    os.mkdir(part, mode, dir_fd=directory)
                    if self.durable:
                        os.fsync(directory)
                child = _step(directory, part, _DIRECTORY)
                os.close(directory)
                directory = child
        except BaseException:
            os.close(directory)
            raise
        return directory

    def _make_root(self, token: CancelToken) -> None:
        try:
            with token:
                Path(self.path).mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise _root_conflict() from error


@contextmanager
def locked(directory: int, token: CancelToken, *, exclusive: bool = False) -> Iterator[None]:
    """Hold the lock of a directory.

    Args:
        directory: Its descriptor, opened by the caller for this operation.
        token: Ends the wait if the call is cancelled.
        exclusive: Keep out all other changes; otherwise only those that are exclusive.

    Raises:
        UnsupportedOperationException: `exclusive`, on a file system that has no such locks.
    """
    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    # Tried again and again, for a blocked flock() cannot be cancelled: a lock that another program
    # forgot would take one worker after the other.
    pause = _FIRST_PAUSE
    while True:
        try:
            fcntl.flock(directory, kind | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            token.check()
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        except OSError as error:
            if exclusive:
                raise UnsupportedOperationException(
                    "The file system cannot lock a directory, and so cannot keep a condition"
                ) from error
            break
    try:
        yield
    finally:
        with suppress(OSError):  # there is none, or it goes with the descriptor
            fcntl.flock(directory, fcntl.LOCK_UN)


def open_name(directory: int, name: str) -> int:
    """Open a name in a directory for reading; raise ELOOP for a symbolic link."""
    return _step(directory, name, READING)


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
    """Return the status of a name in a directory, or None where it is free.

    Raises:
        OSError: ELOOP for a symbolic link.
    """
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(status.st_mode):
        raise os_error(errno.ELOOP)
    return status


def failed_at(path: str, error: OSError) -> StorageException:
    """Return the error of one directory of many, which names that directory."""
    translated = translate(error)
    translated.path = path
    return translated


def _open_by_openat2(root: int, path: str, flags: int) -> int:
    """Open a path below a directory with `openat2`."""
    return openat2(root, path, _how_below(flags))


@cache
def _how_below(flags: int) -> bytes:
    return open_how(flags, RESOLVE_BENEATH | RESOLVE_NO_LINKS)


def _walk(root: int, path: str, flags: int) -> int:
    """Open a path below a directory part by part."""
    *parents, name = path.split("/")
    directory = root
    try:
        for part in parents:
            child = _step(directory, part, PASSING)
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
            # Of a link, O_DIRECTORY makes it this error and not O_NOFOLLOW's.
            status = look(directory, name)
            if status is None or not stat.S_ISDIR(status.st_mode):
                raise  # and otherwise it has become a directory meanwhile
    # With O_PATH, O_NOFOLLOW opens the link itself.
    if flags & _O_PATH and stat.S_ISLNK(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise os_error(errno.ELOOP)
    return descriptor


def _mount_of(descriptor: int) -> tuple[str, frozenset[str]] | None:
    """Return the type of the file system that something is on, and how it is mounted."""
    try:
        lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii")
        wanted = lines.partition("mnt_id:")[2].split(None, 1)[0]
        for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
            # https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
            number, *fields = line.decode("ascii", "replace").split()
            if number == wanted:
                return fields[fields.index("-") + 1], frozenset(fields[4].split(","))
    except (OSError, ValueError, IndexError):
        pass  # no /proc
    return None


def _root_conflict() -> PathConflictException:
    return PathConflictException("The disk's root is not a directory")
