"""Copies and moves of directories: nothing is lost, copied twice, or copied into itself."""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import (
    Disk,
    FileExistsException,
    FileInfo,
    FileNotFoundException,
    InvalidPathException,
    PathConflictException,
    ReadOnlyException,
    StorageException,
    StorageManager,
    StorageUnavailableException,
    UnsupportedOperationException,
    WriteOptions,
)
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.exceptions import TransferException
from jtc.storage.hookspecs import hookimpl
from jtc.storage.transfers import Action, TransferProgress
from small_drivers import EightMethods

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

FILES = {"a.txt": b"one", "b/c.txt": b"two", "b/d/e.txt": b"three", "b.txt": b"four"}


class FileByFile(MemoryDriver):
    """Cannot move a directory at once, and counts what it writes and copies."""

    unsupported = frozenset({"directory_move"})

    def __init__(self) -> None:
        super().__init__()
        self.did: list[str] = []

    async def copy_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        self.did.append(f"copy {src}")
        return await super().copy_file(src, dst, options)

    async def move_file(self, src: str, dst: str, options: WriteOptions, /) -> str | None:
        self.did.append(f"move {src}")
        return await super().move_file(src, dst, options)

    async def write_file(self, path: str, content: Any, options: WriteOptions, /) -> str | None:
        self.did.append(f"write {path}")
        return await super().write_file(path, content, options)


def disks(**drivers: Any) -> list[Disk]:
    manager = StorageManager.isolated({})
    for name, driver in drivers.items():
        manager.set_driver(driver, name)
    return [manager.disk(name) for name in drivers]


async def filled(disk: Disk, directory: str = "src") -> Disk:
    await disk.put_many({f"{directory}/{path}": content for path, content in FILES.items()})
    return disk


async def tree(disk: Disk, directory: str) -> dict[str, bytes]:
    paths = await disk.all_files(directory)
    return {path.removeprefix(f"{directory}/"): await disk.get(path) for path in paths}


