"""Listings in pages by `start_after`, and whether there is a directory."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import Disk, StorageManager
from jtc.storage.drivers.local_driver import _safe_open as safe_open
from jtc.storage.drivers.local_driver import _sorted_keys as sorted_keys
from jtc.storage.options import ListOptions
from local_ways import WAYS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jtc.storage.drivers.local_driver import LocalDriver

FILES = [f"d/{number:03}" for number in range(30)] + [f"d/e{n}/{m}" for n in "12" for m in "345"]


@pytest.fixture
async def disk(driver: LocalDriver, root: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    monkeypatch.setattr(safe_open, "_SETTLED", 0.1)  # on the portable way as well
    monkeypatch.setattr(sorted_keys, "_LEAST_KEYS", 1)
    monkeypatch.setattr(sorted_keys, "_BLOCK", 8)
    for path in FILES:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")
    await asyncio.sleep(0.2)  # until the directories are not new
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    return manager.disk("d")


class Scanned(list[int]):
    """Counts the directories whose names are read."""


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scanned]:
    seen = Scanned()
    scandir = os.scandir

    def counted(directory: Any) -> Any:
        seen.append(directory)
        return scandir(directory)

    monkeypatch.setattr(os, "scandir", counted)
    return seen


async def page(disk: Disk, size: int, **options: Any) -> list[str]:
    entries = disk.list("d", **options)
    found: list[str] = []
    async for entry in entries:
        found.append(entry.path)
        if len(found) == size:
            break
    await entries.aclose()  # type: ignore[attr-defined]
    return found


async def pages(disk: Disk, size: int, **options: Any) -> list[str]:
    found: list[str] = []
    start_after = None
    while part := await page(disk, size, start_after=start_after, **options):
        found += part
        start_after = part[-1]
        if options.get("directories") or not options.get("recursive"):
            is_directory = await disk.directory_exists(start_after)
            start_after += "/" * is_directory
    return found


@pytest.mark.parametrize("size", [1, 4, 7, 100])
@pytest.mark.parametrize(
    ("options", "directories"),
    [({}, 1), ({"recursive": True}, 3), ({"recursive": True, "directories": True}, 3)],
    ids=["one level", "tree", "tree with directories"],
)
@pytest.mark.parametrize("driver", WAYS, indirect=True)  # by path no keys are kept
async def test_listing_in_pages_reads_the_names_of_each_directory_once(
    disk: Disk, scanned: Scanned, size: int, options: dict[str, Any], directories: int
) -> None:
    found = await pages(disk, size, **options)
    assert len(scanned) == directories
    assert found == [entry.path async for entry in disk.list("d", **options)]
    assert len(scanned) == directories


async def test_page_shows_what_changed_since_the_one_before(disk: Disk, root: Path) -> None:
    assert await page(disk, 10) == FILES[:10]
    await disk.put("d/009a", b"new")
    await disk.delete("d/011")
    assert await page(disk, 3, start_after="d/009") == ["d/009a", "d/010", "d/012"]
    assert await page(disk, 10) == FILES[:10]
    (root / "d/010").write_bytes(b"longer")  # which changes no directory
    entries = [entry async for entry in disk.list("d", start_after="d/009a")]
    assert entries[0].path == "d/010"
    assert entries[0].size == 6  # type: ignore[union-attr]


@pytest.mark.parametrize("driver", WAYS, indirect=True)  # by path no keys are kept
async def test_page_from_any_place_reads_no_names_again(disk: Disk, scanned: Scanned) -> None:
    await page(disk, 10)
    for start in (20, 3, 12, 3):
        assert await page(disk, 5, start_after=f"d/{start:03}") == FILES[start + 1 : start + 6]
    assert await page(disk, 1, start_after="d/0125") == ["d/013"]
    assert await page(disk, 1, start_after="d/e2/") == []
    assert await page(disk, 2, start_after="c") == FILES[:2]
    assert await page(disk, 2, start_after="e") == []
    assert len(scanned) == 1


async def test_directory_that_another_replaced_is_read_again(
    disk: Disk, root: Path, scanned: Scanned
) -> None:
    assert await page(disk, 1) == FILES[:1]
    (root / "d").rename(root / "old")
    (root / "d").mkdir()
    (root / "d/new").write_bytes(b"")
    await asyncio.sleep(0.2)
    assert await page(disk, 1) == ["d/new"]
    assert len(scanned) == 2


@pytest.mark.parametrize("driver", WAYS, indirect=True)  # by path no keys are kept
async def test_keys_of_few_directories_are_kept_and_dropped_after_a_while(
    disk: Disk, driver: LocalDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorted_keys, "_SECONDS", 0.05)
    kept = driver._root.known_keys._known
    monkeypatch.setattr(sorted_keys, "_MOST_DIRECTORIES", 2)
    await page(disk, 100, recursive=True)
    assert [*kept] == ["d/e1", "d/e2"]
    await asyncio.sleep(0.2)
    assert not kept
    for limit, value in (("_MOST_BYTES", 100), ("_LEAST_KEYS", 33)):
        with monkeypatch.context() as patched:
            patched.setattr(sorted_keys, limit, value)
            await page(disk, 5)
            assert not kept
    await page(disk, 5)
    assert [*kept] == ["d"]


@pytest.mark.parametrize("driver", WAYS, indirect=True)  # by path no keys are kept
async def test_keys_are_dropped_where_the_loop_of_their_timer_has_ended(
    disk: Disk, driver: LocalDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorted_keys, "_SECONDS", 0.05)

    async def list_some() -> None:
        await page(disk, 5)

    await asyncio.to_thread(asyncio.run, list_some())
    known = driver._root.known_keys
    assert [*known._known] == ["d"]
    await asyncio.sleep(0.1)
    known.drop_later()
    await asyncio.sleep(0.2)
    assert not known._known


async def test_directory_exists_reads_no_names(disk: Disk, root: Path, scanned: Scanned) -> None:
    (root / "empty").mkdir()
    (root / "locked").mkdir(mode=0)
    (root / "link").symlink_to(root / "d")
    expected = {"": True, "d": True, "d/e1": True, "empty": True, "locked": True}
    expected |= {"missing": False, "no/such": False, "d/001": False, "d/001/x": False}
    for path, exists in expected.items():
        assert await disk.directory_exists(path) is exists, path
    assert scanned == []
    assert [entry async for entry in disk.list("d", start_after="d/e1/")] != []


async def test_list_entries_itself_yields_the_directory_or_nothing(driver: LocalDriver) -> None:
    await driver.put("d/a", b"")
    itself = ListOptions(itself=True)
    assert [entry.path async for entry in driver.list_entries("d", itself)] == ["d"]
    assert [entry async for entry in driver.list_entries("d/a", itself)] == []
