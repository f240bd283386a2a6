"""Locks of paths: who can hold one, who waits, and how long."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import stat
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import StorageManager
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.local_driver import _path_locks as path_locks
from jtc.storage.drivers.local_driver._path_locks import _place_of
from jtc.storage.drivers.local_driver._safe_open import Root
from jtc.storage.exceptions import (
    PreconditionFailedException,
    StorageTimeoutException,
    UnsupportedOperationException,
)
from jtc.storage.options import DeleteOptions, WriteOptions
from local_ways import WAYS, local_driver, names_in, python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OTHER_USER = 65534


@contextmanager
def locked_by_another_process(name: Path, *, offset: int | None = None) -> Iterator[None]:
    """Have another process hold a lock until the block ends, also a process that is stopped."""
    code = (
        "import fcntl, os, struct, sys, time\n"
        "name, offset = sys.argv[1:]\n"
        "if offset == 'None':\n"
        "    fcntl.flock(os.open(name, os.O_RDONLY), fcntl.LOCK_EX)\n"
        "else:\n"
        "    lock = struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, int(offset), 1, 0)\n"
        "    fcntl.fcntl(os.open(name, os.O_RDWR), fcntl.F_OFD_SETLK, lock)\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(name), str(offset)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            holder.kill()


@pytest.fixture
def lock(root: Path) -> Path:
    return root / ".jtc/lock"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def condition(driver: LocalDriver, path: str = "a") -> None:
    etag = await driver.write_file(path, b"old", WriteOptions())
    await driver.write_file(path, b"new", WriteOptions(if_match=etag))


@pytest.mark.parametrize("driver", WAYS, indirect=True)  # by path there are no modes
async def test_lock_file_is_made_by_the_first_condition_for_the_owner_alone(
    driver: LocalDriver, lock: Path
) -> None:
    await driver.put("a", b"1")
    await driver.put("a", b"2")
    await driver.move_file("a", "b", WriteOptions())
    await driver.delete("b")
    assert not lock.exists()
    await condition(driver)
    assert mode_of(lock) == 0o600
    assert mode_of(lock.parent) == 0o700


async def test_put_goes_on_while_another_user_locks_the_directory(
    driver: LocalDriver, root: Path
) -> None:
    await driver.put("d/a", b"old")
    for place in (root, root / "d"):
        with locked_by_another_process(place):
            await driver.put("d/a", b"new")
            await driver.put("d/b", b"new")
            await driver.move_file("d/b", "d/c", WriteOptions())
            assert await driver.delete("d/c") is True
            await condition(driver, "d/e")


@pytest.mark.parametrize("driver", WAYS, indirect=True)  # by path there are no modes
async def test_lock_file_of_a_root_that_a_group_shares_is_for_that_group(
    driver: LocalDriver, root: Path, lock: Path
) -> None:
    root.mkdir()
    root.chmod(0o2775)
    await condition(driver)
    assert mode_of(lock) == 0o660
    assert mode_of(lock.parent) & 0o777 == 0o710  # its names cannot be listed


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed")
async def test_condition_is_refused_where_the_lock_belongs_to_another_user(
    unprivileged: Path, way: str
) -> None:
    driver = local_driver(unprivileged, way)
    etag = await driver.write_file("a", b"old", WriteOptions())
    os.seteuid(0)
    (unprivileged / ".jtc").mkdir(mode=0o700, exist_ok=True)
    os.chown(unprivileged / ".jtc", 0, 0)
    (unprivileged / ".jtc/lock").touch(mode=0o600)
    os.seteuid(OTHER_USER)
    with pytest.raises(UnsupportedOperationException, match=r"\.jtc/lock"):
        await driver.write_file("a", b"new", WriteOptions(if_match=etag))
    await driver.put("a", b"plain")
    assert await driver.get("a") == b"plain"
    assert await driver.delete("a") is True


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed")
async def test_lock_that_a_third_user_made_and_holds_is_not_waited_for(
    unprivileged: Path, way: str
) -> None:
    os.seteuid(0)
    os.chown(unprivileged, 0, 0)
    unprivileged.chmod(0o777)  # where all users may write
    (unprivileged / ".jtc").mkdir()
    (unprivileged / ".jtc/lock").touch()
    (unprivileged / ".jtc/lock").chmod(0o666)
    (unprivileged / ".jtc").chmod(0o777)
    os.chown(unprivileged / ".jtc/lock", 12345, 12345)
    driver = local_driver(unprivileged, way)
    place = _place_of("a") if way == "linux" else None
    with locked_by_another_process(unprivileged / ".jtc/lock", offset=place):
        os.seteuid(OTHER_USER)
        etag = await driver.write_file("a", b"old", WriteOptions())
        await driver.put("a", b"new")
        with pytest.raises(UnsupportedOperationException):
            await driver.write_file("a", b"new", WriteOptions(if_match=etag))


async def test_lock_that_stays_taken_is_a_typed_error_and_changes_nothing(
    driver: LocalDriver,
    root: Path,
    lock: Path,
    temporaries: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(path_locks, "_WAIT_SECONDS", 0.05)
    await condition(driver)
    etag = (await driver.stat("a")).etag
    offset = None if driver._root.portable else _place_of("a")
    with locked_by_another_process(lock, offset=offset):
        for options in (WriteOptions(), WriteOptions(if_match=etag)):
            with pytest.raises(StorageTimeoutException, match=r"\.jtc/lock") as raised:
                await driver.write_file("a", b"newer", options)
            assert raised.value.path == "a"
        with pytest.raises(StorageTimeoutException):
            await driver.delete("a")
        with pytest.raises(StorageTimeoutException):
            await driver.delete_file("a", DeleteOptions(if_match=etag))
        with pytest.raises(StorageTimeoutException):
            await driver.update_metadata("a", WriteOptions(content_type="a/b"))
        await driver.put("new", b"a free name needs no lock")
        assert await driver.get("a") == b"new"
    assert temporaries() == []
    await driver.put("a", b"newest")
    assert names_in(root) == ["a", "new"]


async def test_lock_of_one_path_keeps_no_other_path_waiting(root: Path, lock: Path) -> None:
    driver = LocalDriver(root)
    await condition(driver)
    with locked_by_another_process(lock, offset=_place_of("a")):
        await condition(driver, "b")
        await driver.move_file("b", "c", WriteOptions())


async def test_cancelled_wait_for_a_lock_ends(driver: LocalDriver, lock: Path) -> None:
    await condition(driver)
    offset = None if driver._root.portable else _place_of("a")
    with locked_by_another_process(lock, offset=offset), pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await driver.put("a", b"newer")
    assert await driver.get("a") == b"new"


async def test_lock_file_that_is_removed_is_made_again(
    driver: LocalDriver, lock: Path, descriptors: Callable[[], list[str]]
) -> None:
    await condition(driver)
    shutil.rmtree(lock.parent)
    await driver.put("a", b"plain")
    await condition(driver)
    assert lock.is_file()
    assert descriptors() == []


@pytest.mark.parametrize("make", ["directory", "fifo", "link"])
async def test_lock_that_is_no_file_is_no_lock(
    driver: LocalDriver, lock: Path, tmp_path: Path, make: str
) -> None:
    lock.parent.mkdir(parents=True)
    if make == "directory":
        lock.mkdir()
    elif make == "fifo":
        os.mkfifo(lock)
    else:
        (tmp_path / "elsewhere").touch()
        lock.symlink_to(tmp_path / "elsewhere")
    etag = await driver.write_file("a", b"old", WriteOptions())
    await driver.put("a", b"new")
    with pytest.raises(UnsupportedOperationException):
        await driver.write_file("a", b"newer", WriteOptions(if_match=etag))


INCREMENT = """
from jtc.storage.exceptions import PreconditionFailedException
async def main():
    for _ in range(int(sys.argv[3])):
        while True:
            info = await driver.stat("counter")
            number = int(await driver.get("counter"))
            try:
                await driver.write_file(
                    "counter", str(number + 1).encode(), WriteOptions(if_match=info.etag)
                )
            except PreconditionFailedException:
                continue
            break
