"""Metadata of files: the version in size and time, declared fields in an attribute.

What a put declares (content type, headers, metadata) is one JSON object in the extended attribute
``user.jtc.storage`` (https://man7.org/linux/man-pages/man7/xattr.7.html), set before the file
becomes visible, so that content and declaration are never of two different puts. Where files have
no modes, that object holds the mode as well.

Of the metadata, ``mtime`` says when the content was made (https://rclone.org/s3/). Another program
that changes the content leaves the attribute as it is, so it holds the file's own time as well, as
the write set it: a file of another time was changed then, and its own time is its ``mtime``.

A subject is what these functions change: an open descriptor, or the path of a file where the system
has no calls for descriptors.
"""

from __future__ import annotations

import errno
import json
import os
import random
import re
import stat
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from jtc.storage.drivers.local_driver._attributes import (
    NO_ATTRIBUTES,
    TOO_LONG,
    read_attribute,
    write_attribute,
)
from jtc.storage.drivers.local_driver._system_calls import sync
from jtc.storage.exceptions import (
    PreconditionFailedException,
    RejectedException,
    UnsupportedOperationException,
)
from jtc.storage.models import FileInfo, listed_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.options import WriteOptions

__all__ = [
    "Declared",
    "Opened",
    "declared_by",
    "etag_of",
    "file_info",
    "known_info",
    "new_time",
    "other_version",
    "read_declared",
    "recorded_mode",
    "remember",
    "renew_time",
    "set_mode",
    "set_time",
    "status_of",
    "sync_subject",
    "write_declared",
]

Declared: TypeAlias = dict[str, Any]
"""What was declared of a file: names and values of `FileInfo`'s fields."""

_MODE = "mode"
_MTIME = "mtime"
"""The metadata that is the time of the content."""
_TIME = "time"
"""The file's own time when ``mtime`` was declared of it, in nanoseconds."""
_WHERE = "streams" if sys.platform == "win32" else "extended attributes"
_TEXTS = ("content_type", "cache_control", "content_disposition", "content_encoding")
# What file systems without permissions answer; vfat and exFAT answer EPERM to the owner himself.
_NO_MODES = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})
# ext4 keeps at most about one block (4 KiB) of attributes, and answers ENOSPC beyond.
_MODEST_BYTES = 1024

# File systems stamp changes by a clock that ticks every 10 ms, an old ext3 each second: within
# one tick an attribute may change twice under one stamp.
_SETTLED_SECONDS = 2.0
_REMEMBERED = 4096

_SURROGATE = re.compile("[\ud800-\udfff]")

_RANDOM_BITS = 16  # 65 µs, less than a put takes
_NTFS_NS = 100
"""What NTFS counts a file's time in."""
_COARSEST_NS = 2_000_000_000
"""What FAT counts a file's time in; ext3 and HFS+ count seconds."""
_NS = 1_000_000_000
_UNITS_NS = (1, _NTFS_NS, 1_000, 1_000_000, 10_000_000, _NS, _COARSEST_NS)
"""What file systems with attributes, and programs that copy files with these, count times in."""

_remembered: dict[tuple[int, int, int], Declared] = {}


class Opened(NamedTuple):
    """A file that is open for reading, and what was found of it.

    Attributes:
        descriptor: The file.
        status: Its status.
        declared: What was declared of it.
        mode: Its permission bits.
    """

    descriptor: int
    status: os.stat_result
    declared: Declared
    mode: int


def etag_of(status: os.stat_result) -> str:
    """Return the name of a file's version, which a copy that keeps the time has as well."""
    # A listing makes thousands: an f-string takes twice as long (0.6 µs).
    return "%x-%x" % (status.st_mtime_ns, status.st_size)  # noqa: UP031


def new_time(after: int = 0) -> int:
    """Return a time for a file that names a new version, in nanoseconds.

    It is the clock's, less some random nanoseconds: where the clock stands still, or two servers
    have one, two files of one path have two times all the same.

    Args:
        after: The time of the version that it replaces.
    """
    # The kernel's own stamp may be one tick (4 ms) for many files, and so names no version.
    return max(time.time_ns() - random.getrandbits(_RANDOM_BITS), after + _NTFS_NS)


def set_time(subject: int | str, stamp: int) -> os.stat_result:
    """Set a file's time, in nanoseconds; return its status."""
    os.utime(subject, ns=(stamp, stamp))
    return status_of(subject)


def renew_time(subject: int | str, after: int, declared: Declared | None = None) -> os.stat_result:
    """Give a file a time that names a new version, with what is beside it; return its status.

    Args:
        subject: The file.
        after: The time of the version that it replaces, in nanoseconds.
        declared: What is declared of it from now on; None is what there is.
    """
    record = _read_record(subject) if declared is None else declared
    for stamp in (new_time(after), after + _COARSEST_NS):
        if declared is not None or _TIME in record:
            _write_record(subject, _timed(record, stamp))
        status = set_time(subject, stamp)
        if status.st_mtime_ns > after:
            break  # the file system counts finely enough
    return status


def status_of(subject: int | str) -> os.stat_result:
    """Return a file's status."""
    return os.stat(subject)  # noqa: PTH116 - mostly a descriptor


def sync_subject(subject: int | str) -> None:
    """Have what was changed of a file survive a power cut.

    A file that is known by its path was synced before it was closed; what is beside its content
    follows when the system writes it.
    """
    if isinstance(subject, int):
        sync(subject)


