"""Directories that the process may not read, in transfers of many files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jtc.storage import StorageManager
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.exceptions import StoragePermissionException, TransferException
from jtc.storage.sync_plan import PlanCounts, State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jtc.storage import Disk


@pytest.fixture
def disks(unprivileged: Path) -> Iterator[tuple[Disk, Disk]]:
    """Return a disk of which a directory may not be read, and one that has had its files."""
    manager = StorageManager.isolated()
    manager.set_driver(LocalDriver(unprivileged), "source")
    manager.set_driver(MemoryDriver(), "target")
    for path in ("site/a", "site/closed/b", "site/closed/deep/c"):
        (unprivileged / path).parent.mkdir(parents=True, exist_ok=True)
        (unprivileged / path).write_text(path)
    (unprivileged / "site/closed").chmod(0)
    yield manager.disk("source"), manager.disk("target")
    (unprivileged / "site/closed").chmod(0o700)


@pytest.mark.parametrize("view", ["whole", "scoped"])
async def test_sync_deletes_nothing_where_source_directory_may_not_be_read(
    disks: tuple[Disk, Disk], view: str
) -> None:
    source, target = disks
    await target.put("closed/b", b"b")
    await target.put("z", b"z")
    disk, prefix = (source, "site") if view == "whole" else (source.scoped("site"), "")
    plan = await disk.plan_sync(prefix, to=target, delete=True)
    assert plan.counts == PlanCounts(new=1, failed=1, bytes=6)
    errors = {result.path: result.error async for result in plan.run()}
    directory = f"{prefix}/closed".lstrip("/")
    assert isinstance(errors.pop(directory), StoragePermissionException)
    assert errors.pop(f"{prefix}/a".lstrip("/")) is None
    assert errors == {}
    assert await target.all_files() == ["a", "closed/b", "z"]
    found = [each async for each in disk.compare(prefix, to=target, include=["a"])]
    assert {each.path: each.state for each in found} == {"a": State.SAME, "closed/": State.ERROR}


async def test_sync_deletes_where_unreadable_directory_is_excluded(
    disks: tuple[Disk, Disk],
) -> None:
    source, target = disks
    await target.put("closed/b", b"b")
    await target.put("z", b"z")
    exclude = (pattern for pattern in ["closed/**"])
    plan = await source.plan_sync("site", to=target, delete=True, exclude=exclude)
    assert plan.counts == PlanCounts(new=1, deleted=1, bytes=6)
    await plan.run()
    assert await target.all_files() == ["a", "closed/b"]


async def test_sync_deletes_where_target_has_unreadable_directory(
    disks: tuple[Disk, Disk],
) -> None:
    local, other = disks
    await other.put("b", b"b")
    plan = await other.plan_sync(to=local.scoped("site"), delete=True)
    assert plan.counts == PlanCounts(new=1, deleted=1, bytes=1)
    await plan.run()
    assert await local.all_files() == ["site/b"]


@pytest.mark.parametrize("method", ["copy_directory", "move_directory"])
async def test_directory_transfer_reports_directory_that_may_not_be_read(
    disks: tuple[Disk, Disk], method: str
) -> None:
    source, target = disks
    with pytest.raises(TransferException, match=r"1 of 2 files failed.*'site/closed'"):
        await getattr(source, method)("site", "copy", to=target)
    assert await target.all_files() == ["copy/a"]
