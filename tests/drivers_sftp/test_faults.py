"""Connections and processes that end: what is whole, what is left, and what works afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jtc.storage import StorageManager
from jtc.storage.drivers.sftp_driver import SFTPDriver
from jtc.storage.exceptions import (
    StorageException,
    StorageTimeoutException,
    StorageUnavailableException,
)
from jtc.storage.options import ReadOptions, WriteOptions
from jtc.storage.testing import ConnectionFaults
from openssh import SSHD, OpenSSH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage import Disk

needs_sshd = pytest.mark.skipif(SSHD is None, reason="needs sshd: tests/install_tools.sh")

OLD, NEW = b"old" * 700_000, b"new" * 700_000
MIB = 1024 * 1024


def names_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def staged(server: OpenSSH) -> list[str]:
    folder = server.files / ".jtc"
    return names_in(folder) if folder.exists() else []


async def test_puts_of_many_at_once_share_one_connection(openssh: OpenSSH, disk: Disk) -> None:
    logins = openssh.log.count("Accepted publickey")
    before = len(names_in(Path("/proc/self/fd")))
    await asyncio.gather(*(disk.put(f"{number % 7}/{number}", b"x") for number in range(200)))
    assert len(names_in(Path("/proc/self/fd"))) - before < 10
    assert len(await disk.all_files()) == 200
    assert openssh.log.count("Accepted publickey") - logins == 1


async def test_put_cancelled_at_any_moment_leaves_no_staged_file(
    openssh: OpenSSH, disk: Disk
) -> None:
    await disk.put("a", OLD)
    randomly = random.Random(7)
    for _ in range(40):
        task = asyncio.create_task(disk.put("a", NEW))
        await asyncio.sleep(randomly.uniform(0, 0.06))
        task.cancel()
        await asyncio.wait([task])
        assert await disk.get("a") in {OLD, NEW}
    assert staged(openssh) == []
    assert await disk.get("a") in {OLD, NEW}


def test_put_cancelled_by_the_end_of_its_loop_leaves_no_staged_file(openssh: OpenSSH) -> None:
    driver = SFTPDriver(**openssh.options)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1_000
            await asyncio.sleep(0.001)

    async def main() -> None:
        await driver.put("a", b"x")
        put = asyncio.create_task(driver.write_file("b", endless(), WriteOptions()))
        await asyncio.sleep(0.05)
        assert not put.done()

    asyncio.run(main())
    deadline = time.monotonic() + 5
    while staged(openssh) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert staged(openssh) == []
    assert not (openssh.files / "b").exists()


async def test_sessions_killed_in_puts_leave_whole_files(openssh: OpenSSH, disk: Disk) -> None:
    await disk.put("a", OLD)
    for number in range(6):
        put = asyncio.create_task(disk.put("a", NEW if number % 2 else OLD))
        await asyncio.sleep(0.01 * number)
        openssh.kill_sessions()
        await put  # bytes are sent again
        assert await disk.get("a") == (NEW if number % 2 else OLD)


async def test_stream_goes_on_after_its_session_was_killed(openssh: OpenSSH, disk: Disk) -> None:
    content = os.urandom(12 * MIB)
    await disk.put("a", content)
    os.utime(openssh.files / "a", (time.time(), time.time() - 3_600))
    read = bytearray()
    async for chunk in disk.stream("a"):
        read += chunk
        if len(read) // len(chunk) in {5, 20}:
            openssh.kill_sessions()
    assert bytes(read) == content


@pytest.mark.parametrize("age", [0, 3_600])
async def test_stream_of_a_file_that_was_replaced_fails_after_its_session_was_killed(
    openssh: OpenSSH, disk: Disk, age: int
) -> None:
    await disk.put("a", bytes(12 * MIB))
    os.utime(openssh.files / "a", (time.time(), time.time() - age))

    async def read_on() -> None:
        async for _ in disk.stream("a"):
            if not read:
                (openssh.files / "b").write_bytes(b"\1" * 12 * MIB)
                (openssh.files / "b").replace(openssh.files / "a")
                openssh.kill_sessions()
            read.append(1)

    read: list[int] = []
    with pytest.raises(StorageUnavailableException):
        await read_on()


async def test_streamed_put_whose_session_was_killed_fails_and_keeps_the_old_file(
    openssh: OpenSSH, disk: Disk
) -> None:
    await disk.put("a", b"old")

    async def content() -> AsyncIterator[bytes]:
        for number in range(20):
            if number == 10:
                openssh.kill_sessions()
            yield b"x" * 500_000

    with pytest.raises(StorageUnavailableException, match="while content was sent"):
        await disk.put("a", content())
    assert await disk.get("a") == b"old"


@pytest.mark.parametrize("after", range(0, 1_000, 100))
async def test_exclusive_put_whose_connection_is_cut_is_there_once_or_says_that_it_may_be(
    openssh: OpenSSH, after: int
) -> None:
    with ConnectionFaults() as faults:
        host, port = faults.through("127.0.0.1", openssh.port)
        driver = SFTPDriver(**{**openssh.options, "host": host, "port": port})
        await driver.put("a", b"x")
        faults.cut_request(after)
        message = "it may be there"
        try:
            await driver.write_file("b", b"content", WriteOptions(overwrite=False))
        except StorageUnavailableException as error:
            message = str(error)
        assert "it may be there" in message
        assert await driver.get("b") == b"content"
        await driver.aclose()


@needs_sshd
async def test_restarted_server_with_another_host_key_is_refused() -> None:
    with OpenSSH() as server:
        driver = SFTPDriver(**server.options)
        await driver.put("a", b"x")
        server.stop()
        with pytest.raises(StorageUnavailableException):
            await driver.get("a")
        server.new_host_key()
        server.start()
        with pytest.raises(StorageException, match="host key"):
            await driver.get("a")
        await driver.aclose()


@needs_sshd
async def test_server_without_room_for_sessions_is_unavailable() -> None:
    with OpenSSH(lines=("MaxSessions 0",)) as server:
        driver = SFTPDriver(**server.options)
        with pytest.raises(StorageUnavailableException, match="MaxSessions"):
            await driver.get("a")
        await driver.aclose()


async def test_place_that_is_never_free_ends_in_a_timeout(openssh: OpenSSH) -> None:
    driver = SFTPDriver(**openssh.options, max_concurrency=1, pool_timeout=0.05)
    await driver.put("a", b"x")
    stream = await driver.open_read("a", ReadOptions())
    with pytest.raises(StorageTimeoutException, match="max_concurrency"):
        await driver.get("a")
    await stream.aclose()
    assert await driver.get("a") == b"x"
    await driver.aclose()


async def test_slow_content_is_no_stall(openssh: OpenSSH) -> None:
    driver = SFTPDriver(**openssh.options, request_timeout=0.1)

    async def content() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 300_000
            await asyncio.sleep(0.15)

    await driver.write_file("a", content(), WriteOptions())
    assert await driver.size("a") == 900_000
    await driver.aclose()


async def test_wait_for_a_stalled_server_is_not_longer_than_its_limits(openssh: OpenSSH) -> None:
    with ConnectionFaults() as faults:
        host, port = faults.through("127.0.0.1", openssh.port)
        driver = SFTPDriver(
            **{**openssh.options, "host": host, "port": port},
            connect_timeout=0.3,
            request_timeout=0.3,
        )
        await driver.put("a", b"x")
        faults.stall()
        for _ in range(2):  # in a session, then in a login
            with pytest.raises(StorageTimeoutException):
                await driver.get("a")
        faults.resume()
        assert await driver.get("a") == b"x"
        await driver.aclose()


def test_loops_and_threads_have_a_connection_each(openssh: OpenSSH) -> None:
    manager = StorageManager.isolated()
    manager.set_driver(SFTPDriver(**openssh.options), "remote")
    disk = manager.disk("remote")
    failures: list[BaseException] = []

    async def work(name: str) -> None:
        await disk.put(name, name.encode())
        assert await disk.get(name) == name.encode()

    def in_thread(number: int) -> None:
        try:
            for each in range(3):
                asyncio.run(work(f"{number}-{each}"))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=in_thread, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(disk.sync.all_files()) == 9
    asyncio.run(manager.aclose())


def test_forked_child_opens_a_connection_of_its_own(openssh: OpenSSH) -> None:
    driver = SFTPDriver(**openssh.options)

    async def main() -> int:
        await driver.put("a", b"parent")
        child = os.fork()
        if child:
            _, status = await asyncio.to_thread(os.waitpid, child, 0)
            assert await driver.get("a") == b"child"
            return status
        os._exit(_in_child(driver))

    assert asyncio.run(main()) == 0


def _in_child(driver: SFTPDriver) -> int:
    asyncio.events._set_running_loop(None)
    signal.alarm(20)
    try:
        asyncio.run(driver.put("a", b"child"))
    except BaseException:
        return 1
    return 0


_VICTIM = """
import asyncio, json, sys
from jtc.storage.drivers.sftp_driver import SFTPDriver
async def main():
    driver = SFTPDriver(**json.loads(sys.stdin.readline()))
    print("ready", flush=True)
    while True:
        await driver.put("a", b"new" * 1_000_000)
        await driver.put("a", b"old" * 1_000_000)
