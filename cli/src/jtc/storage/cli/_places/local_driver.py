"""The driver of paths of this machine: it writes files as other programs do, and nothing beside."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from jtc.storage.driver_support.standalone import without_checks
from jtc.storage.drivers.local_driver import LocalDriver

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.driver import DriverContent
    from jtc.storage.models import FileInfo
    from jtc.storage.options import WriteOptions

__all__ = ["MachineFiles"]

_MTIME = "mtime"
_NS = 1_000_000_000
_LATEST = 10**11
"""Seconds, in the year 5138: file systems and systems count further, and some not much."""


class MachineFiles(LocalDriver):
    """Keeps files below a directory of this machine's user, not of a disk.

    A new file has the mode that the umask leaves, as with `cp`. Content types, headers and metadata
    are not kept: nothing is written into extended attributes, which many file systems lack. Of the
    metadata, ``mtime`` is the time that the file gets. Conditions on versions are not kept: they
    would need the lock of a disk.
    """

    supported_options: Mapping[str, frozenset[str]] = {
        **LocalDriver.supported_options,
        "write_file": frozenset({"overwrite", "metadata"}),
        "copy_file": frozenset({"overwrite", "if_source_match"}),
        "move_file": frozenset({"overwrite", "if_source_match"}),
    }
    unsupported = LocalDriver.unsupported | {
        "conditional_delete",
        "copy_from",
        "copy_source",
        "metadata_update",
        "visibility",
    }

    async def stat(self, path: str, /) -> FileInfo:
        """Return a file's metadata: its time, in the form in which a copy keeps it."""
        info: FileInfo = await without_checks(super().stat)(path)
        info.metadata = {_MTIME: f"{info.last_modified:.7f}"}
        return info

    async def write_file(
        self, path: str, content: DriverContent, options: WriteOptions, /
    ) -> str | None:
        """Store a file whole, or leave the existing one."""
        modified = _modified(options.metadata)
        # What is not public on a disk is not secret to this machine's users: the umask says that.
        plain = replace(options, metadata=None, visibility_if_new=None)
        etag: str | None = await without_checks(super().write_file)(path, content, plain)
        if modified is None:
            return etag
        # One system call on a file that was written just now, for which no worker is called.
        os.utime(self.path(path), ns=(time.time_ns(), modified), follow_symlinks=False)
        return None


def _modified(metadata: Mapping[str, str] | None) -> int | None:
    """Return the time of modification that metadata name, in nanoseconds."""
    if not metadata or _MTIME not in metadata:
        return None
    try:
        seconds = Decimal(metadata[_MTIME])
    except InvalidOperation:
        return None  # another program's
    return int(seconds * _NS) if seconds.is_finite() and abs(seconds) < _LATEST else None
