"""Uploads in chunks: what breaks on the way, what is left, and how much memory they take."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from faulty_proxy import Fault
from jtc.storage import exceptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from faulty_proxy import FaultyProxy
    from google_store import GoogleStore
    from jtc.storage import Disk

UNIT = 256 * 1024
MIB = 1024 * 1024
SMALL = {"multipart_threshold": UNIT, "part_size": 2 * UNIT}
CONTENT = bytes(range(256)) * (5 * UNIT // 256) + b"the end"


async def chunks_of(content: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


@pytest.mark.parametrize("length", [UNIT, UNIT + 1, 2 * UNIT, 4 * UNIT, 5 * UNIT + 7])
async def test_put_in_chunks_stores_every_byte_of_every_kind_of_content(
    store: GoogleStore, make_disk: Callable[..., Disk], length: int
) -> None:
    disk, content = make_disk(**SMALL), CONTENT[:length]
    for each in (content, io.BytesIO(content), chunks_of(content, 100_000)):
        await disk.put("a", each, metadata={"one": "ü"})
        assert store.objects.pop("a").content == content
    assert all(session.made for session in store.sessions.values())


async def test_put_in_chunks_keeps_its_condition_at_the_end_too(
    store: GoogleStore, make_disk: Callable[..., Disk]
) -> None:
    disk = make_disk(**SMALL)

    async def content() -> AsyncIterator[bytes]:
        yield CONTENT[: 3 * UNIT]
        store._store("a", b"of another", {}, {})
        yield CONTENT[3 * UNIT :]

    with pytest.raises(exceptions.FileExistsException):
        await disk.put("a", content(), overwrite=False)
    assert store.objects["a"].content == b"of another"
    etag = (await disk.stat("a")).etag
    await disk.put("a", CONTENT, if_match=etag)
    with pytest.raises(exceptions.PreconditionFailedException):
        await disk.put("a", CONTENT, if_match=etag)


async def test_chunk_that_is_stored_in_part_is_completed(
    store: GoogleStore, make_disk: Callable[..., Disk]
) -> None:
    disk = make_disk(**SMALL)
    for share in (0.0, 0.5):
        store.chunk_share = share
        await disk.put("a", CONTENT)
        assert store.objects.pop("a").content == CONTENT


@pytest.mark.parametrize("lost", [0, 1, 2])
async def test_chunk_whose_answer_is_lost_is_sent_again(
    store: GoogleStore,
    proxy: FaultyProxy,
    make_disk: Callable[..., Disk],
    lost: int,
) -> None:
    disk = make_disk(endpoint_url=proxy.endpoint_url, anonymous=True, **SMALL)
    count = 0

    def nth(request: web.Request) -> None:
        nonlocal count
        if request.method == "PUT":
            if count == lost:
                proxy.faults.append(Fault("PUT", lose=True))
            count += 1

    store.before = nth
    await disk.put("a", CONTENT, overwrite=False)
    assert store.objects["a"].content == CONTENT


async def test_broken_chunk_is_continued_from_what_the_store_says_it_has(
    store: GoogleStore, make_disk: Callable[..., Disk]
) -> None:
    disk = make_disk(anonymous=True, max_attempts=2, **SMALL)
    broken = 0

    def breaking(request: web.Request) -> web.Response | None:
        nonlocal broken
        extent = request.headers.get("content-range", "")
        if extent.startswith("bytes 524288-") and broken < 2:
            broken += 1
            return web.Response(status=503)
        return None

    store.before = breaking
    await disk.put("a", CONTENT)
    assert store.objects["a"].content == CONTENT
    assert broken == 2


async def test_upload_that_the_store_has_lost_fails_and_can_be_begun_again(
    store: GoogleStore, make_disk: Callable[..., Disk]
) -> None:
    disk = make_disk(anonymous=True, **SMALL)

    async def content() -> AsyncIterator[bytes]:
        yield CONTENT[: 3 * UNIT]
        store.sessions.clear()
        yield CONTENT[3 * UNIT :]

    with pytest.raises(exceptions.StorageUnavailableException, match="lost the upload") as caught:
        await disk.put("a", content())
    assert caught.value.retryable
    assert store.objects == {}


async def test_failing_or_cancelled_content_leaves_no_upload(
    store: GoogleStore, make_disk: Callable[..., Disk]
) -> None:
    disk = make_disk(**SMALL)

    async def failing() -> AsyncIterator[bytes]:
        yield CONTENT
        raise KeyError("content")

    with pytest.raises(KeyError):
        await disk.put("a", failing())
    assert (store.objects, store.sessions) == ({}, {})

    waiting = asyncio.Event()

    async def stalled() -> AsyncIterator[bytes]:
        yield CONTENT
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(disk.put("a", stalled()))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (store.objects, store.sessions) == ({}, {})
    memory = await disk.driver_as(object)._transport.memory()  # type: ignore[attr-defined]
    assert memory.are_free(memory.number)


async def test_upload_that_another_took_over_is_refused_by_its_checksum(
    store: GoogleStore, make_disk: Callable[..., Disk]
) -> None:
    disk = make_disk(anonymous=True, **SMALL)

    async def content() -> AsyncIterator[bytes]:
        yield CONTENT[: 4 * UNIT]
        while not (taken := [each.content for each in store.sessions.values() if each.content]):
            await asyncio.sleep(0.01)
        taken[0][0] ^= 1
        yield CONTENT[4 * UNIT :]

    with pytest.raises(exceptions.IntegrityException):
        await disk.put("a", content())
    assert store.objects == {}


async def test_more_uploads_than_memory_holds_all_find_some_in_turn(
    store: GoogleStore, make_disk: Callable[..., Disk]
) -> None:
    disk = make_disk(
        multipart_threshold=MIB, part_size=MIB, max_transfer_memory=8 * MIB, pool_timeout=5.0
    )
    content = b"x" * (2 * MIB)
    await asyncio.gather(
        *(disk.put(f"a/{n}", chunks_of(content, 300_000)) for n in range(20)),
        *(disk.put(f"b/{n}", io.BytesIO(content)) for n in range(20)),
    )
    assert {len(each.content) for each in store.objects.values()} == {2 * MIB}
    assert len(store.objects) == 40


async def test_two_hundred_puts_at_once_all_land(store: GoogleStore, disk: Disk) -> None:
    await asyncio.gather(*(disk.put(f"a/{n}", f"{n}".encode()) for n in range(200)))
    assert {name: each.content for name, each in store.objects.items()} == {
        f"a/{n}": f"{n}".encode() for n in range(200)
    }
    results = await asyncio.gather(
        *(disk.put("b", f"{n}", overwrite=False) for n in range(50)), return_exceptions=True
    )
    assert sum(not isinstance(each, Exception) for each in results) == 1


PROGRAM = """
import asyncio, sys
from jtc.storage.drivers.gcs_driver import GCSDriver
from jtc.storage.options import WriteOptions

MIB = 1024 * 1024

async def content(count):
    for number in range(count):
        yield bytes([number % 251]) * MIB
        if number == 24:
            print("half", flush=True)

async def main():
    driver = GCSDriver("test-bucket", endpoint_url=sys.argv[1], anonymous=True)
    for count in sys.argv[2:]:
        await driver.write_file("a", content(int(count)), WriteOptions())
        peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
        print(peak.split()[1])
    await driver.aclose()

asyncio.run(main())
"""


def test_upload_of_any_length_takes_constant_memory(store: GoogleStore) -> None:
    arguments = [sys.executable, "-c", PROGRAM, store.url, "33", "128"]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=True)
    first, second = (int(each) for each in ended.stdout.split() if each != "half")
    assert len(store.objects["a"].content) == 128 * MIB
    assert second < first + 24 * 1024


def test_upload_of_a_killed_process_is_not_to_be_seen(store: GoogleStore) -> None:
    store._store("a", b"before", {}, {})
    arguments = [sys.executable, "-c", PROGRAM, store.url, "64"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    time.sleep(0.05)
    assert store.objects["a"].content == b"before"
