"""Staged files: where their temporary names are, and what the reserved directory may become."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import stat
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.exceptions import FileExistsException
from jtc.storage.models import Visibility
from jtc.storage.options import ListOptions, WriteOptions
from jtc.storage.paths import RESERVED_DIRECTORY, TEMPORARY_PREFIX
from local_ways import local_driver, names_in, temporaries_below

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

MEBIBYTE = 1024 * 1024
HOURS_LATER = 3601


@pytest.fixture
def portable(root: Path) -> LocalDriver:
    return local_driver(root, "portable")


class Upload:
    """An upload that waits in its middle, as a context manager that ends it."""

    def __init__(self, driver: LocalDriver, path: str) -> None:
        self._driver = driver
        self._path = path
        self._begun, self._go = asyncio.Event(), asyncio.Event()

    async def _source(self) -> AsyncIterator[bytes]:
        yield b"x" * (2 * MEBIBYTE)
        self._begun.set()
        await self._go.wait()

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._driver.put(self._path, self._source()))
        await self._begun.wait()
        # The first batch is written, so the file is there.
        while await asyncio.to_thread(temporaries_below, self._driver._root.path) == []:
            assert not self._task.done()
            await asyncio.sleep(0.001)

    async def __aexit__(self, *exc_info: object) -> None:
        self._go.set()
        await self._task


async def listed(driver: LocalDriver, prefix: str = "", **options: Any) -> list[str]:
    return [entry.path async for entry in driver.list_entries(prefix, ListOptions(**options))]


async def test_portable_put_stages_in_reserved_directory(portable: LocalDriver, root: Path) -> None:
    await portable.put("d/there", b"")
    for path in ("a", "d/a", "new/directory/a"):
        async with Upload(portable, path):
            assert temporaries_below(root) == temporaries_below(root / RESERVED_DIRECTORY)
        assert (root / path).stat().st_size == 2 * MEBIBYTE
        assert temporaries_below(root) == []


async def test_reserved_directory_has_mode_0700(portable: LocalDriver, root: Path) -> None:
    await portable.put("a", b"")
    assert stat.S_IMODE((root / RESERVED_DIRECTORY).stat().st_mode) == 0o700
    assert stat.S_IMODE((root / "a").stat().st_mode) == 0o666 & ~umask()


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


async def test_put_without_temporary_name_makes_no_reserved_directory(root: Path) -> None:
    driver = LocalDriver(root)
    if driver._root.portable:
        pytest.skip("only Linux makes files without a name")
    await driver.put("a", b"old")
    await driver.put("a", b"new")
    assert [path.name for path in root.iterdir()] == ["a"]


async def test_put_makes_a_removed_reserved_directory_again(
    portable: LocalDriver, root: Path
) -> None:
    for content in (b"1", b"2", b"3"):
        await portable.put("d/a", content)
        assert await portable.get("d/a") == content
        (root / RESERVED_DIRECTORY).rmdir()


async def test_puts_succeed_while_reserved_directory_is_removed(
    portable: LocalDriver, root: Path
) -> None:
    puts = asyncio.gather(*(portable.put(f"d/{number}", b"x") for number in range(300)))
    removed = 0
    while not puts.done():
        try:
            (root / RESERVED_DIRECTORY).rmdir()  # only while there is nothing in it
            removed += 1
        except OSError:
            pass
        await asyncio.sleep(0)
    await puts
    assert removed
    assert len(await listed(portable, "d")) == 300
    assert temporaries_below(root) == []


@pytest.mark.parametrize("kind", ["link", "dangling link", "file"])
async def test_put_does_not_use_what_stands_in_place_of_reserved_directory(
    portable: LocalDriver, root: Path, tmp_path: Path, kind: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    root.mkdir()
    reserved = root / RESERVED_DIRECTORY
    if kind == "file":
        reserved.write_bytes(b"kept")
    else:
        reserved.symlink_to(outside if kind == "link" else outside / "missing")
    async with Upload(portable, "d/a"):
        assert temporaries_below(outside) == []
        assert len(temporaries_below(root)) == 1
    assert await portable.size("d/a") == 2 * MEBIBYTE
    assert await listed(portable, recursive=True) == ["d/a"]
    assert list(outside.iterdir()) == []
    assert reserved.read_bytes() == b"kept" if kind == "file" else reserved.is_symlink()


async def test_durable_put_stages_beside_its_target(root: Path) -> None:
    driver = local_driver(root, "portable", durable=True)
    await driver.put("d/there", b"")
    async with Upload(driver, "d/a"):
        assert len(temporaries_below(root / "d")) == 1
    assert not (root / RESERVED_DIRECTORY).exists()


async def test_new_file_has_the_group_of_its_directory(portable: LocalDriver, root: Path) -> None:
    if os.geteuid():
        pytest.skip("setting a group of others needs root")
    (root / "d").mkdir(parents=True)
    os.chown(root / "d", -1, 12345)
    (root / "d").chmod(0o2775)
    await portable.put("d/a", b"")
    assert (root / "d/a").stat().st_gid == 12345


@pytest.fixture(params=["another device", "another mount of the device"])
def mounted(request: pytest.FixtureRequest, root: Path, tmp_path: Path) -> Iterator[Path]:
    """A directory below the root that no file can be renamed into from the reserved directory."""
    if os.geteuid() or shutil.which("mount") is None:
        pytest.skip("mounting needs root")
    place, elsewhere = root / "d", tmp_path / "elsewhere"
    place.mkdir(parents=True)
    elsewhere.mkdir()
    how = ["-t", "tmpfs", "none"] if request.param == "another device" else ["--bind", elsewhere]
    done = subprocess.run(["mount", *how, place], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


async def test_put_below_a_mount_point_is_whole(
    portable: LocalDriver, root: Path, mounted: Path, descriptors: Callable[[], list[str]]
) -> None:
    declared = WriteOptions(content_type="text/x-odd", visibility=Visibility.PRIVATE)
    content = os.urandom(3 * MEBIBYTE)
    for number in range(3):
        path = f"d/{number}/a"
        etag = await portable.write_file(path, content, declared)
        info = await portable.stat(path)
        assert (info.etag, info.content_type) == (etag, "text/x-odd")
        assert await portable.visibility(path) is Visibility.PRIVATE
        assert await portable.get(path) == content
        with pytest.raises(FileExistsException):
            await portable.write_file(path, b"", WriteOptions(overwrite=False))
        await portable.write_file(path, b"new", WriteOptions(if_match=etag))
        await portable.write_file(f"{path}2", b"created", WriteOptions(overwrite=False))
        await portable.copy_file(path, f"d/{number}/copy", WriteOptions())
        assert await portable.get(f"d/{number}/copy") == b"new"
        assert await portable.get(f"{path}2") == b"created"
    async with Upload(portable, "d/slow"):
        assert len(temporaries_below(mounted)) == 1
    assert temporaries_below(root) == []
    assert descriptors() == []


async def test_put_into_another_quota_project_is_copied(
    portable: LocalDriver, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def project(src: str, dst: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        if not os.path.sameopenfile(src_dir_fd, dst_dir_fd):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "rename", project)
    content = os.urandom(MEBIBYTE + 1)
    await portable.put("a", content)
    await portable.put("a", content[::-1])
    assert await portable.get("a") == content[::-1]
    assert temporaries_below(root) == []


async def test_listing_leaves_out_reserved_directory(driver: LocalDriver, root: Path) -> None:
    await driver.put("a", b"")
    await driver.put(f"d/{RESERVED_DIRECTORY}/kept", b"")
    (root / RESERVED_DIRECTORY / "sessions").mkdir(parents=True, exist_ok=True)
    (root / RESERVED_DIRECTORY / "sessions/1").write_bytes(b"")
    assert await listed(driver) == ["a", "d"]
    assert await listed(driver, recursive=True) == ["a", f"d/{RESERVED_DIRECTORY}/kept"]
    assert await listed(driver, recursive=True, directories=True) == [
        "a",
        "d",
        f"d/{RESERVED_DIRECTORY}",
        f"d/{RESERVED_DIRECTORY}/kept",
    ]


async def test_listing_of_the_root_sweeps_old_temporaries_in_reserved_directory(
    driver: LocalDriver, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserved = root / RESERVED_DIRECTORY
    reserved.mkdir(parents=True)
    (reserved / f"{TEMPORARY_PREFIX}0").write_bytes(b"x")
    (reserved / "session").write_bytes(b"x")
    assert await listed(driver) == []
    assert len(temporaries_below(root)) == 1
    later = time.time() + HOURS_LATER
    monkeypatch.setattr(time, "time", lambda: later)
    assert await listed(driver) == []
    assert [path.name for path in reserved.iterdir()] == ["session"]


async def test_listing_does_not_sweep_the_temporary_of_an_upload_under_way(
    driver: LocalDriver, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Upload(local_driver(root, "portable"), "a"):
        later = time.time() + HOURS_LATER
        monkeypatch.setattr(time, "time", lambda: later)
        assert await listed(driver) == []
        assert len(temporaries_below(root / RESERVED_DIRECTORY)) == 1
    assert names_in(root) == ["a"]


async def test_sweep_follows_no_link_in_place_of_reserved_directory(
    driver: LocalDriver, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / f"{TEMPORARY_PREFIX}0").write_bytes(b"x")
    root.mkdir()
    (root / RESERVED_DIRECTORY).symlink_to(outside)
    later = time.time() + HOURS_LATER
    monkeypatch.setattr(time, "time", lambda: later)
    assert await listed(driver) == []
    assert len(temporaries_below(outside)) == 1
