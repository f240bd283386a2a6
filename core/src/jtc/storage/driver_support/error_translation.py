"""Translation of system errors, and of the builtins that drivers raise, into `StorageException`."""

from __future__ import annotations

import asyncio
import errno as _errno
import os
from contextlib import contextmanager
from types import NoneType
from typing import TYPE_CHECKING, NoReturn

from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    InvalidPathException,
    PathConflictException,
    StorageException,
    StorageFullException,
    StoragePermissionException,
    StorageTimeoutException,
    StorageUnavailableException,
    UnsupportedOperationException,
)
from jtc.storage.paths import no_path

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "has_loop",
    "no_thread",
    "reraise",
    "temporary_file_errors",
    "translate",
    "translated",
]


# The outcomes that every driver has, whose messages are the same on all of them; then what the
# operating system, a file system or a network refuses, which a message says in its words as well.
_OUTCOMES: dict[int, tuple[type[StorageException], str]] = {
    _errno.ENOENT: (FileNotFoundException, "File not found"),
    _errno.EEXIST: (FileExistsException, "The file exists already"),
    _errno.ENOTDIR: (PathConflictException, "There is a file where a directory is needed"),
    _errno.EISDIR: (PathConflictException, "There is a directory where a file is needed"),
    _errno.ENOTEMPTY: (PathConflictException, "The directory is not empty"),
}

_REFUSALS: dict[int, tuple[type[StorageException], str]] = {
    _errno.ENAMETOOLONG: (InvalidPathException, "The path is too long for this file system"),
    _errno.EILSEQ: (InvalidPathException, "This file system refuses such a name"),
    _errno.EACCES: (StoragePermissionException, "Permission denied"),
    _errno.EPERM: (StoragePermissionException, "Operation not permitted"),
    _errno.EROFS: (StoragePermissionException, "The file system is read-only"),
    _errno.ELOOP: (StoragePermissionException, "Symbolic links are refused"),
    _errno.EXDEV: (StoragePermissionException, "The path leads out of the root"),
    _errno.ENOSPC: (StorageFullException, "No space left on device"),
    _errno.EDQUOT: (StorageFullException, "The disk quota is used up"),
    _errno.EFBIG: (StorageFullException, "The file is larger than the system permits"),
    _errno.EIO: (StorageUnavailableException, "The device reports an I/O error"),
    _errno.EMFILE: (StorageUnavailableException, "This process has too many open files"),
    _errno.ENFILE: (StorageUnavailableException, "The system has too many open files"),
    _errno.ESTALE: (StorageUnavailableException, "The file handle is stale"),
    _errno.ETIMEDOUT: (StorageTimeoutException, "The storage did not answer in time"),
    _errno.EOPNOTSUPP: (UnsupportedOperationException, "The file system cannot do this"),
}

_FULL = frozenset({_errno.ENOSPC, _errno.EDQUOT, _errno.EFBIG})

# Credentials of a network file system, such as NFS with Kerberos.
_KEYS = ("ENOKEY", "EKEYEXPIRED", "EKEYREVOKED", "EKEYREJECTED")

_UNAVAILABLE = {
    "The mount, or the server behind it, is gone": (
        "ENOTCONN ENODEV ENXIO ENOMEDIUM EMEDIUMTYPE ESHUTDOWN EREMOTEIO EREMOTE EREMCHG ENOLINK "
        "ECOMM EPROTO EBADFD"
    ),
    "The connection to the storage failed": (
        "EHOSTDOWN EHOSTUNREACH ENETDOWN ENETUNREACH ENETRESET ENONET ECONNABORTED ECONNREFUSED "
        "ECONNRESET EPIPE EADDRNOTAVAIL"
    ),
    "The file system is damaged": "EUCLEAN EBADMSG",
    "The system is busy": "EAGAIN EBUSY ENOMEM ENOBUFS ENOLCK EINTR",
    "The storage did not answer in time": "ETIME",
}


def _by_errno() -> dict[int, tuple[type[StorageException], str]]:
    """Return the class and the message of each known number."""
    refusals = dict(_REFUSALS)
    for name in _KEYS:  # not every system has every name
        if (number := getattr(_errno, name, None)) is not None:
            refusals[number] = StoragePermissionException, "The storage refuses the credentials"
    for message, names in _UNAVAILABLE.items():
        for name in names.split():
            if (number := getattr(_errno, name, None)) is not None:
                refusals[number] = StorageUnavailableException, message
    return _OUTCOMES | {
        number: (cls, _in_words(message, number)) for number, (cls, message) in refusals.items()
    }


def _in_words(message: str, number: int | None) -> str:
    """Add what the system says of a number, which unlike an error's text contains no secret."""
    if number is None:
        return message
    words = os.strerror(number)
    return message if words.lower() in message.lower() else f"{message}: {words}"


_BY_ERRNO = _by_errno()

