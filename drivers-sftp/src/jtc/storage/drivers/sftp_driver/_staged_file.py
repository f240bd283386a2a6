"""Staged files: written under a temporary name, then given their own in one step.

The temporary name is in the reserved directory, or beside the target where that directory cannot be
used or is on another file system. The name is of this file alone: where a connection ends while the
file gets its name, a look for the temporary one shows whether it has it.
"""

from __future__ import annotations

import asyncio
import secrets
import stat
from collections import deque
from typing import TYPE_CHECKING

import asyncssh

from jtc.storage.drivers.sftp_driver._directories import make_directories, make_parents
from jtc.storage.drivers.sftp_driver._errors import Refused
from jtc.storage.drivers.sftp_driver._looks import is_directory, lstat
from jtc.storage.drivers.sftp_driver._reading import WINDOW, Blocks
from jtc.storage.drivers.sftp_driver._renaming import explain, replace_file, take_free_name
from jtc.storage.exceptions import (
    FileExistsException,
    StorageException,
    StorageFullException,
    StoragePermissionException,
    StorageUnavailableException,
    UnsupportedOperationException,
)
from jtc.storage.paths import TEMPORARY_PREFIX

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from jtc.storage.drivers.sftp_driver._looks import Root, Status
    from jtc.storage.drivers.sftp_driver._sessions import Session, Sessions
    from jtc.storage.options import WriteOptions

    File = asyncssh.SFTPClientFile

__all__ = ["StagedFile"]

_PERMISSIONS = 0o777
_COPY_BYTES = 64 * 1024 * 1024
"""Bytes that a server copies for one request: it answers no other one meanwhile."""
_ATTEMPTS = 5


