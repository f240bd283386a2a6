"""How a file comes to be: written without a name, then given its name in one step.

Linux makes a file without a name (O_TMPFILE) that vanishes with the process
(https://man7.org/linux/man-pages/man2/open.2.html). `link` gives it a free name; since `link`
replaces nothing, a name that is taken is replaced by `rename`, from a reserved name that lives for
the time of one system call. Elsewhere the whole file is written under the reserved name.
Directories are made last, so that a put that fails leaves none behind.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from jtc.storage.driver_support.content import SourceFile
from jtc.storage.drivers.local_driver._locking import locked
from jtc.storage.drivers.local_driver._metadata import (
    declared_by,
    etag_of,
    mode_of,
    set_mode,
    write_declared,
)
from jtc.storage.drivers.local_driver._renaming import NoExclusiveRename, rename_exclusively
from jtc.storage.drivers.local_driver._safe_open import (
    ATTEMPTS,
    Root,
    look,
    make_file,
    make_unnamed,
    open_name,
)
from jtc.storage.drivers.local_driver._worker_calls import moving
from jtc.storage.exceptions import (
    FileExistsException,
    PathConflictException,
    PreconditionFailedException,
    StorageUnavailableException,
    UnsupportedOperationException,
)
from jtc.storage.paths import TEMPORARY_PREFIX

if TYPE_CHECKING:
    from jtc.storage.drivers.local_driver._metadata import Declared
    from jtc.storage.drivers.local_driver._worker_calls import Turn
    from jtc.storage.options import WriteOptions

__all__ = ["Draft", "check_place", "sweep", "write_file"]

_READ_BYTES = 1024 * 1024
_WRITE_BYTES = 4 * 1024 * 1024

# A temporary that its process left behind is younger than this only by a clock that was set back.
_STALE_SECONDS = 3600.0


def write_file(
    turn: Turn, root: Root, path: str, content: bytes | SourceFile, options: WriteOptions
) -> str:
    """Write a file whole, or leave what was there; return its etag."""
    try:
        with Draft(root, path, turn) as draft:
            if isinstance(content, bytes):
                draft.write(content)
            else:
                while chunk := content.read(_READ_BYTES):
                    draft.write(chunk)
            return draft.place(options, declared_by(options))
    finally:
        if isinstance(content, SourceFile):
            content.close()


class Draft:
    """A new file that nobody sees until it is placed; closing it removes what was not placed.

    Args:
        root: The disk's root.
        path: Where the file will be.
        turn: The call that is under way.
    """

    __slots__ = (
        "_directory",
        "_lock",
        "_name",
        "_parent",
        "_root",
        "_temporary",
        "_there",
        "_turn",
        "fd",
    )

    def __init__(self, root: Root, path: str, turn: Turn) -> None:
        self._root = root
        self._turn = turn
        self._lock = threading.Lock()
        self._parent, _, self._name = path.rpartition("/")
        self._open()

    def _open(self) -> None:
        for _ in range(ATTEMPTS):
            # In the nearest directory there is: those below it are made when the file is placed.
            self._directory, self._there = self._root.open_nearest(self._parent, self._turn)
            try:
                self.fd, self._temporary = _open_new(self._directory, self._root)
            except OSError as error:
                # In a directory that was deleted meanwhile, ext4 says EPERM.
                gone = error.errno == errno.ENOENT or not os.fstat(self._directory).st_nlink
                os.close(self._directory)
                if not gone:
                    raise
            else:
                return
        raise _restless()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def write(self, content: bytes) -> None:
        """Write all of it at the end of the file."""
        rest = memoryview(content)
        while rest:
            self._turn.check()
            with moving(self._turn, len(rest)):
                rest = rest[os.write(self.fd, rest[:_WRITE_BYTES]) :]

    def write_batch(self, turn: Turn, batch: bytes) -> None:
        """Write a part of the content, in a call of its own."""
        # Called off in a write that hangs, the draft is closed by another thread: not meanwhile.
        with self._lock:
            turn.check()
            self._turn = turn
            self.write(batch)

    def write_last(self, turn: Turn, content: bytes, options: WriteOptions) -> str:
        """Write the last bytes and place the file, in a call of its own."""
        with self._lock:
            turn.check()
            self._turn = turn
            self.write(content)
            return self.place(options, declared_by(options))

    def wait(self) -> Self:
        """Hold only the file's own descriptor until the next write."""
        if self._temporary is None:
            os.close(self._directory)
            self._directory = -1
            self._there = False
        return self

    def place(self, options: WriteOptions, declared: Declared, mode: int | None = None) -> str:
        """Give the file its facts and its name.

        Args:
            options: What must hold of the file that is there, and the new one's visibility.
            declared: What to keep beside the content.
            mode: Permission bits, unless the options say a visibility; None is the umask's.

        Returns:
            The new file's etag.

        Raises:
            PreconditionFailedException: A condition of the options does not hold.
            PathConflictException: What is there is no file.
        """
        etag = self._seal(options, declared, mode)
        alone = options.if_match is not None
        for _ in range(ATTEMPTS):
            target = self._open_target(options)
            try:
                with locked(target, self._turn, alone=alone):
                    self._place(target, options, alone=alone)
                    return etag
            except NoExclusiveRename:
                alone = True  # then a look and a rename are one, for all who take the lock
            except FileNotFoundError:
                self._there = False  # somebody deleted the directory: make it again
            finally:
                if target != self._directory:
                    with suppress(OSError):  # the file may have its name
                        os.close(target)
        raise _restless()

    def _seal(self, options: WriteOptions, declared: Declared, mode: int | None) -> str:
        if declared:
            write_declared(self.fd, declared)
        if options.visibility is not None:
            set_mode(self.fd, mode_of(options.visibility))
        elif mode is not None:
            with suppress(UnsupportedOperationException):  # all its files have one mode
                set_mode(self.fd, mode)
        # The kernel's own stamp may be one tick (4 ms) for many files: no version to tell.
        now = time.time_ns()
        os.utime(self.fd, ns=(now, now))
        if self._root.durable:
            os.fsync(self.fd)
        etag = etag_of(os.fstat(self.fd))
        # Some file systems write at a close, and may fail there: not after the file has its name.
        if self._temporary is None:
            os.close(os.dup(self.fd))
        else:
            descriptor, self.fd = self.fd, -1
            os.close(descriptor)
        return etag

    def _open_target(self, options: WriteOptions) -> int:
        if self._there:
            return self._directory
        if options.if_match is None:
            return self._root.make_directory(self._parent, self._turn)
        try:
            return self._root.open_directory(self._parent)
        except FileNotFoundError as error:
            raise _other_version() from error

    def _place(self, target: int, options: WriteOptions, *, alone: bool) -> None:
        taken = check_place(target, self._name, options)
        moved = self._temporary is not None and target != self._directory
        with self._turn:
            if taken or not self._link(target, options, alone=alone):
                self._replace(target)
            if self._root.durable:
                os.fsync(target)
                if moved:  # a rename between two directories is in both of them
                    os.fsync(self._directory)

    def _link(self, target: int, options: WriteOptions, *, alone: bool) -> bool:
        """Give the file a name that was free; False if it is taken meanwhile, and may be."""
        try:
            if self._temporary is None:
                os.link(f"/proc/self/fd/{self.fd}", self._name, dst_dir_fd=target)
            elif options.overwrite or alone:
                return False  # a rename does it in one call, and where there are no links
            else:
                rename_exclusively(self._directory, self._temporary, target, self._name)
                self._temporary = None
        except FileExistsError:
            if options.overwrite:
                return False
            raise
        return True

    def _replace(self, target: int) -> None:
        if self._temporary is not None:
            os.rename(self._temporary, self._name, src_dir_fd=self._directory, dst_dir_fd=target)
            self._temporary = None
            return
        temporary = _temporary_name()
        os.link(f"/proc/self/fd/{self.fd}", temporary, dst_dir_fd=target)
        try:
            os.rename(temporary, self._name, src_dir_fd=target, dst_dir_fd=target)
        except BaseException:
            os.unlink(temporary, dir_fd=target)
            raise

    def close(self) -> None:
        """Let go of the descriptors, and of a file that was not placed."""
        with self._lock:
            if self._temporary is not None:
                with suppress(OSError):  # an error that there may be already tells more
                    os.unlink(self._temporary, dir_fd=self._directory)
                self._temporary = None
            for descriptor in (self.fd, self._directory):
                if descriptor >= 0:
                    with suppress(OSError):  # the file is placed, or is not to be
                        os.close(descriptor)
            self.fd = self._directory = -1


