"""Opening of what is below the root without following a link.

Linux opens a path in one call, `openat2` with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS
(https://man7.org/linux/man-pages/man2/openat2.2.html). Elsewhere, and under a seccomp filter that
refuses it, each part of the path is opened with O_NOFOLLOW in the directory before it. Either way
there is no moment between looking and opening in which a link could be slipped in. The root itself
may be a link: it is the administrator's.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from jtc.storage.driver_support.error_translation import translate
from jtc.storage.driver_support.file_modes import Modes
from jtc.storage.drivers.local_driver._directories import Directory, look
from jtc.storage.drivers.local_driver._metadata import Opened, read_declared
from jtc.storage.drivers.local_driver._page_cache import CAN_READ_CACHED, PageCache
from jtc.storage.drivers.local_driver._sorted_keys import KnownKeys
from jtc.storage.drivers.local_driver._system_calls import (
    CLOSING,
    DIRECTORY,
    NO_FOLLOW,
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
from jtc.storage.drivers.local_driver._workers import share, workers_of
from jtc.storage.exceptions import (
    PathConflictException,
    StorageConfigException,
    StorageException,
    StoragePermissionException,
    UnsupportedOperationException,
)
from jtc.storage.paths import RESERVED_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jtc.storage.drivers.local_driver._sorted_keys import Stamp
    from jtc.storage.drivers.local_driver._worker_calls import CancelToken

__all__ = [
    "Root",
    "attempts",
    "make_file",
    "make_unnamed",
    "mount_of",
    "open_name",
    "reraise_at",
]

_ATTEMPTS = 200
_ATTEMPTS_AT_ONCE = 20
_ATTEMPT_SECONDS = 0.001

_O_PATH = getattr(os, "O_PATH", 0)
_O_TMPFILE = getattr(os, "O_TMPFILE", 0)
_MAKING = os.O_CREAT | os.O_EXCL | CLOSING
_LOCKING = os.O_RDWR | (READING & ~os.O_RDONLY) | CLOSING
# What open() answers for a socket, and for a device without a driver.
_NO_FILE = frozenset({errno.ENXIO, errno.ENODEV})
# What file systems and kernels without O_TMPFILE answer.
_NO_TMPFILE = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL})

# File systems whose open() asks no server. Not overlay: what is below it is unknown.
_OF_THIS_MACHINE = frozenset({"btrfs", "ext2", "ext3", "ext4", "f2fs", "tmpfs", "xfs"})

# For how long a directory's time of change may stay while its names change: on file systems of this
# machine it is set by a clock that ticks every 10 ms at most, elsewhere perhaps every 2 s.
_SETTLED_HERE = 0.1
_SETTLED = 2.5

_LOCK = f"{RESERVED_DIRECTORY}/lock"
# What says that there is no lock that this process may take; other errors are failures.
_NO_LOCK = frozenset(
    {errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO}
)
# How long the maker of the lock waits, once, for the renames of those who found that there is none.
_LOCK_MADE_SECONDS = 0.01


class Root:
    """A directory, and the ways to open what is below it.

    Paths are relative and checked; ``""`` is the root. Every method blocks: call it in a worker.
    Every descriptor is closed on exec.

    Args:
        path: The directory, absolute. It need not exist yet.
        durable: Have what is written survive a power cut.
        portable: Do without what only Linux has: `openat2`, O_TMPFILE, copies in the kernel.
        modes: The permission bits of files and directories.

    Attributes:
        known_keys: The keys of large directories.
        knows_device: Whether the root was there, so that its device is known.
        workers: The threads that call the root's device.
        lock_name: The file whose ranges are the locks of paths.
        page_cache: Where `find_page_cache` found it: reads without a worker.
        has_staging: Whether files may be staged in the reserved directory.
        updates_in_place: Whether metadata and mode are changed without a copy of the content.
        keeps_files_open: Whether a stream has its file open all the time.
        name_error: Says why a name is not one that the system takes; None where it takes all that
            the path policy permits.
    """

    updates_in_place = True
    keeps_files_open = True
    name_error: Callable[[str], str | None] | None = None

    def __init__(
        self,
        path: str,
        *,
        durable: bool = False,
        portable: bool = False,
        modes: Modes | None = None,
    ) -> None:
        self.path = path
        self.lock_name = f"{path}/{_LOCK}"
        self.durable = durable
        self.modes = modes or Modes()
        self.workers = workers_of(path)
        self.knows_device = False
        self.known_keys = KnownKeys()
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
        except (OSError, StorageException):
            return  # there is none yet
        self._has_looked = True
        try:
            mount = mount_of(root)
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
            root = os.open(self.path, (PASSING if path else flags) | CLOSING)
        except OSError as error:
            self._check_root_error(error)
            raise
        if not self.knows_device:
            self._find_workers(os.fstat(root).st_dev)
        if not path:
            return root
        try:
            return self._open_below(root, path, flags)
        finally:
            os.close(root)

    def _check_root_error(self, error: OSError) -> None:
        """Raise what is wrong with the root, if it is not just missing."""
        if isinstance(error, PermissionError):
            raise self._closed_root(error) from error
        if (wrong := self._wrong_root(error)) is not None:
            raise wrong from error

    def find_device(self) -> None:
        """Find out which device the root is on, if it is there."""
        with suppress(OSError, StorageException):
            self.open_directory("").close()

    def _find_workers(self, device: int) -> None:
        """Have the workers of the root's device, once it is there."""
        self.knows_device = True
        self.workers = share(self.path, device, self.workers)

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

    def open_declared(self, path: str) -> Opened:
        """Open a regular file with what was declared of it; raise as `open_file` does."""
        descriptor, status = self.open_file(path)
        try:
            declared = read_declared(descriptor, status)
        except BaseException:
            os.close(descriptor)
            raise
        return Opened(descriptor, status, declared, stat.S_IMODE(status.st_mode) & 0o777)

    def file_mode(self, path: str) -> int:
        """Return the mode of a regular file; raise as `open_file` does."""
        return self.file_status(path).st_mode

    def mode_at(self, directory: Directory, name: str, status: os.stat_result) -> int | None:
        """Return the permission bits of a file in a directory; None if they are nowhere kept."""
        del directory, name
        return status.st_mode & 0o777

    @contextmanager
    def attributes(self, directory: Directory, name: str) -> Iterator[int | str]:
        """Give what the functions of `_metadata` take, for a file in a directory."""
        descriptor = _step(directory, name, READING)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def open_directory(self, path: str) -> Directory:
        """Open a directory for reading its names and for locking it.

        Raises:
            FileNotFoundError: It is not there.
            NotADirectoryError: It, or a part before it, is something else.
            OSError: ELOOP for a symbolic link; what else `open` answers.
        """
        return Directory(self._open(path, DIRECTORY))

    def is_directory(self, path: str) -> bool:
        """Return whether there is a directory, which need not be readable.

        Raises:
            OSError: ELOOP for a symbolic link; what else `open` answers.
        """
        try:
            os.close(self._open(path, PASSING))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def stamp_of(self, directory: Directory) -> Stamp | None:
        """Return a stamp that each change of a directory's names changes; None if it just did."""
        status = directory.status()
        changed = max(status.st_mtime, status.st_ctime)
        settled = _SETTLED_HERE if self.page_cache is not None else _SETTLED
        if not 0 < changed < time.time() - settled:
            return None
        return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns

    def open_nearest(self, path: str, token: CancelToken) -> tuple[Directory, bool]:
        """Open a directory, or the nearest existing one above it; make the root if need be.

        Returns:
            What was opened, and whether it is the directory itself.
        """
        nearest = path
        while True:
            try:
                return self.open_directory(nearest), nearest == path
            except FileNotFoundError:
                if not nearest:
                    self._make_root(token)
                nearest = nearest.rpartition("/")[0]

    def open_staging(self, target: Directory, token: CancelToken) -> Directory | None:
        """Open the directory for staged files, and make it if need be.

        It is the reserved directory, with mode 0700.

        Args:
            target: The directory, or one above it, that a staged file will be renamed into.
            token: The call's.

        Returns:
            The directory; None where a file may have to be staged beside its target: the target is
            on another device or gives its files another group, or this process may not write there.
        """
        if not self.has_staging:
            return None
        try:
            staging = self.make_directory(RESERVED_DIRECTORY, token, 0o700)
        except OSError:
            return None
        try:
            here, there = staging.status(), target.status()
        except BaseException:
            staging.close()
            raise
        if (here.st_dev, here.st_gid, here.st_mode & stat.S_ISGID) == (
            there.st_dev,
            there.st_gid,
            there.st_mode & stat.S_ISGID,
        ):
            return staging
        staging.close()
        return None

    def open_lock(self, token: CancelToken, *, required: bool) -> int:
        """Open the file whose ranges are the locks of paths, for writing.

        Only this process's user can open it, and where the root is writable to a group, that group.

        Args:
            token: The call's.
            required: Make the file if there is none.

        Returns:
            The descriptor; -1 if there is none, or it is not to be trusted.

        Raises:
            UnsupportedOperationException: `required`, and this process may not open or make it.
        """
        try:
            try:
                descriptor = self._open_lock()
            except FileNotFoundError:
                if not required:
                    return -1
                descriptor = self._make_lock(token)
        except OSError as error:
            if not required and error.errno in _NO_LOCK | {errno.EROFS}:
                return -1
            if error.errno in _NO_LOCK:
                raise self._no_lock() from error
            raise
        trusted = False
        try:
            trusted = self._is_trusted(os.fstat(descriptor))
        finally:
            if not trusted:
                os.close(descriptor)
        if required and not trusted:
            raise self._no_lock()
        return descriptor if trusted else -1

    def check_names(self, path: str) -> None:
        """Raise InvalidPathException for a path with a name that the system does not take."""

    def _open_lock(self) -> int:
        # By its name, in one call for the three of `_open`: at worst, a link that the root's owner
        # put there leads to a file that is locked for a moment.
        return os.open(self.lock_name, _LOCKING | NO_FOLLOW)

    def _make_lock(self, token: CancelToken) -> int:
        """Make the reserved directory and the lock, each for the owner, or the root's group."""
        reserved = self.make_directory(RESERVED_DIRECTORY, token, 0o700)
        try:
            with token:
                lock = os.open("lock", _LOCKING | _MAKING, 0o600, dir_fd=reserved.descriptor)
        except FileExistsError:
            return _step(reserved, "lock", _LOCKING)
        else:
            self._share_lock(reserved, lock)
            time.sleep(_LOCK_MADE_SECONDS)
            return lock
        finally:
            reserved.close()

    def _share_lock(self, reserved: Directory, lock: int) -> None:
        """Let the root's group open a new lock, if that group may write to the root."""
        try:
            root = self._root_status()
            if root.st_mode & stat.S_IWGRP and os.fstat(lock).st_gid == root.st_gid:
                reserved.set_mode(0o710)
                if sys.platform != "win32":
                    os.fchmod(lock, 0o660)
        except BaseException:
            os.close(lock)
            raise

    def _root_status(self) -> os.stat_result:
        root = self._open("", PASSING)
        try:
            return os.fstat(root)
        finally:
            os.close(root)

    def _is_trusted(self, lock: os.stat_result) -> bool:
        """Return whether those who may open a lock may write to the root as well."""
        if not stat.S_ISREG(lock.st_mode):
            return False
        if sys.platform == "win32" or lock.st_uid in (os.geteuid(), 0):
            return True
        root = self._root_status()
        shared = bool(root.st_mode & stat.S_IWGRP) and lock.st_gid == root.st_gid
        return shared or lock.st_uid == root.st_uid

    def _no_lock(self) -> UnsupportedOperationException:
        return UnsupportedOperationException(
            f"This process cannot keep a condition here: it may not open or make {self.lock_name}. "
            "Let one user, or the group of the root, write to the disk's root"
        )

    def make_directory(self, path: str, token: CancelToken, mode: int | None = None) -> Directory:
        """Make a directory and those above it where they are missing, and open it.

        Args:
            path: The directory.
            token: The call's.
            mode: The permission bits of new ones; None is those of the disk's directories.

        Raises:
            NotADirectoryError: Something else is in the way.
            OSError: ELOOP for a symbolic link; what else `mkdir` answers.
        """
        for _ in attempts():
            with suppress(FileNotFoundError):
                return self.open_directory(path)
            with suppress(FileNotFoundError):  # others delete what was made just now
                return self._make_parts(path, token, mode)
        return self.open_directory(path)

    def _make_parts(self, path: str, token: CancelToken, mode: int | None) -> Directory:
        if mode is None:
            mode = self.modes.new_directory
        self._make_root(token)
        directory = self.open_directory("")
        try:
            for part in path.split("/") if path else ():
                is_new = False
                with suppress(FileExistsError), token:
                    os.mkdir(part, 0o777 if mode is None else mode, dir_fd=directory.descriptor)
                    is_new = True
                    if self.durable:
                        directory.sync()
                child = Directory(_step(directory, part, DIRECTORY))
                directory.close()
                directory = child
                if is_new and mode is not None:
                    _add_bits(directory, mode)
        except BaseException:
            directory.close()
            raise
        return directory

    def _make_root(self, token: CancelToken) -> None:
        root, mode = Path(self.path), self.modes.new_directory
        try:
            with token:
                is_new = mode is not None and not root.exists()
                root.mkdir(0o777 if mode is None else mode, parents=True, exist_ok=True)
            if is_new and mode is not None:
                made = self.open_directory("")
                try:
                    _add_bits(made, mode)
                finally:
                    made.close()
        except OSError as error:
            raise self._wrong_root(error) or self._not_made(error) from error

    def _wrong_root(self, error: OSError) -> StorageException | None:
        """Return what is wrong with the root where it cannot be opened; None if it is missing."""
        if isinstance(error, (FileNotFoundError, FileExistsError)) and (link := self._dangling()):
            return PathConflictException(
                f"The disk's root {self.path!r} leads nowhere: {link!r} is a symbolic link to what "
                "does not exist. Make its target, or correct 'root'"
            )
        if isinstance(error, (NotADirectoryError, FileExistsError)):
            return PathConflictException(
                f"The disk's root {self.path!r} is no directory, or is below a file: correct 'root'"
            )
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            return StorageConfigException(
                f"The disk's root {self.path!r} cannot be opened: {os.strerror(error.errno)}",
                errno=error.errno,
            )
        return None

    def _closed_root(self, error: PermissionError) -> StorageException:
        return StoragePermissionException(
            f"This process may not open the disk's root {self.path!r}: "
            f"{os.strerror(error.errno or errno.EACCES)}. Let its user do so, or correct 'root'",
            errno=error.errno,
        )

    def _not_made(self, error: OSError) -> StorageException:
        """Return the error for a missing root that cannot be made."""
        known = translate(error)
        cls = StorageConfigException if isinstance(known, FileNotFoundError) else type(known)
        words = os.strerror(error.errno or errno.EIO)
        return cls(
            f"The disk's root {self.path!r} is missing and cannot be made: {words}. Make it, or "
            "correct 'root'",
            errno=error.errno,
        )

    def _dangling(self) -> str | None:
        """Return the symbolic link on the way to the root whose target is missing, if there is."""
        place = Path(self.path)
        for part in (place, *place.parents):
            if part.is_symlink():
                return None if part.exists() else str(part)
            if part.exists():
                return None
        return None


