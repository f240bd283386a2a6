"""What is kept beside a file's content: an extended attribute, or a stream of NTFS.

Python has calls for attributes on Linux only. On macOS the library of the system is called
(fgetxattr and fsetxattr of <sys/xattr.h>). On Windows a file on NTFS has further streams, which are
named ``file:stream`` and go with it (https://learn.microsoft.com/windows/win32/fileio/file-streams).
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from functools import cache
from typing import TYPE_CHECKING

from jtc.storage.drivers.local_driver._system_calls import CLOSING, os_error

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NO_ATTRIBUTES", "TOO_LONG", "read_attribute", "write_attribute"]

_NAME = "user.jtc.storage"
_STREAM = ":jtc.storage"
_MOST_BYTES = 1024 * 1024
"""What a stream is read up to: as an attribute it would be one of 64 KiB at most."""

_ENOATTR_OF_MACOS = 93
_MISSING = frozenset({errno.ENODATA, _ENOATTR_OF_MACOS})
NO_ATTRIBUTES = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP})
"""What file systems without attributes answer; the two numbers are one on Linux alone."""
TOO_LONG = frozenset({errno.E2BIG, errno.ERANGE})
# What Windows answers for the name of a stream on FAT and exFAT, and a server without streams.
_NO_STREAMS = frozenset({errno.EINVAL, errno.ENOTSUP})


def read_attribute(subject: int | str) -> bytes | None:
    """Return what was kept beside a file; None if nothing was, or nothing can be.

    Args:
        subject: An open descriptor; where files are opened by their paths, a path.
    """
    try:
        return _read(subject)
    except OSError as error:
        if error.errno in _MISSING or error.errno in NO_ATTRIBUTES:
            return None
        raise


def write_attribute(subject: int | str, record: bytes) -> None:
    """Keep a record beside a file, in place of what was kept.

    Args:
        subject: What `read_attribute` takes.
        record: The bytes.

    Raises:
        OSError: A number of `NO_ATTRIBUTES` where the file system keeps none, of `TOO_LONG` where
            it has no room, or another one.
    """
    _write(subject, record)


if sys.platform == "win32":

    def _read(subject: int | str) -> bytes:
        try:
            descriptor = os.open(f"{subject}{_STREAM}", os.O_RDONLY | CLOSING)
        except OSError as error:
            if isinstance(error, FileNotFoundError) or error.errno in _NO_STREAMS:
                raise os_error(errno.ENODATA) from error
            raise
        try:
            return os.read(descriptor, _MOST_BYTES)
        finally:
            os.close(descriptor)

    def _write(subject: int | str, record: bytes) -> None:
        making = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | CLOSING
        try:
            descriptor = os.open(f"{subject}{_STREAM}", making)
        except OSError as error:
            if error.errno in _NO_STREAMS:
                raise os_error(errno.ENOTSUP) from error
            raise
        try:
            while record:
                record = record[os.write(descriptor, record) :]
        finally:
            os.close(descriptor)

elif sys.platform == "linux" and hasattr(os, "getxattr"):

    def _read(subject: int | str) -> bytes:
        return os.getxattr(subject, _NAME)

    def _write(subject: int | str, record: bytes) -> None:
        os.setxattr(subject, _NAME, record)

else:

    def _read(subject: int | str) -> bytes:
        call = _xattr_call("fgetxattr")
        length = call(subject, _NAME.encode(), None, 0)
        content = ctypes.create_string_buffer(length)
        # A longer one that is set meanwhile is ERANGE.
        length = call(subject, _NAME.encode(), content, length)
        return content.raw[:length]

    def _write(subject: int | str, record: bytes) -> None:
        _xattr_call("fsetxattr")(subject, _NAME.encode(), record, len(record))


@cache
def _xattr_call(name: str) -> Callable[..., int]:
    """Return a call of the system's library that raises OSError."""
    function = getattr(ctypes.CDLL(None, use_errno=True), name, None)

    def call(*arguments: object) -> int:
        if function is None:
            raise os_error(errno.ENOTSUP)
        # Then an offset, of resource forks only, and no options.
        if (result := int(function(*arguments, 0, 0))) < 0:
            raise os_error(ctypes.get_errno())
        return result

    if function is not None:
        numbers = (ctypes.c_uint32, ctypes.c_int)
        texts = (ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
        function.argtypes = (ctypes.c_int, *texts, *numbers)
        function.restype = ctypes.c_ssize_t if name == "fgetxattr" else ctypes.c_int
    return call
