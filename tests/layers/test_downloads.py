"""Downloads through layers: they read a stream, as every reader does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from disk_ways import disk_of
from jtc.storage import (
    ReadOptions,
    ReadStream,
    StorageTimeoutException,
    StorageUnavailableException,
)
from jtc.storage.drivers.memory_driver import MemoryDriver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CONTENT = bytes(range(251)) * 12_000


class Breaking(MemoryDriver):
    """Streams break off, or stall, after their first chunk, as often as was requested."""

    def __init__(self, breaks: int = 0, *, stalls: bool = False) -> None:
        super().__init__()
        self.breaks = breaks
        self.stalls = stalls
        self.asked: list[ReadOptions] = []

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        self.asked.append(options)
        stream = await super().open_read(path, options)

        async def chunks() -> AsyncIterator[bytes]:
            async for chunk in stream:
                yield chunk
                if self.stalls:
                    await asyncio.sleep(3600)
                if self.breaks:
                    self.breaks -= 1
                    raise ConnectionResetError("gone")

        return ReadStream(stream.info, chunks(), stream.aclose)


async def test_download_goes_on_where_it_broke_off_with_retries(tmp_path: Path) -> None:
    driver = Breaking(breaks=2)
    disk = disk_of(driver).with_layer("retry", delay=0)
    await disk.put("a", CONTENT)
    seen: list[Any] = []
    info = await disk.download("a", tmp_path / "copy", progress=lambda done, _: seen.append(done))
    assert (tmp_path / "copy").read_bytes() == CONTENT
    assert [asked.start for asked in driver.asked] == [0, 2**20, 2**21]
    assert {asked.if_match for asked in driver.asked[1:]} == {info.etag}
    assert all(asked.read_ahead for asked in driver.asked)
    assert seen == [2**20, 2**21, len(CONTENT)]


async def test_download_that_breaks_off_too_often_leaves_nothing(tmp_path: Path) -> None:
    disk = disk_of(Breaking(breaks=99)).with_layer("retry", delay=0, attempts=1)
    await disk.put("a", CONTENT)
    with pytest.raises(StorageUnavailableException):
        await disk.download("a", tmp_path / "copy")
    assert not any(tmp_path.iterdir())


async def test_download_of_a_storage_that_stalls_is_a_timeout(tmp_path: Path) -> None:
    disk = disk_of(Breaking(stalls=True)).with_layer("timeout", total=0.05)
    await disk.put("a", CONTENT)
    with pytest.raises(StorageTimeoutException) as raised:
        await disk.download("a", tmp_path / "copy")
    assert raised.value.operation == "download"
    assert not any(tmp_path.iterdir())


async def test_downloads_share_a_limit_of_one(tmp_path: Path) -> None:
    disk = disk_of(MemoryDriver()).with_layer("limit", operations=1)
    await disk.put("a", CONTENT)
    targets = [tmp_path / str(number) for number in range(4)]
    await asyncio.gather(*(disk.download("a", target) for target in targets))
    assert {target.read_bytes() for target in targets} == {CONTENT}


async def test_download_is_unaffected_by_a_layer_that_judges_writes(tmp_path: Path) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a", CONTENT)
    await disk.with_layer("validate", max_size=1).download("a", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == CONTENT
