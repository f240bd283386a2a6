"""A synchronization that is killed at any moment, and run again."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import StorageManager
from jtc.storage.sync_plan import PlanCounts
from local_ways import temporaries_below

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage import Disk
    from seaweedfs import SeaweedFS

SCRIPT = Path(__file__).parents[1] / "support" / "killed_sync.py"
SIZES = (0, 1, 5_000, 70_000, 400_000, 1_500_000)
LARGE = 9_000_000
"""Sent to S3 in parts."""


def made(version: int, number: int) -> bytes | None:
    """Return a version of a file; some come, and some go."""
    if (version + number) % 7 == 0:
        return None
    size = LARGE if number == 0 else SIZES[number % len(SIZES)]
    return bytes([65 + version % 26]) * size


async def change(disk: Disk, version: int) -> dict[str, bytes]:
    """Store a version of all files; a third of them stays as it was."""
    for number in range(40):
        path = f"files/{number % 4}/{number:02}"
        if number % 3 == 0 and number and await disk.exists(path):
            continue
        content = made(version, number)
        if content is None:
            await disk.delete(path)
        else:
            await disk.put(path, content)
    return await contents(disk)


async def contents(disk: Disk) -> dict[str, bytes]:
    return {path: await disk.get(path) for path in await disk.all_files("files")}


def killed(config: dict[str, Any], longest: float, chance: random.Random) -> bool:
    """Synchronize in another process, and kill it; return whether it had ended before."""
    command = [sys.executable, str(SCRIPT), json.dumps(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0, longest))
        process.kill()
        return process.stdout.readline() == b"done\n"


@pytest.mark.row(4)
@pytest.mark.parametrize("kind", ["local", "s3"])
async def test_killed_sync_leaves_whole_files_and_next_one_finishes(
    tmp_path: Path,
    kind: str,
    seaweedfs: SeaweedFS,
    report: Callable[[str], None],
    rounds: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target: dict[str, Any] = {"driver": "local", "root": str(tmp_path / "target")}
    if kind == "s3":
        target = {"driver": "s3", "bucket": seaweedfs.bucket, **seaweedfs.options}
    disks = {"source": {"driver": "local", "root": str(tmp_path / "source")}, "target": target}
    config = {"default": "source", "disks": disks}
    manager = StorageManager.isolated(config)
    source, copy = manager.disk("source"), manager.disk("target")
    if kind == "s3":
        await copy.delete_directory("files")
    chance, longest = random.Random(7), 0.15
    torn = ended = kills = 0
    before: dict[str, bytes] = {}
    wanted = rounds(60, brief=2)
    while kills < wanted or (ended > kills - 2 and kills < 10 * wanted):
        after = await change(source, kills)
        has_ended = killed(config, longest, chance)
        kills += 1
        ended += has_ended
        longest *= 0.7 if has_ended else 1.2
        found = await contents(copy)
        torn += sum(
            content not in (before.get(path), after.get(path)) for path, content in found.items()
        )
        await (await source.plan_sync("files", to="target:files", delete=True)).run()
        assert await contents(copy) == after
        plan = await source.plan_sync("files", to="target:files", delete=True)
        assert plan.counts == PlanCounts(unchanged=len(after))
        before = after
    left = len(temporaries_below(tmp_path))
    if kind == "s3":
        await copy.delete_directory("files")
    else:
        hour_later = time.time() + 3601
        monkeypatch.setattr(time, "time", lambda: hour_later)
        assert await contents(copy) == after
        assert temporaries_below(tmp_path) == []
    await manager.aclose()
    report(
        f"a sync to {'S3' if kind == 's3' else 'a local disk'}: {kills} kills, {ended} after its "
        f"end, {torn} files torn, all equal after another sync; {left} temporaries left, none "
        "after a listing an hour later"
    )
    assert torn == 0
