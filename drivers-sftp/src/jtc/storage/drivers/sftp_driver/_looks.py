"""Looks at what is at a path, each part of it: symbolic links are refused."""

from __future__ import annotations

import asyncio
import posixpath
import stat
from typing import TYPE_CHECKING

import asyncssh

from jtc.storage.exceptions import (
    PathConflictException,
    StoragePermissionException,
)
from jtc.storage.models import FileInfo
from jtc.storage.paths import RESERVED_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jtc.storage.drivers.sftp_driver._sessions import Session

__all__ = ["Root", "Status", "info_of", "is_directory", "is_file", "is_link", "lstat"]

Status = asyncssh.SFTPAttrs


class Root:
    """The directory of a disk at its server.

    Args:
        path: Absolute, or below the user's home directory, which is ``""``.

    Attributes:
        path: The same as bytes, as requests have it.
        staging: The reserved directory.
    """

    def __init__(self, path: str) -> None:
        self._base = (f"{path.rstrip('/')}/" if path else "").encode()
        self.path = path.encode() or b"."
        self.staging = self.at(RESERVED_DIRECTORY)

    def at(self, path: str) -> bytes:
        """Return where a path of the disk is at the server; ``""`` is the root itself."""
        return self._base + path.encode() if path else self.path

    def beside(self, path: str, name: str) -> bytes:
        """Return where a name in the directory of a path is."""
        return self.at(posixpath.join(posixpath.dirname(path), name))

    async def look(self, session: Session, path: str) -> list[Status | None]:
        """Return the status of each part of a path, asked for at the same time; None is nothing.

        Raises:
            StoragePermissionException: A part is a symbolic link.
        """
        if "/" in path:
            parts = path.split("/")
            places = [self.at("/".join(parts[: end + 1])) for end in range(len(parts))]
            found = await asyncio.gather(*(lstat(session, place) for place in places))
        else:
            found = [await lstat(session, self.at(path))]
        for status in found:
            if status is None:
                break
            if is_link(status):
                raise StoragePermissionException("A symbolic link is in the path")
        return found

    async def file(self, session: Session, path: str) -> Status | None:
        """Return the status of a file; None where there is none. A directory is not a file."""
        found = await self.look(session, path)
        status = found[-1]
        return status if is_below_directories(found) and is_file(status) else None

    async def existing_file(self, session: Session, path: str) -> Status:
        """Return the status of a file.

        Raises:
            FileNotFoundError: There is none.
        """
        status = await self.file(session, path)
        if status is None:
            raise FileNotFoundError(path)
        return status

    async def place_for_file(self, session: Session, path: str) -> list[Status | None]:
        """Return the status of each part of a path where a file may be put.

        Raises:
            PathConflictException: A file is where a directory is needed, or the other way round.
        """
        found = await self.look(session, path)
        check_directories(found)
        if found[-1] is not None and not is_file(found[-1]):
            raise PathConflictException(
                "A directory, or what is no file, stands where the file goes"
            )
        return found


async def lstat(session: Session, place: bytes) -> Status | None:
    """Return the status of what is at a place, without following a link; None is nothing."""
    try:
        return await session.request(session.sftp.lstat, place)
    except FileNotFoundError:
        return None


def is_file(status: Status | None) -> bool:
    """Return whether it is a file. A server that reports no kinds has files."""
    return status is not None and (not _kind(status) or stat.S_ISREG(_kind(status)))


def is_directory(status: Status | None) -> bool:
    """Return whether it is a directory."""
    return status is not None and stat.S_ISDIR(_kind(status))


def is_link(status: Status) -> bool:
    """Return whether it is a symbolic link."""
    return stat.S_ISLNK(_kind(status))


def _kind(status: Status) -> int:
    return stat.S_IFMT(status.permissions or 0)


def is_below_directories(found: Sequence[Status | None]) -> bool:
    """Return whether all but the last are directories."""
    return all(is_directory(each) for each in found[:-1])


def check_directories(found: Sequence[Status | None]) -> None:
    """Check that all but the last are directories, as far as there is something.

    Raises:
        PathConflictException: One is a file.
    """
    for status in found[:-1]:
        if status is None:
            return
        if not is_directory(status):
            raise PathConflictException("There is a file where a directory is needed")


def info_of(path: str, status: Status) -> FileInfo:
    """Return a file's metadata. There is no etag: times are in whole seconds."""
    return FileInfo(path=path, size=status.size or 0, last_modified=float(status.mtime or 0))
