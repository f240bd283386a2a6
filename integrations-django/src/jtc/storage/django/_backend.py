"""`DiskStorage`: a Django file storage whose files are on a disk."""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urljoin

from django.conf import ENVIRONMENT_VARIABLE, settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import Storage as DjangoStorage
from django.utils.deconstruct import deconstructible
from django.utils.encoding import filepath_to_uri

from jtc.storage import (
    DirectoryInfo,
    FileExistsException,
    PathConflictException,
    Storage,
    StoragePermissionException,
    UnsupportedOperationException,
    Visibility,
)
from jtc.storage.django._files import DiskFile
from jtc.storage.django._local_files import change_mode, is_link, links_in, missing_directories
from jtc.storage.django._names import names_checked, path_of, shortened
from jtc.storage.django._options import check_options
from jtc.storage.layer import unwrap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta
    from os import PathLike, stat_result
    from typing import Never

    from django.core.files import File
    from django.utils.functional import Promise

    from jtc.storage.options import PutOptions
    from jtc.storage.sync import SyncDisk

__all__ = ["DiskStorage"]


# Django passes the greatest length of a name to `save` and not to `_save`.
_max_length: ContextVar[int | None] = ContextVar("_max_length", default=None)


@deconstructible(path="jtc.storage.django.DiskStorage")
class DiskStorage(DjangoStorage):
    """A Django file storage on a disk, which is looked up by its name at each operation.

    Args:
        disk: The disk's name; None is the default disk.
        location: The directory on the disk that all names begin at; ``""`` is the root.
        overwrite: A new file replaces an existing one. Otherwise it gets another name.
        allow_overwrite: The name that `overwrite` has in Django's own storages.
        visibility: ``"public"`` or ``"private"``, for each file that is written. Without it, the
            disk decides.
        cache_control: The Cache-Control of each file that is written.
        signed: Whether `url` returns presigned URLs. None means: where files are private, by
            `visibility` or by the disk's own default, and the disk can sign.
        expires_in: Seconds until a presigned URL expires, or a `timedelta`.
        base_url: The URL that names are appended to, such as ``MEDIA_URL``. Without it, the disk
            has the URLs. It may be lazy.
        file_permissions_mode: The mode of each saved file, on a local disk. None is Django's
            setting ``FILE_UPLOAD_PERMISSIONS``, where the project has set it, and neither this
            storage nor the disk says who may read a file.
        directory_permissions_mode: The mode of directories that a file is saved into and that do
            not exist yet, on a local disk. None is the setting
            ``FILE_UPLOAD_DIRECTORY_PERMISSIONS``.
        **unknown: None; the error for another option suggests one of these.

    Raises:
        ImproperlyConfigured: An option is invalid, or options contradict each other.
        TypeError: There is no such option.
        ValueError: The visibility is neither ``"public"`` nor ``"private"``.
    """

    def __init__(
        self,
        disk: str | None = None,
        *,
        location: str = "",
        overwrite: bool = False,
        allow_overwrite: bool = False,
        visibility: Visibility | str | None = None,
        cache_control: str | None = None,
        signed: bool | None = None,
        expires_in: float | timedelta = 3600,
        base_url: str | Promise | None = None,
        file_permissions_mode: int | None = None,
        directory_permissions_mode: int | None = None,
        **unknown: Never,
    ) -> None:
        flags = {"overwrite": overwrite, "allow_overwrite": allow_overwrite, "signed": signed}
        check_options(disk, location, expires_in, flags, unknown)
        if signed and base_url is not None:
            raise ImproperlyConfigured(
                "DiskStorage cannot sign URLs that begin with its base_url: give signed=True "
                "without base_url, and the disk a base_url of its own"
            )
        if visibility is not None and file_permissions_mode is not None:
            raise ImproperlyConfigured(
                "DiskStorage takes visibility or file_permissions_mode: both determine a file's "
                "mode"
            )
        self._name = disk
        self._prefix = path_of(location)
        self._allow_overwrite = overwrite or allow_overwrite
        self._visibility = None if visibility is None else Visibility(visibility)
        self._cache_control = cache_control
        self._signed = signed
        self._expires_in = expires_in
        self._base_url = base_url
        self._file_permissions_mode = file_permissions_mode
        self._directory_permissions_mode = directory_permissions_mode

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name or 'default'!r}>"

    # A disk looks its driver up at each operation, so it is the right one also after a change.
    @cached_property
    def disk(self) -> SyncDisk:
        """The disk, or its view of the location, for what Django's storages have no method for."""
        disk = Storage.sync.disk(self._name)
        return disk.scoped(self._prefix) if self._prefix else disk

    @property
    def base_url(self) -> str | None:
        """The URL that names are appended to; None where the disk has the URLs."""
        if self._base_url is None:
            return None
        url = str(self._base_url)
        return url if url.endswith("/") else f"{url}/"

    @property
    def file_permissions_mode(self) -> int | None:
        """The mode of a saved file: the option, or Django's setting."""
        mode = self._file_permissions_mode
        return settings.FILE_UPLOAD_PERMISSIONS if mode is None else mode

    @property
    def directory_permissions_mode(self) -> int | None:
        """The mode of a new directory: the option, or Django's setting."""
        mode = self._directory_permissions_mode
        return settings.FILE_UPLOAD_DIRECTORY_PERMISSIONS if mode is None else mode

    def save(self, name: str | None, content: IO[Any], max_length: int | None = None) -> str:
        """Store a file; return its name, which is another one where the given name is taken.

        Files that are saved under one name at the same time get different names.

        Raises:
            SuspiciousFileOperation: The name leads out of the storage, or breaks the path policy,
                or no free name is as short as `max_length`.
            StorageException: The storage failed; nothing was stored.
        """
        token = _max_length.set(max_length)
        try:
            return super().save(name, content, max_length=max_length)
        finally:
            _max_length.reset(token)

    def _save(self, name: str, content: File[Any]) -> str:
        disk, root = self.disk, self._root()
        mode, directory_mode = self._modes(root)
        options = self._put_options()
        # Without conditional writes there is only the check of get_available_name().
        if not self._allow_overwrite and "overwrite" in disk.capabilities.put_options:
            options["overwrite"] = False
        if mode is not None and not mode & 0o004 and "visibility" in disk.capabilities.put_options:
            options["visibility"] = Visibility.PRIVATE  # until it has its mode
        requested = name
        while True:
            path = self._path(name)
            made = missing_directories(root, path) if root and directory_mode is not None else []
            try:
                with names_checked():
                    stored = disk.put(path, _byte_chunks(content), **options)
                break
            except (FileExistsException, PathConflictException) as error:
                if self._allow_overwrite or not content.seekable():
                    raise
                # Where a file is in place of a directory above, no other name helps.
                if isinstance(error, PathConflictException) and not self._has_directory(name):
                    raise
                name = self._other_name(requested)
        if root and mode is not None:
            change_mode([posixpath.join(root, stored)], mode)
        if made and directory_mode is not None:
            change_mode(made, directory_mode)
        return stored

    def _put_options(self) -> PutOptions:
        options: PutOptions = {}
        if self._visibility is not None:
            options["visibility"] = self._visibility
        if self._cache_control is not None:
            options["cache_control"] = self._cache_control
        return options

    def _modes(self, root: str | None) -> tuple[int | None, int | None]:
        """Return the modes that a saved file and new directories get, where it is not the disk's.

        Raises:
            ImproperlyConfigured: An option asks for a mode, and the disk is not local.
        """
        option, of_directories = self._file_permissions_mode, self._directory_permissions_mode
        if root is None:
            if option is None and of_directories is None:
                return None, None
            raise ImproperlyConfigured(
                f"The files of {self!r} have no file modes, since its disk is not local: use "
                "visibility in place of file_permissions_mode and directory_permissions_mode"
            )
        # Without settings, where no project is, there is only what the options say.
        if not settings.configured and ENVIRONMENT_VARIABLE not in os.environ:
            return option, of_directories
        # Django's own default, 0o644, is not applied: it would make private files public.
        if option is None and settings.is_overridden("FILE_UPLOAD_PERMISSIONS"):
            of_disk = self._visibility is not None or self._is_private()
            option = None if of_disk else settings.FILE_UPLOAD_PERMISSIONS
        return option, self.directory_permissions_mode

    def _is_private(self) -> bool:
        """Return whether files are private unless their visibility is declared otherwise."""
        if self._visibility is not None:
            return self._visibility is Visibility.PRIVATE
        default = getattr(unwrap(self.disk.driver), "default_visibility", None)
        return default is Visibility.PRIVATE

    def _other_name(self, name: str) -> str:
        directory, file = posixpath.split(name)
        root, extension = posixpath.splitext(file)
        other = posixpath.join(directory, self.get_alternative_name(root, extension))
        return self.get_available_name(other, max_length=_max_length.get())

    def get_alternative_name(self, file_root: str, file_ext: str) -> str:
        """Return a name for a file whose name is taken, or too long; with `overwrite`, the same.

        Raises:
            UnicodeEncodeError: The name has no UTF-8 form.
        """
        if self._allow_overwrite:
            return f"{file_root}{file_ext}"
        name = super().get_alternative_name(file_root, file_ext)
        added = len(name) - len(file_root) - len(file_ext)
        return super().get_alternative_name(*shortened(file_root, file_ext, added))

    def _open(self, name: str, mode: str = "rb") -> DiskFile:
        with names_checked():
            return DiskFile(self.disk, self._path(name), mode, self._put_options())

    def is_name_available(self, name: str, max_length: int | None = None) -> bool:
        """Return whether a new file may have this name.

        Raises:
            SuspiciousFileOperation: The name leads out of the storage, or breaks the path policy.
            StorageException: The storage failed.
        """
        if max_length and len(name) > max_length:
            return False
        return self._allow_overwrite or not self._has_file(name)

    def get_valid_name(self, name: str) -> str:
        """Return a file name without characters that are not allowed, cut to 255 bytes of UTF-8."""
        return "".join(shortened(*posixpath.splitext(super().get_valid_name(name))))

    def exists(self, name: str | PathLike[str]) -> bool:
        """Return whether there is a file or a directory; the root, ``""``, always exists.

        Raises:
            SuspiciousFileOperation: The name leads out of the storage, or breaks the path policy.
            StorageException: The storage failed.
        """
        return not self._path(name) or self._has_file(name) or self._has_directory(name)

    def _has_file(self, name: str | PathLike[str]) -> bool:
        path = self._path(name)
        with names_checked():
            try:
                return self.disk.exists(path)
            except StoragePermissionException:
                if self._is_link(path):
                    return True
                raise

    def _is_link(self, path: str) -> bool:
        """Return whether there is a symbolic link on a local disk, which refuses to follow it."""
        root = self._root()
        return root is not None and is_link(root, path)

    def _has_directory(self, name: str | PathLike[str]) -> bool:
        with names_checked(), contextlib.suppress(UnsupportedOperationException):
            return self.disk.directory_exists(self._path(name))
        return False

    def delete(self, name: str | PathLike[str]) -> None:
        """Delete a file, an empty directory, or a symbolic link; a missing one is no error.

        Raises:
            ValueError: The name is empty.
            SuspiciousFileOperation: The name leads out of the storage, or breaks the path policy.
            OSError: The directory has entries.
            StorageException: The storage failed.
        """
        path = self._path(name)
        if not path:
            raise ValueError("The name must be given to delete().")
        disk = self.disk
        with names_checked():
            try:
                if not disk.delete(path) and self._has_directory(name):
                    disk.remove_empty_directory(path)
            except PathConflictException as error:
                raise OSError(errno.ENOTEMPTY, str(error), path) from error
            except StoragePermissionException:
                if not self._is_link(path):
                    raise
                Path(self.path(name)).unlink(missing_ok=True)

    def listdir(self, path: str | PathLike[str]) -> tuple[list[str], list[str]]:
        """Return the names of the directories and of the files directly in a directory.

        The directory need not exist. Symbolic links on a local disk count as files.

        Raises:
            SuspiciousFileOperation: The path leads out of the storage, or breaks the path policy.
            UnsupportedOperationException: The driver has no listing.
            StorageException: The storage failed.
        """
        directories: list[str] = []
        files: list[str] = []
        directory, root = self._path(path), self._root()
        with names_checked():
            for entry in self.disk.list(directory):
                found = directories if isinstance(entry, DirectoryInfo) else files
                found.append(entry.path.rpartition("/")[2])
        if root is not None:
            files += links_in(root, directory)
        return directories, files

    def size(self, name: str | PathLike[str]) -> int:
        """Return a file's length in bytes.

        Raises:
            FileNotFoundError: There is no file.
            SuspiciousFileOperation: The name leads out of the storage, or breaks the path policy.
            StorageException: The storage failed.
        """
        with names_checked():
            return self.disk.size(self._path(name))

    def get_modified_time(self, name: str | PathLike[str]) -> datetime:
        """Return when a file was written, with the time zone UTC where ``USE_TZ`` is set.

        Raises:
            FileNotFoundError: There is no file.
            SuspiciousFileOperation: The name leads out of the storage, or breaks the path policy.
            StorageException: The storage failed.
        """
        with names_checked():
            return _moment(self.disk.last_modified(self._path(name)))

    def get_created_time(self, name: str | PathLike[str]) -> datetime:
        """Return when a file of a local disk was created, or its metadata last changed.

        Raises:
            NotImplementedError: The disk's files are not on this machine.
            FileNotFoundError: There is no file.
            SuspiciousFileOperation: The name leads out of the storage, or breaks the path policy.
            StorageException: The storage failed.
        """
        return _moment(self._stat(name).st_ctime)

    def get_accessed_time(self, name: str | PathLike[str]) -> datetime:
        """Return when a file of a local disk was read last, as far as its file system records it.

        Raises:
            NotImplementedError: The disk's files are not on this machine.
            FileNotFoundError: There is no file.
            SuspiciousFileOperation: The name leads out of the storage, or breaks the path policy.
            StorageException: The storage failed.
        """
        return _moment(self._stat(name).st_atime)

    def _stat(self, name: str | PathLike[str]) -> stat_result:
        path = self.path(name)
        self.size(name)  # the disk refuses links that lead out of it
        return Path(path).stat()

    def url(self, name: str | PathLike[str] | None) -> str:
        """Return the percent-encoded URL of a file, or of a directory with a ``/`` at its end.

        Slashes at the beginning of the name are dropped. The URL of the root, ``""``, is what
        names are appended to. URLs of directories are never signed.

        Raises:
            NotImplementedError: The disk has no URLs, or cannot sign them.
            SuspiciousFileOperation: The name leads out of the storage, or breaks the path policy.
            RuntimeError: To sign, something has to be waited for, such as new credentials, and an
                event loop runs in this thread.
        """
        given = ("" if name is None else str(name)).replace("\\", "/").lstrip("/")
        path, base, disk = path_of(given), self.base_url, self.disk
        if base is not None:
            return urljoin(base, filepath_to_uri(given))
        with names_checked():
            try:
                if not path:
                    return disk.url("a").removesuffix("a")
                if given.endswith("/"):  # templates append a file name
                    return f"{disk.url(path)}/"
                if self._signs():
                    return disk.temporary_url(path, self._expires_in)
                return disk.url(path)
            except UnsupportedOperationException as error:
                raise NotImplementedError(str(error)) from error

    def _signs(self) -> bool:
        if self._signed is not None:
            return self._signed
        return self._is_private() and "temporary_urls" in self.disk.capabilities

    def path(self, name: str | PathLike[str]) -> str:
        """Return the absolute path of a file, or of the root ``""``, on a local disk.

        Raises:
            NotImplementedError: The disk's files are not on this machine.
            SuspiciousFileOperation: The name leads out of the storage, or breaks the path policy.
        """
        root = self._root()
        path = path_of(name, root)
        with names_checked(), contextlib.suppress(UnsupportedOperationException):
            place = self.disk.path(path or "a")
            if root is not None:
                return str(Path(place).absolute()) if path else root
        raise NotImplementedError(
            f"The files of {self!r} have no paths on this machine: use open() or url()"
        )

    def _root(self) -> str | None:
        """Return the absolute path of the location on a local disk; None on other disks."""
        with contextlib.suppress(UnsupportedOperationException):
            path = self.disk.path("a")
            if "://" not in path:
                return str(Path(path).absolute().parent)
        return None

    def _path(self, name: str | PathLike[str] | None) -> str:
        return path_of(name, self._root() if str(name).startswith("/") else None)


def _byte_chunks(content: File[Any]) -> Iterator[bytes]:
    for chunk in content.chunks():
        yield chunk.encode() if isinstance(chunk, str) else chunk


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC if settings.USE_TZ else None)
