"""One async API for files, whatever holds them.

::

    from jtc.storage import Storage

    await Storage.put("uploads/avatar.jpg", image_bytes)
    await Storage.disk("s3").put("backup.txt", content)
"""

import logging

from jtc.storage.abilities import Capabilities
from jtc.storage.contracts import ReadStream, StorageDriver
from jtc.storage.disk import BuiltDisk, Disk
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    IntegrityException,
    InvalidPathException,
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
    UnsupportedOperationException,
)
from jtc.storage.files import DirectoryInfo, Entry, FileInfo, SignedForm, SignedRequest, Visibility
from jtc.storage.layering import Layer
from jtc.storage.manager import Storage, StorageManager
from jtc.storage.options import CopyOptions, PutOptions, WriteOptions
from jtc.storage.streams import ByteStream

__all__ = [
    "BuiltDisk",
    "ByteStream",
    "Capabilities",
    "CopyOptions",
    "DirectoryInfo",
    "Disk",
    "Entry",
    "FileExistsException",
    "FileInfo",
    "FileNotFoundException",
    "IntegrityException",
    "InvalidPathException",
    "Layer",
    "PathConflictException",
    "PreconditionFailedException",
    "PutOptions",
    "ReadOnlyException",
    "ReadStream",
    "RejectedException",
    "SignedForm",
    "SignedRequest",
    "Storage",
    "StorageConfigException",
    "StorageDriver",
    "StorageException",
    "StorageFullException",
    "StorageManager",
    "StoragePermissionException",
    "StorageTimeoutException",
    "StorageUnavailableException",
    "UnsupportedOperationException",
    "Visibility",
    "WriteOptions",
]

# A library says nothing unless the program asks: https://docs.python.org/3/howto/logging.html#library-config
logging.getLogger("jtc.storage").addHandler(logging.NullHandler())

# Editable installs put each distribution on a path of its own: without this line the drivers'
# packages below jtc.storage would not be found in a checkout.
__path__ = __import__("pkgutil").extend_path(__path__, __name__)
