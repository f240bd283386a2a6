"""A put is whole or not at all: after errors, cancellations, kills and beside other writers."""

from __future__ import annotations

import asyncio
import io
import os
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.local_driver import _worker_calls as worker_calls
from jtc.storage.exceptions import FileNotFoundException, StorageException
from jtc.storage.options import ListOptions, ReadOptions, WriteOptions
from local_ways import names_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

MEBIBYTE = 1024 * 1024


class Failing(io.RawIOBase):
    """A file that fails after two MiB, which is more than one batch."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._left = 2
        self._error = error

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002
        if not self._left:
            raise self._error
        self._left -= 1
        return b"n" * MEBIBYTE


async def failing(error: BaseException) -> AsyncIterator[bytes]:
    yield b"n" * (2 * MEBIBYTE)
    yield b"n"
    raise error


@pytest.mark.parametrize("source", [Failing, failing], ids=["file", "stream"])
@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mine"),
        TimeoutError("mine"),
        FileNotFoundError(2, "mine"),
        OSError(28, "mine"),
        OSError(24, "mine"),
        FileNotFoundException("another disk's"),
    ],
    ids=lambda error: type(error).__name__ + str(getattr(error, "errno", "")),
)
async def test_an_error_of_the_source_comes_out_as_it_is_and_leaves_the_old_file(
    driver: LocalDriver,
    temporaries: Callable[[], list[str]],
    descriptors: Callable[[], list[str]],
    source: Callable[[BaseException], Any],
    error: Exception,
) -> None:
    await driver.put("a", b"old")
    with pytest.raises(type(error)) as caught:
        await driver.put("a", source(error))
    assert caught.value is error
    assert await driver.get("a") == b"old"
    assert temporaries() == []
    assert descriptors() == []


async def test_a_source_that_raises_stop_iteration_does_not_hang(driver: LocalDriver) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await driver.put("a", Failing(StopIteration()))
    assert await driver.exists("a") is False


@pytest.mark.parametrize("source", [Failing, failing], ids=["file", "stream"])
async def test_a_put_that_fails_leaves_no_directories(
    driver: LocalDriver, root: Path, source: Callable[[BaseException], Any]
) -> None:
    await driver.put("there/file", b"")
    for path in ("new/directories/a", "there/deeper/a"):
        with pytest.raises(RuntimeError):
            await driver.put(path, source(RuntimeError("mine")))
    assert names_in(root) == ["there"]
    assert [path.name for path in (root / "there").iterdir()] == ["file"]


async def test_a_path_to_read_from_is_closed_after_an_error(
    driver: LocalDriver, tmp_path: Path, descriptors: Callable[[], list[str]]
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * (3 * MEBIBYTE))
    await driver.make_directory("a")
    with pytest.raises(StorageException):
        await driver.put("a", source)
    assert descriptors() == []


async def test_readers_see_the_old_file_or_the_new_one(driver: LocalDriver) -> None:
    contents = [bytes([65 + number]) * (MEBIBYTE + number) for number in range(4)]
    await driver.put("a", contents[0])
    writing = True

    async def write() -> None:
        nonlocal writing
        for number in range(40):
            await driver.put("a", contents[number % 4])
        writing = False

    async def read() -> int:
        looks = 0
        while writing:
            assert await driver.get("a") in contents
            assert await driver.size("a") in {len(content) for content in contents}
            looks += 1
        return looks

    _, *looks = await asyncio.gather(write(), read(), read())
    assert all(looks)


class Stuck(io.RawIOBase):
    """A file whose second read blocks until `release` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = threading.Event()
        self.release = threading.Event()
        self._reads = 0

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002
        self._reads += 1
        if self._reads == 1:
            return b"new"
        self.reading.set()
        self.release.wait()
        return b""


