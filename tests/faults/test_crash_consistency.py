"""A power cut at any moment of a durable write leaves the old file or the new one, whole."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from crashes import Step, crashes, steps_of
from jtc.storage.exceptions import FileNotFoundException
from jtc.storage.options import ListOptions
from local_ways import WAYS, local_driver
from victim import Victim, missing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

OLD = b"old" * 1000
NEW = bytes(range(1, 251)) * 12
LONG = bytes(range(1, 251)) * 12_000
CONTENT = "bytes(range(1, 251)) * 12"

WRITES = {
    "put": (f'driver.put("d/a", {CONTENT})', "d/a", NEW),
    "stream": (f'driver.put("d/a", stream({CONTENT}_000))', "d/a", LONG),
    "put into new directories": (f'driver.put("e/f/a", {CONTENT})', "e/f/a", NEW),
    "create": (f'driver.write_file("d/b", {CONTENT}, WriteOptions(overwrite=False))', "d/b", NEW),
}


async def replayed(
    steps: list[Step], path: str, new: bytes, place: Path, way: str
) -> tuple[int, list[tuple[int, str]]]:
    """Make every state there may be after a power cut; return how many, and what is wrong."""
    before = {"d/a": OLD}
    states = 0
    wrong = []
    seen = set()
    for done, disk in crashes(steps, before, new):
        states += 1
        returned = done == len(steps)
        key = (returned, bytes(disk.content), *sorted(disk.directories), *map(str, disk.files))
        key += tuple(content is None for content in disk.files.values())
        if key in seen:
            continue
        seen.add(key)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        disk.make(place)
        driver = local_driver(place, way)
        try:
            found = await driver.get(path)
        except FileNotFoundException:
            found = None
        listed = {
            entry.path async for entry in driver.list_entries("", ListOptions(recursive=True))
        }
        if found != new and (returned or found != before.get(path)):
            said = "lost" if found in (None, OLD) else "torn"
            wrong.append((done, said))
        if not listed <= {"d/a", path}:
            wrong.append((done, f"listed {listed}"))
    return states, wrong


async def traced(write: str, folder: Path, way: str, *options: str) -> list[Step]:
    root = folder / "root"
    await local_driver(root, way).put("d/a", OLD)
    with Victim(root, way, *options) as victim:
        outcome, calls = victim.traced(WRITES[write][0], folder)
    assert outcome[0] == "done"
    steps = steps_of(calls, root)
    written = sum(step.length for step in steps if step.kind == "write")
    assert written == len(WRITES[write][2])
    return steps


@pytest.mark.row("crash consistency")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("write", WRITES)
async def test_a_durable_write_survives_a_power_cut_at_any_moment(
    tmp_path: Path, write: str, way: str, report: Callable[[str], None]
) -> None:
    _, path, new = WRITES[write]
    steps = await traced(write, tmp_path, way, "durable")
    states, wrong = await replayed(steps, path, new, tmp_path / "after", way)
    report(
        f"{way}, {write}: {len(steps) + 1} prefixes of the trace, {states} states with what was "
        f"not synced there or missing, {len(wrong)} torn or lost"
    )
    assert wrong == []


@pytest.mark.parametrize("way", WAYS)
async def test_this_replay_sees_what_a_write_without_syncs_may_lose(
    tmp_path: Path, way: str
) -> None:
    _, path, new = WRITES["put"]
    steps = await traced("put", tmp_path, way)
    _, wrong = await replayed(steps, path, new, tmp_path / "after", way)
    assert {said for _, said in wrong} == {"lost", "torn"}
    assert (len(steps), "lost") in wrong


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("left_out", ["content", "in d"])
async def test_this_replay_sees_that_each_sync_is_needed(
    tmp_path: Path, way: str, left_out: str
) -> None:
    _, path, new = WRITES["put"]
    steps = await traced("put", tmp_path, way, "durable")
    fewer = [step for step in steps if step.kind != "sync" or step.places != (left_out,)]
    assert len(fewer) == len(steps) - 1
    _, wrong = await replayed(fewer, path, new, tmp_path / "after", way)
    assert {said for _, said in wrong} == {"torn" if left_out == "content" else "lost"}
