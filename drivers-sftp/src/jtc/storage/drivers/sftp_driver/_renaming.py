"""New names of files: in place of others, or only where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jtc.storage.drivers.sftp_driver._errors import Refused
from jtc.storage.drivers.sftp_driver._looks import is_directory, is_link, lstat
from jtc.storage.exceptions import (
    FileExistsException,
    PathConflictException,
    StoragePermissionException,
    UnsupportedOperationException,
)

if TYPE_CHECKING:
    from jtc.storage.drivers.sftp_driver._sessions import Session

__all__ = ["explain", "replace_file", "take_free_name"]


async def replace_file(session: Session, name: bytes, target: bytes) -> None:
    sftp = session.sftp
    try:
        await session.request(sftp.posix_rename, name, target)
    except UnsupportedOperationException:
        pass
    else:
        return
    try:
        await session.request(sftp.rename, name, target)  # of version 3: replaces nothing
    except (Refused, FileExistsException):
        if await lstat(session, target) is None:
            raise
    else:
        return
    if not session.settings.replace_by_removal:
        raise UnsupportedOperationException(
            "The SFTP server has no posix-rename@openssh.com: it cannot replace a file in one "
            "step. Delete the file first, or set 'replace_by_removal', with which there is no "
            "file for a moment, and a connection that ends then leaves none"
        )
    await session.request(sftp.remove, target)
    await session.request(sftp.rename, name, target)


async def take_free_name(session: Session, name: bytes, target: bytes) -> None:
    """Give a file another name, if that is free; it keeps the first one too."""
    try:
        await session.request(session.sftp.link, name, target)
    except UnsupportedOperationException:
        raise UnsupportedOperationException(
            "The SFTP server has no hardlink@openssh.com: it cannot store a whole file only "
            "where there is none (overwrite=False)"
        ) from None
    except (Refused, StoragePermissionException):
        if await lstat(session, target) is not None:
            raise FileExistsException("The file exists already") from None
        raise


async def explain(session: Session, target: bytes) -> None:
    """Raise why the server refuses a name, if a look shows it.

    Raises:
        PathConflictException: A directory is there.
        StoragePermissionException: A link is there.
    """
    status = await lstat(session, target)
    if status is not None and is_directory(status):
        raise PathConflictException("A directory stands where the file goes") from None
    if status is not None and is_link(status):
        raise StoragePermissionException("A symbolic link is in the path") from None
