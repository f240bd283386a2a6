"""Staged files: written out of sight, then given their name in one step.

Linux makes a file without a name (O_TMPFILE) that vanishes with the process
(https://man7.org/linux/man-pages/man2/open.2.html). `link` gives it a free name; since `link`
replaces nothing, a name that is taken is replaced by `rename`, from a temporary name that lives for
the time of one system call. Elsewhere the file has a temporary name while it is written, which may
take hours: in the reserved directory, if it can be renamed from there, else beside its target.
Directories are made last, so that a put that fails leaves none behind.
"""

from __future__ import annotations

import errno
import itertools
import os
import secrets
import stat
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Self

from jtc.storage.drivers.local_driver._directories import (
    Directory,
    NoExclusiveRename,
    look,
    rename_exclusively,
    replace,
)
from jtc.storage.drivers.local_driver._file_locks import hold_shared, is_held
from jtc.storage.drivers.local_driver._metadata import (
    declared_by,
    etag_of,
    new_time,
    other_version,
    renew_time,
    set_mode,
    set_time,
    status_of,
    sync_subject,
    write_declared,
)
from jtc.storage.drivers.local_driver._path_locks import PathLocks
from jtc.storage.drivers.local_driver._safe_open import (
    Root,
    attempts,
    make_file,
    make_unnamed,
    open_name,
)
from jtc.storage.drivers.local_driver._sharing import patiently
from jtc.storage.drivers.local_driver._system_calls import after_fork, data_ranges, sync
from jtc.storage.drivers.local_driver._worker_calls import LARGE_BYTES, processor_slot
from jtc.storage.exceptions import (
    FileExistsException,
    PathConflictException,
    StorageUnavailableException,
    UnsupportedOperationException,
)
from jtc.storage.paths import RESERVED_DIRECTORY, TEMPORARY_PREFIX

if TYPE_CHECKING:
    from typing import BinaryIO

    from jtc.storage.drivers.local_driver._metadata import Declared
    from jtc.storage.drivers.local_driver._worker_calls import CancelToken
    from jtc.storage.options import WriteOptions

__all__ = ["StagedFile", "check_place", "sweep", "sweep_staging", "write_file"]

_READ_BYTES = 1024 * 1024
_WRITE_BYTES = 4 * 1024 * 1024
# A call per piece, so that a cancelled copy ends soon.
_KERNEL_BYTES = 64 * 1024 * 1024
# What kernels and file systems answer that cannot copy between two files.
_NO_KERNEL_COPY = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}
)

_PERMISSIONS = 0o777  # without setuid, setgid and sticky
_NEAR_NS = 10_000_000_000
"""A file is to be later than the one that it replaces, if that is from less than this after it: a
clock may stand still or differ from another server's, and a file system count whole seconds."""

# A temporary that its process left behind is younger than this only by a clock that was set back.
_STALE_SECONDS = 3600.0


# Of the names that files have for one system call: a random one each would take another call.
_numbers = itertools.count()
_prefix: str


def _make_prefix() -> None:
    global _prefix  # noqa: PLW0603 - each process has its own
    _prefix = f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}-"


_make_prefix()
after_fork(_make_prefix)


def write_file(
    token: CancelToken, root: Root, path: str, content: bytes | BinaryIO, options: WriteOptions
) -> str:
    """Write a file whole, or leave the existing one; return its etag."""
    staged = StagedFile(root, path, token)
    try:
        if isinstance(content, bytes):
            staged.write(content)
        else:
            while chunk := content.read(_READ_BYTES):
                staged.write(chunk)
        return staged.place(options, declared_by(options))
    finally:
        staged.close()


