"""Transfers of many files: bounded, with a result per file, and nothing left under way."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import (
    Disk,
    FileExistsException,
    FileNotFoundException,
    InvalidPathException,
    ReadOnlyException,
    StorageConfigException,
    StorageException,
    StorageFullException,
    StorageManager,
    StorageUnavailableException,
    UnsupportedOperationException,
    WriteOptions,
)
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.exceptions import TransferException
from jtc.storage.hookspecs import BeforePut, hookimpl
from jtc.storage.transfers import Action, FileResult, TransferProgress
from small_drivers import EightMethods

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


class Slow(MemoryDriver):
    """Counts calls that are under way, each of which waits until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way = 0
        self.most = 0
        self.cancelled = 0
        self.released = asyncio.Event()

    async def begun(self, number: int) -> None:
        """Wait until this number of calls is under way, and for one more if there is one."""
        while self.under_way < number:
            await asyncio.sleep(0.001)
        await steps()

    async def _wait(self) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            await asyncio.sleep(0)  # cleaning up takes a while
            raise
        finally:
            self.under_way -= 1

    async def put(self, path: str, content: Any, /) -> str:
        await self._wait()
        return await super().put(path, content)

    async def write_file(self, path: str, content: Any, options: WriteOptions, /) -> str | None:
        await self._wait()
        return await super().write_file(path, content, options)

    async def get(self, path: str, /) -> bytes:
        await self._wait()
        return await super().get(path)


def disks(**drivers: Any) -> list[Disk]:
    manager = StorageManager.isolated({})
    for name, driver in drivers.items():
        manager.set_driver(driver, name)
    return [manager.disk(name) for name in drivers]


def memory() -> Disk:
    return disks(memory=MemoryDriver())[0]


async def steps(number: int = 20) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_put_many_stores_a_mapping_and_returns_numbers() -> None:
    disk = memory()
    summary = await disk.put_many({"a.txt": b"one", "b/c.txt": "zwölf"}, content_type="text/x")
    assert (summary.files, summary.bytes, summary.failed, summary.total) == (2, 9, 0, 2)
    assert await disk.get("b/c.txt") == "zwölf".encode()
    assert (await disk.stat("a.txt")).content_type == "text/x"


async def test_put_many_yields_a_result_per_file_with_its_error() -> None:
    disk = memory()
    files = [("a", b"1"), ("../b", b"2"), ("c", b"3")]
    results = {r.path: r async for r in disk.put_many(files)}
    assert results["a"] == FileResult(action=Action.PUT, path="a", size=1)
    assert isinstance(results["../b"].error, InvalidPathException)
    assert results["../b"].error.operation == "put_many"
    assert sorted(await disk.all_files()) == ["a", "c"]


async def test_put_many_awaited_raises_after_all_others_are_stored() -> None:
    disk = memory()
    with pytest.raises(TransferException) as raised:
        await disk.put_many([("..", b"")] * 150 + [("z", b"z")])
    error = raised.value
    assert error.summary is not None
    assert (error.summary.failed, error.summary.files, len(error.errors)) == (150, 1, 100)
    assert "150 of 151 files failed in put_many() on the disk 'memory'" in str(error)
    assert error.__cause__ is error.errors[0]
    assert await disk.exists("z")


async def test_put_many_refuses_the_second_file_of_one_path() -> None:
    disk = memory()
    results = [r async for r in disk.put_many([("a", b"1"), ("/a", b"2")], concurrency=1)]
    assert results[0].error is None
    assert isinstance(results[1].error, FileExistsException)
    assert await disk.get("a") == b"1"


async def test_put_many_content_that_fails_is_an_error_of_its_file(tmp_path: Path) -> None:
    disk = memory()

    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise LookupError("lost")

    files = {"a": tmp_path / "missing", "b": broken(), "c": b"whole"}
    results = {r.path: r for r in [r async for r in disk.put_many(files)]}
    assert isinstance(results["a"].error, StorageException)
    assert not isinstance(results["a"].error, FileNotFoundException)  # that would be the target
    assert "could not be read (FileNotFoundError" in str(results["a"].error)
    assert isinstance(results["a"].error.__cause__, FileNotFoundError)
    assert isinstance(results["b"].error, StorageException)
    assert isinstance(results["b"].error.__cause__, LookupError)
    assert await disk.all_files() == ["c"]