class StagedFile:
    """A new file that is not visible until it is placed.

    Args:
        client: The event loop's.
        root: The disk's.
        path: Where the file will be.
        options: Its visibility, and whether it may replace another.

    Attributes:
        session: The session that it is open in.
        is_placing: Whether the file may have its name already.
    """

    session: Session
    _file: File

    def __init__(
        self,
        client: Sessions,
        root: Root,
        path: str,
        options: WriteOptions,
    ) -> None:
        self._client, self._root, self._path = client, root, path
        self._options = options
        self._given_mode: int | None = None
        self._mode: int | None = None
        self._created_mode: int | None = None
        self._is_open = False
        self._name = b""
        self._size = 0
        self._parents: list[Status | None] = []
        self._writes: deque[asyncio.Task[int]] = deque()
        self.is_placing = False

    async def open(self, session: Session, mode: int | None = None) -> None:
        """Check where the file goes, and make it under a temporary name.

        Args:
            session: Where.
            mode: Its permission bits where the options name no visibility; None: those of the file
                that it replaces, else of new files.

        Raises:
            FileExistsException: There is a file, and `overwrite` is False.
            PathConflictException: What is there is no file.
        """
        self.session, self._given_mode = session, mode
        self._forget(session)
        opening = asyncio.ensure_future(self._open_staged(session))
        try:
            await self._check_place(session)
        except BaseException:
            await session.clean_up(self._close_opened(session, opening))
            raise
        self._file = await opening
        self._is_open = True

    @staticmethod
    async def _close_opened(session: Session, opening: asyncio.Future[File]) -> None:
        session.close_later(await opening)

    def _forget(self, session: Session) -> None:
        """Remove what a connection that ended left of this file."""
        for writing in self._writes:
            writing.cancel()
        self._writes.clear()
        self._size = 0
        self._is_open = False
        name, self._name = self._name, b""
        if name:
            session.spawn(session.request(session.sftp.remove, name))

    async def _check_place(self, session: Session) -> None:
        found = await self._root.place_for_file(session, self._path)
        self._parents = found[:-1]
        if found[-1] is not None and not self._options.overwrite:
            raise FileExistsException("The file exists already")
        self._mode = self._mode_for(found[-1])

    def _mode_for(self, there: Status | None) -> int | None:
        modes, options = self._client.settings.modes, self._options
        if options.visibility is not None:
            return modes.of(options.visibility)
        if self._given_mode is not None:
            return self._given_mode & _PERMISSIONS
        if there is not None and there.permissions is not None:
            return stat.S_IMODE(there.permissions) & _PERMISSIONS
        if modes.new_file is None and options.visibility_if_new is not None:
            return modes.of(options.visibility_if_new)
        return modes.new_file

    async def _open_staged(self, session: Session) -> File:
        """Make the file, in the reserved directory where that is possible."""
        name = TEMPORARY_PREFIX + secrets.token_hex(8)
        # A private file is not to be readable while it is written, either.
        mode = self._client.settings.modes.new_file
        if self._options.visibility is not None:
            mode = self._client.settings.modes.of(self._options.visibility)
        if not self._client.stages_beside:
            try:
                return await self._open_in_staging(session, name.encode(), mode)
            except (StoragePermissionException, Refused):
                self._client.stages_beside = True
        return await self._open_beside(session, name, mode)

    async def _open_in_staging(self, session: Session, name: bytes, mode: int | None) -> File:
        staging = self._root.staging
        if not session.has_staging:
            status = await lstat(session, staging)
            if status is not None and not is_directory(status):
                raise StoragePermissionException("The reserved directory is a link or a file")
        self._name = staging + b"/" + name
        for _ in range(_ATTEMPTS):
            try:
                file = await session.open(self._name, "xb", mode)
            except FileNotFoundError:
                await make_directories(session, [self._root.path, staging], [None, 0o700])
            else:
                session.has_staging = True
                await self._learn_mode(session, file, mode)
                return file
        raise _directory_gone()

    async def _learn_mode(self, session: Session, file: File, mode: int | None) -> None:
        """Find out once what the server makes of a mode, so that most files need no other."""
        if mode not in session.created_modes:
            session.created_modes[mode] = (await session.request(file.stat)).permissions
        made = session.created_modes[mode]
        self._created_mode = None if made is None else made & _PERMISSIONS

    async def _open_beside(self, session: Session, name: str, mode: int | None) -> File:
        self._name = self._root.beside(self._path, name)
        self._created_mode = None
        for _ in range(_ATTEMPTS):
            try:
                return await session.open(self._name, "xb", mode)
            except FileNotFoundError:
                await make_parents(session, self._root, self._path)
        raise _directory_gone()

    async def write(self, block: bytes) -> None:
        """Write a block at the end; several are under way."""
        while len(self._writes) >= WINDOW:
            await self._written()
        for start in range(0, len(block), self.session.block) or [0]:
            piece = block[start : start + self.session.block]
            writing = self.session.request(self._file.write, piece, self._size)
            self._writes.append(asyncio.create_task(writing))
            self._size += len(piece)
            while len(self._writes) >= WINDOW:
                await self._written()

    async def _written(self) -> None:
        try:
            await self._writes[0]
        except Refused as error:
            raise await self._full(error) from error
        self._writes.popleft()

    async def _full(self, error: StorageException) -> StorageException:
        """Return the exception for a write that is refused: the disk may be full."""
        try:
            space = await self.session.request(
                self.session.sftp.statvfs, self._name.rpartition(b"/")[0] or b"/"
            )
        except (StorageException, OSError):
            return error
        if not space.bavail or (space.files and not space.favail):
            return StorageFullException("The SFTP server's file system is full")
        return Refused(
            "The SFTP server refuses to write, and gives no reason: a quota may be used up"
        )

    async def finish(self, *, rechecks: bool = False) -> None:
        """Give the file its mode, wait for what is written, and close it.

        Args:
            rechecks: Look at the place once more: the content took its time.
        """
        file, session = self._file, self.session
        steps: list[Awaitable[object]] = []
        if self._mode is not None and self._mode != self._created_mode:
            attributes = asyncssh.SFTPAttrs(permissions=self._mode)
            steps.append(session.request(file.setstat, attributes))
        if session.settings.durable:
            steps.append(session.request(file.fsync))
        steps.append(session.request(file.close))
        if rechecks:
            steps.append(self._check_place(session))
        # Sent behind the writes, and answered in that order.
        ending = [asyncio.ensure_future(step) for step in steps]
        try:
            while self._writes:
                await self._written()
            await asyncio.gather(*ending)
        except Refused as error:
            raise await self._full(error) from error
        finally:
            for step in ending:
                step.cancel()
            self._is_open = False

    async def place(self, session: Session) -> None:
        """Give the file its name. Once begun, that ends before a cancellation is raised.

        Raises:
            FileExistsException: There is a file, and `overwrite` is False.
            UnsupportedOperationException: The server cannot do it in one step.
        """
        self.session = session
        is_again, self.is_placing = self.is_placing, True
        if is_again and await self._has_name(session):
            return
        if any(status is None for status in self._parents):
            await make_parents(session, self._root, self._path)
        await session.uncancelled(self._name_it(session, is_again=is_again))

    async def _has_name(self, session: Session) -> bool:
        """Return whether the connection ended after the file got its name.

        Raises:
            StorageUnavailableException: That cannot be found out.
        """
        if await lstat(session, self._name) is None:
            return True  # nothing else takes the temporary name away
        target = self._root.at(self._path)
        if not self._options.overwrite and await lstat(session, target) is not None:
            raise StorageUnavailableException(
                "The connection ended while the file got its name: it may be there, or another's"
            )
        return False

    async def _name_it(self, session: Session, *, is_again: bool) -> None:
        target = self._root.at(self._path)
        for _ in range(_ATTEMPTS):
            try:
                if self._options.overwrite:
                    await replace_file(session, self._name, target)
                else:
                    await take_free_name(session, self._name, target)
                    await session.clean_up(session.request(session.sftp.remove, self._name))
            except FileNotFoundError:
                if await lstat(session, self._name) is None:
                    if is_again:
                        return  # the request of before, on its way until now
                    raise StorageException("The staged file was removed by another") from None
                await make_parents(session, self._root, self._path)
            except Refused:
                await explain(session, target)
                await self._stage_beside(session)
            else:
                self._name = b""
                return
        raise _directory_gone()

    async def _stage_beside(self, session: Session) -> None:
        """Copy the file to a temporary name beside its target: on its file system.

        Raises:
            Refused: It is there already.
        """
        staged = self._name
        if not staged.startswith(self._root.staging):
            raise Refused("The SFTP server refuses to rename the file, and gives no reason")
        source = await session.open(staged, "rb")
        name = TEMPORARY_PREFIX + secrets.token_hex(8)
        try:
            self._file = await self._open_beside(session, name, 0o600)
            self._is_open = True
            status = await session.request(source.stat)
            if self._mode is None and status.permissions is not None:
                self._mode = status.permissions & _PERMISSIONS
            self._size = 0
            await self.copy_from(session, source, status.size or 0)
            await self.finish()
        finally:
            session.close_later(source)
            await session.clean_up(session.request(session.sftp.remove, staged))

    async def copy_from(self, session: Session, source: File, size: int) -> None:
        """Copy an open file: at the server, if it can, else through this process."""
        try:
            for at in range(0, size, _COPY_BYTES):
                length = min(_COPY_BYTES, size - at)
                await session.request(session.sftp.remote_copy, source, self._file, at, length, at)
        except UnsupportedOperationException:
            blocks = Blocks(session, source, 0, size)
            try:
                while block := await blocks.next():
                    await self.write(block)
            finally:
                blocks.close()
        except Refused as error:
            raise await self._full(error) from error

    async def discard(self) -> None:
        """Remove the file if it has not got its name."""
        for writing in self._writes:
            writing.cancel()
        self._writes.clear()
        name, self._name = self._name, b""
        was_open, self._is_open = self._is_open, False
        if not name or not self.session.can_send:
            return  # it is swept later
        if was_open:
            self.session.close_later(self._file)
        await self.session.clean_up(self.session.request(self.session.sftp.remove, name))


def _directory_gone() -> StorageUnavailableException:
    return StorageUnavailableException("The directory is deleted again and again meanwhile")
