"""Metadata of files: the version in the inode, declared fields in an attribute, visibility as mode.

What a put declares (content type, headers, metadata) is one JSON object in the extended attribute
``user.jtc.storage`` (https://man7.org/linux/man-pages/man7/xattr.7.html), set before the file
becomes visible, so that content and declaration are never of two different puts.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from jtc.storage.drivers.local_driver._path_locks import PathLocks
from jtc.storage.drivers.local_driver._safe_open import Root, look, open_name
from jtc.storage.exceptions import (
    FileNotFoundException,
    PreconditionFailedException,
    RejectedException,
    UnsupportedOperationException,
)
from jtc.storage.models import FileInfo, Visibility, listed_file

if TYPE_CHECKING:
    from jtc.storage.drivers.local_driver._worker_calls import CancelToken
    from jtc.storage.options import WriteOptions

__all__ = [
    "Declared",
    "declared_by",
    "etag_of",
    "file_info",
    "known_info",
    "mode_of",
    "other_version",
    "read_declared",
    "remember",
    "set_mode",
    "set_visibility",
    "update_metadata",
    "visibility_of",
    "write_declared",
]

Declared: TypeAlias = dict[str, Any]
"""What was declared of a file: names and values of `FileInfo`'s fields."""

_ATTRIBUTE = "user.jtc.storage"
_TEXTS = ("content_type", "cache_control", "content_disposition")
# What file systems without permissions answer; vfat and exFAT answer EPERM to the owner himself.
_NO_MODES = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})
_MODES = {Visibility.PUBLIC: 0o644, Visibility.PRIVATE: 0o600}
# ext4 keeps at most about one block (4 KiB) of attributes, and answers ENOSPC beyond.
_MODEST_BYTES = 1024

# File systems stamp changes by a clock that ticks every 10 ms, an old ext3 each second: within
# one tick an attribute may change twice under one stamp.
_SETTLED_SECONDS = 2.0
_REMEMBERED = 4096

_remembered: dict[tuple[int, int, int], Declared] = {}


def etag_of(status: os.stat_result) -> str:
    """Return the name of a file's version.

    The inode alone is used again by the next file, and time and size alone repeat between two
    quick puts; every put sets the time from the clock's nanoseconds.
    """
    # A listing makes thousands: an f-string takes twice as long (0.6 µs).
    return "%x-%x-%x" % (status.st_ino, status.st_mtime_ns, status.st_size)  # noqa: UP031


def file_info(path: str, status: os.stat_result, declared: Declared | None = None) -> FileInfo:
    """Return the `FileInfo` of what the inode and, where it was read, the attribute hold."""
    if not declared:
        return listed_file(path, status.st_size, status.st_mtime, etag_of(status))
    return FileInfo(
        path=path,
        size=status.st_size,
        last_modified=status.st_mtime,
        etag=etag_of(status),
        **declared,
    )


def known_info(path: str, status: os.stat_result) -> FileInfo | None:
    """Return a file's metadata if what was declared of it is remembered, else None."""
    declared = _remembered.get((status.st_dev, status.st_ino, status.st_ctime_ns))
    return None if declared is None else file_info(path, status, _copied(declared))


def remember(status: os.stat_result, declared: Declared) -> None:
    """Remember what was declared of a file, which may take the disk to read.

    Each change of a file or its attributes stamps its inode again, and so does a new file in an
    inode that was another's.

    Args:
        status: The file's, from before the attribute was read.
        declared: What the attribute holds.
    """
    if not 0 < status.st_ctime < time.time() - _SETTLED_SECONDS:
        return
    if len(_remembered) >= _REMEMBERED:
        with suppress(RuntimeError, StopIteration):  # other threads remember and forget as well
            _remembered.pop(next(iter(_remembered)), None)  # the oldest
    _remembered[status.st_dev, status.st_ino, status.st_ctime_ns] = _copied(declared)


def _copied(declared: Declared) -> Declared:
    """Return a copy that is its caller's to change."""
    if "metadata" in declared:
        return {**declared, "metadata": dict(declared["metadata"])}
    return declared


def mode_of(visibility: Visibility) -> int:
    """Return the permission bits of a visibility."""
    return _MODES[visibility]


