"""Content cut into parts, each of which takes memory before it is read."""

from __future__ import annotations

import asyncio
import io
import threading
from typing import TYPE_CHECKING

import pytest

from jtc.storage.http_support.connections import Places
from jtc.storage.http_support.transfers.content_parts import ContentParts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONTENT = bytes(range(256)) * 8192

PLACES = Places("max_transfer_memory", 1, 60.0)


async def chunks(*lengths: int) -> AsyncIterator[bytes]:
    at = 0
    for length in lengths:
        yield CONTENT[at : at + length]
        at += length


async def all_parts(parts: ContentParts, size: int) -> list[bytes]:
    found: list[bytes] = []
    while True:
        part, release = await parts.next(size)
        release()
        if not part:
            return found
        found.append(part)


@pytest.mark.parametrize("size", [1000, 1_048_576, 3_000_000])
@pytest.mark.parametrize("source", ["bytes", "file", "chunks"])
async def test_content_parts_are_of_one_length_but_the_last(source: str, size: int) -> None:
    content = {
        "bytes": CONTENT,
        "file": io.BytesIO(CONTENT),
        "chunks": chunks(1, 0, 500_000, 0, 0, len(CONTENT)),
    }[source]
    parts = ContentParts(content, PLACES, PLACES.number)  # type: ignore[arg-type]
    assert (await parts.head(10))[:10] == CONTENT[:10]
    found = await all_parts(parts, size)
    assert b"".join(found) == CONTENT
    assert {len(part) for part in found[:-1]} <= {size}
    assert parts.size == len(CONTENT)


async def test_content_parts_hold_memory_until_each_is_released() -> None:
    places = Places("max_transfer_memory", 300_000, 60.0)
    parts = ContentParts(io.BytesIO(CONTENT), places, 300_000)
    _, release = await parts.next(100_000)
    assert places.are_free(200_000)
    assert not places.are_free(200_001)
    await parts.head(100_000)
    assert not places.are_free(100_001)
    parts.close()
    assert places.are_free(200_000)
    release()
    assert places.are_free(300_000)


async def test_content_parts_of_little_content_need_no_memory() -> None:
    places = Places("max_transfer_memory", 1, 0.01)
    assert places.take_free(1)
    parts = ContentParts(io.BytesIO(CONTENT[:60_000]), places, 1)
    assert (await parts.next(100_000))[0] == CONTENT[:60_000]


async def test_content_parts_larger_than_all_memory_wait_for_no_download() -> None:
    """The part of a file of more than a terabyte: downloads may wait for the same upload."""
    places = Places("max_transfer_memory", 300_000, 0.01)
    assert places.take_free(150_000)  # a download's
    parts = ContentParts(io.BytesIO(CONTENT), places, 150_000)
    assert b"".join(await all_parts(parts, 1_000_000)) == CONTENT
    places.release(150_000)
    assert places.are_free(300_000)


async def test_content_parts_read_a_file_no_further_when_cancelled() -> None:
    class Blocking(io.BytesIO):
        reads = 0

        def read(self, _size: int | None = -1, /) -> bytes:
            self.reads += 1
            if self.reads == 1:
                loop.call_soon_threadsafe(task.cancel)
            else:
                is_cancelled.wait(10)
            return b"1" if self.reads < 9 else b""

    loop, file, is_cancelled = asyncio.get_running_loop(), Blocking(), threading.Event()
    task = asyncio.ensure_future(ContentParts(file, PLACES, PLACES.number).head(1_000))
    with pytest.raises(asyncio.CancelledError):
        await task
    is_cancelled.set()
    await loop.shutdown_default_executor()
    assert file.reads <= 2
