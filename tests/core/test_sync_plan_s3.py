"""Synchronizations with a real S3 store, and what rclone makes of the same files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import StorageManager
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.sync_plan import PlanCounts
from rclone import rclone, rclone_for_s3
from s3_fixtures import folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from jtc.storage import Disk
    from seaweedfs import SeaweedFS

__all__ = ["folder"]

NAMES = ("a.txt", "a/b.txt", "a-b.txt", "a/c/d.bin", "é/日.txt", "empty", "b c/+%41&.txt")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Make files whose times have all digits that the file system keeps."""
    root = tmp_path / "tree"
    for number, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x" * number if name != "empty" else b"")
        since = 1_700_000_000_123_456_789 + number * 86_400_111_111_111
        os.utime(root / name, ns=(since, since))
    return root


@pytest.fixture
async def manager(seaweedfs: SeaweedFS, tree: Path) -> AsyncIterator[StorageManager]:
    manager = StorageManager.isolated()
    manager.set_driver(LocalDriver(str(tree)), "local")
    manager.set_driver(S3Driver(seaweedfs.bucket, **seaweedfs.options), "s3")
    yield manager
    await manager.aclose()


def said_by_rclone(store: SeaweedFS, *arguments: str) -> str:
    said = rclone(*arguments, "--stats=0", **rclone_for_s3(store))
    assert said.returncode == 0, said.stderr
    return said.stdout + said.stderr


async def test_plan_sync_finds_what_rclone_copied_unchanged(
    seaweedfs: SeaweedFS, manager: StorageManager, tree: Path, folder: str
) -> None:
    there = f"store:{seaweedfs.bucket}/{folder}"
    said_by_rclone(seaweedfs, "sync", str(tree), there)
    for compare in ("auto", "mtime"):
        plan = await manager.disk("local").plan_sync(
            to=f"s3:{folder}", compare=compare, delete=True
        )
        assert plan.counts == PlanCounts(unchanged=len(NAMES))
    back = await manager.disk("s3").plan_sync(folder, to="local", delete=True)
    assert back.counts == PlanCounts(unchanged=len(NAMES))


async def test_rclone_finds_what_run_copied_unchanged(
    seaweedfs: SeaweedFS, manager: StorageManager, tree: Path, folder: str
) -> None:
    await (await manager.disk("local").plan_sync(to=f"s3:{folder}")).run()
    there = f"store:{seaweedfs.bucket}/{folder}"
    assert said_by_rclone(seaweedfs, "sync", str(tree), there, "--dry-run") == ""
    assert "0 differences found" in said_by_rclone(seaweedfs, "check", str(tree), there)
    here, copies = (
        sorted(
            said_by_rclone(seaweedfs, "lsf", "-R", "--files-only", "--format=tp", where).split("\n")
        )
        for where in (str(tree), there)
    )
    assert copies == here


async def test_run_brings_files_back_with_their_times(
    manager: StorageManager, folder: str, tmp_path: Path
) -> None:
    manager.set_driver(LocalDriver(str(tmp_path / "back")), "back")
    local, s3, back = (manager.disk(name) for name in ("local", "s3", "back"))
    await (await local.plan_sync(to=f"s3:{folder}")).run()
    await (await s3.plan_sync(folder, to="back")).run()
    for disk, prefix, to in ((s3, folder, "back"), (back, "", "local"), (back, "", f"s3:{folder}")):
        plan = await disk.plan_sync(prefix, to=to, compare="mtime", delete=True)
        assert plan.counts == PlanCounts(unchanged=len(NAMES)), to


async def test_plan_sync_sees_each_change(manager: StorageManager, tree: Path, folder: str) -> None:
    local = manager.disk("local")
    await (await local.plan_sync(to=f"s3:{folder}")).run()
    (tree / "a/b.txt").write_bytes(b"y")  # of the same length, at another time
    (tree / "a.txt").unlink()
    (tree / "new").write_bytes(b"1")
    plan = await local.plan_sync(to=f"s3:{folder}", delete=True)
    assert plan.counts == PlanCounts(new=1, changed=1, unchanged=5, deleted=1, bytes=2)
    await plan.run()
    assert await contents(manager.disk("s3"), folder) == await contents(local, "")


async def contents(disk: Disk, directory: str) -> dict[str, bytes]:
    start = len(directory) + 1 if directory else 0
    return {path[start:]: await disk.get(path) for path in await disk.all_files(directory)}


async def test_plan_sync_between_two_directories_of_a_bucket(
    manager: StorageManager, folder: str
) -> None:
    s3 = manager.disk("s3")
    await (await manager.disk("local").plan_sync(to=f"s3:{folder}/one")).run()
    options: Any = {"to": f"s3:{folder}/two", "delete": True}
    await (await s3.plan_sync(f"{folder}/one", **options)).run()
    assert await contents(s3, f"{folder}/two") == await contents(s3, f"{folder}/one")
    plan = await s3.plan_sync(f"{folder}/one", **options)
    assert plan.counts == PlanCounts(unchanged=len(NAMES))
