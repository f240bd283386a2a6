"""How a file's facts are kept: the version in its inode, what was declared beside it, its mode.

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
from typing import TYPE_CHECKING, Any, TypeAlias

from jtc.storage.exceptions import RejectedException, UnsupportedOperationException
from jtc.storage.models import FileInfo, Visibility, listed_file

if TYPE_CHECKING:
    from jtc.storage.options import WriteOptions

__all__ = [
    "Declared",
    "declared_by",
    "etag_of",
    "file_info",
    "mode_of",
    "read_declared",
    "set_mode",
    "visibility_of",
    "write_declared",
]

Declared: TypeAlias = dict[str, Any]
"""What was declared of a file: the names and values of `FileInfo`'s fields."""

_ATTRIBUTE = "user.jtc.storage"
_TEXTS = ("content_type", "cache_control", "content_disposition")
# What file systems without permissions say; vfat and exFAT say EPERM to the owner himself.
_NO_MODES = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})
_MODES = {Visibility.PUBLIC: 0o644, Visibility.PRIVATE: 0o600}
# ext4 keeps at most about one block (4 KiB) of attributes, and says ENOSPC beyond.
_MODEST_BYTES = 1024


def etag_of(facts: os.stat_result) -> str:
    """Name a version of a file.

    The inode alone is used again by the next file, and time and size alone repeat between two
    quick puts; every put sets the time from the clock's nanoseconds.
    """
    # A listing makes thousands: an f-string takes twice as long (0.6 µs).
    return "%x-%x-%x" % (facts.st_ino, facts.st_mtime_ns, facts.st_size)  # noqa: UP031


def file_info(path: str, facts: os.stat_result, declared: Declared | None = None) -> FileInfo:
    """Make a `FileInfo` of what the inode and, where it was read, the attribute say."""
    if not declared:
        return listed_file(path, facts.st_size, facts.st_mtime, etag_of(facts))
    return FileInfo(
        path=path,
        size=facts.st_size,
        last_modified=facts.st_mtime,
        etag=etag_of(facts),
        **declared,
    )


def mode_of(visibility: Visibility) -> int:
    """Return the permission bits that say a visibility."""
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
    facts = os.fstat(descriptor)
    # Some say nothing and keep the mode that all their files have: nothing is private there.
    if stat.S_IMODE(facts.st_mode) == mode:
        return
    if refused is not None and refused.errno == errno.EPERM and facts.st_uid != os.geteuid():
        raise refused  # it is another user's file
    raise UnsupportedOperationException(
        "The file system keeps no permissions, and so no visibility",
        errno=None if refused is None else refused.errno,
    )


def visibility_of(facts: os.stat_result) -> Visibility:
    """Return `Visibility.PUBLIC` for a file that everybody on the machine may read."""
    return Visibility.PUBLIC if facts.st_mode & stat.S_IROTH else Visibility.PRIVATE


def declared_by(options: WriteOptions) -> Declared:
    """Return what the options of a write declare."""
    declared: Declared = {
        name: value for name in _TEXTS if (value := getattr(options, name)) is not None
    }
    if options.metadata is not None:
        declared["metadata"] = dict(options.metadata)
    return declared


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
    """Take from an attribute what this version wrote or would write."""
    if not isinstance(record, dict):
        return {}
    declared = {name: record[name] for name in _TEXTS if isinstance(record.get(name), str)}
    metadata = record.get("metadata")
    if isinstance(metadata, dict) and all(isinstance(text, str) for text in metadata.values()):
        declared["metadata"] = metadata
    return declared
