"""`DiskStorage`: a Django file storage whose files are on a disk."""

from __future__ import annotations

import contextlib
import posixpath
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import Storage as DjangoStorage
from django.utils.deconstruct import deconstructible

from jtc.storage import (
    DirectoryInfo,
    FileExistsException,
    InvalidPathException,
    PathConflictException,
    Storage,
    UnsupportedOperationException,
)
from jtc.storage.django._files import DiskFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.core.files import File

    from jtc.storage.sync import SyncDisk

__all__ = ["DiskStorage"]

_MOST_NAME_BYTES = 255 - len("_1234567")
"""A part of a path has at most 255 bytes, and Django's alternative names are longer."""

# Django passes the greatest length of a name to `save` and not to `_save`.
_max_length: ContextVar[int | None] = ContextVar("_max_length", default=None)


@deconstructible(path="jtc.storage.django.DiskStorage")
class DiskStorage(DjangoStorage):
    """A Django file storage on a disk, which is looked up by its name at each operation.

    Args:
        disk: The disk's name; None is the default disk.
        allow_overwrite: A new file replaces an existing one. Otherwise it gets another name.
    """

    def __init__(self, disk: str | None = None, *, allow_overwrite: bool = False) -> None:
        self._name = disk
        self._allow_overwrite = allow_overwrite

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name or 'default'!r}>"

    @property
    def disk(self) -> SyncDisk:
        """The disk, for everything that a Django file storage has no method for."""
        return Storage.sync.disk(self._name)

    def save(self, name: str | None, content: IO[Any], max_length: int | None = None) -> str:
        """Store a file; return its name, which is another one where the given name is taken.

        Files that are saved under one name at the same time get different names.

        Raises:
            SuspiciousFileOperation: The name breaks the path policy, or no free name is as short
                as `max_length`.
            StorageException: The storage failed; nothing was stored.
        """
        token = _max_length.set(max_length)
        try:
            return super().save(name, content, max_length=max_length)
        finally:
            _max_length.reset(token)

    def _save(self, name: str, content: File[Any]) -> str:
        disk = self.disk
        # Without conditional writes there is only the check of get_available_name().
        create_only = not self._allow_overwrite and "overwrite" in disk.capabilities.put_options
        requested = name
        while True:
            try:
                with _names_checked():
                    return disk.put(_key(name), _byte_chunks(content), overwrite=not create_only)
            except (FileExistsException, PathConflictException) as error:
                if self._allow_overwrite or not content.seekable():
                    raise
                # Where a file is in place of a directory above, no other name helps.
                if isinstance(error, PathConflictException) and not self._has_directory(name):
                    raise
                name = self._other_name(requested)

    def _other_name(self, name: str) -> str:
        directory, file = posixpath.split(name)
        root, extension = posixpath.splitext(file)
        other = posixpath.join(directory, self.get_alternative_name(root, extension))
        return self.get_available_name(other, max_length=_max_length.get())

    def _open(self, name: str, mode: str = "rb") -> DiskFile:
        with _names_checked():
            return DiskFile(self.disk, _key(name), mode)

    def is_name_available(self, name: str, max_length: int | None = None) -> bool:
        """Return whether a new file may have this name.

        Raises:
            SuspiciousFileOperation: The name breaks the path policy.
            StorageException: The storage failed.
        """
        if max_length and len(name) > max_length:
            return False
        return self._allow_overwrite or not self._has_file(name)

    def get_valid_name(self, name: str) -> str:
        """Return a file name without characters that are not allowed, cut to 247 bytes of UTF-8."""
        root, extension = posixpath.splitext(super().get_valid_name(name))
        room = max(_MOST_NAME_BYTES - len(extension.encode()), 1)
        root = root.encode()[:room].decode(errors="ignore")
        return (root + extension).encode()[:_MOST_NAME_BYTES].decode(errors="ignore")

    def exists(self, name: str) -> bool:
        """Return whether there is a file or a directory; the root, ``""``, always exists.

        Raises:
            SuspiciousFileOperation: The name breaks the path policy.
            StorageException: The storage failed.
        """
        path = str(name).removesuffix("/")
        return not name or self._has_file(path) or self._has_directory(path)

    def _has_file(self, name: str) -> bool:
        with _names_checked():
            return self.disk.exists(_key(name))

    def _has_directory(self, name: str) -> bool:
        with _names_checked(), contextlib.suppress(UnsupportedOperationException):
            return self.disk.directory_exists(_key(name))
        return False

    def delete(self, name: str) -> None:
        """Delete a file; a missing one is no error.

        Raises:
            ValueError: The name is empty.
            SuspiciousFileOperation: The name breaks the path policy.
            StorageException: The storage failed.
        """
        if not name:
            raise ValueError("delete() takes the name of a file: this name is empty")
        with _names_checked():
            self.disk.delete(_key(name))

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """Return the names of the directories and of the files directly in a directory.

        Raises:
            SuspiciousFileOperation: The path breaks the path policy.
            UnsupportedOperationException: The driver has no listing.
            StorageException: The storage failed.
        """
        directories: list[str] = []
        files: list[str] = []
        with _names_checked():
            for entry in self.disk.list(_key(path).removesuffix("/")):
                found = directories if isinstance(entry, DirectoryInfo) else files
                found.append(entry.path.rpartition("/")[2])
        return directories, files

    def size(self, name: str) -> int:
        """Return a file's length in bytes.

        Raises:
            FileNotFoundError: There is no file.
            SuspiciousFileOperation: The name breaks the path policy.
            StorageException: The storage failed.
        """
        with _names_checked():
            return self.disk.size(_key(name))

    def get_modified_time(self, name: str) -> datetime:
        """Return when a file was written, with the time zone UTC where ``USE_TZ`` is set.

        Raises:
            FileNotFoundError: There is no file.
            SuspiciousFileOperation: The name breaks the path policy.
            StorageException: The storage failed.
        """
        with _names_checked():
            seconds = self.disk.last_modified(_key(name))
        return datetime.fromtimestamp(seconds, tz=UTC if settings.USE_TZ else None)

    def url(self, name: str | None) -> str:
        """Return the percent-encoded URL of a file, or of a directory with a ``/`` at its end.

        Raises:
            NotImplementedError: The disk has no URLs.
            SuspiciousFileOperation: The name breaks the path policy.
        """
        with _names_checked():
            try:
                path = _key(name)
                # Templates append a file name to the URL of a directory.
                end = "/" if path.endswith("/") else ""
                return self.disk.url(path.removesuffix("/")) + end
            except UnsupportedOperationException as error:
                raise NotImplementedError(str(error)) from error

    def path(self, name: str) -> str:
        """Return a file's absolute path, on a local disk.

        Raises:
            NotImplementedError: The disk's files are not on this machine.
            SuspiciousFileOperation: The name breaks the path policy.
        """
        if name:  # collectstatic passes "" to find out whether it can make links
            with _names_checked(), contextlib.suppress(UnsupportedOperationException):
                path = self.disk.path(_key(name))
                if "://" not in path:
                    return str(Path(path).absolute())
        raise NotImplementedError(
            f"The files of {self!r} have no paths on this machine: use open() or url()"
        )


def _byte_chunks(content: File[Any]) -> Iterator[bytes]:
    for chunk in content.chunks():
        yield chunk.encode() if isinstance(chunk, str) else chunk


def _key(name: str | None) -> str:
    path = str(name or "").replace("\\", "/")
    if path.startswith("/"):
        # The disk drops a "/"; in Django, an absolute name leads out of the storage.
        raise InvalidPathException("A file name must not begin with '/'", path=path)
    return path


@contextlib.contextmanager
def _names_checked() -> Iterator[None]:
    try:
        yield
    except InvalidPathException as error:
        raise SuspiciousFileOperation(str(error)) from error
