"""Zip archives of a disk's files, with a length that is known before they are read.

The standard library writes them: the files as they are (stored), each with its sizes behind its
content, and with Zip64 where it is needed. The length is that of the same archive without contents.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import stat
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zipfile import ZipFile, ZipInfo

from jtc.storage.exceptions import (
    FileNotFoundException,
    IntegrityException,
    InvalidPathException,
    PathConflictException,
)
from jtc.storage.models import FileInfo
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping

    from jtc.storage import DiskOperations

__all__ = [
    "Member",
    "archive_chunks",
    "archive_etag",
    "archive_length",
    "check_names",
    "find_members",
]

_CHUNK_SIZE = 65_536
_AT_ONCE = 16
"""How many files are looked up at once."""

_DRIVE = re.compile("[A-Za-z]:")
_FIRST, _LAST = 315_532_800, 4_354_819_198
"""The times of a zip archive: from 1980 to 2107, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT"""
_LATEST_EXTENDED = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive.

    Attributes:
        name: Its name in the archive.
        path: Its path on the disk.
        size: Its length in bytes.
        etag: The version that is sent; None where the disk cannot tell versions apart.
        last_modified: When it was written, in seconds since 1970 UTC.
    """

    name: str
    path: str
    size: int
    etag: str | None
    last_modified: float

    def zip_info(self) -> ZipInfo:
        """Return the header of the file in an archive."""
        seconds = int(min(max(_FIRST, self.last_modified), _LAST))
        year, month, day, hour, minute, second, *_ = time.gmtime(seconds)
        info = ZipInfo(self.name, (year, month, day, hour, minute, second))
        info.file_size = self.size
        info.external_attr = (stat.S_IFREG | 0o644) << 16
        if seconds <= _LATEST_EXTENDED:
            # The time in UTC, since the other one is local: the field "UT" of Info-ZIP.
            info.extra = struct.pack("<HHBl", 0x5455, 5, 1, seconds)
        return info


class _Output:
    """What an archive is written to: it collects bytes, and cannot seek."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._length = 0

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        self._length += len(data)
        return len(data)

    def tell(self) -> int:
        return self._length

    def seek(self, _position: int) -> None:
        raise OSError("An archive is sent as it is written")

    def flush(self) -> None:
        """Do nothing: there is no buffer."""

    def skip(self, length: int) -> None:
        """Count bytes that are not written."""
        self._length += length

    def take(self) -> bytes:
        """Return what was written since the last call."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


def check_names(names: Iterable[str]) -> None:
    """Check the names of an archive's files.

    Raises:
        InvalidPathException: A name could lead out of the directory that an archive is unpacked
            into, or is there twice.
        PathConflictException: A name is a file and a directory.
    """
    seen: set[str] = set()
    for name in names:
        if check_path(name) != name or _DRIVE.match(name):
            raise InvalidPathException("No name in an archive may be absolute", path=name)
        if name in seen:
            raise InvalidPathException("An archive cannot have two files of one name", path=name)
        seen.add(name)
    for name in seen:
        parent = name.rpartition("/")[0]
        while parent:
            if parent in seen:
                raise PathConflictException("A name is a file and a directory", path=parent)
            parent = parent.rpartition("/")[0]


async def find_members(disk: DiskOperations, files: str | Mapping[str, str]) -> list[Member]:
    """Look up the files of an archive.

    Args:
        disk: The disk.
        files: A directory, or paths by the names in the archive.

    Raises:
        FileNotFoundException: One of the files is missing, or the directory has none.
        StorageException: The storage failed.
    """
    if isinstance(files, str):
        found = await _files_below(disk, files)
    else:
        found, items = [], list(files.items())
        for start in range(0, len(items), _AT_ONCE):
            some = items[start : start + _AT_ONCE]
            infos = await asyncio.gather(*(disk.stat(path) for _, path in some))
            found += [(name, info) for (name, _), info in zip(some, infos, strict=True)]
    return [
        Member(name, info.path, info.size, info.etag, info.last_modified) for name, info in found
    ]


async def _files_below(disk: DiskOperations, directory: str) -> list[tuple[str, FileInfo]]:
    prefix = f"{directory.removeprefix('/')}/" if directory else ""
    found = [
        (entry.path.removeprefix(prefix), entry)
        async for entry in disk.list(directory, recursive=True)
        if isinstance(entry, FileInfo)
    ]
    if not found:
        raise FileNotFoundException("There are no files in the directory", path=directory)
    check_names(name for name, _ in found)
    return found


def archive_length(members: Iterable[Member]) -> int:
    """Return the length of an archive in bytes; takes about 20 µs a file."""
    output = _Output()
    with ZipFile(output, "w") as archive:  # type: ignore[call-overload]
        for member in members:
            info = member.zip_info()
            with archive.open(info, "w"):
                output.skip(member.size)
            # What the directory at the archive's end has; no byte of it was written.
            info.file_size = info.compress_size = member.size
            output.take()
    return output.tell()


async def archive_chunks(
    disk: DiskOperations, members: Iterable[Member]
) -> AsyncGenerator[bytes, None]:
    """Yield an archive, of the versions that were looked up and of no others.

    Raises:
        IntegrityException: A file has another length than before.
        StorageException: A file was replaced or deleted meanwhile, or the storage failed.
    """
    output = _Output()
    with ZipFile(output, "w") as archive:  # type: ignore[call-overload]
        for member in members:
            stream = await disk.stream(member.path, if_match=member.etag, chunk_size=_CHUNK_SIZE)
            async with stream:
                if _version(stream.info) != _version(member):
                    raise IntegrityException("The file was replaced meanwhile", path=member.path)
                left = member.size
                with archive.open(member.zip_info(), "w") as entry:
                    async for chunk in stream:
                        entry.write(chunk)
                        left -= len(chunk)
                        yield output.take()
                if left:
                    raise IntegrityException("The file has another length", path=member.path)
    yield output.take()


def _version(file: Member | FileInfo) -> tuple[int, str | None, float]:
    return file.size, file.etag, file.last_modified if file.etag is None else 0


def archive_etag(members: Iterable[Member]) -> str | None:
    """Return a weak etag, or None where a file has none."""
    digest = hashlib.sha256()
    for member in members:
        if member.etag is None:
            return None
        line = (
            f"{member.name}\0{member.path}\0{member.size}\0{member.etag}\0{member.last_modified}\n"
        )
        digest.update(line.encode("utf-8", "surrogatepass"))
    return f'W/"{digest.hexdigest()[:32]}"'
