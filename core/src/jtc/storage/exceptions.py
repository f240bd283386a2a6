"""Exceptions of the library, in one tree.

::

    StorageException
    ├── FileNotFoundException          (also FileNotFoundError)
    ├── InvalidPathException           (also ValueError)
    ├── StorageConfigException
    ├── UnsupportedOperationException
    │   └── ReadOnlyException
    ├── NotModifiedException           the file has the version that `if_none_match` names
    ├── PreconditionFailedException
    │   └── FileExistsException        (also FileExistsError)
    ├── PathConflictException          there is a file where a directory is needed
    ├── RejectedException              (also ValueError) a limit or a rule refused the content
    ├── IntegrityException             the content differs from what was announced
    ├── StorageFullException
    ├── StoragePermissionException     (also PermissionError)
    ├── TransferException              some of many files failed
    └── StorageUnavailableException
        └── StorageTimeoutException    (also TimeoutError)

A driver raises these without the disk's name, or raises builtins;
`jtc.storage.driver_support.error_translation` converts and completes them.
"""

from __future__ import annotations

import errno as _errno
from typing import TYPE_CHECKING, Any

from jtc.storage._shortened import shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jtc.storage.models import TransferSummary

__all__ = [
    "FileExistsException",
    "FileNotFoundException",
    "IntegrityException",
    "InvalidPathException",
    "NotModifiedException",
    "PathConflictException",
    "PreconditionFailedException",
    "ReadOnlyException",
    "RejectedException",
    "StorageConfigException",
    "StorageException",
    "StorageFullException",
    "StoragePermissionException",
    "StorageTimeoutException",
    "StorageUnavailableException",
    "TransferException",
    "UnsupportedOperationException",
]


_LONGEST_PATH = 8192  # jtc.storage.paths permits fewer
_LONGEST_MESSAGE = 8192


class StorageException(Exception):
    """Any failure of a storage operation. Picklable; the cause is chained as `__cause__`.

    Args:
        message: What happened and what to do about it, without the path, the disk or the
            operation: `str()` adds those, and a scoped view replaces the path.
        path: The path that failed, on the disk; cut where it is too long to be one.
        disk: The name of the disk.
        operation: The method of `Disk` or of the driver, such as ``"put"``.
        retryable: Whether the same call may succeed later; None for the default of the class.
        errno: The number of the system error (`errno` module), if there was one.
    """

    retryable: bool = False
    errno: int | None = None

    def __init__(
        self,
        message: str = "",
        *,
        path: str | None = None,
        disk: str | None = None,
        operation: str | None = None,
        retryable: bool | None = None,
        errno: int | None = None,
    ) -> None:
        super().__init__(shortened(message, _LONGEST_MESSAGE))
        self.path = path
        self.disk = disk
        self.operation = operation
        if retryable is not None:
            self.retryable = retryable
        if errno is not None:
            self.errno = errno

    @property
    def path(self) -> str | None:
        """The path that failed, on the disk; cut where it is too long to be one."""
        return self._path

    @path.setter
    def path(self, path: str | None) -> None:
        self._path = path if path is None else shortened(path, _LONGEST_PATH)

    @property
    def message(self) -> str:
        """The message without path, disk and operation."""
        return str(self.args[0]) if self.args else ""

    def __str__(self) -> str:
        text = self.message or type(self).__name__
        # The message of a third party's driver may contain the path already.
        if self.path is not None and not text.endswith((f": {self.path}", f": {self.path!r}")):
            text = f"{text}: {self.path!r}"
        return self._in_context(text, disk=self.disk, operation=self.operation)

    @staticmethod
    def _in_context(text: str, **context: str | None) -> str:
        known = [f"{name} {value!r}" for name, value in context.items() if value is not None]
        return f"{text} ({', '.join(known)})" if known else text

    def __reduce__(self) -> tuple[Any, ...]:
        # OSError.__reduce__ would lose the keyword attributes.
        return _rebuild, (type(self), self.args), self.__dict__.copy()


def _rebuild(cls: type[StorageException], args: tuple[Any, ...]) -> StorageException:
    error = cls.__new__(cls, *args)
    error.args = args
    return error


class FileNotFoundException(StorageException, FileNotFoundError):
    """There is no file at this path. A directory is not a file."""

    errno: int | None = _errno.ENOENT


class InvalidPathException(StorageException, ValueError):
    """The path breaks the path policy of `jtc.storage.paths`. It is never rewritten."""


class StorageConfigException(StorageException):
    """A disk or a driver is missing, broken or configured wrongly."""

    def __str__(self) -> str:
        # Directly after the message, a path would look like another option or disk.
        text = self.message or type(self).__name__
        return self._in_context(text, disk=self.disk, operation=self.operation, path=self.path)


class UnsupportedOperationException(StorageException):
    """The driver, or its backend, does not have this capability or does not support this option."""


class ReadOnlyException(UnsupportedOperationException):
    """The disk is a read-only view."""


class NotModifiedException(StorageException):
    """The file still has the version that `if_none_match` names: nothing was read."""


class PreconditionFailedException(StorageException):
    """The file does not have the version that `if_match` or `if_source_match` names."""


class FileExistsException(PreconditionFailedException, FileExistsError):
    """There is a file already, and `overwrite` is False."""

    errno: int | None = _errno.EEXIST


class PathConflictException(StorageException):
    """There is a file where a directory is needed, or a directory where a file is needed."""


class RejectedException(StorageException, ValueError):
    """A limit or a rule refused the content; nothing was written.

    Args:
        reason: A short word for programs, such as ``"size"`` or ``"type"``.
    """

    def __init__(self, message: str = "", *, reason: str = "rule", **context: Any) -> None:
        super().__init__(message, **context)
        self.reason = reason


class IntegrityException(StorageException):
    """The content differs from what was announced, in a checksum, its length or its version.

    Or what was passed to be stored cannot be read whole: a closed file, a generator that has ended.
    """


class StorageFullException(StorageException):
    """No space, quota or permitted file size is left."""


class StoragePermissionException(StorageException, PermissionError):
    """The backend refuses: file modes, credentials, a policy, a symbolic link."""

    errno: int | None = _errno.EACCES


class StorageUnavailableException(StorageException):
    """The backend cannot be reached or does not work. The same call may succeed later."""

    retryable = True


class StorageTimeoutException(StorageUnavailableException, TimeoutError):
    """The backend did not answer in time."""

    errno: int | None = _errno.ETIMEDOUT


class TransferException(StorageException):
    """Some files of a transfer of many failed; the others are transferred.

    Args:
        summary: The numbers of files that succeeded and failed.
        errors: The errors of the first files that failed, at most 100.
    """

    def __init__(
        self,
        message: str = "",
        *,
        summary: TransferSummary | None = None,
        errors: Sequence[StorageException] = (),
        **context: Any,
    ) -> None:
        super().__init__(message, **context)
        self.summary = summary
        self.errors = tuple(errors)
