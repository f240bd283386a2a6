"""Streams: ranges, the metadata of the very bytes, and closing."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.exceptions import (
    FileNotFoundException,
    IntegrityException,
    NotModifiedException,
    PreconditionFailedException,
)
from jtc.storage.options import ListOptions, ReadOptions, WriteOptions
from local_ways import WAYS, names_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jtc.storage.drivers.local_driver import LocalDriver

CONTENT = b"0123456789"


async def read(driver: LocalDriver, **options: Any) -> list[bytes]:
    stream = await driver.open_read("a", ReadOptions(**options))
    try:
        return [chunk async for chunk in stream]
    finally:
        await stream.aclose()


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, None, b"0123456789"),
        (0, 3, b"012"),
        (3, 7, b"3456"),
        (7, 99, b"789"),
        (5, 5, b""),
        (10, None, b""),
        (99, None, b""),
        (-3, None, b"789"),
        (-99, None, b"0123456789"),
    ],
)
@pytest.mark.parametrize("chunk_size", [1, 3, 100])
async def test_a_range_is_read_in_chunks(
    driver: LocalDriver, start: int, end: int | None, expected: bytes, chunk_size: int
) -> None:
    await driver.put("a", CONTENT)
    chunks = await read(driver, start=start, end=end, chunk_size=chunk_size)
    assert b"".join(chunks) == expected
    assert all(len(chunk) == chunk_size for chunk in chunks[:-1])
    assert all(chunks)


@pytest.mark.parametrize("options", [{"start": 5, "end": 3}, {"end": -1}, {"chunk_size": 0}])
async def test_what_is_no_range_is_refused(driver: LocalDriver, options: dict[str, Any]) -> None:
    await driver.put("a", CONTENT)
    with pytest.raises(ValueError, match=r"range|chunk"):
        await driver.open_read("a", ReadOptions(**options))


async def test_stream_has_the_metadata_of_its_file(driver: LocalDriver) -> None:
    await driver.write_file("a", CONTENT, WriteOptions(content_type="text/x-odd"))
    stream = await driver.open_read("a", ReadOptions(start=2))
    assert stream.info == await driver.stat("a")
    assert stream.info.content_type == "text/x-odd"
    await stream.aclose()


async def test_a_stream_goes_on_after_its_file_was_replaced_and_deleted(
    driver: LocalDriver,
) -> None:
    await driver.put("a", CONTENT)
    stream = await driver.open_read("a", ReadOptions(chunk_size=5))
    chunks = aiter(stream)
    assert await anext(chunks) == b"01234"
    await driver.put("a", b"another")
    await driver.delete("a")
    assert await anext(chunks) == b"56789"
    await stream.aclose()


async def test_a_stream_of_another_version_is_not_opened(
    driver: LocalDriver, descriptors: Callable[[], list[str]]
) -> None:
    etag = await driver.write_file("a", CONTENT, WriteOptions())
    assert await read(driver, if_match=etag) == [CONTENT]
    await driver.put("a", CONTENT)
    with pytest.raises(PreconditionFailedException):
        await driver.open_read("a", ReadOptions(if_match=etag))
    assert descriptors() == []


async def test_open_read_if_none_match_refuses_the_same_version(
    driver: LocalDriver, descriptors: Callable[[], list[str]]
) -> None:
    etag = await driver.write_file("a", CONTENT, WriteOptions())
    with pytest.raises(NotModifiedException):
        await driver.open_read("a", ReadOptions(if_none_match=etag))
    assert descriptors() == []
    await driver.put("a", CONTENT)
    assert await read(driver, if_none_match=etag) == [CONTENT]


async def test_read_ranges_returns_each_range_of_one_version(driver: LocalDriver) -> None:
    etag = await driver.write_file("a", CONTENT, WriteOptions())
    ranges = [(7, 99), (0, 3), (2, 5), (4, 4), (10, 12), (99, 100)]
    expected = [b"789", b"012", b"234", b"", b"", b""]
    assert await driver.read_ranges("a", ranges, ReadOptions()) == expected
    assert await driver.read_ranges("a", [], ReadOptions(if_match=etag)) == []


async def test_read_ranges_of_another_version_is_refused(
    driver: LocalDriver, descriptors: Callable[[], list[str]]
) -> None:
    old = await driver.write_file("a", CONTENT, WriteOptions())
    new = await driver.write_file("a", CONTENT, WriteOptions())
    with pytest.raises(PreconditionFailedException):
        await driver.read_ranges("a", [(0, 1)], ReadOptions(if_match=old))
    with pytest.raises(NotModifiedException):
        await driver.read_ranges("a", [(0, 1)], ReadOptions(if_none_match=new))
    with pytest.raises(FileNotFoundException):
        await driver.read_ranges("missing", [(0, 1)], ReadOptions())
    assert descriptors() == []


async def test_read_ranges_opens_the_file_once(
    driver: LocalDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(5 * 1024 * 1024)
    await driver.put("a", content)
    opened = []
    open_file = driver._root.open_file

    def counted(path: str) -> Any:
        opened.append(path)
        return open_file(path)

    monkeypatch.setattr(driver._root, "open_file", counted)
    ranges = [(0, 10), (1, len(content)), (4_000_000, 5_000_000)]
    found = await driver.read_ranges("a", ranges, ReadOptions())
    assert found == [content[start:end] for start, end in ranges]
    assert opened == ["a"]


async def test_read_ranges_of_a_file_cut_by_another_program_fails(
    driver: LocalDriver, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await driver.put("a", CONTENT)
    pread = os.pread

    def cut(descriptor: int, size: int, offset: int) -> bytes:
        os.truncate(root / "a", 5)
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", cut)
    with pytest.raises(IntegrityException):
        await driver.read_ranges("a", [(0, 10)], ReadOptions())


async def test_a_missing_file_fails_at_once(driver: LocalDriver) -> None:
    with pytest.raises(FileNotFoundException) as caught:
        await driver.open_read("a", ReadOptions())
    assert caught.value.operation == "stream"


@pytest.mark.parametrize("driver", WAYS, indirect=True)  # by path it is another version
async def test_a_file_cut_by_another_program_is_no_whole_file(
    driver: LocalDriver, root: Path
) -> None:
    await driver.put("a", CONTENT)
    stream = await driver.open_read("a", ReadOptions(chunk_size=5))
    os.truncate(root / "a", 5)
    with pytest.raises(IntegrityException):
        [chunk async for chunk in stream]
    await stream.aclose()


@pytest.mark.parametrize("driver", WAYS, indirect=True)  # by path none is open
async def test_aclose_closes_the_descriptor(
    driver: LocalDriver, descriptors: Callable[[], list[str]]
) -> None:
    await driver.put("a", CONTENT)
    streams = [await driver.open_read("a", ReadOptions()) for _ in range(5)]
    await anext(aiter(streams[0]))
    assert len(descriptors()) == 5
    for stream in streams:
        await stream.aclose()
        await stream.aclose()
    del stream, streams
    gc.collect()
    assert descriptors() == []


async def test_a_cancelled_read_can_be_closed(
    driver: LocalDriver, descriptors: Callable[[], list[str]]
) -> None:
    await driver.put("a", b"x" * 4_000_000)
    for number in range(30):
        stream = await driver.open_read("a", ReadOptions(chunk_size=4_000_000))
        task = asyncio.ensure_future(anext(aiter(stream)))
        await asyncio.sleep(0.000_1 * (number % 10))
        task.cancel()
        await asyncio.wait([task])
        await stream.aclose()
    assert descriptors() == []


async def test_a_close_that_is_cancelled_closes(
    driver: LocalDriver,
    descriptors: Callable[[], list[str]],
    workers_idle: Callable[[], Any],
) -> None:
    await driver.put("a", CONTENT)
    for _ in range(20):
        stream = await driver.open_read("a", ReadOptions())
        task = asyncio.create_task(stream.aclose())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    await workers_idle()
    assert descriptors() == []


@pytest.mark.parametrize("driver", WAYS, indirect=True)  # by path none is open
def test_close_that_waits_for_a_thread_closes_though_its_loop_ends(
    driver: LocalDriver,
    descriptors: Callable[[], list[str]],
    workers_idle: Callable[[], Any],
) -> None:
    goes_on = threading.Event()

    async def leave_open() -> None:
        await driver.put("a", b"x" * 100_000)
        stream = await driver.open_read("a", ReadOptions())
        executor = driver._root.workers.executor
        for _ in range(executor._max_workers):
            executor.submit(goes_on.wait)
        closing = asyncio.create_task(stream.aclose())
        await asyncio.wait([closing], timeout=0.01)

    asyncio.run(leave_open())
    gc.collect()
    assert len(descriptors()) == 1
    goes_on.set()
    asyncio.run(workers_idle())
    assert descriptors() == []


async def test_nothing_touches_the_file_system_in_the_loops_thread(
    driver: LocalDriver, root: Path
) -> None:
    seen: list[str] = []
    here = threading.get_ident()
    watching = True

    def watch(event: str, args: tuple[object, ...]) -> None:
        if (
            watching
            and threading.get_ident() == here
            and event.startswith(("open", "os.", "shutil"))
        ):
            seen.append(f"{event} {args!r}")

    async def stream() -> Any:
        yield b"x" * 3_000_000

    sys.addaudithook(watch)
    try:
        await driver.put("d/a", stream())
        await driver.put("d/a", b"x")
        await driver.get("d/a")
        await driver.stat("d/a")
        await driver.copy_file("d/a", "d/b", WriteOptions())
        await driver.move_file("d/b", "d/c", WriteOptions(metadata={"a": "b"}))
        opened = await driver.open_read("d/a", ReadOptions())
        assert [chunk async for chunk in opened] == [b"x"]
        await opened.aclose()
        assert [entry.path async for entry in driver.list_entries("", ListOptions(recursive=True))]
        await driver.delete_many(["d/a"])
        await driver.delete_directory("d")
    finally:
        watching = False
    assert seen == []
    assert names_in(root) == []