asyncio.run(main())
"""


async def test_no_increment_is_lost_between_processes(driver: LocalDriver, root: Path) -> None:
    await driver.put("counter", b"0")
    way = "portable" if driver._root.portable else "linux"
    processes = [subprocess.Popen(python(INCREMENT, root, way, 100)) for _ in range(3)]
    for process in processes:
        assert await asyncio.to_thread(process.wait) == 0
    assert await driver.get("counter") == b"300"


async def test_append_and_if_match_take_their_turn_behind_plain_puts(driver: LocalDriver) -> None:
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    disk = manager.disk("d")
    await disk.put("log", b"")
    stopped = False
    puts = 0

    async def put(who: int) -> None:
        nonlocal puts
        while not stopped:
            await driver.put(f"other{who}", b"content")
            puts += 1

    putting = [asyncio.create_task(put(who)) for who in range(64)]
    for number in range(20):
        before = puts
        await disk.append("log", b"%d," % number)
        # In the old order of things, thousands came first.
        assert puts - before < 2000
    stopped = True
    await asyncio.gather(*putting)
    assert await disk.get("log") == b"".join(b"%d," % number for number in range(20))


async def test_lock_held_at_a_fork_is_free_in_the_child(root: Path) -> None:
    driver = LocalDriver(root)
    await condition(driver)
    for mutex in path_locks._mutexes:
        mutex.acquire()
    try:
        child = os.fork()
        if not child:
            code = 1
            try:
                asyncio.run(LocalDriver(root).put("a", b"of the child"))
                code = 0
            finally:
                os._exit(code)
    finally:
        for mutex in path_locks._mutexes:
            mutex.release()
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert await driver.get("a") == b"of the child"


@pytest.mark.parametrize(
    ("one", "other"), [("A/b", "a/B"), ("\u00e9", "e\u0301"), ("STRASSE", "stra\u00dfe")]
)
def test_lock_of_a_path_is_that_of_its_other_spellings(one: str, other: str) -> None:
    assert _place_of(one) == _place_of(other)
    assert _place_of(one) != _place_of(one + "x")


async def test_condition_on_a_read_only_mount_says_so(
    driver: LocalDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    etag = await driver.write_file("a", b"old", WriteOptions())
    with pytest.raises(PreconditionFailedException):
        await driver.write_file("a", b"new", WriteOptions(if_match="other"))
    make_directory = Root.make_directory

    def read_only(self: Root, path: str, *args: Any) -> int:
        if path == ".jtc":
            raise OSError(errno.EROFS, "text")
        return make_directory(self, path, *args)

    monkeypatch.setattr(Root, "make_directory", read_only)
    shutil.rmtree(driver._root.path + "/.jtc")
    with pytest.raises(PermissionError, match="read-only"):
        await driver.write_file("a", b"new", WriteOptions(if_match=etag))
