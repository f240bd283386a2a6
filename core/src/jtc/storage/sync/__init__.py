"""The sync face: every method without `await`, for code that is not async.

::

    from jtc.storage import Storage

    Storage.sync.put("uploads/avatar.jpg", image_bytes)
    Storage.disk("s3").sync.get("backup.txt")

All calls run in one event loop, in one thread that begins with the first of them.
"""

from jtc.storage.sync._disks import SyncBuiltDisk, SyncDisk, SyncFakeDisk, SyncStorage
from jtc.storage.sync._files import ReadableFile, SyncListing, SyncStream, WritableFile

__all__ = [
    "ReadableFile",
    "SyncBuiltDisk",
    "SyncDisk",
    "SyncFakeDisk",
    "SyncListing",
    "SyncStorage",
    "SyncStream",
    "WritableFile",
]
