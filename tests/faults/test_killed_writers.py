"""A writer that is killed at any moment leaves the old file or the new one."""

from __future__ import annotations

import random
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from jtc.storage.options import ListOptions
from local_ways import WAYS, local_driver, python, temporaries_below

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIZE = 32 * 1024 * 1024

OVERWRITE = f"""
async def main():
    contents = bytes(b"n") * {SIZE}, bytes(b"o") * {SIZE}
    await driver.exists("a")
    print("ready", flush=True)
    while True:
        for content in contents:
            await driver.put("a", content)
asyncio.run(main())
"""


@pytest.mark.row(4)
@pytest.mark.parametrize("way", WAYS)
async def test_a_killed_put_leaves_a_whole_file_and_no_name_in_a_listing(
    tmp_path: Path,
    way: str,
    report: Callable[[str], None],
    rounds: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = tmp_path / "root"
    driver = local_driver(root, way)
    whole = (b"o" * SIZE, b"n" * SIZE)
    chance = random.Random(3)
    await driver.put("a", whole[0])
    began = time.perf_counter()
    await driver.put("a", whole[0])
    once = time.perf_counter() - began
    wanted, kills = rounds(30, brief=4), 0
    torn = listed = most_left = 0
    replaced = set()
    left = 0
    # On a busy machine the other process may take longer than this one: then it is left longer.
    while kills < wanted or (len(replaced) < 2 and kills < 10 * wanted):
        with subprocess.Popen(python(OVERWRITE, root, way), stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(chance.uniform(0, 4 * once) * (1 + kills // wanted))
            process.kill()
        kills += 1
        torn += await driver.get("a") not in whole
        replaced.add((root / "a").stat().st_ino)
        listed += [entry.path async for entry in driver.list_entries("", ListOptions())] != ["a"]
        most_left = max(most_left, len(temporaries_below(root)) - left)
        left = len(temporaries_below(root))
    hour_later = time.time() + 3601
    monkeypatch.setattr(time, "time", lambda: hour_later)
    assert [entry.path async for entry in driver.list_entries("", ListOptions())] == ["a"]
    swept = left - len(temporaries_below(root))
    how = "O_TMPFILE" if way == "linux" else "a reserved name"
    report(
        f"{how}: {kills} kills in an overwrite of 32 MiB, {torn} torn, {listed} times a temporary "
        f"listed, {left} left on disk ({most_left} at most by one kill), {swept} swept by a "
        "listing an hour later"
    )
    assert (torn, listed) == (0, 0)
    assert most_left <= 1
    assert temporaries_below(root) == []
    assert len(replaced) > 1, "no put ended before a kill"
