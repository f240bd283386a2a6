"""Reads of the page cache, which need no worker and return what a worker would."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, NoReturn

import pytest

from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.exceptions import IntegrityException
from jtc.storage.options import ListOptions, ReadOptions, WriteOptions
from local_ways import local_driver, make_readable_from_cache, workers_idle

LARGEST = 64 * 1024
ASKED = ("exists", "size", "last_modified", "stat", "get", "visibility")


class NoWorkers(Executor):
    """An executor that refuses every call."""

    def submit(self, *_: Any, **__: Any) -> NoReturn:
        raise AssertionError("A worker was asked")


async def caching(driver: LocalDriver, content: bytes = b"content") -> LocalDriver:
    """Return a driver that has found its page cache, with a file in memory."""
    await driver.put("dir/file", content)
    make_readable_from_cache(Path(driver.path("dir/file")))
    await driver.get("dir/file")
    if driver._root.page_cache is None or not driver._root.page_cache.has_content:
        pytest.skip("the file system of the temporary directory does not tell what is in memory")
    return driver


async def refuse_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, let the loop's executor refuse every call."""
    monkeypatch.setattr(
        asyncio.get_running_loop(), "run_in_executor", lambda _, *args: NoWorkers().submit(*args)
    )


def skip_without_relatime(driver: LocalDriver) -> None:
    cache = driver._root.page_cache
    assert cache is not None
    if not cache._sets_access_time:
        pytest.skip("the file system of the temporary directory keeps no access times")


def cached(driver: LocalDriver, path: str) -> bytes | None:
    cache = driver._root.page_cache
    assert cache is not None
    return cache.read(path)


async def outcome(driver: LocalDriver, method: str, path: str) -> object:
    try:
        return await getattr(driver, method)(path)
    except Exception as error:
        return type(error)


@pytest.mark.parametrize("size", [0, 1, LARGEST])
async def test_stream_of_a_small_file_needs_no_worker_after_its_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    content = os.urandom(size)
    driver = await caching(LocalDriver(tmp_path), content)
    stream = await driver.open_read("dir/file", ReadOptions())
    await refuse_workers(monkeypatch)
    assert b"".join([chunk async for chunk in stream]) == content
    await stream.aclose()


@pytest.mark.parametrize("size", [0, 1, 4096, LARGEST])
async def test_a_small_file_in_memory_is_read_without_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    content = os.urandom(size)
    driver = await caching(LocalDriver(tmp_path), content)
    await refuse_workers(monkeypatch)
    assert await driver.get("dir/file") == content
    assert await driver.exists("dir/file")
    assert await driver.size("dir/file") == size
    assert await driver.last_modified("dir/file") == (tmp_path / "dir/file").stat().st_mtime


async def test_get_at_once_after_put_asks_no_worker_and_leaves_access_time(tmp_path: Path) -> None:
    driver = await caching(LocalDriver(tmp_path))
    for content in (b"new", b"replaced"):
        await driver.put("file", content)
        before = (tmp_path / "file").stat()
        assert before.st_atime_ns <= before.st_mtime_ns  # a plain read would set it
        assert cached(driver, "file") == content
        assert (tmp_path / "file").stat().st_atime_ns == before.st_atime_ns


async def test_get_sets_access_time_that_is_a_day_old(tmp_path: Path) -> None:
    driver = await caching(LocalDriver(tmp_path))
    skip_without_relatime(driver)
    file = tmp_path / "dir/file"
    os.utime(file, (time.time() - 86_400, time.time() - 2 * 86_400))
    assert cached(driver, "dir/file") is None
    before = time.time() - 1
    assert await driver.get("dir/file") == b"content"
    assert file.stat().st_atime > before
    assert cached(driver, "dir/file") == b"content"


