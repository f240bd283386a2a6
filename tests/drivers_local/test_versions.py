"""Etags: what repeats them, and what does not."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.exceptions import NotModifiedException, PreconditionFailedException
from jtc.storage.options import ReadOptions, WriteOptions
from local_ways import WAYS, local_driver

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_700_000_000_123_456_789


@pytest.fixture(params=WAYS)
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> LocalDriver:
    return local_driver(tmp_path / "root", request.param)


async def etag_of(driver: LocalDriver, path: str = "a") -> str:
    return str((await driver.stat(path)).etag)


async def replace_by(driver: LocalDriver, way: str) -> None:
    match way:
        case "put":
            await driver.put("a", b"same")
        case "delete and put":
            await driver.delete("a")
            await driver.put("a", b"same")
        case "copy":
            await driver.put("b", b"same")
            await driver.copy_file("b", "a", WriteOptions())
        case "set_metadata":
            await driver.update_metadata("a", WriteOptions(cache_control="no-store"))


WAYS_TO_REPLACE = ["put", "delete and put", "copy", "set_metadata"]


@pytest.mark.parametrize("way", WAYS_TO_REPLACE)
async def test_etag_is_new_though_the_clock_stands_still(
    driver: LocalDriver, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: NOW)
    await driver.put("a", b"same")
    seen = [await etag_of(driver)]
    for _ in range(1 if way == "delete and put" else 50):
        await replace_by(driver, way)
        seen.append(await etag_of(driver))
    assert len(set(seen)) == len(seen)
    for etag in seen[:-1]:
        with pytest.raises(PreconditionFailedException):
            await driver.write_file("a", b"late", WriteOptions(if_match=etag))
    await driver.write_file("a", b"late", WriteOptions(if_match=seen[-1]))


@pytest.mark.parametrize("way", ["put", "copy", "set_metadata"])
@pytest.mark.parametrize("grain", [10**9, 2 * 10**9])
async def test_etag_is_new_on_a_file_system_that_counts_seconds(
    driver: LocalDriver, way: str, grain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_times = os.utime

    def coarse(path: Any, *, ns: tuple[int, int], **kwargs: Any) -> None:
        set_times(path, ns=(ns[0] // grain * grain, ns[1] // grain * grain), **kwargs)

    monkeypatch.setattr(os, "utime", coarse)
    await driver.put("a", b"same")
    seen = [await etag_of(driver)]
    for _ in range(5):
        await replace_by(driver, way)
        seen.append(await etag_of(driver))
    assert len(set(seen)) == len(seen)


async def test_time_is_not_pushed_on_by_a_file_from_the_far_future(driver: LocalDriver) -> None:
    await driver.put("a", b"old")
    later = time.time_ns() + 3600 * 10**9
    os.utime(driver.path("a"), ns=(later, later))
    await driver.put("a", b"new")
    assert await driver.last_modified("a") < time.time() + 1


async def test_etag_is_that_of_a_synchronized_copy(tmp_path: Path) -> None:
    one, other = LocalDriver(tmp_path / "one"), LocalDriver(tmp_path / "other")
    await one.put("d/a", b"content")
    shutil.copytree(tmp_path / "one", tmp_path / "other")  # with times, as rsync -a does
    etag = await etag_of(one, "d/a")
    assert await etag_of(other, "d/a") == etag
    with pytest.raises(NotModifiedException):
        await other.open_read("d/a", ReadOptions(if_none_match=etag))
    await one.put("d/a", b"CONTENT")
    assert await etag_of(one, "d/a") != etag


async def test_etag_of_another_programs_file_is_its_time_and_size(tmp_path: Path) -> None:
    driver = LocalDriver(tmp_path)
    for name in "ab":
        (tmp_path / name).write_bytes(b"content")
        os.utime(tmp_path / name, ns=(NOW, NOW))
    assert await etag_of(driver, "a") == await etag_of(driver, "b")
    os.utime(tmp_path / "b", ns=(NOW, NOW + 1))
    assert await etag_of(driver, "a") != await etag_of(driver, "b")


async def test_two_files_put_at_one_time_have_two_etags(
    driver: LocalDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: NOW)
    etags = set()
    for number in range(8):
        await driver.put(str(number), b"same")
        etags.add(await etag_of(driver, str(number)))
    assert len(etags) > 4  # they are random
