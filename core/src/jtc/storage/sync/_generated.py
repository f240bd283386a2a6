"""The sync face's methods, one for each async one. Written by `make sync`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from jtc.storage._config import DEFAULT
from jtc.storage._disk import DiskOperations
from jtc.storage._manager import StorageManager
from jtc.storage.sync._base import Face, content_behind, disk_behind
from jtc.storage.sync._portal import portal

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping
    from datetime import timedelta
    from typing import Any, Unpack

    from jtc.storage._capabilities import Capabilities
    from jtc.storage._disk import Disk
    from jtc.storage._fakes import FakeDisk
    from jtc.storage.driver import StorageDriver
    from jtc.storage.driver_support.content import Content
    from jtc.storage.exceptions import StorageException
    from jtc.storage.models import FileInfo, PresignedForm, PresignedRequest, Visibility
    from jtc.storage.options import CopyOptions, PutOptions

__all__ = ["Assertions", "Management", "Operations"]

D = TypeVar("D")
D_co = TypeVar("D_co", bound=DiskOperations, covariant=True)


class Operations(Face[D_co]):
    """What a disk does."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The disk's name."""
        return self._behind.name

    def files(self, directory: str = "") -> list[str]:
        """Return the paths of the files directly in a directory; none where it is not there.

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
        """Return the paths of all directories below a directory, each before those in it.

        It takes, returns and raises what `Disk.all_directories` does.
        """
        return portal.run(self._behind.all_directories(directory))

    def directory_exists(self, path: str) -> bool:
        """Tell whether there is a directory: files below it, or one that was made.

        It takes, returns and raises what `Disk.directory_exists` does.
        """
        return portal.run(self._behind.directory_exists(path))

    def make_directory(self, path: str) -> None:
        """Make a directory and those above it; one that is there already is fine.

        It takes, returns and raises what `Disk.make_directory` does.
        """
        portal.run(self._behind.make_directory(path))

    def delete_directory(self, path: str) -> None:
        """Delete a directory and everything below it; one that is not there is fine.

        It takes, returns and raises what `Disk.delete_directory` does.
        """
        portal.run(self._behind.delete_directory(path))

    def put(self, path: str, content: Content, **options: Unpack[PutOptions]) -> str:
        """Store a file, whole or not at all, in place of one that is there.

        It takes, returns and raises what `Disk.put` does.
        """
        content = content_behind(content)
        return portal.run(self._behind.put(path, content, **options), content)

    def get(self, path: str) -> bytes:
        """Return a file's content.

        It takes, returns and raises what `Disk.get` does.
        """
        return portal.run(self._behind.get(path))

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
        """Add to the end of a file, or make one; return the path.

        It takes, returns and raises what `Disk.append` does.
        """
        return portal.run(self._behind.append(path, content))

    def prepend(self, path: str, content: bytes | bytearray | memoryview | str) -> str:
        """Add to the beginning of a file, or make one; return the path. See `append`.

        It takes, returns and raises what `Disk.prepend` does.
        """
        return portal.run(self._behind.prepend(path, content))

    def exists(self, path: str) -> bool:
        """Tell whether there is a file. A directory is not a file.

        It takes, returns and raises what `Disk.exists` does.
        """
        return portal.run(self._behind.exists(path))

    def missing(self, path: str) -> bool:
        """Tell whether there is no file: the opposite of `exists`.

        It takes, returns and raises what `Disk.missing` does.
        """
        return portal.run(self._behind.missing(path))

    def delete(self, path: str) -> bool:
        """Delete a file; return False where there was none.

        It takes, returns and raises what `Disk.delete` does.
        """
        return portal.run(self._behind.delete(path))

    def delete_many(self, paths: Iterable[str]) -> dict[str, bool | StorageException]:
        """Delete files, many at once.

        It takes, returns and raises what `Disk.delete_many` does.
        """
        return portal.run(self._behind.delete_many(paths))

    def check(self) -> None:
        """Find out whether the disk can be reached, written and read, for a health check.

        It takes, returns and raises what `Disk.check` does.
        """
        portal.run(self._behind.check())

    def visibility(self, path: str) -> Visibility:
        """Tell who may read a file by its `url`.

        It takes, returns and raises what `Disk.visibility` does.
        """
        return portal.run(self._behind.visibility(path))

    def set_visibility(self, path: str, visibility: Visibility | str) -> None:
        """Say who may read a file by its `url`.

        It takes, returns and raises what `Disk.set_visibility` does.
        """
        portal.run(self._behind.set_visibility(path, visibility))

    def url(self, path: str) -> str:
        """Return the percent-encoded address of a file, without asking whether there is one.

        It takes, returns and raises what `Disk.url` does.
        """
        return self._behind.url(path)

    def path(self, path: str) -> str:
        """Return where the backend keeps a file: an absolute file name, or an address.

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
    ) -> str:
        """Return an address that anybody can read a file from, for a while.

        It takes, returns and raises what `Disk.temporary_url` does.
        """
        return portal.run(
            self._behind.temporary_url(
                path, expires_in, content_disposition=content_disposition, content_type=content_type
            )
        )

    def temporary_upload_url(
        self,
        path: str,
        expires_in: float | timedelta,
        *,
        content_type: str | None = None,
        size: int | None = None,
    ) -> PresignedRequest:
        """Return a PUT request by which anybody can store one file, for a while.

        It takes, returns and raises what `Disk.temporary_upload_url` does.
        """
        return portal.run(
            self._behind.temporary_upload_url(
                path, expires_in, content_type=content_type, size=size
            )
        )

    def temporary_upload_form(
        self,
        path: str,
        expires_in: float | timedelta,
        *,
        max_size: int,
        content_type: str | None = None,
    ) -> PresignedForm:
        """Return a form by which anybody can upload one file from a browser, for a while.

        It takes, returns and raises what `Disk.temporary_upload_form` does.
        """
        return portal.run(
            self._behind.temporary_upload_form(
                path, expires_in, max_size=max_size, content_type=content_type
            )
        )

    def copy(
        self,
        src: str,
        dst: str,
        *,
        to: Face[Disk] | Disk | str | None = None,
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
        to: Face[Disk] | Disk | str | None = None,
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

    def stat(self, path: str) -> FileInfo:
        """Return everything that is known of a file.

        It takes, returns and raises what `Disk.stat` does.
        """
        return portal.run(self._behind.stat(path))

    def mime_type(self, path: str) -> str:
        """Return a file's MIME type: as declared, else by its content, else by its name.

        It takes, returns and raises what `Disk.mime_type` does.
        """
        return portal.run(self._behind.mime_type(path))

    def checksum(self, path: str, algorithm: str = "sha256") -> str:
        """Return a checksum of a file's content, in lower-case hexadecimal.

        It takes, returns and raises what `Disk.checksum` does.
        """
        return portal.run(self._behind.checksum(path, algorithm))

    def put_file(self, directory: str, upload: Content, **options: Unpack[PutOptions]) -> str:
        """Store an upload under a generated name that nobody can guess.

        It takes, returns and raises what `Disk.put_file` does.
        """
        upload = content_behind(upload)
        return portal.run(self._behind.put_file(directory, upload, **options), upload)

    def put_file_as(
        self, directory: str, upload: Content, name: str, **options: Unpack[PutOptions]
    ) -> str:
        """Store an upload under a name of your choice; return its path.

        It takes, returns and raises what `Disk.put_file_as` does.
        """
        upload = content_behind(upload)
        return portal.run(self._behind.put_file_as(directory, upload, name, **options), upload)

    def get_range(self, path: str, start: int, end: int | None = None) -> bytes:
        """Return the bytes ``[start, end)`` of a file; see `stream`.

        It takes, returns and raises what `Disk.get_range` does.
        """
        return portal.run(self._behind.get_range(path, start, end))

    @property
    def driver(self) -> StorageDriver:
        """The driver of this moment, as it was set or made."""
        return self._behind.driver

    def driver_as(self, cls: type[D]) -> D:
        """Return the driver as an instance of its class, looking beneath views and layers.

        It takes, returns and raises what `Disk.driver_as` does.
        """
        return self._behind.driver_as(cls)

    @property
    def capabilities(self) -> Capabilities:
        """What the driver can do beyond the eight methods, as far as it knows beforehand."""
        return self._behind.capabilities


class Management(Face[StorageManager]):
    """Which disks are."""

    __slots__ = ()

    def set_driver(self, driver: StorageDriver, name: str = DEFAULT) -> None:
        """Put a driver behind a disk, whatever is configured for it.

        It takes, returns and raises what `StorageManager.set_driver` does.
        """
        self._behind.set_driver(driver, name)

    def configure(self, source: Mapping[str, Any] | str | os.PathLike[str]) -> None:
        """Say which disks there are, in place of what was said before; drivers are made when used.

        It takes, returns and raises what `StorageManager.configure` does.
        """
        self._behind.configure(source)

    def extend(self, driver: str, factory: Callable[..., StorageDriver]) -> None:
        """Name a driver of your own, or replace an installed one, without an entry point.

        It takes, returns and raises what `StorageManager.extend` does.
        """
        self._behind.extend(driver, factory)

    def forget(self, name: str = DEFAULT) -> None:
        """Take a driver from its disk: the next use makes one from the configuration again.

        It takes, returns and raises what `StorageManager.forget` does.
        """
        self._behind.forget(name)

    def disks(self) -> list[str]:
        """Return the names of the disks that are configured, set by hand or in use.

        It takes, returns and raises what `StorageManager.disks` does.
        """
        return self._behind.disks()

    def drivers(self) -> list[str]:
        """Return the names of the drivers that are installed, or were named by `extend`.

        It takes, returns and raises what `StorageManager.drivers` does.
        """
        return self._behind.drivers()


class Assertions:
    """What tests say of a faked disk."""

    __slots__ = ()

    _faked: FakeDisk

    def restore(self) -> None:
        """Put the disks back that were there before. Does nothing the second time.

        It takes, returns and raises what `FakeDisk.restore` does.
        """
        self._faked.restore()

    def assert_exists(self, path: str, content: bytes | str | None = None) -> None:
        """Assert that there is a file, and what it holds, where content is given.

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