def file_info(path: str, status: os.stat_result, declared: Declared | None = None) -> FileInfo:
    """Return the `FileInfo` of what the inode and, where it was read, the attribute hold."""
    if not declared:
        info = listed_file(path, status.st_size, status.st_mtime, etag_of(status))
        info.last_modified_ns = status.st_mtime_ns
        return info
    return FileInfo(
        path=path,
        size=status.st_size,
        last_modified=status.st_mtime,
        etag=etag_of(status),
        last_modified_ns=status.st_mtime_ns,
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


def set_mode(subject: int | str, mode: int) -> None:
    """Set a file's permission bits.

    Raises:
        UnsupportedOperationException: The file system keeps none, as FAT.
    """
    if sys.platform == "win32" or isinstance(subject, str):
        stamp = status_of(subject).st_mtime_ns
        _write_record(subject, {**_read_record(subject), _MODE: f"{mode:04o}"})
        set_time(subject, stamp)  # a write beside the content is one of the file
        return
    refused: OSError | None = None
    try:
        os.fchmod(subject, mode)
    except OSError as error:
        if error.errno not in _NO_MODES:
            raise
        refused = error
    status = os.fstat(subject)
    # Some answer nothing and keep the mode that all their files have: nothing is private there.
    if stat.S_IMODE(status.st_mode) == mode:
        return
    if refused is not None and refused.errno == errno.EPERM and status.st_uid != os.geteuid():
        raise refused  # it is another user's file
    raise UnsupportedOperationException(
        "The file system keeps no permissions, and so no visibility",
        errno=None if refused is None else refused.errno,
    )


def recorded_mode(subject: int | str) -> int | None:
    """Return the permission bits that `set_mode` kept beside a file; None if it kept none."""
    try:
        return int(str(_read_record(subject).get(_MODE)), 8) & 0o777
    except ValueError:
        return None


def declared_by(options: WriteOptions) -> Declared:
    """Return what the options of a write declare."""
    declared: Declared = {}
    for name in _TEXTS:
        if (text := getattr(options, name)) is not None:
            declared[name] = text
    if options.metadata is not None:
        declared["metadata"] = dict(options.metadata)
    return declared


def other_version() -> PreconditionFailedException:
    """Return the error for a file that is not the version of `if_match`."""
    return PreconditionFailedException("The file is not the version that if_match names")


def write_declared(subject: int | str, declared: Declared, stamp: int) -> None:
    """Keep what was declared beside a file.

    Args:
        subject: The file.
        declared: What was declared of it.
        stamp: The time that the file is given after this, in nanoseconds.

    Raises:
        UnsupportedOperationException: The file system has no extended attributes.
        RejectedException: It is more than the file system keeps.
    """
    _write_record(subject, _timed(declared, stamp))


def _timed(record: Mapping[str, Any], stamp: int) -> Mapping[str, Any]:
    """Return a record with the file's own time, where there is an ``mtime`` that it is for."""
    return {**record, _TIME: stamp} if _MTIME in record.get("metadata", {}) else record


def _write_record(subject: int | str, fields: Mapping[str, Any]) -> None:
    record = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    try:
        write_attribute(subject, record)
    except OSError as error:
        if error.errno in NO_ATTRIBUTES:
            raise UnsupportedOperationException(
                f"The file system has no {_WHERE}, and so keeps no {' or '.join(_said(fields))}",
                errno=error.errno,
            ) from error
        too_long = error.errno in TOO_LONG
        if too_long or (error.errno == errno.ENOSPC and len(record) > _MODEST_BYTES):
            raise RejectedException(
                f"{' and '.join(_said(fields))} take {len(record)} bytes, more than the file "
                "system keeps beside a file",
                reason="metadata",
                errno=error.errno,
            ) from error
        raise


def _said(fields: Mapping[str, Any]) -> list[str]:
    return ["visibility" if name == _MODE else name for name in fields if name != _TIME]


def read_declared(subject: int | str, status: os.stat_result) -> Declared:
    """Return what was declared of a file; nothing if another program wrote it.

    Args:
        subject: The file.
        status: Its status: if it was written since, its time is the metadata ``mtime``.
    """
    record = _read_record(subject)
    declared = _understood(record)
    metadata = declared.get("metadata", {})
    if _MTIME in metadata and not _is_time(status.st_mtime_ns, record.get(_TIME)):
        metadata[_MTIME] = _mtime_of(status)
    return declared


def _mtime_of(status: os.stat_result) -> str:
    seconds, fraction = divmod(abs(status.st_mtime_ns), _NS)
    return f"{'-' if status.st_mtime_ns < 0 else ''}{seconds}.{fraction:09}"


def _is_time(now: int, recorded: object) -> bool:
    """Return whether a file's time is the recorded one, also where it is counted more coarsely."""
    return isinstance(recorded, int) and any(now == recorded // n * n for n in _UNITS_NS)


def _read_record(subject: int | str) -> dict[str, Any]:
    content = read_attribute(subject)
    if content is None:
        return {}
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _understood(record: Mapping[str, Any]) -> Declared:
    """Return those fields of an attribute that this version writes, as a put would take them."""
    declared: Declared = {
        name: text
        for name in _TEXTS
        if isinstance(text := record.get(name), str) and text.isprintable()
    }
    metadata = record.get("metadata")
    if isinstance(metadata, dict) and all(map(_is_metadata, metadata.items())):
        declared["metadata"] = metadata
    return declared


def _is_metadata(item: tuple[str, object]) -> bool:
    name, text = item
    return name.isprintable() and isinstance(text, str) and not _SURROGATE.search(text)