@pytest.fixture(params=["memory", "local"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Any]:
    def driver(name: str) -> Any:
        return MemoryDriver() if request.param == "memory" else LocalDriver(tmp_path / name)

    return driver


async def test_copy_directory_copies_all_files_within_a_disk(make: Callable[[str], Any]) -> None:
    (disk,) = disks(one=make("one"))
    await filled(disk)
    results = [r async for r in disk.copy_directory("src", "to/dst")]
    assert {r.to_path for r in results} == {f"to/dst/{path}" for path in FILES}
    assert {r.action for r in results} == {Action.COPY}
    assert sum(r.size or 0 for r in results) == 15
    assert await tree(disk, "to/dst") == await tree(disk, "src") == FILES


async def test_copy_directory_copies_to_another_disk(make: Callable[[str], Any]) -> None:
    one, two = disks(one=make("one"), two=make("two"))
    await filled(one, "src")
    seen: list[TransferProgress] = []
    summary = await one.copy_directory("src", "", to="two", progress=seen.append)
    assert (summary.files, summary.bytes) == (4, 15)
    assert (seen[-1].files, seen[-1].bytes) == (4, 15)
    assert [p.bytes for p in seen] == sorted(p.bytes for p in seen)
    assert {path: await two.get(path) for path in await two.all_files()} == FILES


async def test_copy_directory_again_skips_what_is_there(make: Callable[[str], Any]) -> None:
    one, two = disks(one=make("one"), two=make("two"))
    await filled(one)
    await one.copy_directory("src", "dst", to=two)
    await one.put("src/b/c.txt", b"other")
    await two.put("dst/only.txt", b"of the target")
    seen: list[TransferProgress] = []
    results = {
        r.path: r async for r in one.copy_directory("src", "dst", to=two, progress=seen.append)
    }
    assert {path: r.action for path, r in results.items()} == {
        "src/a.txt": Action.SKIP,
        "src/b.txt": Action.SKIP,
        "src/b/c.txt": Action.COPY,
        "src/b/d/e.txt": Action.SKIP,
    }
    assert (seen[-1].files, seen[-1].bytes) == (4, 5)
    assert await tree(two, "dst") == {**FILES, "b/c.txt": b"other", "only.txt": b"of the target"}
    again = await one.copy_directory("src", "dst", to=two)
    assert (again.files, again.skipped) == (0, 4)


async def test_copy_directory_with_options_that_change_copies_skips_nothing() -> None:
    one, two = disks(one=MemoryDriver(), two=MemoryDriver())
    await filled(one)
    await one.copy_directory("src", "dst", to=two)
    summary = await one.copy_directory("src", "dst", to=two, cache_control="no-cache")
    assert (summary.files, summary.skipped) == (4, 0)
    assert (await two.stat("dst/a.txt")).cache_control == "no-cache"


async def test_copy_directory_overwrite_false_refuses_files_that_differ() -> None:
    one, two = disks(one=MemoryDriver(), two=MemoryDriver())
    await filled(one)
    await two.put("dst/a.txt", b"another")
    results = {
        r.path: r.error async for r in one.copy_directory("src", "dst", to=two, overwrite=False)
    }
    assert isinstance(results.pop("src/a.txt"), FileExistsException)
    assert set(results.values()) == {None}
    assert await two.get("dst/a.txt") == b"another"


async def test_copy_directory_missing_source_is_an_error(make: Callable[[str], Any]) -> None:
    (disk,) = disks(one=make("one"))
    for call in (disk.copy_directory, disk.move_directory):
        with pytest.raises(FileNotFoundException):
            await call("none", "dst")


@pytest.mark.parametrize("operation", ["copy_directory", "move_directory"])
@pytest.mark.parametrize(
    ("src", "dst"), [("src", "src"), ("src", "src/b"), ("src", "src/new"), ("", "dst"), ("", "")]
)
async def test_directory_is_not_copied_or_moved_into_itself(
    operation: str, src: str, dst: str, make: Callable[[str], Any]
) -> None:
    (disk,) = disks(one=make("one"))
    await filled(disk)
    with pytest.raises(InvalidPathException) as raised:
        await getattr(disk, operation)(src, dst)
    assert raised.value.operation == operation
    assert await tree(disk, "src") == FILES
    assert len(await disk.all_files()) == 4


@pytest.mark.parametrize("operation", ["copy_directory", "move_directory"])
async def test_directory_is_found_through_two_views_and_two_drivers(
    operation: str, tmp_path: Path
) -> None:
    one, inner = disks(one=LocalDriver(tmp_path), inner=LocalDriver(tmp_path / "src"))
    await filled(one)
    for source, src, target, dst in (
        (one.scoped("src"), "b", one, "src/b"),
        (one, "src", one.scoped("src"), "b"),
        (one, "src", inner, ""),
        (one, "src", inner, "b/new"),
        (inner, "", one.scoped("src"), "b"),
    ):
        with pytest.raises(InvalidPathException):
            await getattr(source, operation)(src, dst, to=target)
    assert await tree(one, "src") == FILES


@pytest.mark.parametrize("operation", ["copy_directory", "move_directory"])
async def test_directory_to_the_one_above_does_not_overwrite_what_is_still_to_be_copied(
    operation: str, make: Callable[[str], Any]
) -> None:
    (disk,) = disks(one=make("one"))
    await disk.put_many({"up/b/a": b"1", "up/b/b/a": b"2", "up/b/z": b"3", "up/a": b"old"})
    results = {r.path: r.error async for r in getattr(disk, operation)("up/b", "up")}
    assert isinstance(results["up/b/b/a"], PathConflictException)
    assert [results["up/b/a"], results["up/b/z"]] == [None, None]
    assert await disk.get("up/a") == b"1"
    assert await disk.get("up/z") == b"3"
    assert await disk.get("up/b/b/a") == b"2"
    kept = {"up/b/a", "up/b/z"} if operation == "copy_directory" else set()
    assert set(await disk.all_files("up/b")) == {"up/b/b/a"} | kept


async def test_move_directory_moves_in_one_step_where_the_driver_can(
    make: Callable[[str], Any],
) -> None:
    (disk,) = disks(one=make("one"))
    await filled(disk)
    await disk.make_directory("src/empty")
    seen: list[TransferProgress] = []
    (result,) = [r async for r in disk.move_directory("src", "to/dst", progress=seen.append)]
    assert (result.path, result.to_path, result.is_directory) == ("src", "to/dst", True)
    assert (result.action, result.error, seen[-1].files) == (Action.MOVE, None, 1)
    assert await tree(disk, "to/dst") == FILES
    assert await disk.directory_exists("to/dst/empty")
    assert not await disk.directory_exists("src")


async def test_move_directory_merges_with_what_is_at_the_target(
    make: Callable[[str], Any],
) -> None:
    (disk,) = disks(one=make("one"))
    await filled(disk)
    await disk.put_many({"dst/b/c.txt": b"old", "dst/other": b"stays"})
    summary = await disk.move_directory("src", "dst")
    assert summary.files == 4
    assert await tree(disk, "dst") == {**FILES, "other": b"stays"}
    assert not await disk.directory_exists("src")


async def test_move_directory_moves_to_another_disk_and_removes_empty_directories(
    make: Callable[[str], Any],
) -> None:
    one, two = disks(one=make("one"), two=make("two"))
    await filled(one)
    await one.make_directory("src/empty/deep")
    results = [r async for r in one.move_directory("src", "dst", to=two)]
    assert {r.error for r in results} == {None}
    assert {r.action for r in results} == {Action.MOVE}
    assert await tree(two, "dst") == FILES
    assert await one.all_files() == []
    assert await one.all_directories() == []


async def test_move_directory_keeps_a_file_whose_copy_failed() -> None:
    class Refusing(FileByFile):
        async def write_file(self, path: str, content: Any, options: Any, /) -> str | None:
            if path == "dst/b/c.txt":
                raise OSError
            return await super().write_file(path, content, options)

    one, two = disks(one=MemoryDriver(), two=Refusing())
    await filled(one)
    with pytest.raises(TransferException, match=r"1 of 4 files failed in move_directory\(\)"):
        await one.move_directory("src", "dst", to=two)
    assert await tree(one, "src") == {"b/c.txt": b"two"}
    two._manager.set_driver(MemoryDriver(), "two")
    assert (await one.move_directory("src", "dst", to=two)).files == 1


async def test_move_directory_read_only_source_is_refused() -> None:
    one, two = disks(one=MemoryDriver(), two=MemoryDriver())
    await filled(one)
    with pytest.raises(ReadOnlyException):
        await one.read_only().move_directory("src", "dst", to=two)
    assert await two.all_files() == []


async def test_copy_directory_conflicts_of_names_are_errors_of_their_files(tmp_path: Path) -> None:
    one, two = disks(one=MemoryDriver(), two=LocalDriver(tmp_path))
    await one.put_many({"src/a": b"1", "src/b/c": b"2", "src/d": b"3"})
    await two.put_many({"dst/a/x": b"", "dst/b": b""})
    results = {r.path: r.error async for r in one.copy_directory("src", "dst", to=two)}
    assert isinstance(results["src/a"], PathConflictException)
    assert isinstance(results["src/b/c"], PathConflictException)
    assert results["src/d"] is None


async def test_copy_directory_file_that_vanishes_is_an_error() -> None:
    class Vanishing(MemoryDriver):
        async def open_read(self, path: str, options: Any, /) -> Any:
            if path == "src/b.txt":
                await self.delete(path)
            return await super().open_read(path, options)

    one, two = disks(one=Vanishing(), two=MemoryDriver())
    await filled(one)
    results = {r.path: r.error async for r in one.copy_directory("src", "dst", to=two)}
    assert isinstance(results["src/b.txt"], FileNotFoundException)
    assert results["src/b.txt"].operation == "copy_directory"
    assert len(await two.all_files()) == 3


@pytest.mark.parametrize("operation", ["copy_directory", "move_directory"])
async def test_directory_whose_listing_fails_half_way_raises_after_the_files_before(
    operation: str,
) -> None:
    class Failing(MemoryDriver):
        async def list_entries(self, prefix: str, options: Any, /) -> AsyncIterator[Any]:
            number = 0
            async for entry in super().list_entries(prefix, options):
                if number == 2:
                    raise ConnectionResetError
                number += 1
                yield entry

    one, two = disks(one=Failing(), two=MemoryDriver())
    await filled(one)
    transfers = getattr(one, operation)("src", "dst", to=two)
    done = [await anext(transfers), await anext(transfers)]
    with pytest.raises(StorageUnavailableException) as raised:
        await anext(transfers)
    assert (raised.value.disk, raised.value.operation) == ("one", "list")
    assert sorted(await two.all_files()) == sorted(str(r.to_path) for r in done)


async def test_directories_of_a_driver_without_a_listing_are_unsupported() -> None:
    one, two = disks(one=EightMethods(), two=MemoryDriver())
    with pytest.raises(UnsupportedOperationException, match="listing"):
        await one.copy_directory("src", "dst", to=two)


async def test_copy_directory_stopped_half_way_goes_on_when_called_again() -> None:
    one, two = disks(one=MemoryDriver(), two=MemoryDriver())
    await one.put_many({f"src/{number:03}": b"x" * number for number in range(300)})

    async def run() -> None:
        async with one.copy_directory("src", "dst", to=two) as results:
            async for _ in results:
                await asyncio.sleep(0)

    task = asyncio.create_task(run())
    while len(await two.all_files()) < 50:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    there = len(await two.all_files())
    assert there < 300
    summary = await one.copy_directory("src", "dst", to=two)
    assert (summary.skipped, summary.files) == (there, 300 - there)


async def test_hooks_see_each_file_of_a_directory_and_a_directory_that_is_moved_at_once() -> None:
    (disk,) = disks(one=MemoryDriver())
    await filled(disk)
    seen: list[tuple[str, str, str, str | None]] = []

    class Plugin:
        @hookimpl
        def storage_after_copy(self, event: Any) -> None:
            seen.append(("copy", event.operation, event.path, event.to_path))

        @hookimpl
        def storage_before_move(self, event: Any) -> None:
            if event.to_path == "no":
                raise StorageException("vetoed")
            seen.append(("move", event.operation, event.path, event.to_path))

    disk._manager.hooks.register(Plugin())
    await disk.copy_directory("src", "dst")
    assert sorted(seen) == [
        ("copy", "copy_directory", f"src/{path}", f"dst/{path}") for path in sorted(FILES)
    ]
    seen.clear()
    await disk.move_directory("dst", "new")
    assert seen == [("move", "move_directory", "dst", "new")]
    with pytest.raises(StorageException, match="vetoed"):
        await disk.move_directory("new", "no")
    assert await tree(disk, "new") == FILES


async def test_directories_refuse_wrong_arguments_at_once() -> None:
    (disk,) = disks(one=MemoryDriver())
    with pytest.raises(TypeError, match="copy_directory"):
        disk.copy_directory("a", "b", contenttype="c")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="concurrency"):
        disk.move_directory("a", "b", concurrency=0)
    with pytest.raises(TypeError, match="'to' is a disk"):
        disk.move_directory("a", "b", to=3)  # type: ignore[arg-type]
    with pytest.raises(InvalidPathException):
        await disk.copy_directory("../a", "b")


