"""Behaviour of the memory driver alone; the conformance tests check the rest."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage._capabilities import resolve
from jtc.storage.driver import CAPABILITIES
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.exceptions import (
    InvalidPathException,
    PreconditionFailedException,
    StorageConfigException,
)
from jtc.storage.models import Visibility
from jtc.storage.options import ListOptions, WriteOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage.models import Entry


@pytest.fixture
def driver() -> MemoryDriver:
    return MemoryDriver()


async def entries(listing: AsyncIterator[Entry]) -> list[Entry]:
    return [entry async for entry in listing]


def test_capabilities_are_all_but_presigned_urls_health_check_and_close(
    driver: MemoryDriver,
) -> None:
    lacking = {"temporary_urls", "temporary_uploads", "upload_forms", "health_check", "close"}
    assert resolve(driver).capabilities.names == set(CAPABILITIES) - lacking


def test_it_is_made_from_any_environment() -> None:
    assert MemoryDriver.from_env({"FILESYSTEM_DISK": "s3"}).count() == 0


async def test_the_tests_utilities_count_name_and_flush(driver: MemoryDriver) -> None:
    await driver.put("b.txt", b"1")
    await driver.put("a.txt", b"2")
    await driver.make_directory("kept")
    assert driver.count() == 2
    assert driver.all_paths() == ["a.txt", "b.txt"]
    assert repr(driver) == "<MemoryDriver with 2 files>"
    driver.flush()
    assert driver.count() == 0
    assert driver.all_paths() == []
    assert await entries(driver.list_entries("", ListOptions())) == []


def test_urls_begin_with_memory(driver: MemoryDriver) -> None:
    assert driver.url("/a b/ä.txt") == "memory://a%20b/%C3%A4.txt"
    assert driver.path("/a b/ä.txt") == "memory://a b/ä.txt"


def test_a_base_url_replaces_the_scheme() -> None:
    driver = MemoryDriver(base_url="https://files.test/")
    assert driver.url("a b") == "https://files.test/a%20b"


async def test_an_etag_is_never_given_twice(driver: MemoryDriver) -> None:
    seen = set()
    for _ in range(3):
        await driver.put("a", b"same")
        seen.add((await driver.stat("a")).etag)
        driver.flush()
    assert len(seen) == 3


async def test_the_root_is_never_deleted(driver: MemoryDriver) -> None:
    await driver.put("a", b"1")
    with pytest.raises(InvalidPathException):
        await driver.delete_directory("")
    assert driver.count() == 1


async def test_what_callers_do_to_metadata_stays_with_them(driver: MemoryDriver) -> None:
    metadata = {"owner": "ann"}
    await driver.write_file("a", b"", WriteOptions(metadata=metadata))
    metadata["owner"] = "bob"
    given = (await driver.stat("a")).metadata
    assert isinstance(given, dict)
    given["owner"] = "eve"
    assert (await driver.stat("a")).metadata == {"owner": "ann"}


async def test_a_listing_is_of_the_moment_when_it_began(driver: MemoryDriver) -> None:
    for name in "abc":
        await driver.put(name, b"old")
    listing = driver.list_entries("", ListOptions())
    first = await anext(listing)
    await driver.put("c", b"newer")
    await driver.delete("b")
    await driver.put("d", b"")
    rest = await entries(listing)
    assert [entry.path for entry in [first, *rest]] == ["a", "b", "c"]
    assert [getattr(entry, "size", None) for entry in rest] == [3, 3]


async def test_a_long_listing_lets_other_tasks_run(driver: MemoryDriver) -> None:
    for number in range(3000):
        await driver.put(str(number), b"")
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count_turns())
    assert len(await entries(driver.list_entries("", ListOptions()))) == 3000
    other.cancel()
    assert turns > 1


def test_threads_with_loops_of_their_own_lose_no_update(driver: MemoryDriver) -> None:
    async def increment() -> None:
        for _ in range(100):
            while True:
                info = await driver.stat("n")
                value = int(await driver.get("n")) + 1
                options = WriteOptions(if_match=info.etag)
                try:
                    await driver.write_file("n", b"%d" % value, options)
                except PreconditionFailedException:
                    await asyncio.sleep(0)
                else:
                    break

    asyncio.run(driver.put("n", b"0"))
    threads = [threading.Thread(target=lambda: asyncio.run(increment())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asyncio.run(driver.get("n")) == b"400"


def test_of_many_creators_in_threads_one_wins(driver: MemoryDriver) -> None:
    won = []

    async def create(number: int) -> None:
        try:
            await driver.write_file("a", b"%d" % number, WriteOptions(overwrite=False))
        except FileExistsError:
            return
        won.append(number)

    numbers = range(16)
    threads = [threading.Thread(target=lambda n=n: asyncio.run(create(n))) for n in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert asyncio.run(driver.get("a")) == b"%d" % won[0]


async def test_a_cancelled_put_stops_reading_its_source(driver: MemoryDriver) -> None:
    reading, resume = threading.Event(), threading.Event()
    reads = []

    class Endless:
        def read(self, size: int = -1, /) -> bytes:
            reads.append(size)
            reading.set()
            resume.wait(10)
            return b"x"

    put = asyncio.create_task(driver.put("a", Endless()))
    await asyncio.to_thread(reading.wait, 10)
    put.cancel()
    with pytest.raises(asyncio.CancelledError):
        await put
    resume.set()
    # Waits for the worker thread.
    await asyncio.get_running_loop().shutdown_default_executor()
    assert len(reads) == 1
    assert driver.count() == 0


async def test_put_makes_a_whole_record(driver: MemoryDriver) -> None:
    await driver.put("a", b"1")
    await driver.write_file("b", b"1", WriteOptions())
    assert driver._file("a")._replace(version=0, last_modified=0) == driver._file("b")._replace(
        version=0, last_modified=0
    )


async def test_new_files_have_the_visibility_of_the_option() -> None:
    driver = MemoryDriver(visibility="public")
    await driver.put("a", b"1")
    await driver.write_file("b", b"1", WriteOptions())
    assert await driver.visibility("a") is await driver.visibility("b") is Visibility.PUBLIC
    await driver.write_file("b", b"2", WriteOptions(visibility=Visibility.PRIVATE))
    await driver.put("b", b"3")
    assert await driver.visibility("b") is Visibility.PRIVATE


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("visibility", "secret"),
        ("visibility", 1),
        ("base_url", "javascript:alert(1)"),
        ("base_url", "https://files.test\r\nSet-Cookie: a=b"),
        ("base_url", "/files\n"),
        ("base_url", "/my files"),
        ("base_url", "/files?a=b"),
        ("base_url", "https://user:password@files.test"),
        ("base_url", "https://"),
        ("base_url", ""),
        ("base_url", 7),
        ("secret", "short"),
        ("secret", "s" * 40 + "\n"),
    ],
)
def test_invalid_option_is_refused_when_the_driver_is_made(option: str, value: object) -> None:
    options: dict[str, Any] = {"base_url": "/files", option: value}
    with pytest.raises(StorageConfigException, match=f"'{option}'") as caught:
        MemoryDriver(**options)
    assert "password" not in str(caught.value)