async def test_put_many_closes_the_paths_that_it_opened(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 300_000)
    (disk,) = disks(full=Full())
    results = [r async for r in disk.put_many({"a": file})]
    assert isinstance(results[0].error, StorageFullException)
    gc.collect()  # a file that is left open is a ResourceWarning


class Full(MemoryDriver):
    async def write_file(self, _path: str, content: Any, _options: Any, /) -> str | None:
        content.read(1000)
        raise StorageFullException("No space left")


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda d: d.put_many({}, contenttype="a"), TypeError),
        (lambda d: d.put_many({}, if_match="a"), TypeError),
        (lambda d: d.put_many({}, metadata={"A B": ""}), ValueError),
        (lambda d: d.put_many({}, concurrency=0), ValueError),
        (lambda d: d.put_many({}, concurrency="4"), TypeError),
        (lambda d: d.put_many({}, progress=3), TypeError),
        (lambda d: d.put_many("a"), TypeError),
        (lambda d: d.put_many(3), TypeError),
        (lambda d: d.get_many("a"), TypeError),
        (lambda d: d.get_many(3), TypeError),
        (lambda d: d.copy_many({}, if_source_match="a"), TypeError),
        (lambda d: d.copy_many({}, to=3), TypeError),
    ],
)
def test_methods_for_many_files_refuse_wrong_arguments_at_once(call: Any, error: Any) -> None:
    with pytest.raises(error):
        call(memory())


async def test_put_many_refuses_an_option_that_the_driver_lacks_before_any_file() -> None:
    (disk,) = disks(eight=EightMethods())
    with pytest.raises(UnsupportedOperationException, match="put_many"):
        await disk.put_many({"a": b""}, cache_control="no-store")
    with pytest.raises(ReadOnlyException):
        await disk.read_only().put_many({"a": b""})
    assert await disk.missing("a")


async def test_put_many_reads_pairs_as_there_is_room() -> None:
    driver = Slow()
    (disk,) = disks(slow=driver)
    read: list[int] = []

    def pairs() -> Iterator[tuple[str, bytes]]:
        for number in range(100):
            read.append(number)
            yield f"{number}", b""

    transfers = disk.put_many(pairs(), concurrency=3)
    first = asyncio.ensure_future(anext(transfers))
    await driver.begun(3)
    assert (len(read), driver.under_way) == (3, 3)
    driver.released.set()
    await first
    assert (await transfers).files == 99
    assert driver.most == 3


async def test_put_many_takes_an_async_iterable_and_closes_it() -> None:
    disk = memory()
    closed: list[str] = []

    async def pairs() -> AsyncIterator[tuple[str, bytes]]:
        try:
            for number in range(1000):
                await asyncio.sleep(0)
                yield f"{number}", b""
        finally:
            closed.append("closed")

    async with disk.put_many(pairs(), concurrency=2) as results:
        async for _ in results:
            break
    assert closed == ["closed"]
    assert len(await disk.all_files()) <= 4


async def test_put_many_raises_the_error_of_its_iterable_after_the_files_before_it() -> None:
    disk = memory()

    def pairs() -> Iterator[tuple[str, bytes]]:
        yield "a", b""
        yield "b", b""
        raise LookupError("no more rows")

    transfers = disk.put_many(pairs())
    assert {(await anext(transfers)).path, (await anext(transfers)).path} == {"a", "b"}
    with pytest.raises(LookupError, match="no more rows"):
        await anext(transfers)


