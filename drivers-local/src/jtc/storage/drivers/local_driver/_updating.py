"""Changes of a file in place: its visibility, and what was declared of it."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from jtc.storage.drivers.local_driver._copying import replace_by_copy
from jtc.storage.drivers.local_driver._directories import Directory, look
from jtc.storage.drivers.local_driver._metadata import (
    declared_by,
    etag_of,
    other_version,
    read_declared,
    renew_time,
    set_mode,
    status_of,
    sync_subject,
)
from jtc.storage.drivers.local_driver._path_locks import PathLocks
from jtc.storage.drivers.local_driver._safe_open import Root, attempts
from jtc.storage.exceptions import (
    FileNotFoundException,
    PreconditionFailedException,
    StorageUnavailableException,
)
from jtc.storage.options import WriteOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jtc.storage.drivers.local_driver._metadata import Declared
    from jtc.storage.drivers.local_driver._worker_calls import CancelToken
    from jtc.storage.models import Visibility

__all__ = ["set_visibility", "update_metadata"]


def set_visibility(token: CancelToken, root: Root, path: str, visibility: Visibility) -> None:
    """Set a file's permission bits to those of a visibility.

    A file with further names, which may be outside the root, is replaced by a copy; so is every
    file where what is beside its content cannot be replaced in one step.
    """
    for _ in attempts():
        # A put of this path looks at the mode in the lock, too.
        with PathLocks(root, token, path):
            descriptor, status = root.open_file(path)
            try:
                if status.st_nlink == 1 and root.updates_in_place:
                    with token:
                        set_mode(descriptor, root.modes.of(visibility))
                    return
            finally:
                os.close(descriptor)
        with suppress(PreconditionFailedException):
            replace_by_copy(token, root, path, status, WriteOptions(visibility=visibility))
            return
    raise _replaced()


def update_metadata(token: CancelToken, root: Root, path: str, options: WriteOptions) -> str:
    """Replace declared fields of a file in place; return its new etag.

    The attribute is replaced by one system call, and the time, which is part of the etag, is set
    after it: what was read with the new etag is the new metadata. A copy replaces the files of
    which `set_visibility` makes copies.
    """
    for _ in attempts():
        with _locked_file(token, root, path) as (directory, name, status):
            if options.if_match not in (None, etag_of(status)):
                raise other_version()
            if status.st_nlink == 1 and root.updates_in_place:
                with root.attributes(directory, name) as subject:
                    return _update(token, subject, declared_by(options), durable=root.durable)
        try:
            return replace_by_copy(token, root, path, status, options)
        except PreconditionFailedException:
            if options.if_match is not None:
                raise
    raise _replaced()


def _replaced() -> StorageUnavailableException:
    return StorageUnavailableException("The file is replaced again and again meanwhile")


@contextmanager
def _locked_file(
    token: CancelToken, root: Root, path: str
) -> Iterator[tuple[Directory, str, os.stat_result]]:
    """Hold the lock of a file; give its directory, its name in that and its status."""
    parent, _, name = path.rpartition("/")
    try:
        directory = root.open_directory(parent)
    except NotADirectoryError as error:
        raise FileNotFoundException("File not found") from error
    try:
        with PathLocks(root, token, path, required=True):
            status = look(directory, name)
            if status is None or not stat.S_ISREG(status.st_mode):
                raise FileNotFoundException("File not found")
            yield directory, name, status
    finally:
        directory.close()


def _update(token: CancelToken, subject: int | str, changes: Declared, *, durable: bool) -> str:
    status = status_of(subject)
    declared = read_declared(subject, status) | changes
    with token:
        # Changes nothing, but fails before the rest where this process may not set the time.
        os.utime(subject, ns=(status.st_atime_ns, status.st_mtime_ns))
        status = renew_time(subject, status.st_mtime_ns, declared)
        if durable:
            sync_subject(subject)
    return etag_of(status)
