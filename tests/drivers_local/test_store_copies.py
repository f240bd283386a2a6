"""Copies between two roots of one file system."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import StorageManager
from jtc.storage.drivers.local_driver import LocalDriver, _workers
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    PreconditionFailedException,
    UnsupportedOperationException,
)
from jtc.storage.options import WriteOptions
from local_ways import ALL_WAYS, local_driver, names_in

if TYPE_CHECKING:
    from pathlib import Path

    from jtc.storage import Disk

MIB = 1024 * 1024


@pytest.fixture
def other(tmp_path: Path) -> Path:
    (tmp_path / "other").mkdir()
    return tmp_path / "other"


@pytest.fixture(params=ALL_WAYS)
def disks(request: pytest.FixtureRequest, root: Path, other: Path) -> tuple[Disk, Disk]:
    root.mkdir()
    manager = StorageManager.isolated({})
    manager.set_driver(local_driver(root, request.param), "one")
    manager.set_driver(local_driver(other, request.param), "two")
    return manager.disk("one"), manager.disk("two")


@pytest.mark.parametrize("operation", ["copy", "move"])
async def test_copy_to_another_root_keeps_what_was_declared(
    disks: tuple[Disk, Disk], other: Path, operation: str
) -> None:
    one, two = disks
    content = bytes(range(256)) * 10_000
    await one.put("a", content, content_type="text/x", metadata={"k": "ü"})
    seen: list[Any] = []
    await getattr(one, operation)("a", "d/b", to=two, progress=lambda *n: seen.append(n))
    assert seen == [(len(content), len(content))]  # not in chunks
    info = await two.stat("d/b")
    assert (info.content_type, info.metadata) == ("text/x", {"k": "ü"})
    assert (other / "d/b").read_bytes() == content
    assert await one.exists("a") is (operation == "copy")


@pytest.mark.parametrize("operation", ["copy", "move"])
async def test_copy_to_another_root_keeps_its_conditions(
    disks: tuple[Disk, Disk], other: Path, operation: str
) -> None:
    one, two = disks
    transfer = getattr(one, operation)
    await one.put("a", b"old")
    old = (await one.stat("a")).etag
    await one.put("a", b"new")
    await two.put("b", b"there")
    with pytest.raises(FileExistsException) as exists:
        await transfer("a", "b", to=two, overwrite=False)
    with pytest.raises(PreconditionFailedException) as changed:
        await transfer("a", "c", to=two, if_source_match=old)
    with pytest.raises(FileNotFoundException) as missing:
        await transfer("x", "c", to=two)
    errors = exists.value, changed.value, missing.value
    assert [(each.disk, each.path) for each in errors] == [("two", "b"), ("one", "a"), ("one", "x")]
    assert names_in(other) == ["b"]
    current = (await one.stat("a")).etag
    await transfer("a", "c", to=two, if_source_match=current, overwrite=False)
    assert await two.get("c") == b"new"


async def test_copy_to_another_root_keeps_holes(
    disks: tuple[Disk, Disk], root: Path, other: Path
) -> None:
    one, two = disks
    with (root / "a").open("wb") as file:
        file.seek(64 * MIB)
        file.write(b"end")
    await one.copy("a", "b", to=two)
    status = (other / "b").stat()
    assert status.st_size == 64 * MIB + 3
    assert status.st_blocks * 512 < MIB


async def test_copy_to_another_root_has_the_mode_of_its_disk(root: Path, other: Path) -> None:
    manager = StorageManager.isolated({})
    manager.set_driver(LocalDriver(root, visibility="public"), "one")
    manager.set_driver(LocalDriver(other), "two")
    await manager.disk("one").put("a", b"1")
    await manager.disk("one").copy("a", "b", to="two")
    assert stat.S_IMODE((other / "b").stat().st_mode) == 0o600
    (other / "b").chmod(0o640)
    await manager.disk("one").copy("a", "b", to="two")
    assert stat.S_IMODE((other / "b").stat().st_mode) == 0o640


async def test_copy_to_a_root_that_is_not_there_yet_is_read_and_written(
    root: Path, other: Path
) -> None:
    manager = StorageManager.isolated({})
    manager.set_driver(LocalDriver(root), "one")
    manager.set_driver(LocalDriver(other / "new"), "two")
    await manager.disk("one").put("a", b"1")
    await manager.disk("one").move("a", "b", to="two")
    assert (other / "new/b").read_bytes() == b"1"


async def test_copy_from_another_device_is_unsupported(
    root: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = LocalDriver(root), LocalDriver(other)
    await one.put("a", b"1")
    await two.put("a", b"1")
    monkeypatch.setattr(one._root, "workers", _workers.Workers())
    with pytest.raises(UnsupportedOperationException, match="another device"):
        await two.copy_from("b", one.copy_source("a"), WriteOptions())


async def test_copy_from_another_root_follows_no_link(
    disks: tuple[Disk, Disk], root: Path, tmp_path: Path
) -> None:
    one, two = disks
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(PermissionError):
        await one.copy("link", "b", to=two)
    assert await two.missing("b")
