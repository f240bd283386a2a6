"""Workers that are killed in transactions leave no row without its file."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from attachment_victim import KEEP, SCRIPT, start
from jtc.storage.attachments import Registry
from jtc.storage.attachments.purge import purge
from jtc.storage.attachments.verify import verify
from killed_workers import KilledWorkers


async def named(registry: Registry) -> set[str]:
    """Return the directories of attachments that rows name."""
    assert registry.records is not None
    field = registry.field("items.file")
    return {each.id async for each in registry.records.attachments(field)}


def stored(root: Path) -> set[str]:
    """Return the directories of attachments that have files."""
    directory = root / "media/app/items"
    return {each.name for each in directory.iterdir() if any(each.iterdir())}


@pytest.mark.row(18)
async def test_killed_workers_leave_no_row_without_file_and_a_purge_no_file_without_row(
    tmp_path: Path, report: Callable[[str], None], rounds: Callable[..., int]
) -> None:
    registry = await start(tmp_path)
    wanted, number, dangling = rounds(500, brief=10), 0, 0
    with KilledWorkers(SCRIPT, tmp_path, seed=18) as workers:
        # On a busy machine the workers do less in the same time: then they are left longer.
        while number < wanted or (number < 10 * wanted and "replaced" not in workers.done()):
            workers.kill_two(0.05 * (1 + number // wanted))
            if number % 10 == 0:
                dangling += len([each async for each in verify(registry)])
            number += 1
    rows = await named(registry)
    left = len(stored(tmp_path) - rows)
    time.sleep(2.5 * KEEP)
    await purge(registry, max_delete=None)
    orphans = len(stored(tmp_path) - rows)
    dangling += len([each async for each in verify(registry)])
    await registry.aclose()
    report(
        f"{workers.kills} kills of two workers at once ({workers.done()} before): at all looks "
        f"{dangling} committed rows without their files, of {len(rows)} at the end; {left} "
        f"directories without a row before the purge, {orphans} after it"
    )
    assert (dangling, orphans) == (0, 0)
    assert rows
    assert left
