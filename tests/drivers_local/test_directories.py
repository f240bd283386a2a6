"""Removal of empty directories."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from jtc.storage.exceptions import PathConflictException, StoragePermissionException

if TYPE_CHECKING:
    from pathlib import Path

    from jtc.storage.drivers.local_driver import LocalDriver


async def test_remove_empty_directory_removes_it_once(driver: LocalDriver, root: Path) -> None:
    await driver.make_directory("a/b")
    assert await driver.remove_empty_directory("a/b") is True
    assert await driver.remove_empty_directory("a/b") is False
    assert (root / "a").is_dir()


@pytest.mark.parametrize("path", ["missing", "no/such/directory", "file/below"])
async def test_remove_empty_directory_returns_false_where_there_is_none(
    driver: LocalDriver, path: str
) -> None:
    await driver.put("file", b"")
    assert await driver.remove_empty_directory(path) is False


async def test_remove_empty_directory_refuses_one_with_entries(
    driver: LocalDriver, root: Path
) -> None:
    await driver.put("a/b/file", b"")
    for path in ("a", "a/b"):
        with pytest.raises(PathConflictException, match="not empty") as caught:
            await driver.remove_empty_directory(path)
        assert caught.value.path == path
    assert (root / "a/b/file").exists()


async def test_remove_empty_directory_refuses_a_file(driver: LocalDriver) -> None:
    await driver.put("a/file", b"kept")
    with pytest.raises(PathConflictException):
        await driver.remove_empty_directory("a/file")
    assert await driver.get("a/file") == b"kept"


@pytest.mark.parametrize("path", ["link", "links/empty"])
async def test_remove_empty_directory_follows_no_link(
    driver: LocalDriver, root: Path, tmp_path: Path, path: str
) -> None:
    (tmp_path / "outside/empty").mkdir(parents=True)
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "outside/empty")
    (root / "links").symlink_to(tmp_path / "outside")
    with pytest.raises(StoragePermissionException):
        await driver.remove_empty_directory(path)
    assert (tmp_path / "outside/empty").is_dir()
    assert (root / "link").is_symlink()


async def test_remove_empty_directory_loses_no_file_that_is_put_meanwhile(
    driver: LocalDriver,
) -> None:
    for number in range(60):
        await driver.make_directory("d")

        async def remove() -> bool:
            try:
                return await driver.remove_empty_directory("d")
            except PathConflictException:
                return False

        path = f"d/{number}"
        await asyncio.gather(remove(), driver.put(path, b"x"), remove())
        assert await driver.get(path) == b"x"
        await driver.delete(path)
        await remove()