async def test_put_many_cancelled_stops_what_is_under_way_and_waits_for_it() -> None:
    driver = Slow()
    (disk,) = disks(slow=driver)
    before = asyncio.all_tasks()

    async def run() -> None:
        await disk.put_many(((f"{number}", b"") for number in range(50)), concurrency=4)

    task = asyncio.create_task(run())
    await driver.begun(4)
    assert driver.under_way == 4
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (driver.under_way, driver.cancelled) == (0, 4)
    assert asyncio.all_tasks() == before


async def test_put_many_left_early_stops_soon_after() -> None:
    driver = Slow()
    (disk,) = disks(slow=driver)
    await MemoryDriver.write_file(driver, "old", b"", WriteOptions())

    async def left() -> None:
        files = [("../wrong", b"")] + [(f"{number}", b"") for number in range(50)]
        async for _ in disk.put_many(files, concurrency=4):
            await driver.begun(4)
            return

    await left()
    assert driver.under_way == 4
    gc.collect()
    await steps()
    assert driver.under_way == 0
    assert await disk.all_files() == ["old"]


async def test_put_many_bug_stops_all_others_and_is_raised() -> None:
    driver = Slow()
    (disk,) = disks(slow=driver)
    with pytest.raises(TypeError, match="Content is bytes") as raised:
        await disk.put_many([("a", b""), ("b", b""), ("c", 3)])  # type: ignore[list-item]
    assert raised.value.__notes__ == ["in put_many() of 'c' on the disk 'slow'"]
    assert (driver.under_way, driver.cancelled) == (0, 2)


class Interruption(BaseException):
    pass


async def test_put_many_interruption_stops_all() -> None:
    async def interrupted() -> AsyncIterator[bytes]:
        yield b""
        raise Interruption

    class Reading(Slow):
        async def _wait(self) -> None:
            if self.under_way < 2:
                await super()._wait()

    driver = Reading()
    (disk,) = disks(slow=driver)
    with pytest.raises(Interruption):
        await disk.put_many([("a", b""), ("b", b""), ("c", interrupted())])
    assert (driver.under_way, driver.cancelled) == (0, 2)


async def test_put_many_file_failing_leaves_the_others_alone() -> None:
    class Flaky(MemoryDriver):
        async def put(self, path: str, content: Any, /) -> str:
            if path == "3":
                raise ConnectionResetError("gone")
            return await super().put(path, content)

    (disk,) = disks(flaky=Flaky())
    errors = [
        r.error async for r in disk.put_many({f"{number}": b"" for number in range(10)}) if r.error
    ]
    assert isinstance(errors[0], StorageUnavailableException)
    assert (errors[0].path, errors[0].disk, errors[0].operation) == ("3", "flaky", "put_many")
    assert len(await disk.all_files()) == 9


async def test_put_many_progress_counts_files_and_bytes_and_no_byte_twice() -> None:
    disk = memory()
    seen: list[TransferProgress] = []

    async def chunks() -> AsyncIterator[bytes]:
        yield b"12345"
        yield b"678"

    files = {"a": b"1", "b": chunks(), "../c": b"123456789"}
    await asyncio.gather(
        disk.put_many(files, progress=seen.append)._finish(), return_exceptions=True
    )
    assert {p.total_files for p in seen} == {3}
    assert {p.total_bytes for p in seen} == {None}
    assert (seen[-1].files, seen[-1].bytes) == (3, 9)
    assert [p.bytes for p in seen] == sorted(p.bytes for p in seen)
    assert {p.path for p in seen} == {"a", "b", "../c"}


async def test_get_many_returns_contents_and_missing_files() -> None:
    disk = memory()
    await disk.put_many({"a": b"1", "b": b"22"})
    seen: list[TransferProgress] = []
    results = {r.path: r async for r in disk.get_many(["a", "b", "c"], progress=seen.append)}
    assert results["b"] == FileResult(action=Action.GET, path="b", size=2, content=b"22")
    assert isinstance(results["c"].error, FileNotFoundException)
    assert (seen[-1].files, seen[-1].bytes, seen[-1].total_files) == (3, 3, 3)