async def test_get_of_file_of_another_user_asks_worker_for_that_file_only(
    unprivileged: Path,
) -> None:
    if os.getuid():
        pytest.skip("only root makes files of another user")
    driver = await caching(LocalDriver(unprivileged))
    skip_without_relatime(driver)
    await driver.put("other", b"of another user")
    await driver.put("own", b"own")
    user = os.geteuid()
    os.seteuid(0)
    os.chown(unprivileged / "other", 0, 0)
    os.seteuid(user)
    assert cached(driver, "other") is None
    assert await driver.get("other") == b"of another user"
    assert cached(driver, "own") == b"own"
    os.seteuid(0)
    make_readable_from_cache(unprivileged / "other")
    os.seteuid(user)
    assert cached(driver, "other") == b"of another user"


async def test_list_entries_itself_looks_at_directory_without_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = await caching(LocalDriver(tmp_path))
    (tmp_path / "link").symlink_to("dir")
    itself = ListOptions(itself=True)
    with pytest.raises(OSError, match="symbolic link"):
        [entry async for entry in driver.list_entries("link", itself)]
    await refuse_workers(monkeypatch)
    for path, expected in (("dir", ["dir"]), ("dir/file", []), ("absent", [])):
        assert [entry.path async for entry in driver.list_entries(path, itself)] == expected


async def test_get_leaves_longer_file_to_worker(tmp_path: Path) -> None:
    content = os.urandom(LARGEST + 1)
    driver = await caching(LocalDriver(tmp_path), content)
    assert cached(driver, "dir/file") is None
    assert await driver.get("dir/file") == content


async def test_what_is_not_in_memory_is_left_to_a_worker(tmp_path: Path) -> None:
    content = os.urandom(LARGEST)
    driver = await caching(LocalDriver(tmp_path), content)
    descriptor = os.open(tmp_path / "dir/file", os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        if cached(driver, "dir/file") is not None:
            pytest.skip("the file system keeps all its content in memory")
    finally:
        os.close(descriptor)
    assert await driver.get("dir/file") == content


@pytest.mark.parametrize("chunk_size", [1000, 4096, 1024 * 1024])
async def test_a_stream_of_what_is_in_memory_asks_a_worker_for_its_first_chunk_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_size: int
) -> None:
    content = os.urandom(3 * chunk_size + 17)
    driver = await caching(LocalDriver(tmp_path), content)
    stream = await driver.open_read("dir/file", ReadOptions(start=5, chunk_size=chunk_size))
    chunks = [await anext(aiter(stream))]
    with monkeypatch.context() as patched:
        await refuse_workers(patched)
        chunks += [chunk async for chunk in stream]
    await stream.aclose()
    assert b"".join(chunks) == content[5:]
    assert [len(chunk) for chunk in chunks[:3]] == [chunk_size] * 3


@pytest.mark.parametrize("shortened", [0, 6000, 10_000])
async def test_a_stream_of_a_file_that_is_shortened_meanwhile_fails(
    tmp_path: Path, shortened: int
) -> None:
    driver = await caching(LocalDriver(tmp_path), bytes(20_000))
    stream = await driver.open_read("dir/file", ReadOptions(chunk_size=4000))
    chunks = aiter(stream)
    for _ in range(2):
        assert await anext(chunks) == bytes(4000)
    os.truncate(tmp_path / "dir/file", shortened)
    with pytest.raises(IntegrityException):
        [chunk async for chunk in chunks]
    await stream.aclose()


async def test_each_method_returns_the_same_as_by_a_worker(tmp_path: Path) -> None:
    driver = await caching(LocalDriver(tmp_path))
    (tmp_path / "link").symlink_to("dir/file")
    (tmp_path / "linked").symlink_to("dir")
    (tmp_path / "out").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "none").write_bytes(b"")
    other = local_driver(tmp_path, "portable")
    paths = (
        *("dir/file", "dir", "link", "linked/file", "linked", "out", "pipe", "none", "absent"),
        *("dir/absent", "absent/file", "dir/file/below", "pipe/below", "x" * 255, "x" * 256),
    )
    for path in paths:
        for method in ASKED:
            first, again = [await outcome(driver, method, path) for _ in range(2)]
            assert (path, method, first) == (path, method, again)
            assert (path, method, first) == (path, method, await outcome(other, method, path))


