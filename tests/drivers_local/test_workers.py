"""Worker threads: each device has its own, and what happens where none can be started."""

from __future__ import annotations

import asyncio
import io
import os
import resource
import shutil
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import StorageManager
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.local_driver import _worker_calls as worker_calls
from jtc.storage.drivers.local_driver import _workers as workers
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.exceptions import StorageUnavailableException
from jtc.storage.options import ReadOptions
from local_ways import names_in
from small_drivers import EightMethods

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

CONTENT = bytes(1024 * 1024)
OTHER_USER = 65534


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A directory on another device."""
    place = Path("/dev/shm")
    if not place.is_dir() or place.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second device here")
    with tempfile.TemporaryDirectory(dir=place) as root:
        yield Path(root)


@pytest.fixture
async def hanging(
    root: Path, monkeypatch: pytest.MonkeyPatch, workers_idle: Callable[[], Awaitable[None]]
) -> AsyncIterator[threading.Event]:
    """Reads of the file ``hung`` hang, until the event is set: as on a mount that is dead."""
    await workers_idle()
    alive = threading.Event()
    read = os.read

    def hang(descriptor: int, size: int) -> bytes:
        with suppress(OSError):
            if Path(f"/proc/self/fd/{descriptor}").readlink() == root / "hung":
                alive.wait(60)
        return read(descriptor, size)

    monkeypatch.setattr(os, "read", hang)
    yield alive
    alive.set()
    await workers_idle()


async def test_hung_reads_of_one_device_stop_neither_another_nor_the_loops_executor(
    driver: LocalDriver, elsewhere: Path, hanging: threading.Event
) -> None:
    await driver.put("hung", CONTENT)
    other = LocalDriver(elsewhere)
    await other.put("first", b"so that its device is known")
    reading = [asyncio.create_task(driver.get("hung")) for _ in range(40)]
    await asyncio.sleep(0.1)
    async with asyncio.timeout(30):
        await other.put("a", CONTENT)
        assert await other.get("a") == CONTENT
        assert await asyncio.to_thread(lambda: 1) == 1
    hanging.set()
    assert set(await asyncio.gather(*reading)) == {CONTENT}


async def test_reads_go_on_after_hung_ones_of_the_same_device_were_cancelled(
    driver: LocalDriver, hanging: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_calls, "_GRACE", 0.05)
    await driver.put("hung", CONTENT)
    await driver.put("fine", CONTENT)
    reading = [asyncio.create_task(driver.get("hung")) for _ in range(3 * workers._THREADS)]
    for task in reading:
        await asyncio.sleep(0.02)
        task.cancel()
    await asyncio.wait(reading)
    assert all(task.cancelled() for task in reading)
    async with asyncio.timeout(30):
        assert await driver.get("fine") == CONTENT
    slots = driver._root.workers.processor_slots
    assert slots._value == workers._PROCESSORS
    hanging.set()
    assert await driver.get("hung") == CONTENT


async def test_reads_wait_a_moment_only_for_the_processor_slots_of_hung_ones(
    driver: LocalDriver, hanging: threading.Event
) -> None:
    await driver.put("hung", CONTENT)
    await driver.put("fine", CONTENT)
    hung = min(workers._PROCESSORS, workers._THREADS - 1)
    reading = [asyncio.create_task(driver.get("hung")) for _ in range(hung)]
    await asyncio.sleep(0.1)
    async with asyncio.timeout(30):
        assert await driver.get("fine") == CONTENT
    hanging.set()
    await asyncio.gather(*reading)


async def test_disks_of_one_device_share_threads_and_permits(tmp_path: Path) -> None:
    one, two = LocalDriver(tmp_path / "one"), LocalDriver(tmp_path / "two")
    for driver in (one, two):
        await driver.put("a", b"")
    assert one._root.workers is two._root.workers
    assert LocalDriver(tmp_path / "one")._root.workers is one._root.workers


async def test_put_of_content_that_needs_other_workers_needs_no_spare_thread(
    driver: LocalDriver,
) -> None:
    # Each put reads from the disk itself; with few threads, all would wait for each other.
    await driver.put("source", b"content")

    class Reads(io.RawIOBase):
        def __init__(self) -> None:
            self._ended = False

        def readable(self) -> bool:
            return True

        def read(self, _size: int = -1) -> bytes:
            if self._ended:
                return b""
            self._ended = True
            return asyncio.run(driver.get("source"))

    async with asyncio.timeout(60):
        await asyncio.gather(
            *(driver.put(f"{number}", Reads()) for number in range(3 * workers._THREADS))
        )
    assert await driver.get("0") == b"content"


def without_threads(work: Callable[[], Any]) -> None:
    """Run something in a child that may start no thread, and assert that it ends well there."""
    child = os.fork()
    if not child:
        code = 1
        try:
            os.setgid(OTHER_USER)
            os.setuid(OTHER_USER)
            work()
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def limit_threads(*, to_none: bool) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    resource.setrlimit(resource.RLIMIT_NPROC, (0 if to_none else hard, hard))


async def chunks() -> AsyncIterator[bytes]:
    for _ in range(3):
        yield CONTENT


CONTENTS = {"bytes": lambda: CONTENT, "file": lambda: io.BytesIO(3 * CONTENT), "async": chunks}
NO_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="root can become a user without threads")


@NO_ROOT
@pytest.mark.parametrize("kind", CONTENTS)
def test_put_without_a_thread_is_unavailable_and_nothing_happens_afterwards(kind: str) -> None:
    place = Path(tempfile.mkdtemp())
    os.chown(place, OTHER_USER, OTHER_USER)

    async def main() -> None:
        driver = LocalDriver(place)
        limit_threads(to_none=True)
        for call in (
            lambda: driver.put("a", CONTENTS[kind]()),
            lambda: driver.get("a"),
            lambda: driver.open_read("a", ReadOptions()),
            lambda: driver.delete("a"),
        ):
            with pytest.raises(StorageUnavailableException, match="No thread") as raised:
                await call()
            assert raised.value.retryable
        limit_threads(to_none=False)
        await driver.put("b", b"with a thread")
        await asyncio.sleep(0.1)
        assert names_in(place) == ["b"]

    try:
        without_threads(lambda: asyncio.run(main()))
    finally:
        shutil.rmtree(place)


@NO_ROOT
@pytest.mark.parametrize("driver_class", [MemoryDriver, EightMethods])
@pytest.mark.parametrize("kind", ["file"])
def test_put_of_a_file_without_a_thread_is_unavailable_on_other_drivers(
    driver_class: Any, kind: str
) -> None:
    async def main() -> None:
        manager = StorageManager.isolated({})
        manager.set_driver(driver_class(), "d")
        disk = manager.disk("d")
        limit_threads(to_none=True)
        content = CONTENTS[kind]()
        with pytest.raises(StorageUnavailableException, match="No thread"):
            await disk.put("a", content)
        limit_threads(to_none=False)
        await asyncio.to_thread(lambda: None)
        await asyncio.sleep(0.1)
        assert not await disk.exists("a")
        assert content.tell() == 0  # not even read

    without_threads(lambda: asyncio.run(main()))


@NO_ROOT
def test_sync_api_without_a_thread_is_unavailable_until_there_is_one() -> None:
    def main() -> None:
        manager = StorageManager.isolated({"disks": {"d": {"driver": "memory"}}})
        disk = manager.disk("d").sync
        limit_threads(to_none=True)
        for _ in range(2):
            with pytest.raises(StorageUnavailableException, match="No thread"):
                disk.put("a", b"content")
        limit_threads(to_none=False)
        disk.put("a", b"content")
        assert disk.get("a") == b"content"

    without_threads(main)
