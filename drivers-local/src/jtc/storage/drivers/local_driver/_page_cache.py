"""Reads of what the kernel has in memory, in the event loop's thread.

A hop to a worker thread and back takes ten times as long as reading a small file from the page
cache. RESOLVE_CACHED makes `openat2` answer EAGAIN where it would have to wait for names
(https://man7.org/linux/man-pages/man2/openat2.2.html), RWF_NOWAIT makes `preadv2` answer it for
content (https://man7.org/linux/man-pages/man2/readv.2.html). Opening a file also asks a server on
NFS and FUSE, so files are opened here only within one mount, and on file systems of this machine.
Each function returns None where a worker is needed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from jtc.storage.drivers.local_driver._system_calls import (
    AT_FDCWD,
    HOW_BYTES,
    OPENAT2,
    PASSING,
    READING,
    RESOLVE_BENEATH,
    RESOLVE_CACHED,
    RESOLVE_NO_LINKS,
    RESOLVE_NO_XDEV,
    STATUS_ONLY,
    check_regular,
    open_how,
    os_error,
    quick_system_call,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CAN_READ_CACHED", "PageCache", "read_next"]

CAN_READ_CACHED = sys.implementation.name == "cpython" and sys.maxsize > 2**32
"""Whether bytes can be made as CPython makes them, on 64 bits: see `_new_chunk`."""

_LARGEST = 64 * 1024
"""Longer files are read in a worker: other tasks could notice how long the copying takes."""

# After a day, less an hour, relatime sets the access time again (see mount(8)).
_ACCESS_TIME_SECONDS = 23 * 3600.0

_NOATIME: int = getattr(os, "O_NOATIME", 0)

# A link, or another mount, on the way.
_ELSEWHERE = frozenset({errno.ELOOP, errno.EXDEV})

# The root itself may be a link, and in any mount.
_HOW_ROOT = open_how(PASSING, RESOLVE_CACHED)

_NOWAIT: int = getattr(os, "RWF_NOWAIT", 0)


class _Buffer(threading.local):
    """The buffer of a thread: one byte more than is read at most."""

    def __init__(self) -> None:
        content = bytearray(_LARGEST + 1)
        self.pieces = [content]
        self.view = memoryview(content)


_buffer = _Buffer()


class PageCache:
    """Reads below a root that never wait for a disk.

    Args:
        root: The root's name.
        device: The device that the root must be on.
        options: How it is mounted.
        forget: Called when another directory has taken the root's place.
    """

    def __init__(
        self, root: str, device: int, options: frozenset[str], forget: Callable[[], None]
    ) -> None:
        self._root = os.fsencode(root)
        self._device = device
        self._forget = forget
        self._call = quick_system_call()
        # A root in the mount of "/", and behind no link, needs no opening of its own: one mount
        # is then the one that was found, and a checked path, without links, leads nowhere else.
        self._is_direct = self._reaches_root(0)
        resolve = RESOLVE_CACHED | RESOLVE_NO_XDEV | RESOLVE_NO_LINKS
        if self._is_direct:
            self._prefix = self._root.rstrip(b"/") + b"/"
            self._open: Callable[[bytes, bytes, int], int] = partial(self._call, OPENAT2, AT_FDCWD)
        else:
            self._prefix = b""
            self._open = self._open_below_root
            resolve |= RESOLVE_BENEATH
        # A read that sets the access time changes the inode, which may wait for the disk.
        self._sets_access_time = not options & {"noatime", "ro"}
        self.has_content = not self._sets_access_time or "relatime" in options
        self._how_plain = self._how_reading = open_how(READING, resolve)
        if self._sets_access_time:
            self._how_reading = open_how(READING | _NOATIME, resolve)
        self._how_status = open_how(STATUS_ONLY, resolve)

    def read(self, path: str) -> bytes | None:
        """Return a file's content, or None if that takes a worker.

        Raises:
            FileNotFoundError: There is nothing.
        """
        if sys.platform == "win32" or not self.has_content:
            return None
        name = self._prefix + path.encode()
        leaves_access_time = bool(_NOATIME)
        descriptor = self._open(name, self._how_reading, HOW_BYTES)
        if descriptor < 0 and self._sets_access_time and ctypes.get_errno() == errno.EPERM:
            # O_NOATIME is for the file's owner, and this is another user's.
            leaves_access_time = False
            descriptor = self._open(name, self._how_plain, HOW_BYTES)
        if descriptor < 0:
            self._raise_if_missing()
            return None
        try:
            status = os.fstat(descriptor)
            size = status.st_size
            if not stat.S_ISREG(status.st_mode) or size > _LARGEST:
                return None
            if self._sets_access_time and _is_access_time_due(status, leaves_access_time):
                return None  # a worker's read sets it, which may wait for the disk
            buffer = _buffer
            # Of a file that grows or is only partly in memory, another length is read.
            if os.preadv(descriptor, buffer.pieces, 0, _NOWAIT) != size:
                return None
            return buffer.view[:size].tobytes()
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:
                self.has_content = False  # the file system has no reads without waiting
            return None
        finally:
            os.close(descriptor)

    def status(self, path: str) -> os.stat_result | None:
        """Return the status of a regular file, or None if that takes a worker.

        Raises:
            FileNotFoundError: There is no file.
        """
        status = self._status(path)
        return None if status is None else check_regular(status)

    def is_directory(self, path: str) -> bool | None:
        """Return whether there is a directory below the root, or None if that takes a worker."""
        try:
            status = self._status(path)
        except FileNotFoundError:
            return False
        return None if status is None else stat.S_ISDIR(status.st_mode)

    def _status(self, path: str) -> os.stat_result | None:
        descriptor = self._open(self._prefix + path.encode(), self._how_status, HOW_BYTES)
        if descriptor < 0:
            self._raise_if_missing()
            return None
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def _raise_if_missing(self) -> None:
        """Look why a path could not be opened."""
        number = ctypes.get_errno()
        if number == errno.ENOENT:
            raise os_error(number)
        if self._is_direct and number in _ELSEWHERE and not self._reaches_root(RESOLVE_CACHED):
            self._forget()

    def _open_below_root(self, name: bytes, how: bytes, size: int) -> int:
        root = self._call(OPENAT2, AT_FDCWD, self._root, _HOW_ROOT, HOW_BYTES)
        if root < 0:
            return root
        try:
            if os.fstat(root).st_dev == self._device:
                return self._call(OPENAT2, root, name, how, size)
        finally:
            os.close(root)
        self._forget()
        ctypes.set_errno(errno.EXDEV)
        return -1

    def _reaches_root(self, cached: int) -> bool:
        """Return whether the root's name leads to it through one mount and no link."""
        how = open_how(PASSING, RESOLVE_NO_LINKS | RESOLVE_NO_XDEV | cached)
        descriptor = self._call(OPENAT2, AT_FDCWD, self._root, how, HOW_BYTES)
        if descriptor < 0:
            return False
        os.close(descriptor)
        return True


