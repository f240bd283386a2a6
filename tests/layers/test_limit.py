"""The layer `limit`: concurrent operations and bytes per second."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import ReadOptions, StorageConfigException, StorageManager, WriteOptions
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.layers.limit import Limit, _ByteRate, _Semaphore
from small_drivers import EightMethods

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage import Disk


class Counting(MemoryDriver):
    """Counts how many operations run at the same time, in all threads together."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.running = self.most = 0

    async def get(self, path: str, /) -> bytes:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        await asyncio.sleep(0.002)
        with self.lock:
            self.running -= 1
        return await super().get(path)


def through(driver: Any, **options: Any) -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    return manager.disk("d").with_layer("limit", **options)


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


# Concurrent operations


async def test_operations_bounds_how_many_run_at_once() -> None:
    driver = Counting()
    await driver.put("a", b"1")
    disk = through(driver, operations=3)
    assert await asyncio.gather(*(disk.get("a") for _ in range(30))) == [b"1"] * 30
    assert driver.most == 3


def test_operations_holds_for_all_threads_and_loops_together() -> None:
    driver = Counting()
    disk = through(driver, operations=2)

    async def many() -> None:
        await disk.put("a", b"1")
        await asyncio.gather(*(disk.get("a") for _ in range(20)))

    threads = [threading.Thread(target=lambda: asyncio.run(many())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert driver.most == 2


async def test_stream_that_is_held_open_blocks_no_other_operation() -> None:
    disk = through(MemoryDriver(), operations=1)
    await disk.put("a", b"12345")
    async with disk.stream("a", chunk_size=2) as stream:
        async for _ in stream:
            await disk.get("a")
            async for _ in disk.list():
                await disk.exists("a")


async def test_put_of_a_stream_of_the_same_disk_succeeds_with_one_operation() -> None:
    disk = through(MemoryDriver(), operations=1)
    await disk.put("a", b"12345")
    async with asyncio.timeout(30):
        await disk.put("b", disk.stream("a", chunk_size=2))
    assert await disk.get("b") == b"12345"


async def test_put_of_a_blocking_file_of_the_same_disk_succeeds_with_one_operation() -> None:
    disk = through(MemoryDriver(), operations=1)
    await disk.put("a", b"12345")
    loop = asyncio.get_running_loop()

    class FileOfTheDisk:
        """As a file of the sync API: each read is an operation of its own."""

        left = 2

        def read(self, _size: int = -1) -> bytes:
            self.left -= 1
            if self.left < 0:
                return b""
            return asyncio.run_coroutine_threadsafe(disk.get("a"), loop).result(30)

    await disk.put("b", FileOfTheDisk())
    assert await disk.get("b") == b"1234512345"


async def test_slots_are_released_after_errors_and_cancellations() -> None:
    disk = through(Counting(), operations=1)
    for _ in range(3):
        with pytest.raises(FileNotFoundError):
            await disk.get("missing")
    await disk.put("a", b"1")
    tasks = [asyncio.create_task(disk.get("a")) for _ in range(10)]
    await asyncio.sleep(0.001)
    for task in tasks[:9]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes[9] == b"1"
    assert sum(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes) == 9
    assert await disk.get("a") == b"1"


async def test_slot_that_comes_together_with_a_cancellation_is_passed_on() -> None:
    semaphore = _Semaphore(1)
    for _ in range(100):
        await semaphore.acquire()
        first, second = (asyncio.create_task(semaphore.acquire()) for _ in range(2))
        await asyncio.sleep(0)
        semaphore.release()
        first.cancel()
        async with asyncio.timeout(30):
            await asyncio.wait([first, second])
        assert first.cancelled()
        assert not second.cancelled()
        semaphore.release()


async def test_cancelled_upload_waits_for_no_slot_before_it_ends() -> None:
    disk = through(Waiting(), operations=1)
    reading = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"1"
        reading.set()
        await asyncio.Event().wait()

    upload = asyncio.create_task(disk.put("a", endless()))
    await reading.wait()
    other = asyncio.create_task(disk.exists("a"))  # takes the slot, and keeps it
    await asyncio.sleep(0)
    upload.cancel()
    await asyncio.wait_for(asyncio.wait([upload]), 30)
    assert upload.cancelled()
    assert not other.done()
    await disk.driver_as(Waiting).aclose()
    assert not await other


def test_waiting_tasks_of_a_closed_loop_are_passed_over() -> None:
    semaphore = _Semaphore(1)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(semaphore.acquire())
    waiting = loop.create_task(semaphore.acquire())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    async def afterwards() -> None:
        semaphore.release()
        async with asyncio.timeout(30):
            await semaphore.acquire()

    asyncio.run(afterwards())
    waiting.get_coro().close()  # type: ignore[union-attr] # a task that never runs
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]


# Bytes per second


async def test_bytes_count_in_each_way_of_moving_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted: list[int] = []

    async def take(_self: _ByteRate, size: int) -> None:
        counted.append(size)

    monkeypatch.setattr(_ByteRate, "take", take)
    for driver in (MemoryDriver(), EightMethods()):
        disk = through(driver, bytes_per_second=1000)
        ways: list[tuple[Any, list[int]]] = [
            (lambda d: d.put("a", b"12345"), [5]),
            (lambda d: d.put("a", "12345"), [5]),
            (lambda d: d.put("a", chunks(b"123", b"45")), [3, 2]),
            (lambda d: d.put("a", io.BytesIO(b"12345")), [5]),
            (lambda d: d.get("a"), [5]),
            (lambda d: d.get_range("a", 1, 3), [2]),
            (lambda d: d.exists("a"), []),
        ]
        for way, sizes in ways:
            counted.clear()
            await way(disk)
            # Without the capability "reading" a range is cut from the whole file.
            expected = [5] if sizes and isinstance(driver, EightMethods) else sizes
            assert counted == expected
            assert await disk.driver_as(type(driver)).get("a") == b"12345"


async def test_bytes_of_read_ranges_count(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []

    async def take(_self: _ByteRate, size: int) -> None:
        counted.append(size)

    monkeypatch.setattr(_ByteRate, "take", take)
    driver = MemoryDriver()
    await driver.put("a", b"12345")
    limited: Any = Limit(driver, bytes_per_second=1000)
    assert await limited.read_ranges("a", [(0, 2), (1, 4)], ReadOptions()) == [b"12", b"234"]
    assert counted == [5]


async def test_bytes_of_a_spooled_file_count_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []

    async def take(_self: _ByteRate, size: int) -> None:
        counted.append(size)

    monkeypatch.setattr(_ByteRate, "take", take)
    driver = EightMethods()
    await through(driver, bytes_per_second=1000).put("a", chunks(b"x" * 2_000_000, b"y"))
    assert counted == [2_000_001]
    assert driver.kept["a"] == b"x" * 2_000_000 + b"y"


async def test_bytes_per_second_holds_on_average(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(round(seconds, 6))

    monkeypatch.setattr("jtc.storage.layers.limit.time.monotonic", lambda: now)
    monkeypatch.setattr("jtc.storage.layers.limit.asyncio.sleep", sleep)
    rate = _ByteRate(100)
    await rate.take(100)  # the unused second
    await rate.take(50)
    await rate.take(50)
    assert slept == [0.5, 1.0]  # concurrent calls wait one after the other
    now += 1.0
    await rate.take(10)
    assert slept[2:] == [0.1]
    now += 3600
    await rate.take(150)  # an hour's pause allows no hour's burst
    assert slept[3:] == [0.5]


async def test_cancelled_wait_takes_no_time_for_bytes_that_never_move(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(round(seconds, 6))

    monkeypatch.setattr("jtc.storage.layers.limit.time.monotonic", lambda: 1000.0)
    rate = _ByteRate(100)
    large = asyncio.create_task(rate.take(1_000_000))
    await asyncio.sleep(0)
    large.cancel()
    await asyncio.wait([large])
    monkeypatch.setattr("jtc.storage.layers.limit.asyncio.sleep", sleep)
    await rate.take(50)
    assert slept == [1.5]  # the second that was being waited for, and its own half


async def test_low_bytes_per_second_really_waits() -> None:
    disk = through(MemoryDriver(), bytes_per_second=1_000_000)
    before = time.monotonic()
    await disk.put("a", b"x" * 1_000_000)
    await disk.put("a", chunks(b"x" * 50_000, b"x" * 50_000))
    assert time.monotonic() - before >= 0.09


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"operations": 0},
        {"operations": 1.5},
        {"bytes_per_second": 0},
        {"bytes_per_second": "fast"},
    ],
)
def test_invalid_limit_is_refused(options: Any) -> None:
    with pytest.raises(StorageConfigException, match=next(iter(options), "operations")):
        Limit(MemoryDriver(), **options)


async def test_task_that_a_driver_leaves_behind_keeps_no_slot() -> None:
    class LeavesATaskBehind(MemoryDriver):
        reading: asyncio.Task[None]

        async def write_file(self, _path: str, content: Any, _options: Any, /) -> str | None:
            async def read() -> None:
                async for _ in content:
                    pass

            self.reading = asyncio.create_task(read())
            await asyncio.sleep(0.01)
            raise ConnectionResetError("before the content was read")

    async def endless() -> AsyncIterator[bytes]:
        yield b"1"
        await asyncio.sleep(3600)

    driver = LeavesATaskBehind()
    limited = Limit(driver, operations=1)
    with pytest.raises(ConnectionResetError):
        await limited.write_file("a", endless(), WriteOptions())
    driver.reading.cancel()
    await asyncio.wait([driver.reading])
    assert not await asyncio.wait_for(limited.exists("a"), 30)


class Waiting(MemoryDriver):
    """Waits for an event, or for its close, before `exists` returns."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = asyncio.Event()

    async def exists(self, path: str, /) -> bool:
        await self.go_on.wait()
        return await super().exists(path)

    async def aclose(self) -> None:
        self.go_on.set()


async def test_call_that_is_dropped_while_waiting_gets_no_slot() -> None:
    driver = Waiting()
    limited = Limit(driver, operations=1)
    first = asyncio.create_task(limited.exists("a"))
    await asyncio.sleep(0)
    dropped = limited.exists("b")
    dropped.send(None)
    dropped.close()
    driver.go_on.set()
    await first
    assert not await asyncio.wait_for(limited.exists("c"), 30)


async def test_aclose_waits_for_no_slot() -> None:
    limited = Limit(Waiting(), operations=1)
    stuck = asyncio.create_task(limited.exists("a"))
    await asyncio.sleep(0)
    await asyncio.wait_for(limited.aclose(), 30)
    assert not await stuck


def test_waiting_task_that_the_garbage_collector_drops_causes_no_deadlock() -> None:
    semaphore = _Semaphore(1)

    class Collected(deque[Any]):
        """Lets the garbage collector run, which drops the holder of the slot."""

        def append(self, turn: Any) -> None:
            super().append(turn)
            semaphore.release()

    semaphore._waiting = Collected()

    async def take_both() -> None:
        await semaphore.acquire()
        await semaphore.acquire()

    # A thread of its own, since a deadlock would hang the test.
    waiting = threading.Thread(target=asyncio.run, args=(take_both(),), daemon=True)
    waiting.start()
    waiting.join(10)
    assert not waiting.is_alive()
