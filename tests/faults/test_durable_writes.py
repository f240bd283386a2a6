"""What `durable=True` syncs, and in which order: read off the trace of system calls."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import pytest

from local_ways import WAYS, local_driver
from victim import SystemCall, Victim, missing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WRITES = {
    "put": 'driver.put("d/a", b"new")',
    "new put": 'driver.put("d/new", b"new")',
    "stream": 'driver.put("d/a", stream(b"new" * 1_000_000))',
    "create": 'driver.write_file("d/created", b"new", WriteOptions(overwrite=False))',
    "copy": 'driver.copy_file("d/source", "d/a", WriteOptions())',
}
NAMING = {"linkat", "renameat", "renameat2"}


def order(calls: list[SystemCall], directory: str) -> list[str]:
    """Tell the order of the file's writes, its sync, its names and its directory's sync."""
    steps = []
    for call in calls:
        opened = call.arguments.partition("<")[2].partition(">")[0]
        if call.name in {"write", "copy_file_range", "fsetxattr", "fchmod", "utimensat"}:
            steps.append("write")
        elif call.name == "fsync":
            steps.append("sync directory" if opened == directory else "sync file")
        elif call.name in NAMING:
            steps.append("name")
    return [step for at, step in enumerate(steps) if at == 0 or steps[at - 1] != step]


@pytest.mark.row(5)
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
@pytest.mark.parametrize("way", WAYS)
async def test_a_durable_write_syncs_the_file_names_it_and_syncs_the_directory(
    tmp_path: Path, way: str, report: Callable[[str], None]
) -> None:
    root = tmp_path / "root"
    driver = local_driver(root, way)
    await driver.put("d/source", b"source")
    await driver.put("d/a", b"old")
    expected = ["write", "sync file", "name", "sync directory"]
    with Victim(root, way, "durable") as victim:
        for write, expression in WRITES.items():
            outcome, calls = victim.traced(expression, tmp_path)
            assert outcome[0] == "done"
            assert order(calls, str(root / "d")) == expected, write
    report(f"{way}: {' → '.join(expected)}, in the traces of {', '.join(WRITES)}")


@pytest.mark.row(5)
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
@pytest.mark.parametrize("way", WAYS)
async def test_a_durable_move_and_new_directories_are_synced(
    tmp_path: Path, way: str, report: Callable[[str], None]
) -> None:
    root = tmp_path / "root"
    await local_driver(root, way).put("d/a", b"old")
    with Victim(root, way, "durable") as victim:
        outcome, calls = victim.traced('driver.move_file("d/a", "x/y/b", WriteOptions())', tmp_path)
    assert outcome[0] == "done"
    steps = [
        (call.name.removesuffix("at"), call.arguments.partition("<")[2].partition(">")[0])
        for call in calls
        if call.name in {"fsync", "mkdirat", *NAMING}
    ]
    assert steps == [
        ("mkdir", str(root)),
        ("fsync", str(root)),
        ("mkdir", str(root / "x")),
        ("fsync", str(root / "x")),
        ("rename", str(root / "d")),
        ("fsync", str(root / "x/y")),
        ("fsync", str(root / "d")),
    ]
    report(f"{way}: a move into new directories syncs each parent, the target and the source")


@pytest.mark.row(5)
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_without_durable_nothing_is_synced(tmp_path: Path) -> None:
    with Victim(tmp_path / "root", "linux") as victim:
        _, calls = victim.traced('driver.put("d/a", b"new")', tmp_path)
    assert "write" in {call.name for call in calls}
    assert "fsync" not in {call.name for call in calls}


@pytest.mark.row("durable")
@pytest.mark.alone
@pytest.mark.parametrize("size", [4096, 1024 * 1024])
async def test_what_durable_costs(
    tmp_path: Path, size: int, report: Callable[[str], None], rounds: Callable[..., int]
) -> None:
    took: dict[bool, list[float]] = {False: [], True: []}
    drivers = {
        durable: local_driver(tmp_path / str(durable), "linux", durable=durable)
        for durable in (False, True)
    }
    content = bytes(size)
    for _ in range(rounds(200, brief=20)):
        for durable, driver in drivers.items():  # in turns, so that both meet the same machine
            began = time.perf_counter()
            await driver.put("a", content)
            took[durable].append(time.perf_counter() - began)
    plain, durable_one = (statistics.median(took[durable]) for durable in (False, True))
    report(
        f"a put of {size // 1024:,} KiB: {durable_one / plain:.1f} times as long as without "
        f"({durable_one * 1e6:,.0f} µs and {plain * 1e6:,.0f} µs, {len(took[True])} puts each)"
    )
