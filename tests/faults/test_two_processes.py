"""Two processes that put and get one key."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from local_ways import WAYS, local_driver, names_in, run_python

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIZE = 1_000_000


@pytest.mark.row(8)
@pytest.mark.parametrize("way", WAYS)
async def test_two_processes_never_read_a_torn_file(
    tmp_path: Path, way: str, report: Callable[[str], None], rounds: Callable[..., int]
) -> None:
    each = rounds(1_000, brief=200)
    root = tmp_path / "root"
    code = f"""
    import time
    async def main():
        # Neither begins before the other is there.
        (root.parent / f"ready{{os.getpid()}}").touch()
        while len(list(root.parent.glob("ready*"))) < 2:
            time.sleep(0.001)
        torn = others = 0
        for number in range({each}):
            mine = (os.getpid() + number) % 251
            await driver.put("a", bytes([mine]) * {SIZE})
            content = await driver.get("a")
            torn += len(content) != {SIZE} or content != content[:1] * {SIZE}
            others += content[0] != mine
        print(torn, others)
    asyncio.run(main())
    """
    driver = local_driver(root, way)
    await driver.put("a", b"\0" * SIZE)
    done = await asyncio.gather(*(asyncio.to_thread(run_python, code, root, way) for _ in range(2)))
    assert [process.stderr for process in done] == ["", ""]
    torn, others = (
        sum(figures) for figures in zip(*(map(int, p.stdout.split()) for p in done), strict=True)
    )
    report(
        f"{way}: two processes, {each:,} puts and gets of 1 MB each, {torn} torn reads, "
        f"{others:,} of the other process's content"
    )
    assert torn == 0
    assert others, "the two never met"
    assert names_in(root) == ["a"]