def _is_access_time_due(status: os.stat_result, may_leave: bool) -> bool:
    """Return whether a read is to set a file's access time, as ``relatime`` does.

    Args:
        status: The file's status.
        may_leave: The read can leave it as it is: then it is due once a day, and not also at the
            first read after each change.
    """
    accessed = status.st_atime
    if not may_leave and not status.st_mtime < accessed > status.st_ctime:
        return True
    return time.time() - accessed >= _ACCESS_TIME_SECONDS


def read_next(descriptor: int, size: int) -> bytes | None:
    """Return the next bytes of a file, or None if that takes a worker.

    The file must be one that a `PageCache` opens. Its position advances by what is returned.
    """
    if sys.platform == "win32":
        return None
    content, memory = _new_chunk(size)
    try:
        count = os.preadv(descriptor, [memory], -1, _NOWAIT)
    except OSError:
        return None
    if count == size:
        return content
    os.lseek(descriptor, -count, os.SEEK_CUR)
    return None


def _new_chunk(size: int) -> tuple[bytes, memoryview]:
    """Return new bytes, and the memory to write their content to before anything reads them.

    CPython's own way of making bytes: https://docs.python.org/3/c-api/bytes.html#c.PyBytes_AsString
    With a buffer that is copied, a long stream takes 1.6 times a plain loop, and 1.2 without.
    """
    content = _new_bytes(None, size)
    return content, _memory(_address(content), size, _PyBUF_WRITE)


_PyBUF_WRITE = 0x200
if CAN_READ_CACHED:
    _new_bytes = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t)(
        ("PyBytes_FromStringAndSize", ctypes.pythonapi)
    )
    _address = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object)(
        ("PyBytes_AsString", ctypes.pythonapi)
    )
    _memory = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)(
        ("PyMemoryView_FromMemory", ctypes.pythonapi)
    )
