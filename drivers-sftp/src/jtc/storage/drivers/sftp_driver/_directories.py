"""Directories: made, moved, removed if they are empty, deleted with all that is below."""

from __future__ import annotations

import asyncio
import contextlib
import stat
from typing import TYPE_CHECKING, TypeAlias, cast

import asyncssh

from jtc.storage.driver_support.error_translation import reraise
from jtc.storage.drivers.sftp_driver._errors import ConnectionEnded, Refused
from jtc.storage.drivers.sftp_driver._looks import (
    check_directories,
    is_below_directories,
    is_directory,
    lstat,
)
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    PathConflictException,
    StorageException,
    StoragePermissionException,
    StorageUnavailableException,
    UnsupportedOperationException,
)
from jtc.storage.paths import check_not_below

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jtc.storage.drivers.sftp_driver._looks import Root, Status
    from jtc.storage.drivers.sftp_driver._sessions import Session, Sessions

__all__ = [
    "Listed",
    "delete_directory",
    "has_directory",
    "make_directories",
    "make_directory",
    "make_parents",
    "move_directory",
    "read_directory",
    "remove_empty_directory",
]

Listed: TypeAlias = "tuple[bytes, int, int, int]"
"""An entry of a directory: its name, its mode with its kind, its size, and when it was written."""

_AT_ONCE = 16
_ROUNDS = 5


async def make_directories(
    session: Session, places: Sequence[bytes], modes: Sequence[int | None]
) -> None:
    """Make directories, each below the one before, where they are missing.

    Args:
        session: The session.
        places: Where they are at the server.
        modes: Their permission bits; None leaves them to the server.

    Raises:
        PathConflictException: A file is in the way.
    """
    # Most are there, so from the last one upwards.
    missing, status = len(places), None
    while missing and status is None:
        status = await lstat(session, places[missing - 1])
        missing -= status is None
    if missing and not is_directory(status) and missing > 1:
        raise PathConflictException("There is a file where a directory is needed")
    if not missing:
        await _make_root(session, places[0])
        missing = 1
    for place, mode in list(zip(places, modes, strict=True))[missing:]:
        await _make(session, place, mode)


async def _make_root(session: Session, place: bytes) -> None:
    """Make the root and what is above it."""
    parts = place.split(b"/")
    for end in range(1, len(parts) + 1):
        above = b"/".join(parts[:end])
        if above and await lstat(session, above) is None:
            await _make(session, above, None)


async def _make(session: Session, place: bytes, mode: int | None) -> None:
    attributes = asyncssh.SFTPAttrs() if mode is None else asyncssh.SFTPAttrs(permissions=mode)
    try:
        await session.request(session.sftp.mkdir, place, attributes)
    except (Refused, FileExistsException, StoragePermissionException):
        status = await lstat(session, place)
        if status is None:
            raise
        if not is_directory(status):
            raise PathConflictException("There is a file where a directory is needed") from None
        return
    if mode is not None:  # the umask may have taken from it
        await session.request(session.sftp.setstat, place, attributes)


async def make_parents(session: Session, root: Root, path: str) -> None:
    """Make the directories above a path."""
    parts = path.split("/")
    places = [root.at("/".join(parts[:end])) for end in range(len(parts))]
    await make_directories(session, places, [session.settings.modes.new_directory] * len(places))


async def make_directory(session: Session, root: Root, path: str) -> None:
    """Make a directory and those above it."""
    found = await root.look(session, path)
    check_directories([*found, None])
    for _ in range(_ROUNDS):
        try:
            await make_parents(session, root, f"{path}/")
        except FileNotFoundError:
            continue  # one was removed meanwhile
        else:
            return
    raise FileNotFoundError(path)


async def has_directory(session: Session, root: Root, path: str) -> bool:
    """Return whether there is a directory; the root is one also before it is made."""
    if not path:
        return True
    found = await root.look(session, path)
    return is_below_directories([*found, None])


async def remove_empty_directory(session: Session, root: Root, path: str) -> bool:
    """Remove a directory if it is empty, in one request; return False if there is none.

    Raises:
        PathConflictException: It has entries, or a file is there.
    """
    found = await root.look(session, path)
    if found[-1] is None or not is_below_directories(found):
        return False
    if not is_directory(found[-1]):
        raise PathConflictException("It is a file, and no directory")
    place = root.at(path)
    try:
        await session.request(session.sftp.rmdir, place)
    except FileNotFoundError:
        return False
    except (Refused, PathConflictException):
        if await lstat(session, place) is None:
            return False
        raise PathConflictException("The directory is not empty") from None
    return True


