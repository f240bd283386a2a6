"""Uploads in parts that do not end well leave nothing that the store would charge for."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

import pytest

from faulty_proxy import Fault
from jtc.storage.exceptions import StorageException
from jtc.storage.options import WriteOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from faulty_proxy import FaultyProxy
    from jtc.storage.drivers.s3_driver import S3Driver
    from s3_fixtures import MakeDriver
    from seaweedfs import SeaweedFS

MIB = 1024 * 1024
SECONDS = 5


@pytest.fixture
def parted(make_driver: MakeDriver, proxy: FaultyProxy) -> S3Driver:
    return make_driver(
        endpoint_url=proxy.endpoint_url,
        multipart_threshold=5 * MIB,
        part_size=5 * MIB,
        copy_threshold=5 * MIB,
        max_attempts=1,
    )


def uploads(client: Any, bucket: str, folder: str) -> list[str]:
    page = client.list_multipart_uploads(Bucket=bucket, Prefix=f"{folder}/")
    return [upload["Key"] for upload in page.get("Uploads", ())]


async def orphans(client: Any, bucket: str, folder: str) -> list[str]:
    """Return the uploads that are still there after the seconds that are promised."""
    until = time.monotonic() + SECONDS
    while (left := uploads(client, bucket, folder)) and time.monotonic() < until:
        await asyncio.sleep(0.1)
    return left


async def content(raise_after: int | None = None) -> AsyncIterator[bytes]:
    for number in range(16):
        if number == raise_after:
            raise RuntimeError("the source broke")
        yield bytes(MIB)


@pytest.mark.row(14)
async def test_an_upload_that_is_cancelled_refused_or_breaks_leaves_no_orphan(
    parted: S3Driver,
    driver: S3Driver,
    proxy: FaultyProxy,
    seaweedfs: SeaweedFS,
    store_client: Any,
    folder: str,
    rounds: Callable[..., int],
    report: Callable[[str], None],
) -> None:
    count = rounds(60, brief=9)
    ways = {"cancelled": 0, "refused": 0, "broken": 0}
    landed = 0
    for number in range(count):
        path = f"{folder}/{number}"
        # Requests of the upload before may still be on their way.
        key = f"{path}?"
        chance = random.Random(number)
        proxy.faults = []
        # Create, four parts of 5 MiB at most, complete.
        at = number // 3 % 6
        methods = ["POST", "PUT", "PUT", "PUT", "PUT", "POST"]
        way = tuple(ways)[number % 3]
        if way == "cancelled":
            task = asyncio.ensure_future(parted.put(path, content()))

            async def cancel(task: asyncio.Task[str] = task) -> None:
                task.cancel()

            moment = chance.choice(("before", "after"))
            proxy.faults = [
                Fault(method, key, **({moment: cancel} if place == at else {}))  # type: ignore[arg-type]
                for place, method in enumerate(methods)
            ]
            try:
                await task
                landed += 1
            except asyncio.CancelledError:
                ways[way] += 1
        elif way == "refused":
            proxy.faults = [
                Fault(method, key, status=chance.choice((400, 403, 500)) if place == at else None)
                for place, method in enumerate(methods)
            ]
            with pytest.raises(StorageException):
                await parted.put(path, content())
            ways[way] += 1
        else:
            with pytest.raises(RuntimeError, match="the source broke"):
                await parted.put(path, content(raise_after=chance.randrange(6, 16)))
            ways[way] += 1
    left = await orphans(store_client, seaweedfs.bucket, folder)
    counts = ", ".join(f"{number} {way}" for way, number in ways.items())
    report(f"uploads in parts: {counts}; {len(left)} orphans within {SECONDS} s")
    assert left == []
    assert landed <= count // 3 // 2
    for number in range(count):
        # Whole or not at all: the last request may have landed.
        if await driver.exists(f"{folder}/{number}"):
            assert await driver.size(f"{folder}/{number}") == 16 * MIB


@pytest.mark.row(14)
async def test_a_copy_in_parts_that_fails_leaves_no_orphan(
    parted: S3Driver,
    driver: S3Driver,
    proxy: FaultyProxy,
    seaweedfs: SeaweedFS,
    store_client: Any,
    folder: str,
    report: Callable[[str], None],
) -> None:
    path = await driver.put(f"{folder}/file", bytes(12 * MIB))
    for number in range(4):
        proxy.faults = [
            Fault(method, status=400 if place == number else None)
            for place, method in enumerate(["POST", "PUT", "PUT", "POST"])
        ]
        with pytest.raises(StorageException):
            await parted.copy_file(path, f"{path} copy", WriteOptions())
    left = await orphans(store_client, seaweedfs.bucket, folder)
    report(f"4 refused copies in parts, {len(left)} orphans")
    assert left == []


PROGRAM = """
import asyncio, sys
from jtc.storage.drivers.s3_driver import S3Driver


async def content():
    for number in range(1000):
        yield bytes(1024 * 1024)
        if number == 12:
            print("sending", flush=True)
        if number > 12:
            await asyncio.sleep(1)


driver = S3Driver(**eval(sys.argv[1]), multipart_threshold=5 << 20, part_size=5 << 20)
asyncio.run(driver.put(sys.argv[2], content()))
"""


@pytest.mark.row(14)
async def test_what_a_killed_process_left_is_cleared_by_one_call(
    driver: S3Driver,
    seaweedfs: SeaweedFS,
    store_client: Any,
    folder: str,
    rounds: Callable[..., int],
    report: Callable[[str], None],
) -> None:
    kills = rounds(5, brief=1)
    options = repr({"bucket": seaweedfs.bucket, **seaweedfs.options})
    for number in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PROGRAM), options, f"{folder}/{number}"],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"sending\n"
        # It prints when it has read enough for two parts; the upload begins some time after.
        while f"{folder}/{number}" not in uploads(store_client, seaweedfs.bucket, folder):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    left = uploads(store_client, seaweedfs.bucket, folder)
    assert len(left) == kills
    # Those of other tests beside this one too: below 0, whatever the clocks say.
    assert await driver.abort_stale_uploads(older_than=3600) == 0
    assert uploads(store_client, seaweedfs.bucket, folder) == left
    assert await driver.abort_stale_uploads(older_than=-60) >= kills
    assert uploads(store_client, seaweedfs.bucket, folder) == []
    report(f"{kills} processes killed in mid-upload left {len(left)}, one call left 0")


@pytest.mark.row(14)
async def test_abort_stale_uploads_skips_upload_cleared_by_another_process(
    parted: S3Driver,
    proxy: FaultyProxy,
    seaweedfs: SeaweedFS,
    store_client: Any,
    folder: str,
    report: Callable[[str], None],
) -> None:
    for number in range(3):
        store_client.create_multipart_upload(Bucket=seaweedfs.bucket, Key=f"{folder}/{number}")
    # AWS answers so; SeaweedFS calls it a success.
    gone = b"<Error><Code>NoSuchUpload</Code></Error>"
    proxy.faults = [
        Fault("DELETE", f"{folder}/0?", status=404, body=gone),
        Fault("DELETE", f"{folder}/1?", status=404),
    ]
    await parted.abort_stale_uploads(older_than=-60)
    assert proxy.faults == []
    left = uploads(store_client, seaweedfs.bucket, folder)
    assert sorted(left) == [f"{folder}/0", f"{folder}/1"]
    assert await parted.abort_stale_uploads(older_than=-60) >= 2
    assert uploads(store_client, seaweedfs.bucket, folder) == []
    report("2 of 3 uploads gone before the call that clears them, the third cleared")
