"""Sources of images: bytes, paths, open files and files of disks, as file descriptors."""

from __future__ import annotations

import asyncio
import functools
import os
import stat
import tempfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, TypeAlias

from jtc.storage.driver_support.error_translation import reraise
from jtc.storage.exceptions import RejectedException

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage import Disk

__all__ = ["Descriptor", "Source", "StoredImage", "opener"]

_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image on a disk; `jtc.storage.images.open` makes it.

    Attributes:
        disk: The disk.
        path: The path on it.
    """

    disk: Disk
    path: str


_Local: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str] | IO[bytes]

Source: TypeAlias = _Local | StoredImage
"""An image's content, the path of a local file, an open file, or a file on a disk.

An open file is read from where it stands, and stands there again afterwards.
"""


class Descriptor:
    """An open file of an image's content, which is closed with its last reference at the latest.

    The traceback of an error has references too, for as long as it is kept.
    """

    def __init__(self, number: int) -> None:
        self.number = number

    def close(self) -> None:
        """Close the file, once."""
        number, self.number = self.number, -1
        if number >= 0:
            os.close(number)

    def __del__(self) -> None:
        self.close()


async def opener(source: Source, *, max_bytes: int) -> Callable[[], Descriptor]:
    """Return a function that opens a source's content as a file of its own, once.

    What may take long is read now: a file on a disk, and one that is no file but a stream.

    Raises:
        RejectedException: There are more bytes (``reason="size"``), or the path is no file's; the
            function raises it too.
        FileNotFoundException: The path leads to no file; the function raises it too.
    """
    if isinstance(source, StoredImage):
        copy = await _downloaded(source, max_bytes)
    elif (
        not isinstance(source, bytes | bytearray | memoryview | str | os.PathLike)
        and hasattr(source, "read")
        and not source.seekable()
    ):
        copy = await asyncio.to_thread(_copied, source, max_bytes)
    else:
        return functools.partial(_open, source, max_bytes)
    return lambda: copy


def _open(source: _Local, max_bytes: int) -> Descriptor:
    if isinstance(source, str | os.PathLike):
        return _open_path(os.fspath(source), max_bytes)
    if isinstance(source, bytes | bytearray | memoryview):
        copy = _Copy(max_bytes)
        copy.write(source)
        return copy.descriptor
    if not hasattr(source, "read"):
        raise TypeError(f"An image is bytes, a path or an open file, not {type(source).__name__}")
    at = source.tell()
    try:
        return _copied(source, max_bytes)
    finally:
        source.seek(at)


def _open_path(path: str, max_bytes: int) -> Descriptor:
    try:
        # A named pipe would block.
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        reraise(error, operation="read", path=path)
    descriptor = Descriptor(number)
    status = os.fstat(number)
    if not stat.S_ISREG(status.st_mode):
        raise RejectedException("This is no regular file", reason="type", path=path)
    if status.st_size > max_bytes:
        raise _too_large(max_bytes)
    return descriptor


def _copied(source: IO[bytes], max_bytes: int) -> Descriptor:
    copy = _Copy(max_bytes)
    while chunk := source.read(_CHUNK):
        copy.write(chunk)
    return copy.descriptor


async def _downloaded(image: StoredImage, max_bytes: int) -> Descriptor:
    copy = _Copy(max_bytes)
    async with image.disk.stream(image.path) as stream:
        async for chunk in stream:
            copy.write(chunk)
    return copy.descriptor


class _Copy:
    """A copy of some content, in memory where the system has such files."""

    def __init__(self, max_bytes: int) -> None:
        self.descriptor = Descriptor(_anonymous())
        self._max_bytes = max_bytes
        self._left = max_bytes

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        view = memoryview(chunk).cast("B")
        self._left -= len(view)
        if self._left < 0:
            raise _too_large(self._max_bytes)
        while view:
            view = view[os.write(self.descriptor.number, view) :]


def _anonymous() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("image")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _too_large(max_bytes: int) -> RejectedException:
    return RejectedException(
        f"The image has more than {max_bytes} bytes, and no more are read", reason="size"
    )
