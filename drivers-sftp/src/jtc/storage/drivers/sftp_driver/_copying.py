"""Copies and moves at the server."""

from __future__ import annotations

import stat
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import asyncssh

from jtc.storage.driver_support.error_translation import reraise
from jtc.storage.drivers.sftp_driver._directories import make_parents
from jtc.storage.drivers.sftp_driver._errors import ConnectionEnded, Refused
from jtc.storage.drivers.sftp_driver._renaming import explain, replace_file, take_free_name
from jtc.storage.drivers.sftp_driver._staged_file import StagedFile
from jtc.storage.exceptions import (
    FileExistsException,
    StorageException,
    StoragePermissionException,
    StorageUnavailableException,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jtc.storage.drivers.sftp_driver._looks import Root, Status
    from jtc.storage.drivers.sftp_driver._sessions import Session, Sessions
    from jtc.storage.options import WriteOptions

__all__ = ["copy_file", "move_file", "set_mode"]

_ROUNDS = 5


@contextmanager
def _errors_of(operation: str, path: str) -> Iterator[None]:
    """Name a path in all errors that name none."""
    try:
        yield
    except (OSError, StorageException) as error:
        reraise(error, operation=operation, path=path)


async def copy_file(
    client: Sessions, root: Root, src: str, dst: str, options: WriteOptions
) -> None:
    """Copy a file with its mode, or that of a visibility."""
    if src == dst:
        await client.run(lambda session: _change(session, root, src, options))
        return
    staged = StagedFile(client, root, dst, options)
    await client.take_place()
    try:
        await client.run_in_place(lambda session: _copy(session, root, src, dst, staged))
    except BaseException:
        await staged.discard()
        raise
    finally:
        client.release_place()


async def _copy(session: Session, root: Root, src: str, dst: str, staged: StagedFile) -> None:
    with _errors_of("copy", src):
        status = await root.existing_file(session, src)
        source = await session.open(root.at(src), "rb")
    try:
        status = await session.request(source.stat)
        with _errors_of("copy", dst):
            if not staged.is_placing:
                await staged.open(session, mode=_mode(status))
                await staged.copy_from(session, source, status.size or 0)
                await staged.finish()
            await staged.place(session)
    finally:
        session.close_later(source)


async def _change(session: Session, root: Root, path: str, options: WriteOptions) -> None:
    """Do what a copy onto itself does: nothing, or set the visibility."""
    with _errors_of("copy", path):
        await root.existing_file(session, path)
        if not options.overwrite:
            raise FileExistsException("The file exists already")
        if options.visibility is not None:
            await set_mode(session, root, path, session.settings.modes.of(options.visibility))


async def set_mode(session: Session, root: Root, path: str, mode: int) -> None:
    """Set a file's permission bits."""
    await root.existing_file(session, path)
    attributes = asyncssh.SFTPAttrs(permissions=mode)
    await session.request(session.sftp.setstat, root.at(path), attributes)


def _mode(status: Status) -> int | None:
    return None if status.permissions is None else stat.S_IMODE(status.permissions)


class _Move:
    """A move that may be tried again after its connection ended.

    Args:
        root: The disk's.
        src: The file.
        dst: Where to.
        options: Whether it may replace another.
    """

    def __init__(self, root: Root, src: str, dst: str, options: WriteOptions) -> None:
        self._root, self._src, self._dst, self._options = root, src, dst, options
        self._moved: Status | None = None

    async def run(self, session: Session) -> bool:
        """Move the file; return False where it goes to another file system."""
        root = self._root
        if self._moved is not None and await self._was_made(session, self._moved):
            return True
        with _errors_of("move", self._src):
            status = await root.existing_file(session, self._src)
        if self._src == self._dst:
            if not self._options.overwrite:
                raise FileExistsException("The file exists already")
            return True
        found = await root.place_for_file(session, self._dst)
        if found[-1] is not None and not self._options.overwrite:
            raise FileExistsException("The file exists already")
        if any(each is None for each in found[:-1]):
            await make_parents(session, root, self._dst)
        return await session.uncancelled(self._rename(session, status))

    async def _rename(self, session: Session, status: Status) -> bool:
        source, target = self._root.at(self._src), self._root.at(self._dst)
        for _ in range(_ROUNDS):
            self._moved = status
            try:
                if self._options.overwrite:
                    await replace_file(session, source, target)
                else:
                    await take_free_name(session, source, target)
                    await _remove_old_name(session, source)
            except FileNotFoundError:
                self._moved = None
                with _errors_of("move", self._src):
                    await self._root.existing_file(session, self._src)
                await make_parents(session, self._root, self._dst)
            except Refused:
                self._moved = None
                await explain(session, target)
                return False
            except ConnectionEnded:
                raise
            except BaseException:
                self._moved = None
                raise
            else:
                return True
        raise StorageUnavailableException("The directory is deleted again and again meanwhile")

    async def _was_made(self, session: Session, moved: Status) -> bool:
        """Return whether the connection ended after the file had its new name.

        Raises:
            StorageUnavailableException: That cannot be found out.
        """
        source = await self._root.file(session, self._src)
        target = await self._root.file(session, self._dst)
        if source is None and target is not None:
            if (target.size, target.mtime) == (moved.size, moved.mtime):
                return True
        elif source is not None and self._options.overwrite:
            return False
        raise StorageUnavailableException(
            "The connection ended while the file was moved: it may be at both paths, or moved"
        )


async def _remove_old_name(session: Session, source: bytes) -> None:
    """Remove the old name of a file that has its new one.

    Raises:
        StorageException: It has both.
    """
    message = "The file has its new name, and the server refuses to remove the old one: it has both"
    try:
        await session.request(session.sftp.remove, source)
    except FileNotFoundError:
        pass  # another has removed it
    except StoragePermissionException as error:
        raise StoragePermissionException(message) from error
    except Refused as error:
        raise StorageException(message) from error


async def move_file(
    client: Sessions, root: Root, src: str, dst: str, options: WriteOptions
) -> None:
    """Move a file with its mode: by one request, but to another file system by a copy."""
    move = _Move(root, src, dst, options)
    with _errors_of("move", dst):
        if await client.run(move.run):
            return
        before = await client.run(lambda session: root.existing_file(session, src))
        await copy_file(client, root, src, dst, replace(options))
        await client.run(lambda session: _delete_version(session, root, src, before))


async def _delete_version(session: Session, root: Root, path: str, before: Status) -> None:
    """Delete a file that was copied, unless it was replaced meanwhile."""
    now = await root.file(session, path)
    if now is not None and (now.size, now.mtime) == (before.size, before.mtime):
        await session.request(session.sftp.remove, root.at(path))
