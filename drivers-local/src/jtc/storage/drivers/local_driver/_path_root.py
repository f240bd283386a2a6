"""The portable way: files by their paths, for a system that opens no directories.

That is Windows. Each part of a path is looked at before a file is opened, and again afterwards: a
link is refused, and one that is slipped in between is mostly seen. What is done to a name in a
directory is done by the whole path, and so is not safe from who replaces a directory by a link in
that moment.

Files are staged beside their targets, where they inherit the right access control list. What is
beside a file's content is written before the file has its name, and never changed afterwards:
writing a stream of NTFS is no single step.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from jtc.storage.drivers.local_driver import _windows_names
from jtc.storage.drivers.local_driver._directories import Directory, full_name
from jtc.storage.drivers.local_driver._metadata import (
    Opened,
    etag_of,
    read_declared,
    recorded_mode,
)
from jtc.storage.drivers.local_driver._safe_open import Root, attempts
from jtc.storage.drivers.local_driver._sharing import patiently
from jtc.storage.drivers.local_driver._system_calls import (
    CLOSING,
    READING,
    check_regular,
    is_link,
    os_error,
)
from jtc.storage.drivers.local_driver._worker_calls import CancelToken
from jtc.storage.exceptions import InvalidPathException, StorageUnavailableException
from jtc.storage.models import Visibility
from jtc.storage.paths import RESERVED_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jtc.storage.driver_support.file_modes import Modes
    from jtc.storage.drivers.local_driver._sorted_keys import Stamp

__all__ = ["PathRoot"]

_LOCK = "lock"
_LOCKING = os.O_RDWR | CLOSING
# How long the maker of the lock waits, once, for the renames of those who found that there is none.
_LOCK_MADE_SECONDS = 0.01


class PathRoot(Root):
    """A directory whose files are opened by their paths.

    Args:
        path: The directory, absolute. It need not exist yet.
        durable: Have what is written survive a power cut.
        modes: The permission bits that visibilities are recorded as.
    """

    updates_in_place = False
    keeps_files_open = False
    name_error: Callable[[str], str | None] | None = staticmethod(_windows_names.name_error)

    def __init__(self, path: str, *, durable: bool = False, modes: Modes | None = None) -> None:
        super().__init__(path, durable=durable, portable=True, modes=modes)
        self.has_staging = False

    def check_names(self, path: str) -> None:
        """Raise InvalidPathException for a path with a name that is none for Windows."""
        for part in path.split("/"):
            Directory(None).at(part)

    def _look(self, path: str) -> tuple[str, os.stat_result]:
        """Return the full name, and the status, of what is at a path without links.

        Raises:
            InvalidPathException: A name is none for Windows, or a short one of another name.
            FileNotFoundError: There is nothing.
            NotADirectoryError: A part before the last one is no directory.
            OSError: ELOOP for a link.
        """
        name, status = self._look_at_root()
        for part in path.split("/") if path else ():
            if not stat.S_ISDIR(status.st_mode):
                raise os_error(errno.ENOTDIR)
            name, status = self._look_at(Directory(None, name), part, path)
        return name, status

    def _look_at_root(self) -> tuple[str, os.stat_result]:
        try:
            status = os.stat(full_name(self.path))  # noqa: PTH116
            if not stat.S_ISDIR(status.st_mode):
                raise os_error(errno.ENOTDIR)
        except OSError as error:
            self._check_root_error(error)
            raise
        if not self.knows_device:
            self._find_workers(status.st_dev)
        return self.path, status

    def _look_at(self, directory: Directory, part: str, path: str) -> tuple[str, os.stat_result]:
        name = directory.path_of(part)
        status = os.lstat(directory.at(part))
        if is_link(status):
            raise os_error(errno.ELOOP)
        if _windows_names.may_be_short_name(part):
            with directory.entries() as entries:
                if all(entry.name.casefold() != part.casefold() for entry in entries):
                    raise InvalidPathException(
                        "This is a short name, which Windows gave to a file with another one",
                        path=path,
                    )
        return name, status

    def open_file(self, path: str) -> tuple[int, os.stat_result]:
        """Open a regular file for reading, as `Root.open_file` does."""
        for _ in attempts():
            try:
                name, before = self._look(path)
                check_regular(before)
                opening = partial(os.open, full_name(name), READING | CLOSING)
                descriptor = patiently(CancelToken(), opening)
            except NotADirectoryError as error:
                raise os_error(errno.ENOENT) from error
            try:
                if _is_same(before, self._look(path)[1]):
                    return descriptor, os.fstat(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
        raise StorageUnavailableException("The file is replaced again and again meanwhile")

    def open_declared(self, path: str) -> Opened:
        """Open a regular file with what was declared of it; raise as `open_file` does."""
        for _ in attempts():
            descriptor, status = self.open_file(path)
            try:
                name, before = self._look(path)
                declared = read_declared(full_name(name), status)
                mode = self._mode(name)
                # What is beside the content is of the file that has the name now.
                is_one = _is_same(before, self._look(path)[1])
                if is_one and etag_of(before) == etag_of(status):
                    return Opened(descriptor, status, declared, mode)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
        raise StorageUnavailableException("The file is replaced again and again meanwhile")

    def _mode(self, name: str) -> int:
        recorded = recorded_mode(full_name(name))
        if recorded is not None:
            return recorded
        return self.modes.of(self.modes.default or Visibility.PUBLIC)

    def file_status(self, path: str) -> os.stat_result:
        """Return the status of a regular file; raise as `open_file` does."""
        try:
            return check_regular(self._look(path)[1])
        except NotADirectoryError as error:
            raise os_error(errno.ENOENT) from error

    def file_mode(self, path: str) -> int:
        """Return the recorded mode of a regular file, else that of the disk's new files."""
        self.file_status(path)
        return self._mode(self._look(path)[0])

    def mode_at(self, directory: Directory, name: str, status: os.stat_result) -> int | None:
        """Return the recorded mode of a file in a directory; None if there is none."""
        del status
        return recorded_mode(directory.at(name))

    @contextmanager
    def attributes(self, directory: Directory, name: str) -> Iterator[int | str]:
        """Give the path of a file in a directory."""
        yield directory.at(name)

    def open_directory(self, path: str) -> Directory:
        """Return a directory; raise as `Root.open_directory` does."""
        name, status = self._look(path)
        if not stat.S_ISDIR(status.st_mode):
            raise os_error(errno.ENOTDIR)
        return Directory(None, name)

    def is_directory(self, path: str) -> bool:
        """Return whether there is a directory."""
        try:
            self.open_directory(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def stamp_of(self, directory: Directory) -> Stamp | None:
        """Return None: on FAT and exFAT a change of its names is no change of a directory."""
        del directory
        return None

    def _open_lock(self) -> int:
        name, status = self._look(f"{RESERVED_DIRECTORY}/{_LOCK}")
        if not stat.S_ISREG(status.st_mode):
            raise os_error(errno.EISDIR)
        return os.open(full_name(name), _LOCKING)

    def _make_lock(self, token: CancelToken) -> int:
        reserved = self.make_directory(RESERVED_DIRECTORY, token)
        with token:
            lock = os.open(reserved.at(_LOCK), _LOCKING | os.O_CREAT, 0o600)
        time.sleep(_LOCK_MADE_SECONDS)
        return lock

    def _make_parts(self, path: str, token: CancelToken, mode: int | None) -> Directory:
        del mode  # who may read it, the access control list of what it is made in says
        self._make_root(token)
        directory = self.open_directory("")
        for part in path.split("/") if path else ():
            with suppress(FileExistsError), token:
                os.mkdir(directory.at(part))  # noqa: PTH102
            name, status = self._look_at(directory, part, path)
            if not stat.S_ISDIR(status.st_mode):
                raise os_error(errno.ENOTDIR)
            directory = Directory(None, name)
        return directory


def _is_same(one: os.stat_result, other: os.stat_result) -> bool:
    """Return whether two looks at a path found one file."""
    return (one.st_ino, one.st_dev) == (other.st_ino, other.st_dev)
