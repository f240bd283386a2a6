"""The sync API's methods, one for each async one. Written by `make sync`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from jtc.storage._config import DEFAULT
from jtc.storage._disk import DiskOperations
from jtc.storage._manager import StorageManager
from jtc.storage.options import DEFAULT_CHUNK_SIZE
from jtc.storage.sync._base import SyncApi, content_behind, disk_behind
from jtc.storage.sync._files import SyncListing, SyncStream
from jtc.storage.sync._portal import portal

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import timedelta
    from typing import Any, Unpack

    from jtc.storage._capabilities import Capabilities
    from jtc.storage._disk import Disk
    from jtc.storage._fakes import FakeDisk
    from jtc.storage.driver import StorageDriver
    from jtc.storage.driver_support.content import Content
    from jtc.storage.exceptions import StorageException
    from jtc.storage.models import (
        Entry,
        FileInfo,
        PresignedForm,
        PresignedRequest,
        Usage,
        Visibility,
    )
    from jtc.storage.options import CopyOptions, MetadataOptions, Progress, PutOptions

__all__ = ["Assertions", "Management", "Operations"]

D = TypeVar("D")
D_co = TypeVar("D_co", bound=DiskOperations, covariant=True)


class Operations(SyncApi[D_co]):
    """Methods of a disk."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The disk's name."""
        return self._behind.name

    def files(self, directory: str = "") -> list[str]:
        """Return the paths of the files directly in a directory; none if it does not exist.

        It takes, returns and raises what `Disk.files` does.
        """
        return portal.run(self._behind.files(directory))

    def all_files(self, directory: str = "") -> list[str]:
        """Return the paths of all files below a directory, at any depth.

        It takes, returns and raises what `Disk.all_files` does.
        """
        return portal.run(self._behind.all_files(directory))

    def directories(self, directory: str = "") -> list[str]:
        """Return the paths of the directories directly in a directory.

        It takes, returns and raises what `Disk.directories` does.
        """
        return portal.run(self._behind.directories(directory))

    def all_directories(self, directory: str = "") -> list[str]:
        """Return the paths of all directories below a directory, at any depth.

        It takes, returns and raises what `Disk.all_directories` does.
        """
        return portal.run(self._behind.all_directories(directory))

    def glob(self, pattern: str) -> list[str]:
        """Return the paths of the files that match a pattern, such as ``"reports/**/*.csv"``.

        It takes, returns and raises what `Disk.glob` does.
        """
        return portal.run(self._behind.glob(pattern))

    def usage(self, directory: str = "") -> Usage:
        """Return how many files are below a directory, at any depth, and their bytes.

        It takes, returns and raises what `Disk.usage` does.
        """
        return portal.run(self._behind.usage(directory))

    def entry(self, path: str) -> Entry | None:
        """Return the entry at a path: a file's metadata, a directory, or None.

        It takes, returns and raises what `Disk.entry` does.
        """
        return portal.run(self._behind.entry(path))

    def directory_exists(self, path: str) -> bool:
        """Return whether there is a directory: one with files, or one that was made.

        It takes, returns and raises what `Disk.directory_exists` does.
        """
        return portal.run(self._behind.directory_exists(path))

    def make_directory(self, path: str) -> None:
        """Make a directory and its parents, if they do not exist.

        It takes, returns and raises what `Disk.make_directory` does.
        """
        portal.run(self._behind.make_directory(path))

    def delete_directory(self, path: str) -> None:
        """Delete a directory and everything below it, if it exists.

        It takes, returns and raises what `Disk.delete_directory` does.
        """
        portal.run(self._behind.delete_directory(path))

    def remove_empty_directory(self, path: str) -> bool:
        """Remove a directory only if it is empty; return False if there is none.

        It takes, returns and raises what `Disk.remove_empty_directory` does.
        """
        return portal.run(self._behind.remove_empty_directory(path))

    def visibility(self, path: str) -> Visibility:
        """Return who may read a file by its `url`.

        It takes, returns and raises what `Disk.visibility` does.
        """
        return portal.run(self._behind.visibility(path))

    def set_visibility(self, path: str, visibility: Visibility | str) -> None:
        """Set who may read a file by its `url`.

        It takes, returns and raises what `Disk.set_visibility` does.
        """
        portal.run(self._behind.set_visibility(path, visibility))

    def url(self, path: str) -> str:
        """Return the percent-encoded URL of a file, which need not exist.

        It takes, returns and raises what `Disk.url` does.
        """
        return self._behind.url(path)

    def path(self, path: str) -> str:
        """Return a file's place in the backend: an absolute file name, or a URI.

        It takes, returns and raises what `Disk.path` does.
        """
        return self._behind.path(path)

    def temporary_url(
        self,
        path: str,
        expires_in: float | timedelta,
        *,
        content_disposition: str | None = None,
        content_type: str | None = None,
        stable_for: float | timedelta | None = None,
    ) -> str:
        """Return a presigned URL, which reads a file without credentials until it expires.

        It takes, returns and raises what `Disk.temporary_url` does.
        """
        return portal.run_here(
            self._behind.temporary_url,
            path,
            expires_in,
            content_disposition=content_disposition,
            content_type=content_type,
            stable_for=stable_for,
        )

    def temporary_urls(
        self,
        paths: Iterable[str],
        expires_in: float | timedelta,
        *,
        content_disposition: str | None = None,
        content_type: str | None = None,
        stable_for: float | timedelta | None = None,
    ) -> dict[str, str]:
        """Return a presigned URL for each of several files, such as those of a page.

        It takes, returns and raises what `Disk.temporary_urls` does.
        """
        return portal.run_here(
            self._behind.temporary_urls,
            paths,
            expires_in,
            content_disposition=content_disposition,
            content_type=content_type,
            stable_for=stable_for,
        )

    def temporary_upload_url(
        self,
        path: str,
        expires_in: float | timedelta,
        *,
        content_type: str | None = None,
        size: int | None = None,
    ) -> PresignedRequest:
        """Return a presigned PUT request, which stores a file without credentials until it expires.

        It takes, returns and raises what `Disk.temporary_upload_url` does.
        """
        return portal.run_here(
            self._behind.temporary_upload_url,
            path,
            expires_in,
            content_type=content_type,
            size=size,
        )

    def temporary_upload_form(
        self,
        path: str,
        expires_in: float | timedelta,
        *,
        max_size: int,
        min_size: int | None = None,
        content_type: str | None = None,
    ) -> PresignedForm:
        """Return a presigned form, which uploads a file without credentials until it expires.

        It takes, returns and raises what `Disk.temporary_upload_form` does.
        """
        return portal.run_here(
            self._behind.temporary_upload_form,
            path,
            expires_in,
            max_size=max_size,
            min_size=min_size,
            content_type=content_type,
        )

    def copy(
        self,
        src: str,
        dst: str,
        *,
        to: SyncApi[Disk] | Disk | str | None = None,
        **options: Unpack[CopyOptions],
    ) -> str:
        """Copy a file: by the backend itself within a disk, else streamed in constant memory.

        It takes, returns and raises what `Disk.copy` does.
        """
        return portal.run(self._behind.copy(src, dst, to=disk_behind(to), **options))

    def move(
        self,
        src: str,
        dst: str,
        *,
        to: SyncApi[Disk] | Disk | str | None = None,
        **options: Unpack[CopyOptions],
    ) -> str:
        """Move a file. See `copy`, whose arguments, result and errors it has.

        It takes, returns and raises what `Disk.move` does.
        """
        return portal.run(self._behind.move(src, dst, to=disk_behind(to), **options))

    def size(self, path: str) -> int:
        """Return a file's length in bytes.

        It takes, returns and raises what `Disk.size` does.
        """
        return portal.run(self._behind.size(path))

    def last_modified(self, path: str) -> float:
        """Return when a file was written, in seconds since 1970 UTC.

        It takes, returns and raises what `Disk.last_modified` does.
        """
        return portal.run(self._behind.last_modified(path))

    def stat(
        self, path: str, *, if_match: str | None = None, if_none_match: str | None = None
    ) -> FileInfo:
        """Return the metadata of a file.

        It takes, returns and raises what `Disk.stat` does.
        """
        return portal.run(self._behind.stat(path, if_match=if_match, if_none_match=if_none_match))

    def set_metadata(self, path: str, **options: Unpack[MetadataOptions]) -> None:
        """Replace declared fields of a file: its type, its headers, its metadata.

        It takes, returns and raises what `Disk.set_metadata` does.
        """
        portal.run(self._behind.set_metadata(path, **options))

    def mime_type(self, path: str) -> str:
        """Return a file's MIME type: as declared, else by its content, else by its name.

        It takes, returns and raises what `Disk.mime_type` does.
        """
        return portal.run(self._behind.mime_type(path))

    def confirm_upload(
        self, path: str, *, if_match: str | None = None, options: Mapping[str, object] | None = None
    ) -> FileInfo:
        """Call the hook `storage_uploaded` for a file that did not come through this disk.

        It takes, returns and raises what `Disk.confirm_upload` does.
        """
        return portal.run(self._behind.confirm_upload(path, if_match=if_match, options=options))

    def checksum(self, path: str, algorithm: str = "sha256") -> str:
        """Return a checksum of a file's content, in lower-case hexadecimal.

        It takes, returns and raises what `Disk.checksum` does.
        """
        return portal.run(self._behind.checksum(path, algorithm))

    def put(self, path: str, content: Content, **options: Unpack[PutOptions]) -> str:
        """Store a file whole or not at all, replacing an existing one.

        It takes, returns and raises what `Disk.put` does.
        """
        content = content_behind(content)
        return portal.run(self._behind.put(path, content, **options), content)

    def get(
        self, path: str, *, if_match: str | None = None, if_none_match: str | None = None
    ) -> bytes:
        """Return a file's content.

        It takes, returns and raises what `Disk.get` does.
        """
        return portal.run(self._behind.get(path, if_match=if_match, if_none_match=if_none_match))

    def get_text(self, path: str, *, encoding: str = "utf-8") -> str:
        """Return a file's content as text.

        It takes, returns and raises what `Disk.get_text` does.
        """
        return portal.run(self._behind.get_text(path, encoding=encoding))

    def get_json(self, path: str) -> Any:
        """Return a file's content, parsed as JSON (RFC 8259).

        It takes, returns and raises what `Disk.get_json` does.
        """
        return portal.run(self._behind.get_json(path))

    def put_json(self, path: str, value: Any, **options: Unpack[PutOptions]) -> str:
        """Store a value as JSON (RFC 8259, UTF-8); return the path.

        It takes, returns and raises what `Disk.put_json` does.
        """
        return portal.run(self._behind.put_json(path, value, **options))

    def append(self, path: str, content: bytes | bytearray | memoryview | str) -> str:
        """Append to a file, or create one; return the path.

        It takes, returns and raises what `Disk.append` does.
        """
        return portal.run(self._behind.append(path, content))

    def prepend(self, path: str, content: bytes | bytearray | memoryview | str) -> str:
        """Prepend to a file, or create one; return the path. See `append`.

        It takes, returns and raises what `Disk.prepend` does.
        """
        return portal.run(self._behind.prepend(path, content))

    def exists(self, path: str) -> bool:
        """Return whether there is a file. A directory is not a file.

        It takes, returns and raises what `Disk.exists` does.
        """
        return portal.run(self._behind.exists(path))

    def missing(self, path: str) -> bool:
        """Return whether there is no file, the opposite of `exists`.

        It takes, returns and raises what `Disk.missing` does.
        """
        return portal.run(self._behind.missing(path))

    def delete(self, path: str, *, if_match: str | None = None) -> bool:
        """Delete a file; return False if there was none, also with `if_match`.

        It takes, returns and raises what `Disk.delete` does.
        """
        return portal.run(self._behind.delete(path, if_match=if_match))

    def delete_many(self, paths: Iterable[str]) -> dict[str, bool | StorageException]:
        """Delete several files.

        It takes, returns and raises what `Disk.delete_many` does.
        """
        return portal.run(self._behind.delete_many(paths))

    def check(self) -> None:
        """Write, read and delete a small file ``.jtc-check-…``: a health check.

        It takes, returns and raises what `Disk.check` does.
        """
        portal.run(self._behind.check())

    def put_file(self, directory: str, upload: Content, **options: Unpack[PutOptions]) -> str:
        """Store a user upload under a generated name that cannot be guessed.

        It takes, returns and raises what `Disk.put_file` does.
        """
        upload = content_behind(upload)
        return portal.run(self._behind.put_file(directory, upload, **options), upload)

    def put_file_as(
        self, directory: str, upload: Content, name: str, **options: Unpack[PutOptions]
    ) -> str:
        """Store a user upload under a name of the application; return its path.

        It takes, returns and raises what `Disk.put_file_as` does.
        """
        upload = content_behind(upload)
        return portal.run(self._behind.put_file_as(directory, upload, name, **options), upload)

    def download(
        self,
        path: str,
        local_path: str | os.PathLike[str],
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
        progress: Progress | None = None,
    ) -> FileInfo:
        """Copy a file to a path of this machine, whole or not at all.

        It takes, returns and raises what `Disk.download` does.
        """
        return portal.run(
            self._behind.download(
                path, local_path, if_match=if_match, if_none_match=if_none_match, progress=progress
            )
        )

    def stream(
        self,
        path: str,
        *,
        start: int = 0,
        end: int | None = None,
        chunk_size: int = DEFAULT_CHUNK_SIZE,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> SyncStream:
        """Read a file, or a range ``[start, end)`` of it, in chunks.

        It takes, returns and raises what `Disk.stream` does.
        """
        return SyncStream(
            self._behind.stream(
                path,
                start=start,
                end=end,
                chunk_size=chunk_size,
                if_match=if_match,
                if_none_match=if_none_match,
            )
        )

    def get_range(
        self,
        path: str,
        start: int,
        end: int | None = None,
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> bytes:
        """Return the bytes ``[start, end)`` of a file; see `stream`.

        It takes, returns and raises what `Disk.get_range` does.
        """
        return portal.run(
            self._behind.get_range(path, start, end, if_match=if_match, if_none_match=if_none_match)
        )

    def get_ranges(
        self,
        path: str,
        ranges: Iterable[tuple[int, int | None]],
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> list[bytes]:
        """Return several ranges of one version of a file, such as parts of a Parquet file.

        It takes, returns and raises what `Disk.get_ranges` does.
        """
        return portal.run(
            self._behind.get_ranges(path, ranges, if_match=if_match, if_none_match=if_none_match)
        )

    @property
    def driver(self) -> StorageDriver:
        """The current driver, as it was set or made."""
        return self._behind.driver

    def driver_as(self, cls: type[D]) -> D:
        """Return the driver below views and layers, as an instance of its class.

        It takes, returns and raises what `Disk.driver_as` does.
        """
        return self._behind.driver_as(cls)

    @property
    def capabilities(self) -> Capabilities:
        """The driver's capabilities and supported options; its backend may have further limits."""
        return self._behind.capabilities

    def list(
        self,
        prefix: str = "",
        *,
        recursive: bool = False,
        directories: bool = False,
        start_after: str | Entry | None = None,
    ) -> Iterator[Entry]:
        """List a directory lazily, in the driver's fixed order.

        It takes, returns and raises what `Disk.list` does.
        """
        return SyncListing(
            self._behind.list(
                prefix, recursive=recursive, directories=directories, start_after=start_after
            )
        )


class Management(SyncApi[StorageManager]):
    """Methods of the manager."""

    __slots__ = ()

    def set_driver(self, driver: StorageDriver, name: str = DEFAULT) -> None:
        """Set the driver of a disk, in place of the configured one.

        It takes, returns and raises what `StorageManager.set_driver` does.
        """
        self._behind.set_driver(driver, name)

    def configure(self, source: Mapping[str, Any] | str | os.PathLike[str]) -> None:
        """Configure all disks, in place of an earlier configuration; drivers are made when used.

        It takes, returns and raises what `StorageManager.configure` does.
        """
        self._behind.configure(source)

    def extend(self, driver: str, factory: Callable[..., StorageDriver]) -> None:
        """Register a driver under a name, or replace an installed one, without an entry point.

        It takes, returns and raises what `StorageManager.extend` does.
        """
        self._behind.extend(driver, factory)

    def forget(self, name: str = DEFAULT) -> None:
        """Remove the driver of a disk: the next use makes one from the configuration again.

        It takes, returns and raises what `StorageManager.forget` does.
        """
        self._behind.forget(name)

    def disks(self) -> list[str]:
        """Return the names of the disks that are configured, set by `set_driver` or in use.

        It takes, returns and raises what `StorageManager.disks` does.
        """
        return self._behind.disks()

    def source_of(self, name: str | None = None) -> str:
        """Return where a disk comes from, in words: the name of a file, and none of its content.

        It takes, returns and raises what `StorageManager.source_of` does.
        """
        return self._behind.source_of(name)

    def drivers(self) -> list[str]:
        """Return the names of the drivers that are installed, or registered by `extend`.

        It takes, returns and raises what `StorageManager.drivers` does.
        """
        return self._behind.drivers()


class Assertions:
    """Assertions of a faked disk."""

    __slots__ = ()

    _faked: FakeDisk

    def restore(self) -> None:
        """Restore the disks that were faked. Does nothing the second time.

        It takes, returns and raises what `FakeDisk.restore` does.
        """
        self._faked.restore()

    def reset(self) -> None:
        """Remove all failures and delays of this disk; its files stay.

        It takes, returns and raises what `FakeDisk.reset` does.
        """
        self._faked.reset()

    def assert_exists(self, path: str, content: bytes | str | None = None) -> None:
        """Assert that there is a file, and its content where `content` is passed.

        It takes, returns and raises what `FakeDisk.assert_exists` does.
        """
        self._faked.assert_exists(path, content)

    def assert_missing(self, path: str) -> None:
        """Assert that there is no file.

        It takes, returns and raises what `FakeDisk.assert_missing` does.
        """
        self._faked.assert_missing(path)

    def assert_count(self, count: int, directory: str = "") -> None:
        """Assert how many files there are below a directory, at any depth.

        It takes, returns and raises what `FakeDisk.assert_count` does.
        """
        self._faked.assert_count(count, directory)

    def assert_empty(self, directory: str = "") -> None:
        """Assert that there are no files below a directory.

        It takes, returns and raises what `FakeDisk.assert_empty` does.
        """
        self._faked.assert_empty(directory)