async def test_copies_to_another_disk_keep_their_time_as_metadata(tmp_path: Path) -> None:
    local, memory = disks(local=LocalDriver(tmp_path), memory=MemoryDriver())
    await local.put_many({"src/a": b"1", "src/b": b"2"}, metadata={"k": "v"})
    for name in ("a", "b"):
        os.utime(tmp_path / "src" / name, ns=(0, 1_234_567_890_123_456_789))
    await local.set_metadata("src/b", metadata={"mtime": "1000000000.5"})
    await local.copy_directory("src", "tree", to=memory)
    await local.copy_many({"src/a": "many/a"}, to=memory)
    kept = await memory.stat("tree/a")
    assert kept.metadata["k"] == "v"
    assert kept.metadata["mtime"].startswith("1234567890.12345")
    assert (await memory.stat("many/a")).metadata == kept.metadata
    assert (await memory.stat("tree/b")).metadata == {"mtime": "1000000000.5"}
    await local.copy("src/a", "single", to=memory)
    assert (await memory.stat("single")).metadata == {"k": "v"}


async def test_copies_to_a_disk_that_turns_out_to_keep_no_metadata_are_made_without() -> None:
    class Without(MemoryDriver):
        refused = 0

        async def write_file(self, path: str, content: Any, options: Any, /) -> str | None:
            if options.metadata:
                self.refused += 1
                raise UnsupportedOperationException("No extended attributes here")
            return await super().write_file(path, content, options)

    driver = Without()
    one, two = disks(one=StreamedOnly(), two=driver)
    await filled(one)
    summary = await one.copy_directory("src", "dst", to=two, concurrency=1)
    assert (summary.files, driver.refused) == (4, 1)
    assert await tree(two, "dst") == FILES