def set_mode(descriptor: int, mode: int) -> None:
    """Set an open file's permission bits.

    Raises:
        UnsupportedOperationException: The file system keeps none, as FAT.
    """
    refused: OSError | None = None
    try:
        os.fchmod(descriptor, mode)
    except OSError as error:
        if error.errno not in _NO_MODES:
            raise
        refused = error
    status = os.fstat(descriptor)
    # Some answer nothing and keep the mode that all their files have: nothing is private there.
    if stat.S_IMODE(status.st_mode) == mode:
        return
    if refused is not None and refused.errno == errno.EPERM and status.st_uid != os.geteuid():
        raise refused  # it is another user's file
    raise UnsupportedOperationException(
        "The file system keeps no permissions, and so no visibility",
        errno=None if refused is None else refused.errno,
    )


def set_visibility(token: CancelToken, root: Root, path: str, visibility: Visibility) -> None:
    """Set a file's permission bits to those of a visibility."""
    descriptor, _ = root.open_file(path)
    try:
        with token:
            set_mode(descriptor, mode_of(visibility))
    finally:
        os.close(descriptor)


def visibility_of(status: os.stat_result) -> Visibility:
    """Return `Visibility.PUBLIC` for a file that all users of the machine may read."""
    return Visibility.PUBLIC if status.st_mode & stat.S_IROTH else Visibility.PRIVATE


def declared_by(options: WriteOptions) -> Declared:
    """Return what the options of a write declare."""
    declared: Declared = {
        name: value for name in _TEXTS if (value := getattr(options, name)) is not None
    }
    if options.metadata is not None:
        declared["metadata"] = dict(options.metadata)
    return declared


def update_metadata(token: CancelToken, root: Root, path: str, options: WriteOptions) -> str:
    """Replace declared fields of a file in place; return its new etag.

    The attribute is replaced by one system call, and the time, which is part of the etag, is set
    after it: what was read with the new etag is the new metadata.
    """
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
            if options.if_match not in (None, etag_of(status)):
                raise other_version()
            descriptor = open_name(directory, name)
            try:
                return _update(token, descriptor, declared_by(options), durable=root.durable)
            finally:
                os.close(descriptor)
    finally:
        os.close(directory)


def _update(token: CancelToken, descriptor: int, changes: Declared, *, durable: bool) -> str:
    declared = read_declared(descriptor) | changes
    status = os.fstat(descriptor)
    with token:
        # Changes nothing, but fails before the rest where this process may not set the time.
        os.utime(descriptor, ns=(status.st_atime_ns, status.st_mtime_ns))
        write_declared(descriptor, declared)
        now = max(time.time_ns(), status.st_mtime_ns + 1)
        os.utime(descriptor, ns=(now, now))
        if durable:
            os.fsync(descriptor)
    return etag_of(os.fstat(descriptor))


def other_version() -> PreconditionFailedException:
    """Return the error for a file that is not the version of `if_match`."""
    return PreconditionFailedException("The file is not the version that if_match names")


def write_declared(descriptor: int, declared: Declared) -> None:
    """Keep what was declared beside an open file.

    Raises:
        UnsupportedOperationException: The file system has no extended attributes.
        RejectedException: It is more than the file system keeps.
    """
    record = json.dumps(declared, ensure_ascii=False, separators=(",", ":")).encode()
    try:
        if sys.platform != "linux":
            raise OSError(errno.ENOTSUP, "No extended attributes")
        os.setxattr(descriptor, _ATTRIBUTE, record)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            raise UnsupportedOperationException(
                "The file system has no extended attributes, and so keeps no "
                f"{' or '.join(declared)}",
                errno=error.errno,
            ) from error
        too_long = error.errno in (errno.E2BIG, errno.ERANGE)
        if too_long or (error.errno == errno.ENOSPC and len(record) > _MODEST_BYTES):
            raise RejectedException(
                f"{' and '.join(declared)} take {len(record)} bytes, more than the file system "
                "keeps beside a file",
                reason="metadata",
                errno=error.errno,
            ) from error
        raise


def read_declared(descriptor: int) -> Declared:
    """Return what was declared of an open file; nothing if another program wrote it."""
    if sys.platform != "linux":
        return {}
    try:
        record = json.loads(os.getxattr(descriptor, _ATTRIBUTE))
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return {}
        raise
    except ValueError:
        return {}
    return _understood(record)


def _understood(record: object) -> Declared:
    """Return those fields of an attribute that this version writes."""
    if not isinstance(record, dict):
        return {}
    declared = {name: record[name] for name in _TEXTS if isinstance(record.get(name), str)}
    metadata = record.get("metadata")
    if isinstance(metadata, dict) and all(isinstance(text, str) for text in metadata.values()):
        declared["metadata"] = metadata
    return declared
