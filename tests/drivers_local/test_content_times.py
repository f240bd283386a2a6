"""The metadata ``mtime``: of the content that it was declared of, even if another program edits."""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.local_driver import _metadata as metadata
from jtc.storage.models import Visibility
from jtc.storage.options import ReadOptions, WriteOptions

if TYPE_CHECKING:
    from pathlib import Path

OLD = "1577836800.123456789"
DECLARED = WriteOptions(content_type="text/x-odd", metadata={"mtime": OLD, "k": "v"})
NOW = 1_700_000_000_123_456_789


async def mtime_of(driver: LocalDriver, path: str = "a") -> str:
    """Return a file's ``mtime``, which a look and a read say alike."""
    looked_at = (await driver.stat(path)).metadata
    stream = await driver.open_read(path, ReadOptions())
    await stream.aclose()
    assert stream.info.metadata == looked_at
    return looked_at["mtime"]


def edit(path: Path, content: bytes = b"CONTENT") -> str:
    """Write into a file in place; return its own time."""
    with path.open("r+b") as file:
        file.write(content)
    stamp = path.stat().st_mtime_ns
    return f"{stamp // 10**9}.{stamp % 10**9:09}"


async def test_mtime_of_file_edited_in_place_is_its_own_time(
    driver: LocalDriver, root: Path
) -> None:
    await driver.write_file("a", b"content", DECLARED)
    assert await mtime_of(driver) == OLD
    own = edit(root / "a")
    assert await mtime_of(driver) == own
    info = await driver.stat("a")
    assert (info.content_type, info.metadata["k"], info.size) == ("text/x-odd", "v", 7)


async def test_mtime_of_edited_file_is_seen_where_the_old_was_remembered(
    driver: LocalDriver, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "_SETTLED_SECONDS", -60.0)
    await driver.write_file("a", b"content", DECLARED)
    for _ in range(2):
        assert await mtime_of(driver) == OLD
    own = edit(root / "a")
    for _ in range(2):
        assert await mtime_of(driver) == own


@pytest.mark.parametrize(
    "change",
    [WriteOptions(cache_control="no-store"), WriteOptions(if_match=None, content_type="a/b")],
)
async def test_mtime_of_edited_file_is_what_other_metadata_leave(
    driver: LocalDriver, root: Path, change: WriteOptions
) -> None:
    await driver.write_file("a", b"content", DECLARED)
    own = edit(root / "a")
    await driver.update_metadata("a", change)
    assert await mtime_of(driver) == own
    await driver.copy_file("a", "copy", WriteOptions())
    assert await mtime_of(driver, "copy") == own


@pytest.mark.parametrize("way", ["copy", "move", "metadata", "visibility", "link", "replace"])
async def test_mtime_stays_through_what_the_disk_does(
    driver: LocalDriver, root: Path, way: str
) -> None:
    await driver.write_file("a", b"content", DECLARED)
    match way:
        case "copy":
            await driver.copy_file("a", "b/c", WriteOptions(visibility=Visibility.PRIVATE))
            assert await mtime_of(driver, "b/c") == OLD
        case "move":
            await driver.move_file("a", "b/c", WriteOptions())
            await driver.move_file("b/c", "a", WriteOptions(cache_control="no-store"))
        case "metadata":
            await driver.update_metadata("a", WriteOptions(cache_control="no-store"))
        case "visibility":
            await driver.set_visibility("a", Visibility.PRIVATE)
        case "link":
            os.link(root / "a", root / "other")
            await driver.set_visibility("a", Visibility.PRIVATE)
            await driver.update_metadata("other", WriteOptions(cache_control="no-store"))
            assert await mtime_of(driver, "other") == OLD
        case _:
            (root / "a").chmod(0o440)
            await driver.write_file("a", b"CONTENT", DECLARED)
    assert await mtime_of(driver) == OLD


@pytest.mark.parametrize("grain", [1, 10**9, 2 * 10**9])
async def test_mtime_stays_where_times_are_coarse_and_the_clock_stands_still(
    driver: LocalDriver, grain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_times = os.utime

    def coarse(path: Any, *, ns: tuple[int, int], **kwargs: Any) -> None:
        set_times(path, ns=(ns[0] // grain * grain, ns[1] // grain * grain), **kwargs)

    monkeypatch.setattr(os, "utime", coarse)
    monkeypatch.setattr(time, "time_ns", lambda: NOW)
    for number in range(4):
        options = WriteOptions(metadata={"mtime": f"{OLD}{number}"})
        await driver.write_file("a", b"same", options)
        assert await mtime_of(driver) == f"{OLD}{number}"
        await driver.update_metadata("a", WriteOptions(cache_control=f"max-age={number}"))
        assert await mtime_of(driver) == f"{OLD}{number}"


async def test_mtime_goes_with_a_copy_of_another_program_that_keeps_times(
    driver: LocalDriver, root: Path
) -> None:
    await driver.write_file("a", b"content", DECLARED)
    shutil.copy2(root / "a", root / "kept")  # with attributes and times, as cp -a does
    shutil.copy2(root / "a", root / "new")
    os.utime(root / "new")
    seconds = (root / "a").stat().st_mtime_ns // 10**9 * 10**9
    shutil.copy2(root / "a", root / "whole")  # as an archive of whole seconds does
    os.utime(root / "whole", ns=(seconds, seconds))
    assert await mtime_of(driver, "kept") == OLD
    assert await mtime_of(driver, "whole") == OLD
    assert await mtime_of(driver, "new") != OLD


async def test_mtime_before_1970_is_the_time_of_a_file_from_then(
    driver: LocalDriver, root: Path
) -> None:
    await driver.write_file("a", b"content", DECLARED)
    os.utime(root / "a", ns=(0, -1_500_000_000))
    assert await mtime_of(driver) == "-1.500000000"


@pytest.mark.skipif(sys.platform != "linux", reason="Python has attributes on Linux alone")
@pytest.mark.parametrize("time", [b'"soon"', b"null", b"[1]", b"1e999", b"NaN"])
async def test_mtime_of_odd_attribute_is_the_time_of_the_file(tmp_path: Path, time: bytes) -> None:
    (tmp_path / "a").write_bytes(b"content")
    record = b'{"metadata":{"mtime":"1.5"},"time":' + time + b"}"
    os.setxattr(tmp_path / "a", "user.jtc.storage", record)
    assert await mtime_of(LocalDriver(tmp_path)) != "1.5"
