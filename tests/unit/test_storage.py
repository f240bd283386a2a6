"""The first tests of the project, under their first names: the small API."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jtc.storage import FileNotFoundException, Storage, StorageManager
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def memory() -> MemoryDriver:
    return MemoryDriver()


@pytest.fixture
def local(tmp_path: Path) -> LocalDriver:
    return LocalDriver(root=str(tmp_path), base_url="/storage")


@pytest.fixture
def storage() -> Iterator[MemoryDriver]:
    """Put a memory driver behind the default disk, as the documentation shows it."""
    driver = MemoryDriver()
    Storage.set_driver(driver, "default")
    yield driver
    Storage.forget("default")


# MemoryDriver


async def test_memory_driver_put_and_get(memory: MemoryDriver) -> None:
    assert await memory.put("test.txt", b"Hello") == "test.txt"
    assert await memory.get("test.txt") == b"Hello"


async def test_memory_driver_put_string(memory: MemoryDriver) -> None:
    await memory.put("test.txt", "Grüße")
    assert await memory.get("test.txt") == "Grüße".encode()


async def test_memory_driver_put_file_object(memory: MemoryDriver) -> None:
    file = io.BytesIO(b"from a file")
    await memory.put("test.txt", file)
    assert await memory.get("test.txt") == b"from a file"
    assert not file.closed


async def test_memory_driver_exists(memory: MemoryDriver) -> None:
    assert not await memory.exists("test.txt")
    await memory.put("test.txt", b"")
    assert await memory.exists("test.txt")


async def test_memory_driver_delete(memory: MemoryDriver) -> None:
    await memory.put("test.txt", b"Hello")
    assert await memory.delete("test.txt") is True
    assert await memory.delete("test.txt") is False
    assert not await memory.exists("test.txt")


async def test_memory_driver_size(memory: MemoryDriver) -> None:
    await memory.put("test.txt", b"Hello")
    assert await memory.size("test.txt") == 5


async def test_memory_driver_size_not_found(memory: MemoryDriver) -> None:
    with pytest.raises(FileNotFoundException) as caught:
        await memory.size("missing.txt")
    assert caught.value.path == "missing.txt"


async def test_memory_driver_last_modified(memory: MemoryDriver) -> None:
    before = time.time()
    await memory.put("test.txt", b"Hello")
    assert before <= await memory.last_modified("test.txt") <= time.time()


def test_memory_driver_url(memory: MemoryDriver) -> None:
    assert memory.url("uploads/test.txt") == "memory://uploads/test.txt"


def test_memory_driver_path(memory: MemoryDriver) -> None:
    assert memory.path("uploads/test.txt") == "memory://uploads/test.txt"


async def test_memory_driver_flush(memory: MemoryDriver) -> None:
    await memory.put("a.txt", b"1")
    await memory.put("b.txt", b"2")
    assert memory.count() == 2
    memory.flush()
    assert memory.count() == 0


async def test_memory_driver_all_paths(memory: MemoryDriver) -> None:
    await memory.put("a.txt", b"1")
    await memory.put("b/c.txt", b"2")
    assert sorted(memory.all_paths()) == ["a.txt", "b/c.txt"]


# LocalDriver


async def test_local_driver_put_and_get(local: LocalDriver, tmp_path: Path) -> None:
    assert await local.put("test.txt", b"Hello") == "test.txt"
    assert await local.get("test.txt") == b"Hello"
    assert (tmp_path / "test.txt").read_bytes() == b"Hello"


async def test_local_driver_create_directory(local: LocalDriver, tmp_path: Path) -> None:
    await local.put("deep/er/test.txt", b"Hello")
    assert (tmp_path / "deep" / "er" / "test.txt").is_file()


async def test_local_driver_exists(local: LocalDriver) -> None:
    assert not await local.exists("test.txt")
    await local.put("test.txt", b"")
    assert await local.exists("test.txt")


async def test_local_driver_delete(local: LocalDriver) -> None:
    await local.put("test.txt", b"Hello")
    assert await local.delete("test.txt") is True
    assert await local.delete("test.txt") is False
    assert not await local.exists("test.txt")


async def test_local_driver_size(local: LocalDriver) -> None:
    await local.put("test.txt", b"Hello")
    assert await local.size("test.txt") == 5


async def test_local_driver_last_modified(local: LocalDriver) -> None:
    before = time.time()
    await local.put("test.txt", b"Hello")
    assert before - 1 <= await local.last_modified("test.txt") <= time.time() + 1


def test_local_driver_url(local: LocalDriver) -> None:
    assert local.url("/uploads/a b.txt") == "/storage/uploads/a%20b.txt"


def test_local_driver_path(local: LocalDriver, tmp_path: Path) -> None:
    assert local.path("uploads/test.txt") == str(tmp_path / "uploads" / "test.txt")


# StorageManager


def test_storage_manager_singleton() -> None:
    assert StorageManager() is StorageManager()
    assert StorageManager() is Storage


async def test_storage_put_and_get(storage: MemoryDriver) -> None:
    assert await Storage.put("test.txt", b"Hello") == "test.txt"
    assert await Storage.get("test.txt") == b"Hello"
    assert storage.count() == 1


async def test_storage_exists(storage: MemoryDriver) -> None:
    assert not await Storage.exists("test.txt")
    await storage.put("test.txt", b"Hello")
    assert await Storage.exists("test.txt")


async def test_storage_delete(storage: MemoryDriver) -> None:
    await storage.put("test.txt", b"Hello")
    assert await Storage.delete("test.txt") is True
    assert await Storage.delete("test.txt") is False
    assert storage.count() == 0


async def test_storage_size(storage: MemoryDriver) -> None:
    await storage.put("test.txt", b"Hello")
    assert await Storage.size("test.txt") == 5


@pytest.mark.usefixtures("storage")
def test_storage_url() -> None:
    assert Storage.url("test.txt") == "memory://test.txt"


async def test_storage_disk(storage: MemoryDriver) -> None:
    other = MemoryDriver()
    Storage.set_driver(other, "other")
    try:
        await Storage.disk("other").put("test.txt", b"there")
        await Storage.disk("default").put("test.txt", b"here")
        assert await Storage.get("test.txt") == b"here"
        assert await Storage.disk("other").get("test.txt") == b"there"
        assert "test.txt" in storage.all_paths()
        assert "test.txt" in other.all_paths()
    finally:
        Storage.forget("other")
