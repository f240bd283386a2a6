"""A driver without `Disk`, behind the names of `Disk`'s methods, so that a test is written once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, Unpack

import pytest

from jtc.storage import ByteStream
from jtc.storage.driver import DEFAULT_CHUNK_SIZE
from jtc.storage.driver_support.content import driver_content
from jtc.storage.driver_support.derived import resolve
from jtc.storage.models import DirectoryInfo
from jtc.storage.options import WriteOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from jtc.storage.driver import ReadStream, StorageDriver
    from jtc.storage.driver_support.content import Content
    from jtc.storage.models import Entry, FileInfo, Visibility
    from jtc.storage.options import CopyOptions, PutOptions

__all__ = ["DriverAlone"]

T = TypeVar("T")


class DriverAlone:
    """Calls the driver's own methods. What the driver lacks, and `Disk` derives, skips the test.

    Args:
        driver: Any driver.
    """

    def __init__(self, driver: StorageDriver) -> None:
        self._resolved = resolve(driver)
        self._driver = driver
        self.get = driver.get
        self.exists = driver.exists
        self.delete = driver.delete
        self.size = driver.size
        self.last_modified = driver.last_modified
        self.url = driver.url
        self.path = driver.path

    async def put(self, path: str, content: Content, **options: Unpack[PutOptions]) -> str:
        if not options:
            # Every kind of content: more than the Protocol says, as `stands_alone` promises.
            put: Any = self._driver.put
            stored: str = await put(path, content)
            return stored
        writing = self._have(self._resolved.writing, "writing")
        record: Any = options
        await writing.write_file(path, driver_content(content), WriteOptions(**record))
        return path.removeprefix("/")

    async def stat(self, path: str) -> FileInfo:
        return await self._have(self._resolved.stat, "stat").stat(path)

    def stream(
        self,
        path: str,
        *,
        start: int = 0,
        end: int | None = None,
        chunk_size: int = DEFAULT_CHUNK_SIZE,
    ) -> ByteStream:
        reading = self._have(self._resolved.reading, "reading")

        async def opener() -> ReadStream:
            return await reading.open_read(path, start=start, end=end, chunk_size=chunk_size)

        return ByteStream(opener, _unchanged)

    async def get_range(self, path: str, start: int, end: int | None = None) -> bytes:
        return b"".join([chunk async for chunk in self.stream(path, start=start, end=end)])

    async def copy(self, src: str, dst: str, **options: Unpack[CopyOptions]) -> str:
        copy = self._have(self._resolved.copy, "copy")
        record: Any = options
        await copy.copy_file(src, dst, WriteOptions(**record))
        return dst.removeprefix("/")

    async def move(self, src: str, dst: str, **options: Unpack[CopyOptions]) -> str:
        move = self._have(self._resolved.move, "move")
        record: Any = options
        await move.move_file(src, dst, WriteOptions(**record))
        return dst.removeprefix("/")

    async def visibility(self, path: str) -> Visibility:
        return await self._have(self._resolved.visibility, "visibility").visibility(path)

    async def set_visibility(self, path: str, visibility: Visibility) -> None:
        capability = self._have(self._resolved.visibility, "visibility")
        await capability.set_visibility(path, visibility)

    async def make_directory(self, path: str) -> None:
        await self._have(self._resolved.directories, "directories").make_directory(path)

    async def delete_directory(self, path: str) -> None:
        await self._have(self._resolved.directories, "directories").delete_directory(path)

    async def delete_many(self, paths: Iterable[str]) -> Mapping[str, bool | Exception]:
        capability = self._have(self._resolved.bulk_delete, "bulk_delete")
        return await capability.delete_many(list(paths))

    def list(
        self,
        prefix: str = "",
        *,
        recursive: bool = False,
        start_after: str | Entry | None = None,
    ) -> AsyncIterator[Entry]:
        key = start_after
        if isinstance(key, DirectoryInfo):
            key = f"{key.path}/"
        elif key is not None and not isinstance(key, str):
            key = key.path
        listing = self._have(self._resolved.listing, "listing")
        return listing.list_entries(prefix, recursive=recursive, start_after=key)

    def _have(self, capability: T | None, name: str) -> T:
        if capability is None:
            pytest.skip(f"the driver does not claim the capability {name!r}, which Disk derives")
        return capability


def _unchanged(error: Exception) -> NoReturn:
    raise error