class StreamedOnly(MemoryDriver):
    """Has no copies between two disks in memory."""

    unsupported = frozenset({"copy_source"})


async def test_copy_directory_copies_large_files_as_they_come() -> None:
    one, two = disks(one=StreamedOnly(), two=MemoryDriver())
    content = bytes(range(256)) * 12_289
    await one.put("src/large", content)
    seen: list[TransferProgress] = []
    await one.copy_directory("src", "dst", to=two, progress=seen.append)
    assert await two.get("dst/large") == content
    assert len({p.bytes for p in seen}) > 2
    assert seen[-1].bytes == len(content)


async def test_copy_directory_of_many_files_takes_no_memory_for_each() -> None:
    class Endless(StreamedOnly):
        lists_in_key_order = True

        async def list_entries(self, prefix: str, _options: Any, /) -> AsyncIterator[Any]:
            for number in range(4000):
                path = f"{prefix}/{number:05}"
                yield FileInfo(path=path, size=5, last_modified=9.0, metadata={"mtime": "9"})

    one, two = disks(one=Endless(), two=Endless())
    await one.copy_directory("src", "dst", to=two)
    tracemalloc.start()
    try:
        summary = await one.copy_directory("src", "dst", to=two)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert summary.skipped == 4000
    assert most < 400_000