class StagedFile:
    """A new file that is not visible until it is placed; `close` removes one that was not.

    Args:
        root: The disk's root.
        path: Where the file will be.
        token: The call's that is under way.
        beside: Stage the file beside its target, if it has to have a name.

    Attributes:
        descriptor: The file, open for writing.
    """

    __slots__ = (
        "_directory",
        "_is_target",
        "_lock",
        "_mode",
        "_name",
        "_parent",
        "_path",
        "_root",
        "_staging",
        "_temporary",
        "_token",
        "descriptor",
    )

    def __init__(self, root: Root, path: str, token: CancelToken, *, beside: bool = False) -> None:
        self._root = root
        self._token = token
        self._lock = threading.Lock()
        self._path = path
        # A private file is not to be readable while it is written, either.
        self._mode = 0o666 if root.modes.new_file is None else root.modes.new_file
        self._parent, _, self._name = path.rpartition("/")
        self._temporary: str | None = None
        self._staging: Directory | None = None  # that a temporary name is in
        for _ in attempts():
            # In the nearest existing directory: those below it are made when the file is placed.
            self._directory, self._is_target = root.open_nearest(self._parent, token)
            try:
                unnamed = None if root.portable else make_unnamed(self._directory, self._mode)
                self.descriptor = self._open_named(beside) if unnamed is None else unnamed
            except OSError as error:
                # In a directory that was deleted meanwhile, ext4 answers EPERM.
                deleted = error.errno == errno.ENOENT or self._is_deleted()
                self._directory.close()
                if not deleted:
                    raise
            else:
                return
        raise _directory_gone()

    def _is_deleted(self) -> bool:
        try:
            return not self._directory.status().st_nlink
        except FileNotFoundError:
            return True

    def _open_named(self, beside: bool) -> int:
        """Make a file with a temporary name: in the reserved directory, or beside the target.

        Durable files are staged beside their targets: a rename between two directories is in both,
        and a second sync makes a put take 1.2 to 1.3 times as long on ext4.
        """
        name = TEMPORARY_PREFIX + secrets.token_hex(8)
        staging = None
        if not (beside or self._root.durable):
            staging = self._root.open_staging(self._directory, self._token)
        try:
            place = self._directory if staging is None else staging
            descriptor = make_file(place, name, self._mode)
        except OSError:
            if staging is None:
                raise
            staging.close()  # it was removed just now, or is not this process's to write to
            staging = None
            descriptor = make_file(self._directory, name, self._mode)
        self._staging = self._directory if staging is None else staging
        self._temporary = name
        hold_shared(descriptor)
        return descriptor

    def write(self, content: bytes) -> None:
        """Write all of it at the end of the file."""
        rest = memoryview(content)
        while len(rest) >= LARGE_BYTES:
            self._token.check()
            with processor_slot(self._token):
                rest = rest[os.write(self.descriptor, rest[:_WRITE_BYTES]) :]
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]

    def copy_from(self, source: int, status: os.stat_result) -> None:
        """Copy an open file whole. Its holes stay holes, which take no room."""
        ranges = data_ranges(source, status)
        if ranges is None:
            self._copy_rest(source, None)
            return
        for start, end in ranges:
            os.lseek(source, start, os.SEEK_SET)
            os.lseek(self.descriptor, start, os.SEEK_SET)
            self._copy_rest(source, end - start)
        os.ftruncate(self.descriptor, status.st_size)

    def _copy_rest(self, source: int, length: int | None) -> None:
        """Copy bytes of an open file from where it stands, all where the length is None."""
        left = sys.maxsize if length is None else length
        if sys.platform == "linux" and not self._root.portable:
            try:
                # Shares the blocks where the file system can (Btrfs, XFS), as FICLONE does.
                while copied := os.copy_file_range(
                    source, self.descriptor, min(left, _KERNEL_BYTES)
                ):
                    left -= copied
                    self._token.check()
            except OSError as error:
                if error.errno not in _NO_KERNEL_COPY:
                    raise
        while chunk := os.read(source, min(left, _READ_BYTES)):
            left -= len(chunk)
            self.write(chunk)

    def write_batch(self, token: CancelToken, batch: bytes) -> None:
        """Write a part of the content, in a call of its own."""
        # If a call is cancelled in a write that hangs, another thread closes the file: not
        # during the write.
        with self._lock:
            token.check()
            self._token = token
            self.write(batch)

    def write_last(self, token: CancelToken, content: bytes, options: WriteOptions) -> str:
        """Write the last bytes and place the file, in a call of its own."""
        with self._lock:
            token.check()
            self._token = token
            self.write(content)
            return self.place(options, declared_by(options))

    def wait(self) -> Self:
        """Keep only the file's own descriptor open until the next write."""
        if self._temporary is None:
            self._directory.close()
            self._is_target = False
        return self

    def place(self, options: WriteOptions, declared: Declared, mode: int | None = None) -> str:
        """Give the file its metadata and its name.

        Args:
            options: The conditions on an existing file, and the new one's visibility.
            declared: What to keep beside the content.
            mode: Permission bits, unless the options name a visibility; None is those of the file
                that is replaced, else of the disk's new files.

        Returns:
            The new file's etag.

        Raises:
            PreconditionFailedException: A condition of the options does not hold.
            PathConflictException: What is there is no file.
        """
        status = self._seal(options, declared, mode)
        keeps_mode = mode is None and options.visibility is None
        for _ in attempts():
            target = self._directory if self._is_target else self._open_target(options)
            try:
                status = self._place_in(target, status, options, keeps_mode=keeps_mode)
            except FileNotFoundError:
                self._is_target = False  # the directory was deleted: make it again
            except OSError as error:
                if error.errno != errno.EXDEV or self._temporary is None:
                    raise
                return self._place_copy(options, declared, mode)
            else:
                if self._root.durable:
                    target.sync()
                    if self._staging not in (None, target):  # the rename is in both
                        self._staging.sync()
                return etag_of(status)
            finally:
                if target is not self._directory:
                    with suppress(OSError):  # the file may have its name
                        target.close()
        raise _directory_gone()

    def _place_in(
        self, target: Directory, status: os.stat_result, options: WriteOptions, *, keeps_mode: bool
    ) -> os.stat_result:
        """Give the file its name in its directory: a free name, or in the lock of its path.

        Returns:
            Its status.
        """
        required = options.if_match is not None
        if not required and check_place(target, self._name, options) is None:
            status = self._fit(status, target, None, options, keeps_mode=keeps_mode)
            try:
                patiently(self._token, partial(self._take_free_name, target))
            except NoExclusiveRename:
                # In the lock, a look and a rename are one for all who take it.
                required = not options.overwrite
            except FileExistsError:
                if not options.overwrite:
                    raise
            else:
                return status
        with PathLocks(self._root, self._token, self._path, required=required):
            there = check_place(target, self._name, options)

            def step() -> os.stat_result:
                fitted = self._fit(status, target, there, options, keeps_mode=keeps_mode)
                self._replace(target)
                return fitted

            return patiently(self._token, step)

    def _take_free_name(self, target: Directory) -> None:
        if self._temporary is None or self._staging is None:
            source = f"/proc/self/fd/{self.descriptor}"
            os.link(source, self._name, dst_dir_fd=target.descriptor)
        else:
            rename_exclusively(self._staging, self._temporary, target, self._name)
            self._temporary = None

    def _replace(self, target: Directory) -> None:
        """Give the file its name in place of what has it."""
        temporary, staging = self._temporary, self._staging
        if temporary is None or staging is None:
            # Not in the reserved directory: the name is there for one system call, and opening that
            # directory makes the work of a put 1.2 times as long.
            temporary, staging = f"{_prefix}{next(_numbers):x}", target
            source = f"/proc/self/fd/{self.descriptor}"
            os.link(source, temporary, dst_dir_fd=target.descriptor)
        try:
            replace(staging, temporary, target, self._name)
        except BaseException:
            if self._temporary is None:
                os.unlink(temporary, dir_fd=target.descriptor)
            raise
        self._temporary = None

    def _seal(self, options: WriteOptions, declared: Declared, mode: int | None) -> os.stat_result:
        subject: int | str = self.descriptor
        if not self._root.updates_in_place and self._staging is not None:
            # What is written to an open file may set its time once more when it is closed.
            if self._root.durable:
                sync(self.descriptor)
            self._close_descriptor()
            subject = self._staging.at(str(self._temporary))
        stamp = new_time()
        if declared:
            write_declared(subject, declared, stamp)
        if options.visibility is not None:
            set_mode(subject, self._root.modes.of(options.visibility))
        elif mode is not None:
            with suppress(UnsupportedOperationException):  # all its files have one mode
                set_mode(subject, mode)
        status = set_time(subject, stamp)
        if self._root.durable:
            sync_subject(subject)
        # Some file systems write at a close, and may fail there: not after the file has its name.
        if self._temporary is None:
            os.close(os.dup(self.descriptor))
        else:
            self._close_descriptor()
        return status

    def _close_descriptor(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _fit(
        self,
        status: os.stat_result,
        target: Directory,
        there: os.stat_result | None,
        options: WriteOptions,
        *,
        keeps_mode: bool,
    ) -> os.stat_result:
        """Give the file the mode of what it replaces, and a later time where theirs are near.

        Args:
            status: The file's.
            target: The directory that it goes to.
            there: That of the file which is replaced, or None.
            options: `visibility_if_new` counts.
            keeps_mode: The mode is not settled yet.
        """
        mode = after = None
        if there is not None:
            if keeps_mode:
                mode = self._root.mode_at(target, self._name, there)
            if 0 <= there.st_mtime_ns - status.st_mtime_ns < _NEAR_NS:
                after = there.st_mtime_ns
        elif self._root.modes.default is not None:
            mode = self._root.modes.new_file
        elif options.visibility_if_new is not None:
            mode = self._root.modes.of(options.visibility_if_new)
        has_mode = self._root.updates_in_place and mode == status.st_mode & _PERMISSIONS
        if not keeps_mode or has_mode:
            mode = None
        return status if mode is after is None else self._amend(mode, after)

    def _amend(self, mode: int | None, after: int | None) -> os.stat_result:
        """Change the mode, or the time, of a file that is sealed; return its status."""
        if self._temporary is None or self._staging is None:
            return self._amended(self.descriptor, mode, after)
        with self._root.attributes(self._staging, self._temporary) as subject:
            return self._amended(subject, mode, after)

    def _amended(self, subject: int | str, mode: int | None, after: int | None) -> os.stat_result:
        if after is not None:
            renew_time(subject, after)  # first: some modes let nothing be written
        if mode is not None:
            with suppress(UnsupportedOperationException):
                set_mode(subject, mode)
        status = status_of(subject)
        if self._root.durable:
            sync_subject(subject)
        return status

    def _open_target(self, options: WriteOptions) -> Directory:
        if options.if_match is None:
            return self._root.make_directory(self._parent, self._token)
        try:
            return self._root.open_directory(self._parent)
        except FileNotFoundError as error:
            raise other_version() from error

    def _place_copy(self, options: WriteOptions, declared: Declared, mode: int | None) -> str:
        """Place a copy that is made beside the target: that is in another mount, or quota project.

        Files are staged beside their targets from then on.
        """
        self._root.has_staging = False
        if self._staging is None:
            raise _directory_gone()
        copy = StagedFile(self._root, self._path, self._token, beside=True)
        try:
            descriptor = open_name(self._staging, str(self._temporary))
            try:
                copy.copy_from(descriptor, os.fstat(descriptor))
            finally:
                os.close(descriptor)
            return copy.place(options, declared, mode)
        finally:
            copy.close()

    def close(self) -> None:
        """Close the descriptors, and remove a file that was not placed."""
        with self._lock:
            with suppress(OSError):  # the file is placed, or is not to be
                self._close_descriptor()
            if self._temporary is not None and self._staging is not None:
                name, directory = self._staging.at(self._temporary), self._staging.descriptor
                with suppress(OSError):  # an error that there may be already tells more
                    os.unlink(name, dir_fd=directory)
                self._temporary = None
            for opened in (self._directory, self._staging):
                if opened is not None:
                    with suppress(OSError):
                        opened.close()


def check_place(directory: Directory, name: str, options: WriteOptions) -> os.stat_result | None:
    """Return the status of the file that the options let a new one replace; None for a free name.

    Raises:
        FileExistsException: `overwrite` is False, and there is a file.
        PreconditionFailedException: `if_match` names another version, or there is no file.
        PathConflictException: It is no file.
    """
    there = look(directory, name)
    if there is None:
        if options.if_match is not None:
            raise other_version()
        return None
    if not stat.S_ISREG(there.st_mode):
        raise PathConflictException("A directory, or what is no file, stands where the file goes")
    if not options.overwrite:
        raise FileExistsException("The file exists already")
    if options.if_match is not None and options.if_match != etag_of(there):
        raise other_version()
    return there


def sweep(directory: Directory, name: str) -> None:
    """Remove a temporary that its process, killed in a put, left behind."""
    with suppress(OSError):
        status = os.stat(directory.at(name), dir_fd=directory.descriptor, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode) or time.time() - status.st_ctime < _STALE_SECONDS:
            return
        descriptor = open_name(directory, name)
        try:
            # The writer of a slow upload holds this lock for as long as it lives.
            if is_held(descriptor):
                return
            if sys.platform == "win32":  # a file that is open cannot be removed there
                os.close(descriptor)
                descriptor = -1
            os.unlink(directory.at(name), dir_fd=directory.descriptor)
        finally:
            if descriptor >= 0:
                os.close(descriptor)


def sweep_staging(root: Root) -> None:
    """Remove the temporaries that were left behind in the reserved directory."""
    with suppress(OSError):
        directory = root.open_directory(RESERVED_DIRECTORY)
        try:
            with directory.entries() as entries:
                for name in [entry.name for entry in entries]:
                    if name.startswith(TEMPORARY_PREFIX):
                        sweep(directory, name)
        finally:
            directory.close()


def _directory_gone() -> StorageUnavailableException:
    return StorageUnavailableException("The directory is deleted again and again meanwhile")