# For builtins that a driver raised itself, without a number. The most derived comes first.
_BY_CLASS: tuple[tuple[type[OSError], type[StorageException], str], ...] = (
    (FileNotFoundError, FileNotFoundException, "File not found"),
    (FileExistsError, FileExistsException, "The file exists already"),
    (IsADirectoryError, PathConflictException, "There is a directory where a file is needed"),
    (NotADirectoryError, PathConflictException, "There is a file where a directory is needed"),
    (PermissionError, StoragePermissionException, "Permission denied"),
    (TimeoutError, StorageTimeoutException, "The storage did not answer in time"),
    (ConnectionError, StorageUnavailableException, "The connection to the storage failed"),
)


_NO_LOOP = ("no running event loop", "There is no current event loop")


def has_loop() -> bool:
    """Return whether an event loop of asyncio runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def translate(error: OSError) -> StorageException:
    """Convert a system error, or a builtin that a driver raised, to a `StorageException`.

    Args:
        error: Any OSError; its `errno` decides, then its class.

    Returns:
        A new exception with the same errno, to be raised ``from error``. Its message has the
        system's words for the number, and never the error's own text.
    """
    number = error.errno
    if number is not None and number in _BY_ERRNO:
        cls, message = _BY_ERRNO[number]
        return cls(message, errno=number)
    for builtin, cls, message in _BY_CLASS:
        if isinstance(error, builtin):
            return cls(_in_words(message, number), errno=number)
    # The type and not the text: the errors of a client library may contain a URL.
    message = f"The storage failed ({type(error).__name__})"
    return StorageException(_in_words(message, number), errno=number)


def translated(error: Exception) -> Exception:
    """Return what `reraise` would raise, for code that decides by an error's class.

    A driver may raise a builtin in place of each exception of ours.
    """
    if isinstance(error, OSError) and not isinstance(error, StorageException):
        return translate(error)
    return error


def reraise(
    error: BaseException, *, operation: str, path: str | None = None, disk: str | None = None
) -> NoReturn:
    """Raise the error again as a `StorageException` with its operation, path and disk.

    Fields that the error has already are kept: the innermost path is the one that failed. An error
    that is neither a `StorageException` nor an OSError is a bug in a program, and raised unchanged;
    a TypeError of a path that is not a `str` gets that as its message, and a RuntimeError about a
    lack of an event loop, as under trio, what to do.

    Args:
        error: The error that was caught.
        operation: The method that failed.
        path: The path that was passed to it.
        disk: The disk's name; None in a driver.

    Raises:
        StorageException: `error` itself, or one whose cause is the OSError `error`.
        BaseException: Any other error, unchanged.
    """
    if isinstance(error, StorageException):
        mapped = error
    elif isinstance(error, OSError):
        mapped = translate(error)
    elif isinstance(error, TypeError) and not isinstance(path, (str, NoneType)):
        # The cache of check_path() raises this for unhashable values, such as a list of paths.
        raise no_path(path) from None
    elif isinstance(error, RuntimeError) and str(error).startswith(_NO_LOOP) and not has_loop():
        raise RuntimeError(
            f"{operation}() needs an event loop of asyncio, and none runs here: the async API is "
            f"for asyncio only. Without one, use the sync API, as in 'disk.sync.{operation}(...)'; "
            "under trio in another thread, by trio.to_thread.run_sync()"
        ) from error
    else:
        raise error
    if mapped.path is None:
        mapped.path = path
    if mapped.disk is None:
        mapped.disk = disk
    if mapped.operation is None:
        mapped.operation = operation
    if mapped is error:
        raise mapped
    raise mapped from error


def no_thread(error: RuntimeError) -> StorageUnavailableException:
    """Return the error for a thread that the system did not start.

    Args:
        error: What the start of the thread, or of a call in an executor's, raised.
    """
    return StorageUnavailableException(
        f"No thread can be started for this: {error}. The threads of the user or the container are "
        "limited (ulimit -u, pids.max)"
    )


@contextmanager
def temporary_file_errors() -> Iterator[None]:
    """Name TMPDIR in what goes wrong with a temporary file within the block.

    Raises:
        StorageFullException: The temporary directory is full.
        StorageUnavailableException: There is none that can be used, or it failed.
    """
    try:
        yield
    except OSError as error:
        import tempfile  # noqa: PLC0415 - imported only where it is used

        number = error.errno
        words = "" if number is None else f": {os.strerror(number)}"
        place = tempfile.tempdir
        if place is None:
            raise StorageUnavailableException(
                "There is no temporary directory that can be written to, which content of this "
                "length needs: set TMPDIR to one",
                errno=number,
            ) from error
        if number in _FULL:
            raise StorageFullException(
                f"The temporary directory {place!r} has no room for the content{words}. Set "
                "TMPDIR to one that has; the disk itself was not written to",
                errno=number,
            ) from error
        raise StorageUnavailableException(
            f"The temporary directory {place!r} cannot be used for the content{words}. Set TMPDIR "
            "to one that can be written to",
            errno=number,
        ) from error
