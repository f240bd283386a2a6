"""Async API for files on any storage.

::

    from jtc.storage import Storage

    await Storage.put("uploads/avatar.jpg", image_bytes)
    await Storage.disk("s3").put("backup.txt", content)
"""

from jtc.storage._byte_stream import ByteStream
from jtc.storage._capabilities import Capabilities
from jtc.storage._disk import BuiltDisk, Disk, DiskOperations
from jtc.storage._fakes import FakeDisk
from jtc.storage._hooks import Hooks
from jtc.storage._manager import Storage, StorageManager
from jtc.storage.driver import ReadStream, StorageDriver
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    IntegrityException,
    InvalidPathException,
    NotModifiedException,
    PathConflictException,
    PreconditionFailedException,
    ReadOnlyException,
    RejectedException,
    StorageConfigException,
    StorageException,
    StorageFullException,
    StoragePermissionException,
    StorageTimeoutException,
    StorageUnavailableException,
    TransferException,
    UnsupportedOperationException,
)
from jtc.storage.layer import Layer
from jtc.storage.models import (
    DirectoryInfo,
    Entry,
    FileInfo,
    PresignedForm,
    PresignedRequest,
    Usage,
    Visibility,
)
from jtc.storage.options import (
    CopyOptions,
    DeleteOptions,
    ListOptions,
    MetadataOptions,
    PutOptions,
    ReadOptions,
    SignOptions,
    WriteOptions,
)

__all__ = [
    "BuiltDisk",
    "ByteStream",
    "Capabilities",
    "CopyOptions",
    "DeleteOptions",
    "DirectoryInfo",
    "Disk",
    "DiskOperations",
    "Entry",
    "FakeDisk",
    "FileExistsException",
    "FileInfo",
    "FileNotFoundException",
    "Hooks",
    "IntegrityException",
    "InvalidPathException",
    "Layer",
    "ListOptions",
    "MetadataOptions",
    "NotModifiedException",
    "PathConflictException",
    "PreconditionFailedException",
    "PresignedForm",
    "PresignedRequest",
    "PutOptions",
    "ReadOnlyException",
    "ReadOptions",
    "ReadStream",
    "RejectedException",
    "SignOptions",
    "Storage",
    "StorageConfigException",
    "StorageDriver",
    "StorageException",
    "StorageFullException",
    "StorageManager",
    "StoragePermissionException",
    "StorageTimeoutException",
    "StorageUnavailableException",
    "TransferException",
    "UnsupportedOperationException",
    "Usage",
    "Visibility",
    "WriteOptions",
]

# Editable installs have one path per distribution: without this line the drivers' packages below
# jtc.storage would not be found in a checkout.
__path__ = __import__("pkgutil").extend_path(__path__, __name__)