async def test_a_new_file_and_a_new_type_are_seen_at_once(tmp_path: Path) -> None:
    driver = await caching(LocalDriver(tmp_path))
    for number in range(50):
        declared = WriteOptions(content_type=f"text/x-{number}")
        await driver.write_file("dir/file", str(number).encode(), declared)
        assert await driver.get("dir/file") == str(number).encode()
        for _ in range(2):
            info = await driver.stat("dir/file")
            assert (info.size, info.content_type) == (len(str(number)), f"text/x-{number}")


async def test_stat_result_is_its_callers_to_change(tmp_path: Path) -> None:
    driver = await caching(LocalDriver(tmp_path))
    await driver.write_file("dir/file", b"x", WriteOptions(metadata={"a": "b"}))
    for _ in range(3):
        info = await driver.stat("dir/file")
        assert info.metadata == {"a": "b"}
        assert isinstance(info.metadata, dict)
        info.metadata["a"] = "c"


async def test_a_root_that_becomes_another_directory_is_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    driver = await caching(LocalDriver(root))
    assert await driver.get("dir/file") == b"content"
    root.rename(tmp_path / "old")
    assert not await driver.exists("dir/file")
    (tmp_path / "new" / "dir").mkdir(parents=True)
    (tmp_path / "new" / "dir" / "file").write_bytes(b"new")
    root.symlink_to("new")
    for _ in range(3):
        assert await driver.get("dir/file") == b"new"
    root.unlink()
    (tmp_path / "old").rename(root)
    for _ in range(3):
        assert await driver.get("dir/file") == b"content"


async def test_a_directory_that_becomes_a_link_leads_nowhere(tmp_path: Path) -> None:
    driver = await caching(LocalDriver(tmp_path / "root"))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"secret")
    make_readable_from_cache(outside / "file")
    (tmp_path / "root/dir").rename(tmp_path / "moved")
    (tmp_path / "root/dir").symlink_to(outside)
    for method in ("get", "size", "stat", "last_modified"):
        assert await outcome(driver, method, "dir/file") not in (b"secret", 6)
        assert isinstance(await outcome(driver, method, "dir/file"), type)


async def test_very_many_reads_at_once_let_other_tasks_run_meanwhile(tmp_path: Path) -> None:
    driver = await caching(LocalDriver(tmp_path))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    found = await asyncio.gather(*(driver.get("dir/file") for _ in range(20_000)))
    counting.cancel()
    assert set(found) == {b"content"}
    assert turns > 3


async def test_a_loop_of_reads_lets_other_tasks_run_meanwhile(tmp_path: Path) -> None:
    driver = await caching(LocalDriver(tmp_path))
    ended = asyncio.Event()
    asyncio.get_running_loop().call_soon(ended.set)
    for _ in range(1_000_000):
        await driver.get("dir/file")
        if ended.is_set():
            break
    assert ended.is_set()


async def test_cancelled_wait_for_loop_budget_keeps_no_other_waiting(tmp_path: Path) -> None:
    driver = await caching(LocalDriver(tmp_path))
    tasks = [asyncio.create_task(driver.get("dir/file")) for _ in range(5_000)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(content == b"content" for content in found[1::2])


def test_each_loop_has_turns_of_its_own(tmp_path: Path) -> None:
    driver = LocalDriver(tmp_path)

    async def read() -> list[bytes]:
        await driver.put("file", b"content")
        return await asyncio.gather(*(driver.get("file") for _ in range(3_000)))

    for _ in range(3):
        assert set(asyncio.run(read())) == {b"content"}
    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(driver.get("file")) for _ in range(5_000)]
    loop.run_until_complete(asyncio.sleep(0))
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(workers_idle())
    loop.close()
    assert set(asyncio.run(read())) == {b"content"}
