"""Streams: ranges, the facts of the very bytes, and letting go."""

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
    PreconditionFailedException,
)
from jtc.storage.options import WriteOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jtc.storage.drivers.local_driver import LocalDriver

CONTENT = b"0123456789"


async def read(driver: LocalDriver, **options: Any) -> list[bytes]:
    stream = await driver.open_read("a", **options)
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
        await driver.open_read("a", **options)


async def test_a_stream_tells_the_facts_of_its_file(driver: LocalDriver) -> None:
    await driver.write_file("a", CONTENT, WriteOptions(content_type="text/x-odd"))
    stream = await driver.open_read("a", start=2)
    assert stream.info == await driver.stat("a")
    assert stream.info.content_type == "text/x-odd"
    await stream.aclose()


async def test_a_stream_goes_on_after_its_file_was_replaced_and_deleted(
    driver: LocalDriver,
) -> None:
    await driver.put("a", CONTENT)
    stream = await driver.open_read("a", chunk_size=5)
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
        await driver.open_read("a", if_match=etag)
    assert descriptors() == []


async def test_a_missing_file_fails_at_once(driver: LocalDriver) -> None:
    with pytest.raises(FileNotFoundException) as caught:
        await driver.open_read("a")
    assert caught.value.operation == "stream"


async def test_a_file_cut_by_another_program_is_no_whole_file(
    driver: LocalDriver, root: Path
) -> None:
    await driver.put("a", CONTENT)
    stream = await driver.open_read("a", chunk_size=5)
    os.truncate(root / "a", 5)
    with pytest.raises(IntegrityException):
        [chunk async for chunk in stream]
    await stream.aclose()


async def test_closing_lets_go_of_the_descriptor(
    driver: LocalDriver, descriptors: Callable[[], list[str]]
) -> None:
    await driver.put("a", CONTENT)
    streams = [await driver.open_read("a") for _ in range(5)]
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
        stream = await driver.open_read("a", chunk_size=4_000_000)
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
        stream = await driver.open_read("a")
        task = asyncio.create_task(stream.aclose())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    await workers_idle()
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
        opened = await driver.open_read("d/a")
        assert [chunk async for chunk in opened] == [b"x"]
        await opened.aclose()
        assert [entry.path async for entry in driver.list_entries("", recursive=True)]
        await driver.delete_many(["d/a"])
        await driver.delete_directory("d")
    finally:
        watching = False
    assert seen == []
    assert [path.name for path in root.iterdir()] == []