async def test_get_many_waits_for_a_slow_consumer() -> None:
    class Counting(MemoryDriver):
        reads = 0

        async def get(self, path: str, /) -> bytes:
            self.reads += 1
            return await super().get(path)

    driver = Counting()
    (disk,) = disks(counting=driver)
    await disk.put_many({f"{number}": b"" for number in range(50)})
    taken = 0
    async for result in disk.get_many((f"{number}" for number in range(50)), concurrency=4):
        taken += 1
        assert result.content == b""
        await steps()
        assert driver.reads <= taken + 4
    assert taken == 50


async def test_copy_many_copies_within_a_disk_and_to_another() -> None:
    one, two = disks(one=MemoryDriver(), two=MemoryDriver())
    await one.put_many({"a": b"1", "b": b"22"}, metadata={"k": "v"})
    within = {r.path: r async for r in one.copy_many({"a": "c/a", "x": "y"})}
    assert within["a"].to_path == "c/a"
    assert within["a"].action is Action.COPY
    assert isinstance(within["x"].error, FileNotFoundException)
    assert within["x"].error.operation == "copy_many"
    seen: list[TransferProgress] = []
    summary = await one.copy_many([("a", "1"), ("b", "2")], to="two", progress=seen.append)
    assert (summary.files, summary.bytes) == (2, 3)
    assert (seen[-1].files, seen[-1].bytes) == (2, 3)
    assert (await two.stat("2")).metadata == {"k": "v"}
    assert (await one.copy_many({"b": "b2"}, progress=seen.append)).bytes == 2


async def test_copy_many_refuses_the_second_copy_of_one_path() -> None:
    disk = memory()
    await disk.put_many({"a": b"1", "b": b"2"})
    pairs = [("a", "c"), ("b", "c")]
    errors = [r.error async for r in disk.copy_many(pairs, concurrency=1)]
    assert errors[0] is None
    assert isinstance(errors[1], FileExistsException)


async def test_copy_many_to_a_disk_that_cannot_be_written_is_refused_before_any_file() -> None:
    one, two = disks(one=MemoryDriver(), two=MemoryDriver())
    with pytest.raises(StorageConfigException, match="nowhere"):
        await one.copy_many({"a": "b"}, to="nowhere")
    with pytest.raises(ReadOnlyException):
        await one.copy_many({"a": "b"}, to=two.read_only())


async def test_hooks_are_called_for_each_of_many_files() -> None:
    disk = memory()
    seen: list[tuple[str, str]] = []

    class Plugin:
        @hookimpl
        def storage_before_put(self, event: BeforePut) -> None:
            if event.path == "b":
                raise PermissionError
            seen.append((event.operation, event.path))

        @hookimpl
        def storage_after_get(self, event: Any) -> None:
            seen.append((event.operation, event.path))

        @hookimpl
        def storage_after_copy(self, event: Any) -> None:
            seen.append((event.operation, event.to_path))

    disk._manager.hooks.register(Plugin())
    results = {r.path: r async for r in disk.put_many({"a": b"1", "b": b"2"})}
    assert isinstance(results["b"].error, PermissionError)
    await disk.get_many(["a"])
    await disk.copy_many({"a": "c"})
    assert seen == [("put_many", "a"), ("get_many", "a"), ("copy_many", "c")]


async def test_transfers_never_used_are_a_resource_warning() -> None:
    disk = memory()
    with pytest.warns(ResourceWarning, match=r"put_many\(\) on the disk 'memory' was never"):
        disk.put_many({})
    transfers = disk.put_many({"a": b""})
    await transfers.aclose()
    assert [r async for r in transfers] == []
    assert await disk.missing("a")


def test_transfers_run_in_two_loops_at_once() -> None:
    disk = memory()
    numbers: list[int] = []

    def run(name: str) -> None:
        async def main() -> None:
            files = ((f"{name}/{number}", b"") for number in range(200))
            numbers.append((await disk.put_many(files)).files)

        asyncio.run(main())

    threads = [threading.Thread(target=run, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers == [200, 200]