def _add_bits(directory: Directory, mode: int) -> None:
    """Give a new directory the permission bits that the umask took away."""
    given = stat.S_IMODE(directory.status().st_mode)
    if given | mode != given:
        with suppress(OSError):  # all directories of this file system have one mode
            directory.set_mode(given | mode)


def open_name(directory: Directory, name: str) -> int:
    """Open a name in a directory for reading; raise ELOOP for a symbolic link."""
    return _step(directory, name, READING)


def make_file(directory: Directory, name: str, mode: int) -> int:
    """Make a file in a directory, under a name that must be free, and open it for writing."""
    # O_EXCL follows no link either.
    name = directory.at(name)
    return os.open(name, os.O_WRONLY | _MAKING, mode, dir_fd=directory.descriptor)


def make_unnamed(directory: Directory, mode: int) -> int | None:
    """Make a file in a directory that has no name yet, and open it for writing.

    Args:
        directory: The directory.
        mode: The file's permission bits, of which the umask takes some away.

    Returns:
        The descriptor, or None where the system or the file system makes no such files.
    """
    # A name is then given to what /proc shows of the descriptor.
    if not _O_TMPFILE or not _has_proc():
        return None
    try:
        flags = _O_TMPFILE | os.O_WRONLY | CLOSING
        return os.open(".", flags, mode, dir_fd=directory.descriptor)
    except OSError as error:
        if error.errno not in _NO_TMPFILE:
            raise
        return None


