"""What the kernel has in memory is answered in the event loop, without a worker thread.

A hop to a worker and back takes ten times as long as reading a small file that the kernel has in
memory. `Near` opens only what it has the names of; RWF_NOWAIT reads only what it has the content
of (https://man7.org/linux/man-pages/man2/readv.2.html). Each of these functions returns None where
a worker is needed, as it would have to wait for the disk or cannot tell.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
import threading
import time
from typing import TYPE_CHECKING

from jtc.storage.drivers.local_driver._metadata import file_info

if TYPE_CHECKING:
    from jtc.storage.drivers.local_driver._metadata import Declared
    from jtc.storage.drivers.local_driver._safe_open import Root
    from jtc.storage.models import FileInfo

__all__ = ["facts_at_once", "info_at_once", "read_at_once", "read_cached", "remember"]

_LARGEST = 64 * 1024
"""Longer files are read in a worker: other tasks could notice how long the copying takes."""

# After a day, less an hour, relatime sets the access time again (see mount(8)).
_STAMP_SECONDS = 23 * 3600.0

# File systems stamp changes by a clock that ticks every 10 ms, an old ext3 each second: within
# one tick an attribute may change twice under one stamp.
_SETTLED_SECONDS = 2.0
_REMEMBERED = 4096

_declared: dict[tuple[int, int, int], Declared] = {}
_remembering = threading.Lock()


class _Buffer(threading.local):
    """Each thread's place to read into: one byte more than is read at most."""

    def __init__(self) -> None:
        content = bytearray(_LARGEST + 1)
        self.pieces = [content]
        self.view = memoryview(content)


_buffer = _Buffer()

_NOWAIT: int = getattr(os, "RWF_NOWAIT", 0)


def read_at_once(root: Root, path: str) -> bytes | None:
    """Return a file's content, or None if that takes a worker.

    Raises:
        FileNotFoundError: There is nothing.
    """
    near = root.near
    if near is None or not near.reads:
        return None
    descriptor = near.open_file(path)
    if descriptor is None:
        return None
    try:
        facts = os.fstat(descriptor)
        size = facts.st_size
        if not stat.S_ISREG(facts.st_mode) or size > _LARGEST:
            return None
        if near.stamps and not (
            facts.st_mtime < facts.st_atime > facts.st_ctime
            and time.time() - facts.st_atime < _STAMP_SECONDS
        ):
            return None  # a worker's read sets the access time, which may wait for the disk
        buffer = _buffer
        # Of a file that grows or is only partly in memory, another length comes.
        if os.preadv(descriptor, buffer.pieces, 0, _NOWAIT) != size:
            return None
        return buffer.view[:size].tobytes()
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            near.reads = False  # the file system does not say whether it would wait
        return None
    finally:
        os.close(descriptor)


def read_cached(descriptor: int, size: int) -> bytes | None:
    """Return what comes next in a file, or None if that takes a worker.

    The file must be one that `Root.near` opens. Its position goes on by what is returned.
    """
    content, place = _blank(size)
    try:
        count = os.preadv(descriptor, [place], -1, _NOWAIT)
    except OSError:
        return None
    if count == size:
        return content
    os.lseek(descriptor, -count, os.SEEK_CUR)
    return None


def _blank(size: int) -> tuple[bytes, memoryview]:
    """Return new bytes, and the place to write their content to before anybody sees them.

    CPython's own way of making bytes: https://docs.python.org/3/c-api/bytes.html#c.PyBytes_AsString
    With a buffer that is copied, a long stream takes 1.6 times a plain loop, and 1.2 without.
    """
    content = _new_bytes(None, size)
    return content, _memory(_address(content), size, _PyBUF_WRITE)


_PyBUF_WRITE = 0x200
if sys.implementation.name == "cpython":  # elsewhere nothing is near: see `Root.meet`
    _new_bytes = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t)(
        ("PyBytes_FromStringAndSize", ctypes.pythonapi)
    )
    _address = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object)(
        ("PyBytes_AsString", ctypes.pythonapi)
    )
    _memory = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)(
        ("PyMemoryView_FromMemory", ctypes.pythonapi)
    )


def facts_at_once(root: Root, path: str) -> os.stat_result | None:
    """Return the facts of a regular file, or None if that takes a worker.

    Raises:
        FileNotFoundError: There is no file.
    """
    near = root.near
    return None if near is None else near.stat_file(path)


def info_at_once(root: Root, path: str) -> FileInfo | None:
    """Return a file's facts, with what was declared of it, or None if that takes a worker.

    Raises:
        FileNotFoundError: There is no file.
    """
    facts = facts_at_once(root, path)
    if facts is None:
        return None
    declared = _declared.get((facts.st_dev, facts.st_ino, facts.st_ctime_ns))
    return None if declared is None else file_info(path, facts, _own(declared))


def remember(facts: os.stat_result, declared: Declared) -> None:
    """Keep in mind what was declared of a file, which may take the disk to read.

    Each change of a file or its attributes stamps its inode anew, and so does a new file in an
    inode that was another's.

    Args:
        facts: Of the file, before the attribute was read.
        declared: What the attribute says.
    """
    if not 0 < facts.st_ctime < time.time() - _SETTLED_SECONDS:
        return
    with _remembering:
        if len(_declared) >= _REMEMBERED:
            del _declared[next(iter(_declared))]  # the oldest
        _declared[facts.st_dev, facts.st_ino, facts.st_ctime_ns] = _own(declared)


def _own(declared: Declared) -> Declared:
    """Return a copy that is its caller's to change."""
    if "metadata" in declared:
        return {**declared, "metadata": dict(declared["metadata"])}
    return declared