def check_place(directory: int, name: str, options: WriteOptions) -> bool:
    """Tell whether a name is taken, by a file that the options let a new one replace.

    Raises:
        PreconditionFailedException: They do not.
        PathConflictException: It is no file.
    """
    there = look(directory, name)
    if there is None:
        if options.if_match is not None:
            raise _other_version()
        return False
    if not stat.S_ISREG(there.st_mode):
        raise PathConflictException("A directory, or what is no file, stands where the file goes")
    if not options.overwrite:
        raise FileExistsException("The file exists already")
    if options.if_match is not None and options.if_match != etag_of(there):
        raise _other_version()
    return True


def sweep(directory: int, name: str) -> None:
    """Remove a temporary that its process, killed in a put, left behind."""
    with suppress(OSError):
        facts = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISREG(facts.st_mode) or time.time() - facts.st_ctime < _STALE_SECONDS:
            return
        descriptor = open_name(directory, name)
        try:
            # The writer of a slow upload holds this lock for as long as it lives.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(name, dir_fd=directory)
        finally:
            os.close(descriptor)


def _open_new(directory: int, root: Root) -> tuple[int, str | None]:
    """Open a new file for writing; return its descriptor, and its name if it has to have one."""
    if not root.portable and (descriptor := make_unnamed(directory)) is not None:
        return descriptor, None
    name = _temporary_name()
    descriptor = make_file(directory, name)
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return descriptor, name


def _temporary_name() -> str:
    return TEMPORARY_PREFIX + secrets.token_hex(8)


def _other_version() -> PreconditionFailedException:
    return PreconditionFailedException("The file is not the version that if_match names")


def _restless() -> StorageUnavailableException:
    return StorageUnavailableException("The directory is deleted again and again meanwhile")
