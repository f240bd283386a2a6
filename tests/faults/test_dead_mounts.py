"""A mount whose server is gone, and one whose server is stopped: a real one, by FUSE."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.exceptions import StorageUnavailableException
from jtc.storage.options import ListOptions, ReadOptions, WriteOptions
from mounts import mounted

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT = bytes(1024 * 1024)


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Path]:
    yield from mounted("NTFS", tmp_path)


def server_of(mount: Path) -> int:
    """Return the process that serves a mount."""
    image = os.fsencode(mount.parent / "image")
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if image in (place / "cmdline").read_bytes().split(b"\0"):
                return int(place.name)
        except OSError:
            continue
    raise AssertionError("there is no such process")


CALLS = {
    "put": lambda d: d.put("a", b""),
    "put with a condition": lambda d: d.write_file("a", b"", WriteOptions(if_match="x")),
    "get": lambda d: d.get("a"),
    "exists": lambda d: d.exists("a"),
    "stat": lambda d: d.stat("a"),
    "open_read": lambda d: d.open_read("a", ReadOptions()),
    "delete": lambda d: d.delete("a"),
    "copy": lambda d: d.copy_file("a", "b", WriteOptions()),
    "list": lambda d: anext(aiter(d.list_entries("", ListOptions(recursive=True))), None),
    "delete_directory": lambda d: d.delete_directory("d"),
}


@pytest.mark.parametrize("below", ["", "root"])
async def test_calls_to_a_mount_whose_server_was_killed_are_unavailable(
    mount: Path, below: str
) -> None:
    driver = LocalDriver(mount / below)
    await driver.put("a", b"")
    os.kill(server_of(mount), signal.SIGKILL)
    for name, call in CALLS.items():
        with pytest.raises(
            StorageUnavailableException, match=r"not connected|connection abort"
        ) as raised:
            await call(driver)
        assert raised.value.retryable, name


async def test_calls_to_a_stopped_mount_leave_other_disks_and_end_when_it_goes_on(
    mount: Path, tmp_path: Path
) -> None:
    dead, other = LocalDriver(mount), LocalDriver(tmp_path / "other")
    for driver in (dead, other):
        await driver.put("a", CONTENT)
    server = server_of(mount)
    os.kill(server, signal.SIGSTOP)
    try:
        calls = [asyncio.create_task(dead.put(f"{n}", CONTENT)) for n in range(20)]
        await asyncio.sleep(0.2)
        async with asyncio.timeout(30):
            assert await other.get("a") == CONTENT
            await other.put("b", CONTENT)
            assert await asyncio.to_thread(lambda: 1) == 1
    finally:
        os.kill(server, signal.SIGCONT)
    await asyncio.gather(*calls)
    assert await dead.get("19") == CONTENT