async def move_directory(client: Sessions, root: Root, src: str, dst: str) -> None:
    """Move a directory by a rename; again after its connection ended, if that is safe."""
    check_not_below(dst, src)
    move = _DirectoryMove(root, src, dst)
    try:
        await client.run(move.run)
    except (OSError, StorageException) as error:
        reraise(error, operation="move_directory", path=dst)


class _DirectoryMove:
    """A move that may be tried again after its connection ended.

    Args:
        root: The disk's.
        src: The directory.
        dst: Where to.
    """

    def __init__(self, root: Root, src: str, dst: str) -> None:
        self._root, self._src, self._dst = root, src, dst
        self._moved: Status | None = None

    async def run(self, session: Session) -> None:
        root = self._root
        source = await self._directory(session, self._src)
        if source is None:
            if self._moved is None:
                raise FileNotFoundException("There is no such directory", path=self._src)
            await self._check_was_made(session, self._moved)
            return
        found = await root.look(session, self._dst)
        check_directories(found)
        if found[-1] is not None:
            raise _something_there()
        await session.uncancelled(self._rename(session, source))

    async def _rename(self, session: Session, source: Status) -> None:
        places = self._root.at(self._src), self._root.at(self._dst)
        for _ in range(_ROUNDS):
            await make_parents(session, self._root, self._dst)
            self._moved = source
            try:
                await session.request(session.sftp.rename, *places)
            except ConnectionEnded:
                raise
            except FileNotFoundError:
                self._moved = None
                if await self._directory(session, self._src) is None:
                    raise
            except Refused as error:
                if await lstat(session, places[1]) is not None:
                    raise _something_there() from None
                raise UnsupportedOperationException(
                    f"The SFTP server refuses to move {self._src!r} there in one step, maybe since "
                    "it is another file system. Copy the files, then delete them"
                ) from error
            else:
                return
        raise StorageUnavailableException("The directory is deleted again and again meanwhile")

    async def _directory(self, session: Session, path: str) -> Status | None:
        found = await self._root.look(session, path)
        is_there = is_below_directories(found) and is_directory(found[-1])
        return found[-1] if is_there else None

    async def _check_was_made(self, session: Session, moved: Status) -> None:
        """Check that the connection ended after the directory had its new name.

        Raises:
            StorageUnavailableException: That cannot be found out.
        """
        target = await self._directory(session, self._dst)
        if target is None or target.mtime != moved.mtime:
            raise StorageUnavailableException(
                "The connection ended while the directory was moved, and it has changed since: "
                f"look whether it is at {self._dst!r}"
            )


def _something_there() -> FileExistsException:
    return FileExistsException("There is something at the target")


async def read_directory(session: Session, place: bytes) -> list[Listed]:
    """Return what is in a directory. It is closed in any case."""

    async def entries() -> list[Listed]:
        found: list[Listed] = []
        async for entry in session.sftp.scandir(place):
            # What asyncssh made of it is dropped: a large directory would be long in memory.
            status = entry.attrs
            name, mode = cast("bytes", entry.filename), status.permissions or 0
            if not stat.S_IFMT(mode):  # a server that reports no kinds has files
                mode |= stat.S_IFREG
            found.append((name, mode, status.size or 0, status.mtime or 0))
        return found

    found = await asyncio.shield(session.spawn(session.request(entries)))
    return [entry for entry in found if entry[0] not in {b".", b".."}]


async def delete_directory(session: Session, root: Root, path: str) -> None:
    """Delete a directory and everything below it. Links are removed, and not followed."""
    found = await root.look(session, path)
    if found[-1] is None or not is_below_directories(found):
        return
    if not is_directory(found[-1]):
        raise PathConflictException("It is a file, and no directory")
    await _delete_tree(session, root.at(path))


async def _delete_tree(session: Session, place: bytes) -> None:
    """Delete a directory; what is put there meanwhile, too."""
    for round_ in range(_ROUNDS):
        try:
            entries = await read_directory(session, place)
        except FileNotFoundError:
            return
        files = []
        for name, mode, _, _ in entries:
            below = place + b"/" + name
            if stat.S_ISDIR(mode):
                await _delete_tree(session, below)
            else:
                files.append(below)
        for start in range(0, len(files), _AT_ONCE):
            await asyncio.gather(
                *(_remove(session, each) for each in files[start : start + _AT_ONCE])
            )
        try:
            await session.request(session.sftp.rmdir, place)
        except FileNotFoundError:
            return
        except (Refused, PathConflictException):
            if round_ == _ROUNDS - 1:
                raise
        else:
            return


async def _remove(session: Session, place: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        await session.request(session.sftp.remove, place)
