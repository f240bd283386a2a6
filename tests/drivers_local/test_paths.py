"""Every path of the list is kept exactly or refused, and none leads out of the root."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import jtc.storage.testing
from jtc.storage.drivers.local_driver._path_root import PathRoot
from jtc.storage.drivers.local_driver._windows_names import name_error
from jtc.storage.exceptions import InvalidPathException
from jtc.storage.options import ListOptions, ReadOptions, WriteOptions
from local_ways import names_in

if TYPE_CHECKING:
    from jtc.storage.drivers.local_driver import LocalDriver

CASES = json.loads(
    Path(jtc.storage.testing.__file__).with_name("paths.json").read_text(encoding="utf-8")
)
ACCEPTED = [case["path"] for case in CASES if case["expect"] == "accept"]
REFUSED = [case["path"] for case in CASES if case["expect"] == "reject"]


@pytest.mark.parametrize("path", ACCEPTED, ids=ascii)
async def test_an_accepted_path_round_trips(driver: LocalDriver, root: Path, path: str) -> None:
    if isinstance(driver._root, PathRoot) and any(map(name_error, path.split("/"))):
        with pytest.raises(InvalidPathException, match="On Windows"):
            await driver.put(path, path)
        assert names_in(root) == []
        return
    assert await driver.put(path, path) == path
    assert await driver.get(path) == path.encode()
    assert await driver.exists(path) is True
    assert [entry.path async for entry in driver.list_entries("", ListOptions(recursive=True))] == [
        path
    ]
    assert os.path.isfile(os.fsencode(root) + b"/" + path.encode())  # noqa: PTH113
    await driver.copy_file(path, "copy of it", WriteOptions())
    assert await driver.get("copy of it") == path.encode()
    await driver.move_file("copy of it", path, WriteOptions())
    assert await driver.delete(path) is True
    assert await driver.exists(path) is False


@pytest.mark.parametrize("path", REFUSED, ids=ascii)
async def test_a_refused_path_is_refused_by_every_method(
    driver: LocalDriver, tmp_path: Path, path: str
) -> None:
    await driver.put("a", b"")
    options = WriteOptions()
    for attempt in (
        lambda: driver.put(path, b"x"),
        lambda: driver.write_file(path, b"x", options),
        lambda: driver.get(path),
        lambda: driver.exists(path),
        lambda: driver.delete(path),
        lambda: driver.size(path),
        lambda: driver.last_modified(path),
        lambda: driver.stat(path),
        lambda: driver.open_read(path, ReadOptions()),
        lambda: driver.copy_file(path, "b", options),
        lambda: driver.copy_file("a", path, options),
        lambda: driver.move_file(path, "b", options),
        lambda: driver.move_file("a", path, options),
        lambda: driver.visibility(path),
        lambda: driver.delete_directory(path),
    ):
        with pytest.raises(InvalidPathException) as caught:
            await attempt()
        assert caught.value.path == path
        assert caught.value.operation is not None
    if path:  # "" is the root, for these
        with pytest.raises(InvalidPathException):
            await driver.make_directory(path)
        with pytest.raises(InvalidPathException):
            await anext(driver.list_entries(path, ListOptions()))
    assert [name for _, _, names in os.walk(tmp_path) for name in names] == ["a"]