@cache
def _has_proc() -> bool:
    return Path("/proc/self/fd").is_dir()


def attempts() -> Iterator[None]:
    """Limit how often a write makes its directories again while others delete them."""
    for attempt in range(_ATTEMPTS):
        if attempt > _ATTEMPTS_AT_ONCE:  # others may need the processor to come to an end
            time.sleep(_ATTEMPT_SECONDS)
        yield


def reraise_at(path: str, error: OSError) -> NoReturn:
    """Raise the error of one directory of many, with the path of that directory."""
    if isinstance(error, StorageException):
        error.path = path
        raise error
    failed = translate(error)
    failed.path = path
    raise failed from error


def _open_by_openat2(root: int, path: str, flags: int) -> int:
    """Open a path below a directory with `openat2`."""
    return openat2(root, path, _how_below(flags))


@cache
def _how_below(flags: int) -> bytes:
    return open_how(flags, RESOLVE_BENEATH | RESOLVE_NO_LINKS)


def _walk(root: int, path: str, flags: int) -> int:
    """Open a path below a directory part by part."""
    *parents, name = path.split("/")
    directory = Directory(root)
    try:
        for part in parents:
            child = Directory(_step(directory, part, PASSING))
            if directory.descriptor != root:
                directory.close()
            directory = child
        return _step(directory, name, flags)
    finally:
        if directory.descriptor != root:
            directory.close()


def _step(directory: Directory, name: str, flags: int) -> int:
    """Open one name in a directory, unless it is a link."""
    name = directory.at(name)
    while True:
        try:
            flags |= NO_FOLLOW | CLOSING
            descriptor = os.open(name, flags, dir_fd=directory.descriptor)
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


def mount_of(descriptor: int) -> tuple[str, frozenset[str]] | None:
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
