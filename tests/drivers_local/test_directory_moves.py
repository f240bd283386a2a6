"""Moves of directories by one rename."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.drivers.local_driver import _directories as directories
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    InvalidPathException,
    PathConflictException,
    StoragePermissionException,
    UnsupportedOperationException,
)
from jtc.storage.options import ListOptions, WriteOptions
from local_ways import USUAL_WAY, local_driver, names_in

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from jtc.storage.drivers.local_driver import LocalDriver


@pytest.fixture
def _no_exclusive_rename(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be on a system, or a file system such as NFS, without a rename that replaces nothing."""
    monkeypatch.setattr(directories, "_exclusive_rename", lambda: None)


async def test_move_directory_errors_name_the_path_that_they_are_about(
    driver: LocalDriver,
) -> None:
    await driver.put("d/1", b"1")
    await driver.put("file", b"1")
    for src, dst, error, path in (
        ("missing", "m", FileNotFoundException, "missing"),
        ("d/1", "m", FileNotFoundException, "d/1"),
        ("d/1/below", "m", FileNotFoundException, "d/1/below"),
        ("d", "file", FileExistsException, "file"),
        ("d", "file/m", PathConflictException, "file/m"),
        ("d", "d/e", InvalidPathException, "d/e"),
    ):
        with pytest.raises(error) as caught:
            await driver.move_directory(src, dst)
        assert (caught.value.path, caught.value.operation) == (path, "move_directory")


async def test_move_directory_is_refused_for_links(
    driver: LocalDriver, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside/d").mkdir(parents=True)
    await driver.put("d/1", b"1")
    (root / "link").symlink_to(tmp_path / "outside")
    for src, dst in (("link", "m"), ("link/d", "m"), ("d", "link/m")):
        with pytest.raises(StoragePermissionException):
            await driver.move_directory(src, dst)
    with pytest.raises((FileExistsException, StoragePermissionException)):
        await driver.move_directory("d", "link")
    assert names_in(tmp_path / "outside") == ["d"]
    assert await driver.get("d/1") == b"1"


async def test_move_directory_moves_links_as_they_are(
    driver: LocalDriver, root: Path, tmp_path: Path
) -> None:
    await driver.put("d/1", b"1")
    (root / "d/link").symlink_to(tmp_path)
    await driver.move_directory("d", "m")
    assert (root / "m/link").readlink() == tmp_path


async def test_move_directory_keeps_metadata_and_etags(driver: LocalDriver) -> None:
    options = WriteOptions(content_type="text/x", metadata={"k": "ü"})
    etag = await driver.write_file("d/1", b"1", options)
    await driver.move_directory("d", "m")
    info = await driver.stat("m/1")
    assert (info.etag, info.content_type, info.metadata) == (etag, "text/x", {"k": "ü"})


async def test_move_directory_is_seen_by_a_listing_of_many_files(driver: LocalDriver) -> None:
    async def names(directory: str) -> list[str]:
        return [each.path async for each in driver.list_entries(directory, ListOptions())]

    for number in range(120):  # enough to be kept in order
        await driver.put(f"d/{number}", b"")
    await driver.put("e/1", b"")
    assert len(await names("d")) == 120
    await driver.move_directory("d", "m")
    await driver.move_directory("e", "d")
    assert await names("d") == ["d/1"]
    assert len(await names("m")) == 120


async def test_move_directory_to_another_file_system_is_unsupported(
    driver: LocalDriver, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(directories, "_exclusive_rename", lambda: None)
    monkeypatch.setattr(os, "rename", elsewhere)
    await driver.put("d/1", b"1")
    with pytest.raises(UnsupportedOperationException, match="different file systems") as caught:
        await driver.move_directory("d", "mount/m")
    assert caught.value.path == "mount/m"
    assert names_in(root / "mount") == []
    assert await driver.get("d/1") == b"1"


@pytest.mark.usefixtures("_no_exclusive_rename")
@pytest.mark.parametrize("target", ["file", "full", "empty"])
async def test_move_directory_without_renameat2_replaces_nothing(
    driver: LocalDriver, root: Path, target: str
) -> None:
    for path in ("d/1", "file", "full/2"):
        await driver.put(path, path.encode())
    await driver.make_directory("empty")
    with pytest.raises(FileExistsException):
        await driver.move_directory("d", target)
    assert await driver.get("d/1") == b"d/1"
    assert await driver.get("full/2") == b"full/2"
    assert (root / "empty").is_dir()
    await driver.move_directory("d", "one/m")
    assert await driver.get("one/m/1") == b"d/1"


@pytest.mark.usefixtures("_no_exclusive_rename")
async def test_move_directory_without_renameat2_keeps_what_comes_meanwhile(
    driver: LocalDriver, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def late(src: str, *args: Any, **kwargs: Any) -> None:
        if src in {"d", str(root / "d")}:
            (root / "m/came").write_bytes(b"meanwhile")
        rename(src, *args, **kwargs)

    monkeypatch.setattr(os, "rename", late)
    await driver.put("d/1", b"1")
    with pytest.raises(PathConflictException):
        await driver.move_directory("d", "m")
    assert (root / "m/came").read_bytes() == b"meanwhile"
    assert await driver.get("d/1") == b"1"


@pytest.mark.usefixtures("_no_exclusive_rename")
async def test_move_directory_without_renameat2_has_one_winner(driver: LocalDriver) -> None:
    for number in range(8):
        await driver.put(f"d{number}/{number}", b"")
    moves = [driver.move_directory(f"d{number}", "m") for number in range(8)]
    ended = await asyncio.gather(*moves, return_exceptions=True)
    assert ended.count(None) == 1
    assert sum(isinstance(each, FileExistsException) for each in ended) == 7
    assert await driver.exists(f"m/{ended.index(None)}")


async def test_move_directory_that_is_cancelled_is_done_or_not(
    driver: LocalDriver, root: Path, workers_idle: Callable[[], Awaitable[None]]
) -> None:
    await driver.put("d0/1", b"1")
    for number in range(1, 20):
        (current,) = names_in(root)
        task = asyncio.create_task(driver.move_directory(current, f"d{number}"))
        for _ in range(number % 4):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await workers_idle()
        (current,) = names_in(root)
        assert await driver.get(f"{current}/1") == b"1"


async def test_move_directory_syncs_both_directories(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = local_driver(root, USUAL_WAY, durable=True)
    await driver.put("a/d/1", b"1")
    await driver.make_directory("b")
    synced: list[int] = []
    monkeypatch.setattr(
        directories, "sync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino)
    )
    await driver.move_directory("a/d", "b/d")
    assert {(root / "a").stat().st_ino, (root / "b").stat().st_ino} <= set(synced)
