"""Sources of images: bytes, paths, open files and files of disks, as file descriptors."""

from __future__ import annotations

import asyncio
import io
import os
import stat
import tempfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, TypeAlias

from jtc.storage.exceptions import FileNotFoundException, RejectedException

if TYPE_CHECKING:
    from jtc.storage import Disk

__all__ = ["Source", "StoredImage", "opened"]

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


async def opened(source: Source, *, max_bytes: int) -> IO[bytes]:
    """Return an open file of the source's content, with a descriptor of its own.

    Raises:
        RejectedException: There are more bytes (``reason="size"``), or the path is no file's.
        FileNotFoundException: The path leads to no file.
    """
    if isinstance(source, StoredImage):
        return await _downloaded(source, max_bytes)
    opening = asyncio.get_running_loop().run_in_executor(None, _open, source, max_bytes)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise


def _close(opening: asyncio.Future[IO[bytes]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _open(source: _Local, max_bytes: int) -> IO[bytes]:
    if isinstance(source, str | os.PathLike):
        return _open_path(source, max_bytes)
    if isinstance(source, bytes | bytearray | memoryview):
        return _copied(io.BytesIO(source), max_bytes)
    if not hasattr(source, "read"):
        raise TypeError(f"An image is bytes, a path or an open file, not {type(source).__name__}")
    if not source.seekable():
        return _copied(source, max_bytes)
    at = source.tell()
    try:
        return _copied(source, max_bytes)
    finally:
        source.seek(at)


def _open_path(path: str | os.PathLike[str], max_bytes: int) -> IO[bytes]:
    try:
        # A named pipe would block.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise FileNotFoundException("There is no such file", path=os.fspath(path)) from error
    file = os.fdopen(descriptor, "rb")
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        file.close()
        raise RejectedException("This is no regular file", reason="type", path=os.fspath(path))
    if status.st_size > max_bytes:
        file.close()
        raise _too_large(max_bytes)
    return file


def _too_large(max_bytes: int) -> RejectedException:
    return RejectedException(
        f"The image has more than {max_bytes} bytes, and no more are read", reason="size"
    )


def _anonymous() -> IO[bytes]:
    """Return an empty file without a name, in memory where the system has such."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("image"), "w+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)


def _copied(source: IO[bytes], max_bytes: int) -> IO[bytes]:
    copy = _anonymous()
    try:
        left = max_bytes
        while chunk := source.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise _too_large(max_bytes)
            _write(copy, chunk)
    except BaseException:
        copy.close()
        raise
    return copy


def _write(file: IO[bytes], chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]


async def _downloaded(image: StoredImage, max_bytes: int) -> IO[bytes]:
    copy = _anonymous()
    try:
        left = max_bytes
        async with image.disk.stream(image.path) as stream:
            async for chunk in stream:
                left -= len(chunk)
                if left < 0:
                    raise _too_large(max_bytes)
                _write(copy, chunk)
    except BaseException:
        copy.close()
        raise
    return copy
