"""Disks that are full, and system calls that fail: one by one, every one that a put makes."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from local_ways import WAYS, descriptors_below, local_driver, run_python, temporaries_below
from victim import SystemCall, Victim, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FILL = """
async def stream():
    for _ in range(50):
        yield b"n" * 100_000
async def main():
    content = b"n" * 5_000_000
    for kind in (content, io.BytesIO(content), stream()):
        try:
            await driver.put("d/a", kind)
        except StorageException as error:
            print(type(error).__name__, error.errno, error.path)
asyncio.run(main())
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of three megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() or shutil.which("mount") is None:
        pytest.skip("mounting a tmpfs needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


async def assert_old(root: Path, way: str) -> None:
    assert await local_driver(root, way).get("d/a") == b"old"
    assert sorted(path.name for path in (root / "d").iterdir()) == ["a"]


@pytest.mark.row(6)
@pytest.mark.parametrize("way", WAYS)
async def test_a_full_file_system_leaves_the_old_file(
    small_disk: Path, way: str, report: Callable[[str], None]
) -> None:
    root = small_disk / "root"
    await local_driver(root, way).put("d/a", b"old")
    done = run_python(FILL, root, way)
    assert done.stdout == f"StorageFullException {errno.ENOSPC} d/a\n" * 3, done.stderr
    await assert_old(root, way)
    report(
        f"{way}: a full tmpfs, 3 puts (bytes, file, stream), all `ENOSPC`, 0 torn, 0 temporaries"
    )


@pytest.mark.row(6)
@pytest.mark.parametrize("way", WAYS)
async def test_a_file_that_is_too_long_leaves_the_old_one(
    tmp_path: Path, way: str, report: Callable[[str], None]
) -> None:
    root = tmp_path / "root"
    await local_driver(root, way).put("d/a", b"old")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))

    done = run_python(FILL, root, way, preexec_fn=limit)
    assert done.stdout == f"StorageFullException {errno.EFBIG} d/a\n" * 3, done.stderr
    await assert_old(root, way)
    report(f"{way}: a file over `RLIMIT_FSIZE`, 3 puts, all `EFBIG`, 0 torn, 0 temporaries")


# Names that a put gives; up to the last of them the old file is there.
NAMING = {"linkat", "renameat", "renameat2"}
PUTS = {
    "bytes": 'driver.put("d/a", NEW)',
    "stream": 'driver.put("d/a", stream(NEW))',
    "created": 'driver.write_file("e/f/a", NEW, WriteOptions(overwrite=False))',
    "declared": 'driver.write_file("d/a", NEW, WriteOptions(content_type="text/plain"))',
}
NEW = b"new" * 1000
LONG = b"new" * 1_000_000


class Tally:
    def __init__(self) -> None:
        self.calls = self.refused = self.done = self.unkept = 0
        self.bad: list[Any] = []


def is_closed_before_it_is_named(calls: list[SystemCall]) -> bool:
    """Return whether an error of a close, where some file systems report it, comes in time."""
    written = max(at for at, call in enumerate(calls) if call.name == "write")
    named = min(at for at, call in enumerate(calls) if call.name in NAMING)
    _, _, file = calls[written].arguments.partition(",")[0].partition("<")
    return any(
        call.name == "close" and call.arguments.partition("<")[2] == file
        for call in calls[written:named]
    )


async def break_each(put: str, root: Path, way: str, folder: Path, fault: str) -> Tally:
    """Make each system call of a put fail in its turn, and look at what there is then."""
    path = "e/f/a" if "e/f/a" in put else "d/a"
    new = LONG if "stream" in put else NEW
    expression = put.replace("NEW", 'b"new" * 1_000_000' if "stream" in put else 'b"new" * 1000')
    driver = local_driver(root, way)
    tally = Tally()

    async def reset() -> None:
        await driver.delete_directory("e")
        await driver.put("d/a", b"old")

    with Victim(root, way, "durable") as victim:
        await reset()
        outcome, calls = victim.traced(expression, folder)
        assert outcome[0] == "done", outcome
        assert (root / path).read_bytes() == new
        committed = max(at for at, call in enumerate(calls) if call.name in NAMING)
        assert is_closed_before_it_is_named(calls)
        for at, call in enumerate(calls):
            await reset()
            before = len(descriptors_below(root, victim.pid))
            outcome, _ = victim.traced(expression, folder, f"{call.fault}:error={fault}")
            tally.calls += 1
            there = (root / path).read_bytes() if (root / path).exists() else None
            old = b"old" if path == "d/a" else None
            failed = outcome[0] != "done"
            tally.refused += failed
            tally.done += not failed
            tally.unkept += failed and outcome[1] != errno.__dict__[fault]
            # Once the file has its name, only what makes that last may fail: the new file stays,
            # and no caller gets the result that it is durable. No sync is without need.
            right = there == old if failed and at <= committed else there == new
            right &= call.name == "fsync" if failed and at > committed else True
            if not right or (call.name == "fsync" and not failed) or temporaries_below(root):
                tally.bad.append((call, outcome, temporaries_below(root)))
            # A close that strace keeps from happening leaves open what it should close.
            leaked = len(descriptors_below(root, victim.pid)) - before
            if leaked and call.name != "close":
                tally.bad.append((call, outcome, f"{leaked} descriptors"))
    return tally


@pytest.mark.row(6)
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("put", PUTS)
async def test_each_system_call_of_a_put_may_fail(
    tmp_path: Path, way: str, put: str, report: Callable[[str], None], rounds: Callable[..., int]
) -> None:
    root = tmp_path / "root"
    for fault in ("EIO", "ENOSPC")[: rounds(2, brief=1)]:
        tally = await break_each(PUTS[put], root, way, tmp_path, fault)
        report(
            f"{way}, {put}: {tally.calls} system calls made to fail with `{fault}`, one at a time: "
            f"{tally.refused} typed errors, {tally.unkept} without the errno, {tally.done} not "
            f"needed, {len(tally.bad)} torn, lost or left behind"
        )
        assert tally.bad == []
        assert tally.unkept == 0
        assert tally.refused > 3
