"""The local driver where Python has what it has on Windows and on macOS.

This shows the driver's side alone; no file system of those systems is under it.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import other_systems

TOUR = """
import asyncio, os, sys
from jtc.storage import Storage
from jtc.storage.drivers import local_driver
from jtc.storage.drivers.local_driver import LocalDriver, _sharing
from jtc.storage.exceptions import *
from jtc.storage.models import Visibility

_sharing._WAIT_SECONDS = 0.1

async def chunks():
    for _ in range(3):
        yield b"x" * 1_000_000

async def tour(disk):
    assert await disk.put("d/a.txt", b"content", content_type="text/x-own", metadata={"k": "v"})
    assert await disk.get("d/a.txt") == b"content"
    info = await disk.stat("d/a.txt")
    found = info.content_type, dict(info.metadata), info.size
    assert found == ("text/x-own", {"k": "v"}, 7), found
    await disk.set_metadata("d/a.txt", metadata={"k": "new"})
    assert (await disk.stat("d/a.txt")).content_type == "text/x-own"
    assert (await disk.stat("d/a.txt")).metadata == {"k": "new"}
    await disk.set_visibility("d/a.txt", Visibility.PRIVATE)
    assert await disk.visibility("d/a.txt") is Visibility.PRIVATE
    await disk.put("d/a.txt", b"other")
    assert await disk.visibility("d/a.txt") is Visibility.PRIVATE
    assert (await disk.stat("d/a.txt")).metadata == {}
    await disk.put("d/large", chunks())
    assert await disk.size("d/large") == 3_000_000
    async with disk.stream("d/large", start=5, end=2_000_005) as stream:
        assert sum([len(chunk) async for chunk in stream]) == 2_000_000
    await disk.copy("d/a.txt", "e/f/b.txt")
    assert await disk.visibility("e/f/b.txt") is Visibility.PRIVATE
    await disk.move("e/f/b.txt", "e/c.txt")
    assert await disk.get("e/c.txt") == b"other"
    try:
        await disk.put("e/c.txt", b"", overwrite=False)
        raise AssertionError
    except FileExistsException:
        pass
    etag = (await disk.stat("e/c.txt")).etag
    await disk.put("e/c.txt", b"third", if_match=etag)
    try:
        await disk.put("e/c.txt", b"", if_match=etag)
        raise AssertionError
    except PreconditionFailedException:
        pass
    listed = [entry.path async for entry in disk.list(recursive=True)]
    assert listed == ["d/a.txt", "d/large", "e/c.txt"], listed
    await asyncio.gather(*(disk.put("d/many", str(n)) for n in range(50)))
    assert await disk.delete("d/a.txt") is True
    assert await disk.delete("d/a.txt") is False
    await disk.delete_directory("d")
    assert not await disk.exists("d/large")
    assert await disk.get("e/c.txt") == b"third"

for durable in (False, True):
    Storage.configure({"disks": {"d": {"driver": "local", "root": ROOT, "durable": durable}}})
    asyncio.run(tour(Storage.disk("d")))
    asyncio.run(tour(Storage.disk("d")))
"""


def run_as(platform: str, code: str, root: Path) -> str:
    """Run code as on another system; return what it prints."""
    command = [sys.executable, other_systems.__file__, platform, textwrap.dedent(code), str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_tour_as_on_windows(tmp_path: Path) -> None:
    run_as("win32", TOUR, tmp_path / "root")
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(name.rpartition(":")[2] for name in left) == ["c.txt", "jtc.storage", "lock"]


def test_tour_as_on_macos(tmp_path: Path) -> None:
    run_as("darwin", TOUR, tmp_path / "root")
