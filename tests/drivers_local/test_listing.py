"""Listings: their order, their pages, and what they leave out."""

from __future__ import annotations

import errno
import logging
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jtc.storage import StorageManager
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.local_driver import _listing as listing
from jtc.storage.drivers.local_driver import _safe_open as safe_open
from jtc.storage.drivers.local_driver import _sorted_keys as sorted_keys
from jtc.storage.exceptions import (
    InvalidPathException,
    StorageException,
    StoragePermissionException,
    StorageUnavailableException,
)
from jtc.storage.models import DirectoryInfo, FileInfo
from jtc.storage.options import ListOptions
from jtc.storage.sync_plan import PlanCounts, State
from jtc.storage.transfers import Action
from local_ways import WAYS, local_driver

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jtc.storage import Disk
    from jtc.storage.transfers import FileResult

FILES = [
    "a",
    "a!x",
    "a-b",
    "a.txt",
    "b/1",
    "b/c/2",
    "b/c-d/3",
    "b-c",
    "é/ü",
    "z",
    "\U0001f600",
    "\uffe0",
]


async def keys(driver: LocalDriver, prefix: str = "", **options: Any) -> list[str]:
    listed = driver.list_entries(prefix, ListOptions(**options))
    return [
        entry.path + "/" if isinstance(entry, DirectoryInfo) else entry.path
        async for entry in listed
    ]


def in_bytes(paths: set[str]) -> list[str]:
    return sorted(paths, key=str.encode)


@pytest.fixture(params=[1, 2, 1000], ids=lambda size: f"pages of {size}")
async def filled(
    request: pytest.FixtureRequest, driver: LocalDriver, monkeypatch: pytest.MonkeyPatch
) -> LocalDriver:
    monkeypatch.setattr(listing, "_PAGES", (request.param,))
    monkeypatch.setattr(listing, "_RUN", 3)
    monkeypatch.setattr(listing, "_STEP", 2)
    monkeypatch.setattr(sorted_keys, "_BLOCK", 2)
    for path in FILES:
        await driver.put(path, path.encode())
    return driver


async def test_a_directory_is_listed_in_the_order_of_utf8(filled: LocalDriver) -> None:
    top = {path.partition("/")[0] + "/" * ("/" in path) for path in FILES}
    assert await keys(filled) == in_bytes(top)
    assert await keys(filled, "b") == ["b/1", "b/c-d/", "b/c/"]


async def test_a_tree_is_listed_in_the_order_of_utf8(filled: LocalDriver) -> None:
    assert await keys(filled, recursive=True) == in_bytes(set(FILES))
    assert await keys(filled, "b", recursive=True) == ["b/1", "b/c-d/3", "b/c/2"]


async def test_recursive_listing_with_directories_yields_each_before_its_entries(
    filled: LocalDriver,
) -> None:
    await filled.make_directory("empty/below")
    directories = {"b/", "b/c/", "b/c-d/", "é/", "empty/", "empty/below/"}
    listed = await keys(filled, recursive=True, directories=True)
    assert listed == in_bytes({*FILES, *directories})
    assert await keys(filled, "b", recursive=True, directories=True) == [
        "b/1",
        "b/c-d/",
        "b/c-d/3",
        "b/c/",
        "b/c/2",
    ]


@pytest.mark.parametrize(
    "options",
    [{"recursive": False}, {"recursive": True}, {"recursive": True, "directories": True}],
    ids=["one level", "tree", "tree with directories"],
)
async def test_a_listing_resumes_after_every_key(
    filled: LocalDriver, options: dict[str, bool]
) -> None:
    whole = await keys(filled, **options)
    others = ["", "a/", "b", "b/", "b/c", "b/c/", "b/c/2", "b/zz", "b0", "\U0010ffff"]
    for after in [*whole, *FILES, *others]:
        expected = [key for key in whole if key.encode() > after.encode()]
        assert await keys(filled, **options, start_after=after) == expected


async def test_a_prefix_is_of_whole_parts(filled: LocalDriver) -> None:
    assert await keys(filled, "b/c", recursive=True) == ["b/c/2"]
    with pytest.raises(InvalidPathException):
        await keys(filled, "b/")
    for nothing in ("missing", "a", "a/b", "b/c/2", "no/such"):
        assert await keys(filled, nothing) == []
        assert await keys(filled, nothing, recursive=True) == []


async def test_an_entry_tells_size_time_and_version(driver: LocalDriver) -> None:
    await driver.put("d/a.txt", b"content")
    (entry,) = [entry async for entry in driver.list_entries("d", ListOptions())]
    assert entry == await driver.stat("d/a.txt")
    assert isinstance(entry, FileInfo)


@pytest.mark.parametrize("driver", WAYS, indirect=True)  # by path it takes seconds
async def test_a_deep_tree_is_listed(driver: LocalDriver) -> None:
    await driver.put("d/" * 500 + "file", b"")
    assert await keys(driver, recursive=True) == ["d/" * 500 + "file"]