async def test_a_put_cancelled_in_a_blocked_read_never_lands(
    driver: LocalDriver,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    temporaries: Callable[[], list[str]],
    descriptors: Callable[[], list[str]],
    workers_idle: Callable[[], Any],
) -> None:
    monkeypatch.setattr(worker_calls, "_GRACE", 0.01)
    await driver.put("a", b"old")
    source = Stuck()
    task = asyncio.create_task(driver.put("a", source))
    await asyncio.to_thread(source.reading.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    source.release.set()
    assert await driver.get("a") == b"old"
    await workers_idle()
    assert temporaries() == []
    assert descriptors() == []
    assert (root / "a").read_bytes() == b"old"


async def test_a_cancellation_waits_for_the_step_that_names_the_file(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = LocalDriver(root)
    naming, release = threading.Event(), threading.Event()
    link = os.link

    def slow_link(*args: Any, **kwargs: Any) -> None:
        naming.set()
        release.wait()
        link(*args, **kwargs)

    monkeypatch.setattr(os, "link", slow_link)
    task = asyncio.create_task(driver.put("a", b"new"))
    await asyncio.to_thread(naming.wait)
    for _ in range(3):  # however often it is cancelled
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (root / "a").read_bytes() == b"new"


async def test_a_cancelled_open_leaves_no_descriptor(
    driver: LocalDriver, descriptors: Callable[[], list[str]], workers_idle: Callable[[], Any]
) -> None:
    await driver.put("a", b"x")
    chance = random.Random(11)
    for _ in range(60):
        task = asyncio.create_task(driver.open_read("a", ReadOptions()))
        await asyncio.sleep(chance.uniform(0, 0.000_5))
        task.cancel()
        (done,) = (await asyncio.wait([task]))[0]
        if not done.cancelled():
            await done.result().aclose()
    await workers_idle()
    assert descriptors() == []


async def test_slow_streams_hold_no_thread_and_one_descriptor(
    driver: LocalDriver, descriptors: Callable[[], list[str]]
) -> None:
    go = asyncio.Event()
    waiting = asyncio.Semaphore(0)

    async def slow() -> AsyncIterator[bytes]:
        yield b"x" * (2 * MEBIBYTE)
        waiting.release()
        await go.wait()
        yield b"y"

    await driver.put("there", b"")
    uploads = [asyncio.create_task(driver.put(f"n{number}", slow())) for number in range(80)]
    for _ in uploads:
        await waiting.acquire()
    assert await driver.get("there") == b""
    if not driver._root.portable:
        # A batch may be at its end; what stays open is the file.
        assert len(descriptors()) <= 80 + 40
    go.set()
    await asyncio.gather(*uploads)
    assert await driver.size("n79") == 2 * MEBIBYTE + 1
    assert descriptors() == []


async def test_a_stream_may_read_from_the_disk_that_it_is_put_on(driver: LocalDriver) -> None:
    content = os.urandom(3 * MEBIBYTE)
    await driver.put("a", content)

    async def copied() -> AsyncIterator[bytes]:
        stream = await driver.open_read("a", ReadOptions())
        try:
            async for chunk in stream:
                yield chunk
        finally:
            await stream.aclose()

    await asyncio.gather(*(driver.put(f"copy{number}", copied()) for number in range(40)))
    for number in range(40):
        assert await driver.get(f"copy{number}") == content


async def test_a_put_survives_that_its_directory_is_deleted_meanwhile(root: Path) -> None:
    driver = LocalDriver(root)
    stop = False

    async def delete() -> None:
        while not stop:
            await driver.delete_directory("d")

    deleting = asyncio.create_task(delete())
    for number in range(200):
        await driver.put(f"d/e/{number}", b"x")
        await driver.make_directory("d/f/g")
    stop = True
    await deleting


async def test_a_temporary_of_a_living_upload_is_not_swept(
    root: Path, monkeypatch: pytest.MonkeyPatch, driver: LocalDriver
) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"x" * (2 * MEBIBYTE)
        begun.set()
        await go.wait()

    task = asyncio.create_task(driver.write_file("a", slow(), WriteOptions()))
    await begun.wait()
    later = time.time() + 3601
    monkeypatch.setattr(time, "time", lambda: later)
    assert [entry async for entry in driver.list_entries("", ListOptions())] == []
    go.set()
    await task
    assert (root / "a").stat().st_size == 2 * MEBIBYTE
