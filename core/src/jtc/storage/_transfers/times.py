"""Modification times of files, which copies keep as metadata in the way of rclone.

rclone stores ``mtime`` in seconds with a fraction on S3 (https://rclone.org/s3/), and in the form
of RFC 3339 on Azure and Google.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.models import FileInfo

__all__ = [
    "MTIME",
    "has_same_time",
    "kept_time",
    "may_be_copy",
    "modified_ns",
    "mtime_text",
    "with_time",
]

MTIME = "mtime"
"""The name of the metadata."""

_TOLERANCE_NS = 1000
"""Times that differ by less are the same: `FileInfo.last_modified` has a precision of 0.5 µs."""

_NS = 1_000_000_000
_SECONDS = re.compile(r"(-?)(\d{1,11})(?:\.(\d{1,9})\d*)?", re.ASCII)
_RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-]\d\d:\d\d))", re.ASCII
)


def kept_time(info: FileInfo) -> int | None:
    """Return the time that a file's metadata keeps, in nanoseconds since 1970; None if none."""
    text = info.metadata.get(MTIME)
    if text is None:
        return None
    if found := _SECONDS.fullmatch(text):
        sign, seconds, fraction = found.groups()
        since = int(seconds) * _NS + int((fraction or "").ljust(9, "0"))
        return -since if sign else since
    if found := _RFC_3339.fullmatch(text):
        day, time, fraction, offset = found.groups()
        try:
            moment = datetime.fromisoformat(f"{day}T{time}{offset or '+00:00'}")
        except ValueError:
            return None  # 30 February
        return round(moment.timestamp()) * _NS + int((fraction or "").ljust(9, "0"))
    return None


def modified_ns(info: FileInfo) -> int:
    """Return when a file's content was made: the time that it keeps, else when it was written."""
    if (kept := kept_time(info)) is not None:
        return kept
    if info.last_modified_ns is not None:
        return info.last_modified_ns
    # The difference is exact, as the product with all seconds is not.
    seconds = int(info.last_modified)
    return seconds * _NS + round((info.last_modified - seconds) * _NS)


def has_same_time(one: FileInfo, other: FileInfo) -> bool:
    """Return whether the contents of two files were made at the same time."""
    return abs(modified_ns(one) - modified_ns(other)) < _TOLERANCE_NS


def may_be_copy(one: FileInfo, other: FileInfo) -> bool:
    """Return whether a target's file may be a copy of the source's, by the times of both.

    Args:
        one: The source's file.
        other: The target's file.
    """
    if has_same_time(one, other):
        return True
    return kept_time(other) is None and other.last_modified >= one.last_modified


def mtime_text(info: FileInfo) -> str:
    """Return the metadata ``mtime`` of a file's copy, as rclone writes it on S3."""
    since = modified_ns(info)
    seconds, fraction = divmod(abs(since), _NS)
    text = f"{seconds}.{fraction:09}".rstrip("0").rstrip(".")
    return f"-{text}" if since < 0 else text


def with_time(metadata: Mapping[str, str] | None, info: FileInfo) -> Mapping[str, str]:
    """Return the metadata of a file's copy, with the file's time where there is none in it.

    Args:
        metadata: The copy's metadata, if there is any.
        info: The file's metadata.
    """
    if metadata is not None and MTIME in metadata:
        return metadata
    return {**(metadata or {}), MTIME: mtime_text(info)}