async def test_empty_directories_hold_nothing(driver: LocalDriver) -> None:
    await driver.make_directory("a/b")
    await driver.make_directory("c")
    assert await keys(driver) == ["a/", "c/"]
    assert await keys(driver, recursive=True) == []


async def test_what_goes_meanwhile_is_left_out(
    driver: LocalDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_PAGES", (1,))
    for path in ("a/1", "b/1", "c", "d/1", "e"):
        await driver.put(path, b"")
    listed = driver.list_entries("", ListOptions(recursive=True))
    assert (await anext(listed)).path == "a/1"
    await driver.delete("c")
    await driver.delete_directory("b")
    await driver.delete_directory("d")
    await driver.put("d", b"")
    assert [entry.path async for entry in listed] == ["e"]


async def test_a_listing_left_early_holds_no_descriptor(
    driver: LocalDriver, descriptors: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_PAGES", (1,))
    for path in ("a/b/1", "a/b/2"):
        await driver.put(path, b"")
    listed = driver.list_entries("", ListOptions(recursive=True))
    await anext(listed)
    assert descriptors() == []


async def test_names_that_break_the_policy_are_left_out_and_counted(
    driver: LocalDriver, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await driver.put("d/fine", b"")
    await driver.put(".hidden", b"")
    for name in (b"back\\slash", b"line\nfeed", b"no utf-8: \xff", "\u202e".encode()):
        with open(os.fsencode(root / "d") + b"/" + name, "wb"):  # noqa: PTH123
            pass
    (root / "bad\x01").mkdir()
    (root / "bad\x01/file").write_bytes(b"")
    (root / ".jtc-tmp-0").write_bytes(b"")
    with caplog.at_level(logging.WARNING, "jtc.storage"):
        assert await keys(driver, recursive=True) == [".hidden", "d/fine"]
    assert [record.name for record in caplog.records] == ["jtc.storage"]
    assert "5 names" in caplog.text


@pytest.mark.parametrize("mode", [0o000, 0o444], ids=["closed", "names only"])
@pytest.mark.parametrize("way", WAYS)
async def test_recursive_listing_leaves_out_directories_that_may_not_be_read(
    unprivileged: Path, way: str, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    driver = local_driver(unprivileged, way)
    for path in ("a/1", "b/lost+found/2", "b/lost+found/deep/3", "b/z", "c"):
        await driver.put(path, b"")
    (unprivileged / "b/lost+found").chmod(mode)
    try:
        with caplog.at_level(logging.WARNING, "jtc.storage"):
            assert await keys(driver, recursive=True) == ["a/1", "b/z", "c"]
            assert await keys(driver, "b") == ["b/lost+found/", "b/z"]
        assert "1 directories below '' that may not be read: 'b/lost+found'" in caplog.text
        with pytest.raises(StoragePermissionException) as raised:
            await keys(driver, "b/lost+found", recursive=True)
        assert raised.value.path == "b/lost+found"
    finally:
        (unprivileged / "b/lost+found").chmod(0o755)


@pytest.mark.parametrize("way", WAYS)
async def test_listing_reports_what_it_leaves_out_each_time(
    unprivileged: Path, way: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sorted_keys, "_LEAST_KEYS", 1)
    for settled in ("_SETTLED", "_SETTLED_HERE"):
        monkeypatch.setattr(safe_open, settled, -60.0)
    driver = local_driver(unprivileged, way)
    for path in ("a/1", "b/closed/2", "b/names/3", "c/fine"):
        await driver.put(path, b"")
    (unprivileged / "c/line\nfeed").write_bytes(b"")
    (unprivileged / "c/back\\slash").mkdir()
    (unprivileged / "b/closed").chmod(0)
    (unprivileged / "b/names").chmod(0o444)
    try:
        assert await keys(driver, "c") == ["c/fine"]
        assert driver._root.known_keys._known
        caplog.clear()
        for _ in range(2):
            reported: dict[str, StorageException] = {}
            options = ListOptions(recursive=True, left_out=reported.__setitem__)
            listed = [entry.path async for entry in driver.list_entries("", options)]
            assert listed == ["a/1", "c/fine"]
            assert {key: type(error) for key, error in reported.items()} == {
                "b/closed/": StoragePermissionException,
                "b/names/": StoragePermissionException,
                "c/line\nfeed": InvalidPathException,
                "c/back\\slash/": InvalidPathException,
            }
            assert [error.path for error in reported.values()][:2] == ["b/closed", "b/names"]
        assert not caplog.records
    finally:
        for path in ("b/closed", "b/names"):
            (unprivileged / path).chmod(0o755)


async def _sync(source: Disk, target: Disk, **options: Any) -> dict[str, FileResult]:
    async with await source.plan_sync(to=target, **options) as plan:
        return {result.path: result async for result in plan.run()}


@pytest.mark.parametrize("mode", [0o000, 0o444], ids=["closed", "names only"])
async def test_directory_that_may_not_be_read_deletes_nothing(
    unprivileged: Path, mode: int
) -> None:
    manager = StorageManager.isolated()
    manager.set_driver(LocalDriver(unprivileged / "one"), "one")
    manager.set_driver(LocalDriver(unprivileged / "two"), "two")
    source, target = manager.disk("one"), manager.disk("two")
    for path in ("a", "closed/b", "z"):
        await source.put(path, path)
    for path in ("closed/b", "closed/old", "b-old", "z-old"):
        await target.put(path, path)
    (unprivileged / "one/closed").chmod(mode)
    try:
        plan = await source.plan_sync(to=target, delete=True, max_delete=0)
        assert plan.counts == PlanCounts(new=2, bytes=2, failed=1)
        assert not plan.is_complete
        assert [each.action async for each in plan] == [Action.COPY, Action.COPY]
        (failed,) = [each async for each in plan.failures()]
        results = {result.path: result async for result in plan.run()}
        assert results.keys() == {"a", "closed", "z"}
        for result in (failed, results["closed"]):
            assert isinstance(result.error, StoragePermissionException)
            assert (result.error.path, result.error.disk) == ("closed", "one")
            assert result.is_directory
        found = await target.all_files()
        assert found == ["a", "b-old", "closed/b", "closed/old", "z", "z-old"]
        assert (await _sync(source, target))["closed"].error is not None  # delete=False
        states = {each.path: each.state async for each in source.compare(to=target)}
        assert states["closed/"] is State.ERROR
        assert "closed/b" not in states
        assert states["z-old"] is State.ONLY_TARGET
        back = {each.path: each.state async for each in target.compare(to=source)}
        assert back.keys() == states.keys()
        assert back["closed/"] is State.ERROR
        await _sync(source, target, delete=True, exclude=["/closed/**"])
        assert await target.all_files() == ["a", "closed/b", "closed/old", "z"]
    finally:
        (unprivileged / "one/closed").chmod(0o755)


@pytest.mark.parametrize("call", ["copy_directory", "move_directory"])
async def test_directory_that_may_not_be_read_is_a_result(unprivileged: Path, call: str) -> None:
    manager = StorageManager.isolated()
    manager.set_driver(LocalDriver(unprivileged / "one"), "one")
    manager.set_driver(LocalDriver(unprivileged / "two"), "two")
    source, target = manager.disk("one"), manager.disk("two")
    for path in ("d/a", "d/closed/b", "d/z"):
        await source.put(path, path)
    (unprivileged / "one/d/closed").chmod(0)
    try:
        transfers = getattr(source, call)("d", "copied", to=target)
        results = {result.path: result async for result in transfers}
        assert isinstance(results["d/closed"].error, StoragePermissionException)
        assert results["d/closed"].is_directory
        assert await target.all_files() == ["copied/a", "copied/z"]
    finally:
        (unprivileged / "one/d/closed").chmod(0o755)
    assert await source.get("d/closed/b") == b"d/closed/b"


async def test_recursive_listing_names_the_directory_that_fails(
    driver: LocalDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("a/1", "b/gone/2"):
        await driver.put(path, b"")
    open_directory = driver._root.open_directory

    def dead_mount(path: str) -> int:
        if path == "b/gone":
            raise OSError(errno.ENOTCONN, "text")
        return open_directory(path)

    monkeypatch.setattr(driver._root, "open_directory", dead_mount)
    with pytest.raises(StorageUnavailableException) as raised:
        await keys(driver, recursive=True)
    assert raised.value.path == "b/gone"


@pytest.mark.parametrize("way", WAYS)
async def test_delete_directory_names_the_directory_that_may_not_be_read(
    unprivileged: Path, way: str
) -> None:
    driver = local_driver(unprivileged, way)
    await driver.put("d/e/locked/1", b"")
    (unprivileged / "d/e/locked").chmod(0)
    try:
        with pytest.raises(StoragePermissionException) as raised:
            await driver.delete_directory("d")
        assert raised.value.path == "d/e/locked"
    finally:
        (unprivileged / "d/e/locked").chmod(0o755)


@pytest.mark.parametrize(("length", "listed"), [(1024, 1), (1025, 0)])
async def test_a_path_that_is_too_long_is_left_out(root: Path, length: int, listed: int) -> None:
    below = root.joinpath(*["x" * 200] * 5)
    below.mkdir(parents=True)
    (below / ("y" * (length - 5 * 201))).write_bytes(b"")
    assert len(await keys(LocalDriver(root), recursive=True)) == listed


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=st.text(min_size=1, max_size=12))
def test_plain_names_break_no_rule_of_the_path_policy(name: str) -> None:
    from jtc.storage.paths import check_path

    if listing._PLAIN(name):
        assert check_path(name) == name
        assert check_path(f"a/{name}") == f"a/{name}"
