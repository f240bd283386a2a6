"""`DriverAlone`: a driver without `Disk`, under the names of `Disk`'s methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Unpack, cast

import pytest

from jtc.storage import ByteStream
from jtc.storage.driver_support.content import driver_content
from jtc.storage.driver_support.derived import resolve
from jtc.storage.models import DirectoryInfo
from jtc.storage.options import (
    DEFAULT_CHUNK_SIZE,
    DeleteOptions,
    ListOptions,
    ReadOptions,
    WriteOptions,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from jtc.storage.driver import FullDriver, ReadStream, StorageDriver
    from jtc.storage.driver_support.content import Content
    from jtc.storage.models import Entry, FileInfo, Visibility
    from jtc.storage.options import CopyOptions, MetadataOptions, PutOptions

__all__ = ["DriverAlone"]


class DriverAlone:
    """Calls the driver's own methods; what the driver lacks skips the test.

    Args:
        driver: Any driver.
    """

    def __init__(self, driver: StorageDriver) -> None:
        self._capabilities = resolve(driver).capabilities
        self._driver = driver
        self.get = driver.get
        self.exists = driver.exists
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
        record: Any = options
        driver = self._with("writing")
        await driver.write_file(path, driver_content(content), WriteOptions(**record))
        return path.removeprefix("/")

    async def delete(self, path: str, *, if_match: str | None = None) -> bool:
        if if_match is None:
            return await self._driver.delete(path)
        options = DeleteOptions(if_match=if_match)
        return await self._with("conditional_delete").delete_file(path, options)

    async def stat(self, path: str) -> FileInfo:
        return await self._with("stat").stat(path)

    def stream(
        self,
        path: str,
        *,
        start: int = 0,
        end: int | None = None,
        chunk_size: int = DEFAULT_CHUNK_SIZE,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> ByteStream:
        driver = self._with("reading")

        async def opener() -> ReadStream:
            options = ReadOptions(
                start=start,
                end=end,
                chunk_size=chunk_size,
                if_match=if_match,
                if_none_match=if_none_match,
            )
            return await driver.open_read(path, options)

        return ByteStream(opener, _unchanged)

    async def get_range(self, path: str, start: int, end: int | None = None) -> bytes:
        return b"".join([chunk async for chunk in self.stream(path, start=start, end=end)])

    async def get_ranges(self, path: str, ranges: Iterable[tuple[int, int]]) -> list[bytes]:
        driver = self._with("ranges")
        return list(await driver.read_ranges(path, list(ranges), ReadOptions()))

    async def set_metadata(self, path: str, **options: Unpack[MetadataOptions]) -> None:
        record: Any = options
        await self._with("metadata_update").update_metadata(path, WriteOptions(**record))

    async def copy(self, src: str, dst: str, **options: Unpack[CopyOptions]) -> str:
        record: Any = options
        await self._with("copy").copy_file(src, dst, WriteOptions(**record))
        return dst.removeprefix("/")

    async def move(self, src: str, dst: str, **options: Unpack[CopyOptions]) -> str:
        record: Any = options
        await self._with("move").move_file(src, dst, WriteOptions(**record))
        return dst.removeprefix("/")

    async def visibility(self, path: str) -> Visibility:
        return await self._with("visibility").visibility(path)

    async def set_visibility(self, path: str, visibility: Visibility) -> None:
        await self._with("visibility").set_visibility(path, visibility)

    async def make_directory(self, path: str) -> None:
        await self._with("directories").make_directory(path)

    async def delete_directory(self, path: str) -> None:
        await self._with("directories").delete_directory(path)

    async def move_directory(self, src: str, dst: str) -> None:
        await self._with("directory_move").move_directory(src, dst)

    async def remove_empty_directory(self, path: str) -> bool:
        return await self._with("empty_directory_removal").remove_empty_directory(path)

    async def delete_many(self, paths: Iterable[str]) -> Mapping[str, bool | Exception]:
        return await self._with("bulk_delete").delete_many(list(paths))

    def list(
        self,
        prefix: str = "",
        *,
        recursive: bool = False,
        directories: bool = False,
        start_after: str | Entry | None = None,
    ) -> AsyncIterator[Entry]:
        key = start_after
        if isinstance(key, DirectoryInfo):
            key = f"{key.path}/"
        elif key is not None and not isinstance(key, str):
            key = key.path
        options = ListOptions(recursive=recursive, directories=directories, start_after=key)
        return self._with("listing").list_entries(prefix, options)

    def _with(self, capability: str) -> FullDriver:
        if capability not in self._capabilities:
            pytest.skip(f"the driver lacks the capability {capability!r}, which Disk derives")
        return cast("FullDriver", self._driver)


def _unchanged(error: Exception) -> NoReturn:
    raise error
