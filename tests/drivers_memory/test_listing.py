"""Listings of the memory driver: what they find, and what they do not look at."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from jtc.storage import StorageManager
from jtc.storage.drivers.memory_driver import MemoryDriver, _driver, _listing
from jtc.storage.models import DirectoryInfo
from jtc.storage.options import ListOptions

if TYPE_CHECKING:
    from jtc.storage.models import Entry

MANY = 5000


def key_of(entry: Entry) -> str:
    return f"{entry.path}/" if isinstance(entry, DirectoryInfo) else entry.path


async def listed(driver: MemoryDriver, prefix: str, options: ListOptions) -> list[str]:
    return [key_of(entry) async for entry in driver.list_entries(prefix, options)]


def expected(keys: set[str], prefix: str, options: ListOptions) -> list[str]:
    """Return the keys of a listing by looking at all of them."""
    base = f"{prefix}/" if prefix else ""
    found = set()
    for key in keys:
        if not key.startswith(base) or key == base:
            continue
        parts = key[len(base) :].split("/")
        above = [base + "/".join(parts[:depth]) + "/" for depth in range(1, len(parts))]
        if not options.recursive:
            found.add(above[0] if above else key)
        else:
            found.update(above if options.directories else [])
            found.update([] if key.endswith("/") else [key])
    return sorted(key for key in found if key > (options.start_after or ""))


def some_path(chance: random.Random) -> str:
    return "/".join(chance.choice("ab-") for _ in range(chance.randint(1, 4)))


@pytest.mark.parametrize("seed", range(20))
async def test_listing_is_that_of_all_keys_after_any_changes(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(_driver, "_KEYS_IN_A_ROW", 3)
    monkeypatch.setattr(_driver, "_FIRST_KEYS", 1)
    driver, keys = MemoryDriver(), set[str]()
    for _ in range(150):
        path = some_path(chance)
        match chance.randrange(6):
            case 0 | 1 | 2:
                await driver.put(path, b"")
                keys.add(path)
            case 3:
                assert await driver.delete(path) is (path in keys)
                keys.discard(path)
            case 4:
                await driver.make_directory(path)
                parts = path.split("/")
                keys |= {"/".join(parts[:depth]) + "/" for depth in range(1, len(parts) + 1)}
            case 5 if chance.random() < 0.2:
                await driver.delete_directory(path)
                keys = {key for key in keys if not key.startswith(f"{path}/")}
        options = ListOptions(
            recursive=chance.random() < 0.5,
            directories=chance.random() < 0.5,
            start_after=chance.choice([None, some_path(chance), f"{some_path(chance)}/"]),
        )
        prefix = chance.choice(["", some_path(chance)])
        assert await listed(driver, prefix, options) == expected(keys, prefix, options)


@pytest.fixture
async def full() -> MemoryDriver:
    driver = MemoryDriver()
    for number in random.Random(1).sample(range(MANY), MANY):
        await driver.put(f"d{number % 10}/{number:05}", b"")
    return driver


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the paths of the files whose metadata a listing takes, as they are taken."""
    taken: list[str] = []
    original = _listing.file_info

    def noted(path, file, *, infer=True):
        taken.append(path)
        return original(path, file, infer=infer)

    monkeypatch.setattr(_listing, "file_info", noted)
    return taken


async def test_first_entry_takes_a_few_files_of_many(full: MemoryDriver, looks: list[str]) -> None:
    listing = full.list_entries("d3", ListOptions())
    assert key_of(await anext(listing)) == "d3/00003"
    assert len(looks) <= 10


async def test_directories_are_passed_by_whole(full: MemoryDriver, looks: list[str]) -> None:
    assert await listed(full, "", ListOptions()) == [f"d{number}/" for number in range(10)]
    assert looks == []


async def test_directory_is_found_without_a_file(full: MemoryDriver, looks: list[str]) -> None:
    manager = StorageManager.isolated()
    manager.set_driver(full)
    await full.make_directory("empty/below")
    names = ["d3", "empty", "empty/below", "d3/00003", "d", "missing", "empty/missing"]
    found = [name for name in names if await manager.directory_exists(name)]
    assert found == ["d3", "empty", "empty/below"]
    await full.delete_directory("d3")
    assert not await manager.directory_exists("d3")
    assert len(looks) <= 10


async def test_pages_do_not_start_over(full: MemoryDriver, looks: list[str]) -> None:
    last, found = None, []
    for _ in range(10):
        listing = full.list_entries("", ListOptions(recursive=True, start_after=last))
        page = [key_of(await anext(listing)) for _ in range(10)]
        found += page
        last = page[-1]
    assert found == [f"d0/{number:05}" for number in range(0, 1000, 10)]
    assert len(looks) == len(found)


async def test_first_listing_after_many_puts_lets_other_tasks_run(full: MemoryDriver) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    assert key_of(await anext(full.list_entries("d3", ListOptions()))) == "d3/00003"
    counting.cancel()
    assert turns >= MANY // 1000 - 1


async def test_file_deleted_before_its_turn_is_not_listed(full: MemoryDriver) -> None:
    listing = full.list_entries("", ListOptions(recursive=True))
    assert key_of(await anext(listing)) == "d0/00000"
    await full.delete("d9/04999")
    await full.put("d9/new", b"")
    rest = [key_of(entry) async for entry in listing]
    assert "d9/04999" not in rest
    assert len(rest) == MANY - 2
    assert "d9/new" in await listed(full, "d9", ListOptions())
