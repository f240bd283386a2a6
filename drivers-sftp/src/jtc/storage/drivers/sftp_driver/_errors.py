"""Answers of an SFTP server as exceptions."""

from __future__ import annotations

import errno

import asyncssh

from jtc.storage.exceptions import (
    FileExistsException,
    PathConflictException,
    StorageException,
    StorageFullException,
    StoragePermissionException,
    StorageUnavailableException,
    UnsupportedOperationException,
)

__all__ = ["ConnectionEnded", "Refused", "exception_for", "is_end"]


class ConnectionEnded(StorageUnavailableException):
    """The connection ended before an answer."""


class Refused(StorageException):
    """The server refuses without a reason; a look at what is there may find one."""


def is_end(error: BaseException) -> bool:
    """Return whether an error of asyncssh says that the connection is at its end."""
    return isinstance(
        error,
        (asyncssh.SFTPNoConnection, asyncssh.SFTPConnectionLost, asyncssh.DisconnectError),
    ) or (isinstance(error, OSError) and not isinstance(error, TimeoutError))


def exception_for(error: Exception) -> Exception:
    """Return the exception for a request that the server refuses.

    Version 3 of the protocol has few codes: "Failure" is an existing file, a full disk, a directory
    in the place of a file, and all else.
    """
    match error:
        case asyncssh.SFTPNoSuchFile() | asyncssh.SFTPNoSuchPath():
            return FileNotFoundError(errno.ENOENT, "No such file")
        case asyncssh.SFTPPermissionDenied() | asyncssh.SFTPWriteProtect():
            return StoragePermissionException(
                "Access denied: the SFTP server does not permit this to the user"
            )
        case asyncssh.SFTPOpUnsupported():
            return UnsupportedOperationException("The SFTP server does not have this request")
        case asyncssh.SFTPNoSpaceOnFilesystem() | asyncssh.SFTPQuotaExceeded():
            return StorageFullException("The SFTP server has no room left, or the quota is used up")
        case asyncssh.SFTPFileAlreadyExists():
            return FileExistsException("The file exists already")
        case asyncssh.SFTPFileIsADirectory() | asyncssh.SFTPDirNotEmpty():
            return PathConflictException("There is a directory where a file is needed")
        case asyncssh.SFTPNotADirectory():
            return PathConflictException("There is a file where a directory is needed")
        case asyncssh.SFTPBadMessage() | asyncssh.SFTPInvalidFilename():
            return StorageException(
                "The SFTP server refuses the request as invalid: maybe the name is too long for it"
            )
    return Refused("The SFTP server refuses, and gives no reason")
