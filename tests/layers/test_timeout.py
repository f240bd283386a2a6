"""The layer `timeout`: what counts, and what does not.

Times here are lengths of sleeps that must end early, or must not count; none is measured.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import (
    ReadOptions,
    StorageConfigException,
    StorageManager,
    StorageTimeoutException,
    WriteOptions,
)
from jtc.storage.driver import ReadStream
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.layers.timeout import Timeout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from jtc.storage import Disk, ListOptions

NEVER_ENDING = 3600.0
SHORT = 0.05


class Hanging(MemoryDriver):
    """Hangs in the method that `hangs` names."""

    hangs = ""

    async def _hang(self, name: str) -> None:
        if self.hangs == name:
            await asyncio.sleep(NEVER_ENDING)

    async def get(self, path: str, /) -> bytes:
        await self._hang("get")
        return await super().get(path)

    async def exists(self, path: str, /) -> bool:
        await self._hang("exists")
        return await super().exists(path)

    async def put(self, path: str, content: Any, /) -> str:
        await self._hang("put")
        return await super().put(path, content)

    async def write_file(self, path: str, content: Any, options: WriteOptions, /) -> str | None:
        await self._hang("write_file")
        etag = await super().write_file(path, content, options)
        await self._hang("the end of write_file")
        return etag

    async def copy_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        await self._hang("copy_file")
        return await super().copy_file(src, dst, options)

    async def read_ranges(
        self, path: str, ranges: Sequence[tuple[int, int]], options: ReadOptions, /
    ) -> Sequence[bytes]:
        await self._hang("read_ranges")
        return await super().read_ranges(path, ranges, options)

    async def update_metadata(self, path: str, options: WriteOptions, /) -> str | None:
        await self._hang("update_metadata")
        return await super().update_metadata(path, options)

    async def remove_empty_directory(self, path: str, /) -> bool:
        await self._hang("remove_empty_directory")
        return await super().remove_empty_directory(path)

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        await self._hang("open_read")
        stream = await super().open_read(path, options)

        async def chunks() -> AsyncIterator[bytes]:
            async for chunk in stream:
                yield chunk
                await self._hang("a chunk")

        return ReadStream(stream.info, chunks(), stream.aclose)

    async def list_entries(self, prefix: str, options: ListOptions, /) -> Any:
        await self._hang("list_entries")
        async for entry in super().list_entries(prefix, options):
            yield entry
            await self._hang("an entry")


@pytest.fixture
async def driver() -> Hanging:
    driver = Hanging()
    await driver.put("a", b"12345")
    await driver.put("b", b"")
    return driver


def through(driver: Any, **options: float) -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    return manager.disk("d").with_layer("timeout", **options)


async def whole(items: Any) -> list[Any]:
    return [item async for item in items]


HANGS: dict[str, Callable[[Disk], Any]] = {
    "get": lambda d: d.get("a"),
    "exists": lambda d: d.exists("a"),
    "put": lambda d: d.put("a", b"1"),
    "write_file": lambda d: d.put("a", [b"1"]),
    "the end of write_file": lambda d: d.put("a", [b"1"]),
    "copy_file": lambda d: d.copy("a", "c"),
    "read_ranges": lambda d: d.get_ranges("a", [(0, 1), (2, 3)]),
    "update_metadata": lambda d: d.set_metadata("a", content_type="x/y"),
    "remove_empty_directory": lambda d: d.remove_empty_directory("empty"),
    "open_read": lambda d: d.stream("a"),
    "a chunk": lambda d: whole(d.stream("a", chunk_size=2)),
    "list_entries": lambda d: d.files(),
    "an entry": lambda d: d.files(),
}


@pytest.mark.parametrize("name", HANGS)
async def test_storage_that_hangs_is_a_timeout(driver: Hanging, name: str) -> None:
    driver.hangs = name
    with pytest.raises(StorageTimeoutException, match=r"did not answer within 0\.05 s") as raised:
        await HANGS[name](through(driver, connect=SHORT, total=SHORT))
    assert raised.value.disk == "d"
    assert raised.value.operation is not None
    assert raised.value.retryable


@pytest.mark.parametrize("name", ["open_read", "list_entries"])
async def test_connect_bounds_opening(driver: Hanging, name: str) -> None:
    driver.hangs = name
    with pytest.raises(StorageTimeoutException, match=r"within 0\.05 s"):
        await HANGS[name](through(driver, connect=SHORT, total=NEVER_ENDING))


async def test_time_of_a_reader_between_chunks_does_not_count(driver: Hanging) -> None:
    disk = through(driver, connect=SHORT, total=SHORT)
    async for chunk in disk.stream("a", chunk_size=3):
        assert chunk
        await asyncio.sleep(3 * SHORT)
    async for _ in disk.list():
        await asyncio.sleep(3 * SHORT)


class SlowFile:
    """A blocking file whose reads are slow."""

    def __init__(self) -> None:
        self.left = 4

    def read(self, _size: int = -1) -> bytes:
        if not self.left:
            return b""
        self.left -= 1
        time.sleep(2 * SHORT)
        return b"1"


async def slow_chunks() -> AsyncIterator[bytes]:
    for _ in range(4):
        await asyncio.sleep(2 * SHORT)
        yield b"1"


@pytest.mark.parametrize("source", [SlowFile, slow_chunks])
@pytest.mark.parametrize("kind", ["memory", "local"])
async def test_time_that_the_content_takes_does_not_count(
    source: Callable[[], Any], kind: str, tmp_path: Path
) -> None:
    driver = MemoryDriver() if kind == "memory" else LocalDriver(tmp_path)
    disk = through(driver, connect=4 * SHORT, total=4 * SHORT)
    await disk.put("a", source())
    assert await disk.get("a") == b"1111"
    await disk.put("b", source(), content_type="x/y", size=4)
    assert await disk.size("b") == 4


@pytest.mark.parametrize("source", [SlowFile, slow_chunks])
async def test_clock_runs_again_after_the_content(
    driver: Hanging, source: Callable[[], Any]
) -> None:
    driver.hangs = "the end of write_file"
    with pytest.raises(StorageTimeoutException):
        await through(driver, connect=SHORT, total=SHORT).put("a", source())


async def test_storage_that_stalls_between_two_chunks_is_a_timeout() -> None:
    class Stalling(MemoryDriver):
        async def write_file(self, path: str, content: Any, options: WriteOptions, /) -> str | None:
            await anext(content)
            await asyncio.sleep(NEVER_ENDING)
            return await super().write_file(path, content, options)

    with pytest.raises(StorageTimeoutException):
        await through(Stalling(), total=SHORT).put("a", slow_chunks())


async def test_timeout_of_the_driver_or_the_caller_comes_out_unchanged(driver: Hanging) -> None:
    class Failing(MemoryDriver):
        async def get(self, path: str, /) -> bytes:
            raise TimeoutError(path)

    with pytest.raises(StorageTimeoutException) as raised:
        await through(Failing()).get("a")
    assert "within" not in str(raised.value)
    driver.hangs = "get"
    with pytest.raises(TimeoutError) as outer:
        async with asyncio.timeout(SHORT):
            await through(driver).get("a")
    assert not isinstance(outer.value, StorageTimeoutException)
    task = asyncio.create_task(through(driver).get("a"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_write_that_is_cut_off_changes_nothing(tmp_path: Path) -> None:
    driver = LocalDriver(tmp_path)
    await driver.put("a", b"old")

    class Source:
        """Endless content."""

        def __aiter__(self) -> Source:
            return self

        async def __anext__(self) -> bytes:
            await asyncio.sleep(0)
            return b"x" * 1000

    disk = through(driver)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(4 * SHORT):
            await disk.put("a", Source())
    assert await driver.get("a") == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("options", [{"connect": 0}, {"total": -1}, {"total": "long"}])
def test_invalid_time_is_refused(options: Any) -> None:
    with pytest.raises(StorageConfigException, match=next(iter(options))):
        Timeout(MemoryDriver(), **options)
