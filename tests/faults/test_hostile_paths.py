"""Every path of the conformance tests' list, on every driver, through `Disk` and without it.

The conformance tests have a test for each path; this one counts them, and looks for escaped files.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import StorageManager
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.exceptions import InvalidPathException
from jtc.storage.options import ListOptions, ReadOptions, WriteOptions
from jtc.storage.paths import MAX_PATH_BYTES
from jtc.storage.testing._path_cases import ACCEPTED_PATHS, REJECTED_PATHS
from local_ways import local_driver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

DRIVERS = ("local", "local, portable", "memory", "S3")
THERE = "there already"
ROOT_DEEP_BELOW = "well/below/the/temporary/directory/root"


@pytest.fixture(params=DRIVERS)
async def named(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[str, Any]]:
    """Every driver and its name."""
    name = request.param
    if name == "memory":
        yield name, MemoryDriver()
    elif name == "S3":
        store = request.getfixturevalue("seaweedfs")
        driver = S3Driver(store.bucket, **store.options)
        for path in await listed(driver):
            await driver.delete(path)
        yield name, driver
        await driver.aclose()
    else:
        way = "portable" if "portable" in name else "linux"
        # Climbing out of it does not climb out of what the test looks at.
        yield name, local_driver(tmp_path / ROOT_DEEP_BELOW, way)


async def listed(driver: Any) -> list[str]:
    return [entry.path async for entry in driver.list_entries("", ListOptions(recursive=True))]


def hostile_calls(driver: Any, disk: Any, path: str) -> dict[str, Callable[[], Any]]:
    """Every way of naming a file, of the driver and of `Disk`."""
    options = WriteOptions()
    calls: dict[str, Callable[[], Any]] = {
        "write_file": lambda: driver.write_file(path, b"x", options),
        "open_read": lambda: driver.open_read(path, ReadOptions()),
        "copy_file from": lambda: driver.copy_file(path, "b", options),
        "copy_file to": lambda: driver.copy_file(THERE, path, options),
        "move_file from": lambda: driver.move_file(path, "b", options),
        "move_file to": lambda: driver.move_file(THERE, path, options),
        "Disk.stream": lambda: disk.stream(path),
        "Disk.get_range": lambda: disk.get_range(path, 0, 1),
        "Disk.append": lambda: disk.append(path, b"x"),
        "Disk.checksum": lambda: disk.checksum(path),
        "Disk.copy from": lambda: disk.copy(path, "b"),
        "Disk.copy to": lambda: disk.copy(THERE, path),
        "Disk.move from": lambda: disk.move(path, "b"),
        "Disk.move to": lambda: disk.move(THERE, path),
    }
    for label, each in (("", driver), ("Disk.", disk)):
        calls |= {
            f"{label}put": lambda each=each: each.put(path, b"x"),
            f"{label}get": lambda each=each: each.get(path),
            f"{label}exists": lambda each=each: each.exists(path),
            f"{label}delete": lambda each=each: each.delete(path),
            f"{label}size": lambda each=each: each.size(path),
            f"{label}last_modified": lambda each=each: each.last_modified(path),
            f"{label}stat": lambda each=each: each.stat(path),
            f"{label}url": lambda each=each: each.url(path),
            f"{label}path": lambda each=each: each.path(path),
        }
    return calls


async def round_trips(each: Any, path: str, listing: Callable[[], Any]) -> bool:
    """Return whether every method returns a path as it was passed."""
    content = path.encode()
    copy, move = getattr(each, "copy", None), getattr(each, "move", None)
    if copy is None:
        copy = lambda src, dst: each.copy_file(src, dst, WriteOptions())  # noqa: E731
        move = lambda src, dst: each.move_file(src, dst, WriteOptions())  # noqa: E731
    assert move is not None
    seen = [await each.put(path, content) == path, await each.get(path) == content]
    seen += [await each.exists(path), sorted(await listing()) == sorted({THERE, path})]
    await copy(path, "copy of it")
    seen.append(await each.get("copy of it") == content)
    await move("copy of it", path)
    seen += [await each.get(path) == content, await each.delete(path), not await each.exists(path)]
    return all(seen)


@pytest.mark.row(1)
async def test_hostile_paths_are_refused_and_legitimate_ones_round_trip(
    named: tuple[str, Any],
    tmp_path: Path,
    report: Callable[[str], None],
    rounds: Callable[..., int],
) -> None:
    name, driver = named
    manager = StorageManager.isolated()
    manager.set_driver(driver, "attacked")
    disk = manager.disk("attacked")
    await driver.put(THERE, b"old")
    calls = 0
    accepted = []
    for case in REJECTED_PATHS:
        for method, call in hostile_calls(driver, disk, case.path).items():
            calls += 1
            try:
                answer = call()
                if not isinstance(answer, str):
                    await answer
            except InvalidPathException:
                continue
            except FileNotFoundError:
                pass  # it was looked for
            accepted.append((method, case.why))
    found = set(await listed(driver)) - {THERE}
    if name.startswith("local"):
        found |= {file for _, _, files in os.walk(tmp_path) for file in files} - {THERE}
    changed = []
    # On S3 the conformance tests try all of them at each run, one by one.
    legitimate = ACCEPTED_PATHS[:: rounds(1, brief=6 if name == "S3" else 1)]
    for case in legitimate:
        assert len(case.path.encode()) <= MAX_PATH_BYTES
        changed += [
            case.why
            for each in (driver, disk)
            if not await round_trips(each, case.path, lambda: listed(driver))
        ]
    report(
        f"{name}: {len(REJECTED_PATHS)} hostile paths in {calls} calls, {len(accepted)} accepted, "
        f"{len(found)} escapes; {len(legitimate)} legitimate ones, {len(changed)} changed"
    )
    assert (accepted, found, changed) == ([], set(), [])
