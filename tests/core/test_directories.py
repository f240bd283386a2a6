"""Listings and directories."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disk_ways import Awaited, disk_of
from jtc.storage import (
    DirectoryInfo,
    Disk,
    FileInfo,
    InvalidPathException,
    Layer,
    ListOptions,
    PathConflictException,
    StorageManager,
    StorageUnavailableException,
    UnsupportedOperationException,
    Usage,
)
from jtc.storage.drivers.memory_driver import MemoryDriver
from small_drivers import EightMethods

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from jtc.storage import Entry

TREE = ["a", "a-b", "img/1.png", "img/deep/2.png", "img/deep/er/3.png", "img2/x", "z"]


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
        async def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
            async for entry in super().list_entries(prefix, options):
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


# Listings with directories at any depth: the driver's own, and derived by walking


class Walked(MemoryDriver):
    """Lists directories one level at a time only."""

    supported_options: ClassVar = {**MemoryDriver.supported_options, "list_entries": frozenset()}


names = st.sampled_from(["a", "a-", "a.b", "b", "Z", "ä"])
tree_paths = st.lists(names, min_size=1, max_size=4).map("/".join)


def keys_of(files: set[str], directories: set[str]) -> list[str]:
    """Return the keys of files and of all directories, in the order of a listing."""
    keys = set(files)
    for path in [*files, *(f"{directory}/" for directory in directories)]:
        parts = path.split("/")
        keys |= {"/".join(parts[:depth]) + "/" for depth in range(1, len(parts))}
    return sorted(keys)


def key_of(entry: Entry) -> str:
    return entry.path + ("/" if isinstance(entry, DirectoryInfo) else "")


@given(
    files=st.sets(tree_paths, max_size=8),
    made=st.sets(tree_paths, max_size=3),
    prefix=tree_paths | st.just(""),
    after=st.none() | tree_paths | tree_paths.map(lambda path: f"{path}/"),
    scope=st.sampled_from(["", "a", "a/b"]),
)
def test_list_of_directories_is_the_same_native_and_derived(
    files: set[str], made: set[str], prefix: str, after: str | None, scope: str
) -> None:
    async def check() -> None:
        base = f"{prefix}/" if prefix else ""
        expected = [
            key
            for key in keys_of(files, made)
            if key.startswith(base) and key != base and (after is None or key > after)
        ]
        for driver in (MemoryDriver(), Walked()):
            disk = disk_of(driver).scoped(scope) if scope else disk_of(driver)
            for path in files:
                await disk.put(path, b"12")
            for path in made:
                await disk.make_directory(path)
            listing = disk.list(prefix, recursive=True, directories=True, start_after=after)
            assert [key_of(entry) async for entry in listing] == expected

    asyncio.run(check())


@pytest.mark.parametrize("driver", [MemoryDriver, Walked])
async def test_list_of_directories_resumes_after_each_entry(driver: Any) -> None:
    disk = disk_of(driver())
    for path in [*TREE, "a/b", "img/deep.txt"]:  # ``a`` is a file and a directory, as on S3
        await disk.put(path, b"")
    await disk.make_directory("img/deep/empty/one")
    entries = [entry async for entry in disk.list(recursive=True, directories=True)]
    keys = [key_of(entry) for entry in entries]
    assert keys == [
        "a", "a-b", "a/", "a/b", "img/", "img/1.png", "img/deep.txt", "img/deep/",
        "img/deep/2.png", "img/deep/empty/", "img/deep/empty/one/", "img/deep/er/",
        "img/deep/er/3.png", "img2/", "img2/x", "z",
    ]  # fmt: skip
    for number, entry in enumerate(entries):
        rest = disk.list(recursive=True, directories=True, start_after=entry)
        assert [key_of(each) async for each in rest] == keys[number + 1 :]


@pytest.mark.parametrize("directories", [False, True])
async def test_list_of_one_level_always_has_directories(disk: Disk, directories: bool) -> None:
    entries = disk.list(directories=directories)
    assert [key_of(entry) async for entry in entries] == ["a", "a-b", "img/", "img2/", "z"]


async def test_list_of_directories_asks_driver_once_where_it_supports_them() -> None:
    class Asked(MemoryDriver):
        def __init__(self) -> None:
            super().__init__()
            self.asked: list[tuple[str, ListOptions]] = []

        async def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
            self.asked.append((prefix, options))
            async for entry in super().list_entries(prefix, options):
                yield entry

    driver = Asked()
    disk = disk_of(driver)
    await disk.put("a/b/c", b"")
    assert await disk.all_directories("a") == ["a/b"]
    assert driver.asked == [("a", ListOptions(recursive=True, directories=True))]


async def test_walk_that_is_left_early_lists_no_further() -> None:
    class Counted(Walked):
        listed = 0

        async def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
            self.listed += 1
            async for entry in super().list_entries(prefix, options):
                yield entry

    driver = Counted()
    disk = disk_of(driver)
    for n in range(9):
        await disk.put(f"{n}/a", b"")
    async for entry in disk.list(recursive=True, directories=True):
        if entry.path == "1":
            break
    assert driver.listed == 2


@pytest.mark.parametrize("driver", [MemoryDriver, Walked])
async def test_all_directories_are_those_of_files_and_those_made(driver: Any) -> None:
    disk = disk_of(driver())
    for path in TREE:
        await disk.put(path, b"")
    await disk.make_directory("made/empty")
    assert await disk.all_directories() == [
        "img", "img/deep", "img/deep/er", "img2", "made", "made/empty"
    ]  # fmt: skip


# What a directory holds, and what is at a path


DISKS: dict[str, Callable[[], Any]] = {
    "memory": lambda: disk_of(MemoryDriver()),
    "walked": lambda: disk_of(Walked()),
    "scope": lambda: disk_of(MemoryDriver()).scoped("s/t"),
    "layer": lambda: disk_of(MemoryDriver()).with_layer(Layer),
    "fake": lambda: fake_of(MemoryDriver()),
    "sync": lambda: Awaited(disk_of(MemoryDriver()).sync),
}


def fake_of(driver: Any) -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    return manager.fake("d")


@pytest.fixture(params=DISKS)
def any_disk(request: pytest.FixtureRequest) -> Any:
    return DISKS[request.param]()


async def test_usage_counts_the_files_below_a_directory_and_their_bytes(any_disk: Any) -> None:
    for number, path in enumerate(TREE):
        await any_disk.put(path, bytes(number))
    await any_disk.make_directory("empty")
    assert await any_disk.usage() == Usage(files=7, bytes=sum(range(7)))
    assert await any_disk.usage("/img") == Usage(files=3, bytes=2 + 3 + 4)
    assert await any_disk.usage("img/deep") == Usage(files=2, bytes=3 + 4)
    for path in ("empty", "nowhere", "a", "im"):
        assert await any_disk.usage(path) == Usage(files=0, bytes=0)
    with pytest.raises(InvalidPathException):
        await any_disk.usage("..")


async def test_entry_is_a_file_a_directory_or_none(any_disk: Any) -> None:
    await any_disk.put("img/1.png", b"123", content_type="image/x-odd")
    await any_disk.make_directory("made/empty")
    file = await any_disk.entry("/img/1.png")
    assert file == await any_disk.stat("img/1.png")
    assert (file.path, file.size, file.content_type) == ("img/1.png", 3, "image/x-odd")
    for path in ("img", "/made", "made/empty"):
        assert await any_disk.entry(path) == DirectoryInfo(path=path.removeprefix("/"))
    for path in ("im", "nowhere", "img/2.png", "img/1.png/below", "made/empty/x"):
        assert await any_disk.entry(path) is None
    for path in ("", "/", "..", "img/"):
        with pytest.raises(InvalidPathException):
            await any_disk.entry(path)


async def test_entry_of_file_and_directory_of_one_name_is_the_file() -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a", b"1")
    await disk.put("a/b", b"22")
    assert await disk.entry("a") == await disk.stat("a")


async def test_entry_of_path_below_a_file_is_none_where_driver_reports_a_conflict() -> None:
    class Conflict(EightMethods):
        async def stat(self, path: str, /) -> FileInfo:
            raise NotADirectoryError(path)

    class Translated(EightMethods):
        async def stat(self, path: str, /) -> FileInfo:
            raise PathConflictException("A file stands where a directory should be", path=path)

    for driver in (Conflict, Translated):
        assert await disk_of(driver()).entry("a/b") is None


@pytest.mark.parametrize(
    "error", [IsADirectoryError("a"), PathConflictException("A directory stands there")]
)
async def test_entry_is_a_directory_where_driver_reports_one_in_place_of_a_file(
    error: Exception,
) -> None:
    class Strict(MemoryDriver):
        async def stat(self, path: str, /) -> FileInfo:
            if path == "a":
                raise error
            return await super().stat(path)

    disk = disk_of(Strict())
    await disk.put("a/b", b"")
    assert await disk.entry("a") == DirectoryInfo(path="a")


async def test_entry_without_a_listing_finds_files_only() -> None:
    disk = disk_of(EightMethods())
    await disk.put("dir/a", b"12")
    assert await disk.entry("dir/a") == FileInfo(path="dir/a", size=2, last_modified=1.7e9)
    assert await disk.entry("dir") is None


async def test_entry_says_what_failed() -> None:
    class Broken(EightMethods):
        async def size(self, path: str, /) -> int:
            raise ConnectionError(path)

    with pytest.raises(StorageUnavailableException) as raised:
        await disk_of(Broken()).entry("a")
    assert (raised.value.operation, raised.value.path) == ("entry", "a")


async def test_remove_empty_directory_removes_only_an_empty_one(any_disk: Any) -> None:
    await any_disk.make_directory("made/empty")
    await any_disk.put("img/1.png", b"")
    for path in ("made", "img", "img/1.png"):
        with pytest.raises(PathConflictException) as raised:
            await any_disk.remove_empty_directory(path)
        assert (raised.value.operation, raised.value.path) == ("remove_empty_directory", path)
    assert await any_disk.remove_empty_directory("/made/empty") is True
    assert await any_disk.directory_exists("made")
    assert await any_disk.remove_empty_directory("made") is True
    assert not await any_disk.directory_exists("made")
    assert await any_disk.remove_empty_directory("made") is False
    assert await any_disk.remove_empty_directory("nowhere") is False
    assert await any_disk.all_files() == ["img/1.png"]
    for path in ("", "/", "..", "made/"):
        with pytest.raises(InvalidPathException):
            await any_disk.remove_empty_directory(path)


async def test_remove_empty_directory_is_not_derived() -> None:
    class Listing(MemoryDriver):
        unsupported = MemoryDriver.unsupported | {"empty_directory_removal"}

    disk = disk_of(Listing())
    await disk.make_directory("made")
    with pytest.raises(UnsupportedOperationException, match="'empty_directory_removal'"):
        await disk.remove_empty_directory("made")
    assert await disk.directory_exists("made")


@pytest.mark.parametrize(
    "entry",
    [FileInfo(path="../out/a", size=0, last_modified=0), DirectoryInfo(path="../out")],
)
async def test_list_start_after_checks_path_of_an_entry(entry: Any) -> None:
    disk = disk_of(MemoryDriver())
    with pytest.raises(InvalidPathException):
        [e async for e in disk.list(recursive=True, directories=True, start_after=entry)]


LISTINGS: dict[str, Callable[[Disk, str], Any]] = {
    "files": lambda d, p: d.files(p),
    "all_files": lambda d, p: d.all_files(p),
    "directories": lambda d, p: d.directories(p),
    "all_directories": lambda d, p: d.all_directories(p),
    "usage": lambda d, p: d.usage(p),
}


@pytest.mark.parametrize("method", LISTINGS)
async def test_listing_of_a_slash_says_how_the_root_is_written(any_disk: Disk, method: str) -> None:
    with pytest.raises(InvalidPathException, match="The root directory is written ''") as raised:
        await LISTINGS[method](any_disk, "/")
    assert raised.value.path == "/"


@pytest.mark.parametrize("method", LISTINGS)
async def test_listing_of_a_pattern_names_glob(any_disk: Disk, method: str) -> None:
    await any_disk.put("d/a.txt", b"1")
    for pattern in ("d/*.txt", "*", "d/**"):
        with pytest.raises(InvalidPathException, match=r"call glob\(\)") as raised:
            await LISTINGS[method](any_disk, pattern)
        assert raised.value.path == pattern
    await any_disk.put("b*/a.txt", b"1")  # a star may be part of a name
    await LISTINGS[method](any_disk, "b*")
    await LISTINGS[method](any_disk, "b*/a.txt")
    await any_disk.put("c*", b"1")
    await LISTINGS[method](any_disk, "c*")
    await LISTINGS[method](any_disk, "missing")
    assert await any_disk.glob("d/*.txt") == ["d/a.txt"]


async def test_list_of_a_name_with_a_star_is_exact(disk: Disk) -> None:
    for recursive in (False, True):
        assert [entry async for entry in disk.list("img/*", recursive=recursive)] == []


class Watched(MemoryDriver):
    """Counts the listings that are open."""

    open = 0

    async def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
        self.open += 1
        try:
            async for entry in super().list_entries(prefix, options):
                yield entry
        finally:
            self.open -= 1


class Walked(Watched):
    """Lists directories level by level only."""

    supported_options: ClassVar = {**MemoryDriver.supported_options, "list_entries": frozenset()}


@pytest.mark.parametrize("kind", [Watched, Walked])
@pytest.mark.parametrize("way", ["disk", "scoped", "retry", "limit", "timeout"])
async def test_listing_that_is_left_early_is_closed_below(kind: Any, way: str) -> None:
    driver = kind()
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    disk = manager.disk("d")
    for number in range(9):
        await disk.put(f"top/d{number}/a", b"1")
    view = {
        "disk": lambda: disk,
        "scoped": lambda: disk.scoped("top"),
        "retry": lambda: disk.with_layer("retry"),
        "limit": lambda: disk.with_layer("limit", operations=1),
        "timeout": lambda: disk.with_layer("timeout", total=60),
    }[way]()
    entries: Any = view.list(recursive=True, directories=True)
    async with contextlib.aclosing(entries):
        async for _ in entries:
            if driver.open:
                break
        assert driver.open
    assert driver.open == 0
    assert await view.directory_exists("top" if way != "scoped" else "d0")
    assert driver.open == 0
