"""Sync API: every method without `await`, for code that is not async.

::

    from jtc.storage import Storage

    Storage.sync.put("uploads/avatar.jpg", image_bytes)
    Storage.disk("s3").sync.get("backup.txt")

All calls run in one event loop, in a thread that the first call starts.
"""

from jtc.storage.sync._base import async_disk
from jtc.storage.sync._disks import (
    SyncBuiltDisk,
    SyncDisk,
    SyncFakeDisk,
    SyncOperations,
    SyncStorage,
)
from jtc.storage.sync._files import (
    SyncListing,
    SyncReadableFile,
    SyncStream,
    SyncTextFile,
    SyncWritableFile,
)
from jtc.storage.sync._portal import run
from jtc.storage.sync._transfers import SyncSyncPlan, SyncTransfers

__all__ = [
    "SyncBuiltDisk",
    "SyncDisk",
    "SyncFakeDisk",
    "SyncListing",
    "SyncOperations",
    "SyncReadableFile",
    "SyncStorage",
    "SyncStream",
    "SyncSyncPlan",
    "SyncTextFile",
    "SyncTransfers",
    "SyncWritableFile",
    "async_disk",
    "run",
]