asyncio.run(main())
"""


async def test_client_killed_in_a_put_leaves_a_whole_file(openssh: OpenSSH, disk: Disk) -> None:
    await disk.put("a", b"old" * 1_000_000)
    for number in range(3):
        victim = subprocess.Popen(
            [sys.executable, "-c", _VICTIM], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert victim.stdin is not None
        assert victim.stdout is not None
        victim.stdin.write(json.dumps(openssh.options).encode() + b"\n")
        victim.stdin.flush()
        assert await asyncio.to_thread(victim.stdout.readline) == b"ready\n"
        await asyncio.sleep(0.15 + number * 0.03)
        victim.kill()
        victim.communicate()
        assert await disk.get("a") in {b"old" * 1_000_000, b"new" * 1_000_000}
    assert await disk.files() == ["a"]
    assert len(staged(openssh)) <= 3


async def test_transfers_of_large_files_take_constant_memory(disk: Disk) -> None:
    size = 64 * MIB

    async def content() -> AsyncIterator[bytes]:
        for _ in range(size // MIB):
            yield bytes(MIB)

    await disk.put("small", b"x")
    tracemalloc.start()
    try:
        await disk.put("large", content())
        read = 0
        async for chunk in disk.stream("large"):
            read += len(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read == size
    assert peak < 24 * MIB


async def test_full_file_system_is_a_full_storage(openssh: OpenSSH) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    room = openssh.files / "room"
    room.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(room)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("needs a mount")
    try:
        driver = SFTPDriver(**{**openssh.options, "root": str(room)})
        await driver.put("a", b"kept")
        with pytest.raises(StorageException, match="full"):
            await driver.put("a", bytes(3 * MIB))
        assert await driver.get("a") == b"kept"
        assert names_in(room / ".jtc") == []
        await driver.aclose()
    finally:
        subprocess.run(["umount", "-l", str(room)], check=True)


@pytest.mark.parametrize("after", range(0, 1_000, 100))
async def test_move_directory_whose_connection_is_cut_is_made_once(
    openssh: OpenSSH, after: int
) -> None:
    (openssh.files / "d").mkdir()
    (openssh.files / "d" / "1").write_bytes(b"1")
    with ConnectionFaults() as faults:
        host, port = faults.through("127.0.0.1", openssh.port)
        driver = SFTPDriver(**{**openssh.options, "host": host, "port": port})
        await driver.exists("d/1")
        faults.cut_request(after)
        await driver.move_directory("d", "m")
        assert names_in(openssh.files) == ["m"]
        assert await driver.get("m/1") == b"1"
        await driver.aclose()
