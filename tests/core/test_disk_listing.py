"""Listing, and directories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import (
    DirectoryInfo,
    Disk,
    FileInfo,
    InvalidPathException,
    StorageManager,
    StorageUnavailableException,
)
from jtc.storage.drivers.memory_driver import MemoryDriver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TREE = ["a", "a-b", "img/1.png", "img/deep/2.png", "img/deep/er/3.png", "img2/x", "z"]


def disk_of(driver: Any) -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    return manager.disk("d")


@pytest.fixture
async def disk() -> Disk:
    disk = disk_of(MemoryDriver())
    for path in TREE:
        await disk.put(path, b"")
    return disk


async def test_a_directory_is_listed_one_level_or_whole(disk: Disk) -> None:
    entries = [entry async for entry in disk.list()]
    assert [(type(entry), entry.path) for entry in entries] == [
        (FileInfo, "a"),
        (FileInfo, "a-b"),
        (DirectoryInfo, "img"),
        (DirectoryInfo, "img2"),
        (FileInfo, "z"),
    ]
    assert [entry.path async for entry in disk.list(recursive=True)] == TREE
    assert await disk.files() == ["a", "a-b", "z"]
    assert await disk.files("/img") == ["img/1.png"]
    assert await disk.directories() == ["img", "img2"]
    assert await disk.all_files("img") == TREE[2:5]
    assert await disk.all_directories() == ["img", "img/deep", "img/deep/er", "img2"]
    assert await disk.all_directories("img/deep") == ["img/deep/er"]


async def test_a_prefix_counts_by_whole_parts(disk: Disk) -> None:
    for prefix in ("im", "img/d", "nowhere", "a"):
        assert [entry async for entry in disk.list(prefix)] == []
        assert await disk.all_files(prefix) == []


@pytest.mark.parametrize("recursive", [False, True])
async def test_a_listing_resumes_after_any_entry_or_path(disk: Disk, recursive: bool) -> None:
    entries = [entry async for entry in disk.list(recursive=recursive)]
    for number, entry in enumerate(entries):
        rest = [one.path for one in entries[number + 1 :]]
        path = f"/{entry.path}/" if isinstance(entry, DirectoryInfo) else f"/{entry.path}"
        for after in (entry, path):
            found = disk.list(recursive=recursive, start_after=after)
            assert [one.path async for one in found] == rest


@pytest.mark.parametrize("after", ["..", "", "a//b", "/"])
async def test_a_place_to_resume_after_is_a_path(disk: Disk, after: str) -> None:
    with pytest.raises(InvalidPathException):
        await anext(disk.list(start_after=after))


@pytest.mark.parametrize("after", [5, b"a", ["a"]])
async def test_what_is_no_place_to_resume_after_is_a_type_error(disk: Disk, after: Any) -> None:
    with pytest.raises(TypeError, match="start_after is an entry or a path"):
        await anext(disk.list(start_after=after))


@pytest.mark.parametrize("path", ["..", "a/", "/", "a//b"])
async def test_a_bad_prefix_raises_when_it_is_used(disk: Disk, path: str) -> None:
    listing = disk.list(path)
    with pytest.raises(InvalidPathException) as raised:
        await anext(listing)
    assert (raised.value.operation, raised.value.path, raised.value.disk) == ("list", path, "d")
    for use in (disk.files(path), disk.all_directories(path), disk.directory_exists(path)):
        with pytest.raises(InvalidPathException):
            await use


async def test_a_directory_is_there_with_files_below_it_or_made(disk: Disk) -> None:
    await disk.make_directory("/empty/one")
    await disk.make_directory("empty/one")
    for path in ("", "img", "/img/deep", "empty", "empty/one"):
        assert await disk.directory_exists(path), path
    for path in ("a", "im", "img/1.png", "nowhere/at/all", "empty/two"):
        assert not await disk.directory_exists(path), path
    assert await disk_of(MemoryDriver()).directory_exists("")


async def test_deleting_a_directory_leaves_its_neighbours(disk: Disk) -> None:
    await disk.delete_directory("/img")
    await disk.delete_directory("nowhere")
    assert await disk.all_files() == ["a", "a-b", "img2/x", "z"]


async def test_a_driver_that_only_lists_deletes_directories_by_their_files() -> None:
    driver: Any = MemoryDriver()
    driver.unsupported = frozenset({"directories"})
    disk = disk_of(driver)
    for path in TREE:
        await disk.put(path, b"")
    await disk.delete_directory("img")
    assert await disk.all_files() == ["a", "a-b", "img2/x", "z"]


@pytest.mark.parametrize("path", ["", "/", "..", "img/"])
async def test_the_root_and_bad_paths_are_not_deleted_or_made(disk: Disk, path: str) -> None:
    for use in (disk.delete_directory(path), disk.make_directory(path)):
        with pytest.raises(InvalidPathException):
            await use
    assert await disk.all_files() == TREE


async def test_a_listing_that_fails_half_way_says_where() -> None:
    class Broken(MemoryDriver):
        async def list_entries(
            self, prefix: str, /, *, recursive: bool = False, start_after: str | None = None
        ) -> AsyncIterator[Any]:
            async for entry in super().list_entries(
                prefix, recursive=recursive, start_after=start_after
            ):
                yield entry
            raise ConnectionError

    disk = disk_of(Broken())
    await disk.put("dir/a", b"")
    seen = []
    with pytest.raises(StorageUnavailableException) as raised:  # noqa: PT012 - half-way
        async for entry in disk.list("dir"):
            seen.append(entry.path)  # noqa: PERF401 - it fails
    assert seen == ["dir/a"]
    assert (raised.value.operation, raised.value.path, raised.value.disk) == ("list", "dir", "d")
    with pytest.raises(StorageUnavailableException) as raised:
        await disk.directory_exists("nowhere")
    assert raised.value.operation == "directory_exists"
