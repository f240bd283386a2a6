"""Files that are sent in blocks: whole or not at all, whatever other writers do."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import random
import signal
import subprocess
import sys
import textwrap
import urllib.error
from pathlib import Path

import pytest

from faulty_proxy import Fault
from jtc.storage import exceptions
from jtc.storage.drivers.azure_driver._objects import upload_parts
from jtc.storage.drivers.azure_driver._transport.errors import BlocksLostException
from jtc.storage.options import ReadOptions, WriteOptions

KIB = 1024
SMALL = {"part_size": 64 * KIB, "multipart_threshold": 64 * KIB}


async def pieces(content, *, size=50_000, before_last=None):
    for at in range(0, len(content), size):
        if before_last is not None and at + size >= len(content):
            await before_last()
        yield content[at : at + size]


def block_list(azurite, path, kind="all"):
    """Return the store's answer that names a blob's blocks; nothing for no blob."""
    query = {"comp": "blocklist", "blocklisttype": kind}
    try:
        return azurite.request("GET", f"{azurite.container}/{path}", query)[1].decode()
    except urllib.error.HTTPError as missing:
        missing.close()
        return ""


@pytest.mark.parametrize("kind", ["bytes", "file", "stream"])
async def test_content_above_the_threshold_is_made_of_blocks(
    azurite, make_driver, folder, content, kind
):
    driver, path = make_driver(**SMALL), f"{folder}/file"
    source = {"bytes": content, "file": io.BytesIO(content), "stream": pieces(content)}[kind]
    etag = await driver.write_file(path, source, WriteOptions(content_type="text/x"))
    there = await driver.stat(path)
    assert (there.etag, there.size, there.content_type) == (etag, len(content), "text/x")
    assert await driver.get(path) == content
    assert block_list(azurite, path).count("<Block>") == 5


async def test_content_that_is_shorter_than_said_is_stored_as_it_is(make_driver, folder):
    driver = make_driver(**SMALL)
    for content in (b"", b"1"):
        options = WriteOptions(size=1000 * KIB)
        await driver.write_file(f"{folder}/file", pieces(content), options)
        assert await driver.get(f"{folder}/file") == content


async def test_content_at_the_threshold_is_one_request(make_driver, proxy, folder):
    driver = make_driver(endpoint_url=at(proxy), **SMALL)
    await driver.put(f"{folder}/file", b"1" * 64 * KIB)
    assert len(proxy.requests) == 1


async def test_blocks_have_ids_of_one_length_that_no_two_uploads_share(make_driver, folder):
    driver, path = make_driver(**SMALL), f"{folder}/file"
    uploads = [upload_parts.Upload(driver._transport, path) for _ in range(2)]
    ids = [each._block_id(number) for each in uploads for number in (0, 1, 49_999)]
    assert len({*ids}) == 6
    assert {len(base64.b64decode(each)) for each in ids} == {20}


async def test_two_streams_to_one_path_never_mix(make_driver, folder):
    driver, path = make_driver(**SMALL), f"{folder}/file"
    first, second = (random.Random(n).randbytes(400_000) for n in (1, 2))
    results = await asyncio.gather(
        driver.write_file(path, pieces(first), WriteOptions()),
        driver.write_file(path, pieces(second), WriteOptions()),
        return_exceptions=True,
    )
    for each in results:
        assert isinstance(each, str | BlocksLostException), each
    assert await driver.get(path) in (first, second)
    assert any(isinstance(each, str) for each in results)


async def test_stream_whose_blocks_another_write_dropped_fails_and_may_be_retried(
    make_driver, folder, content
):
    driver, path = make_driver(**SMALL), f"{folder}/file"

    async def meanwhile():
        await asyncio.sleep(0.05)  # some blocks are sent
        await driver.put(path, content[::-1])

    stream = pieces(content, before_last=meanwhile)
    with pytest.raises(BlocksLostException, match="write it again") as caught:
        await driver.write_file(path, stream, WriteOptions())
    assert caught.value.retryable
    assert await driver.get(path) == content[::-1]


async def test_bytes_whose_blocks_another_write_dropped_are_sent_again(
    make_driver, proxy, folder, content
):
    other, path = make_driver(**SMALL), f"{folder}/file"
    driver = make_driver(endpoint_url=at(proxy), **SMALL)

    async def meanwhile():
        await other.put(path, content[::-1])

    proxy.faults = [Fault("PUT", "comp=blocklist", before=meanwhile)]
    await driver.put(path, content)
    assert await driver.get(path) == content
    assert sum("blockid=" in each for each in proxy.requests) == 10


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"overwrite": False}, exceptions.FileExistsException),
        ({"if_match": '"0x1"'}, exceptions.PreconditionFailedException),
    ],
)
async def test_condition_of_blocks_holds_after_the_content_was_read(
    make_driver, folder, content, options, expected
):
    driver, path = make_driver(**SMALL), f"{folder}/file"

    async def meanwhile():
        await driver.put(path, b"other")

    stream = pieces(content, before_last=meanwhile)
    with pytest.raises(expected):
        await driver.write_file(path, stream, WriteOptions(**options))
    assert await driver.get(path) == b"other"


async def test_of_several_writers_in_blocks_that_must_not_overwrite_one_succeeds(
    make_driver, folder
):
    driver, path = make_driver(**SMALL), f"{folder}/file"
    contents = [random.Random(n).randbytes(150_000) for n in range(4)]
    writing = [driver.write_file(path, each, WriteOptions(overwrite=False)) for each in contents]
    results = await asyncio.gather(*writing, return_exceptions=True)
    winners = [at for at, each in enumerate(results) if isinstance(each, str)]
    assert len(winners) == 1
    assert await driver.get(path) == contents[winners[0]]
    failures = {type(each) for each in results if not isinstance(each, str)}
    assert failures == {exceptions.FileExistsException}


@pytest.mark.parametrize("options", [{}, {"overwrite": False}])
async def test_block_list_whose_answer_is_lost_is_found_to_have_landed(
    make_driver, proxy, folder, content, options
):
    driver, path = make_driver(endpoint_url=at(proxy), **SMALL), f"{folder}/file"
    proxy.faults = [Fault("PUT", "comp=blocklist", lose=True)]
    etag = await driver.write_file(path, content, WriteOptions(**options))
    assert (await driver.stat(path)).etag == etag
    assert await driver.get(path) == content


async def test_block_list_whose_answer_is_lost_each_time_may_have_landed(
    make_driver, proxy, folder, content
):
    driver = make_driver(endpoint_url=at(proxy), max_attempts=1, **SMALL)
    proxy.faults = [Fault("PUT", "comp=blocklist", lose=True)]
    assert await driver.write_file(f"{folder}/file", content, WriteOptions())
    proxy.faults = [Fault("PUT", "comp=blocklist", status=503)]
    with pytest.raises(exceptions.StorageUnavailableException):
        await driver.write_file(f"{folder}/other", content, WriteOptions())
    assert not await driver.exists(f"{folder}/other")


async def test_block_that_fails_is_sent_again(make_driver, proxy, folder, content):
    driver, path = make_driver(endpoint_url=at(proxy), **SMALL), f"{folder}/file"
    proxy.faults = [Fault("PUT", "blockid=", status=503), Fault("PUT", "blockid=", lose=True)]
    await driver.put(path, content)
    assert await driver.get(path) == content


async def test_source_that_raises_leaves_what_was_there(make_driver, folder, content):
    driver, path = make_driver(**SMALL), f"{folder}/file"
    await driver.put(path, b"old")

    async def broken():
        yield content
        raise LookupError("the source's own")

    with pytest.raises(LookupError, match="the source's own"):
        await driver.write_file(path, broken(), WriteOptions())
    assert await driver.get(path) == b"old"


async def test_cancelled_upload_leaves_what_was_there_and_gives_its_memory_back(
    make_driver, folder, content
):
    driver, path = make_driver(**SMALL), f"{folder}/file"
    await driver.put(path, b"old")
    reached = asyncio.Event()

    async def endless():
        while True:
            yield content
            reached.set()
            await asyncio.sleep(0)

    task = asyncio.create_task(driver.write_file(path, endless(), WriteOptions()))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await driver.get(path) == b"old"
    memory = await driver._transport.memory()
    assert memory.are_free(memory.number)


async def test_blocks_of_another_length_of_id_are_named(azurite, make_driver, folder, content):
    driver, path = make_driver(**SMALL), f"{folder}/file"
    query = {"comp": "block", "blockid": base64.b64encode(b"short").decode()}
    azurite.request("PUT", f"{azurite.container}/{path}", query, body=b"1")
    with pytest.raises(exceptions.StorageUnavailableException, match="by another program"):
        await driver.put(path, content)


async def test_too_many_blocks_are_refused(make_driver, folder, content, monkeypatch):
    monkeypatch.setattr(upload_parts, "MOST_BLOCKS", 2)
    driver = make_driver(**SMALL)
    with pytest.raises(exceptions.RejectedException, match="raise part_size"):
        await driver.write_file(f"{folder}/file", pieces(content), WriteOptions())


KILLED = """
import asyncio, sys
from jtc.storage.drivers.azure_driver import AzureDriver
from jtc.storage.options import WriteOptions

async def content():
    while True:
        yield bytes(100_000)
        print("sent", flush=True)
        await asyncio.sleep(0.01)

async def main():
    driver = AzureDriver(sys.argv[1], sys.argv[2], part_size=65536, multipart_threshold=65536)
    await driver.write_file(sys.argv[3], content(), WriteOptions())

asyncio.run(main())
"""


@pytest.mark.parametrize("there", [b"old", None])
async def test_process_killed_while_it_sends_blocks_leaves_what_was_there(
    azurite, driver, folder, there
):
    path = f"{folder}/file"
    if there is not None:
        await driver.put(path, there)
    arguments = [azurite.container, azurite.connection_string, path]
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), *arguments], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        for _ in range(10):
            assert await asyncio.to_thread(process.stdout.readline) == b"sent\n"
        os.kill(process.pid, signal.SIGKILL)
    assert "<Block>" in block_list(azurite, path, "uncommitted")
    assert await driver.exists(path) == (there is not None)
    if there is not None:
        assert await driver.get(path) == there
    # And none of them comes into what is written next.
    await driver.put(path, b"new")
    assert await driver.get(path) == b"new"


MEASURED = """
import asyncio, sys
from jtc.storage.drivers.azure_driver import AzureDriver
from jtc.storage.options import ReadOptions, WriteOptions

MIB, COUNT = 2**20, 256

async def content():
    piece = bytes(MIB)
    for _ in range(COUNT):
        yield piece

async def main():
    driver = AzureDriver(sys.argv[1], sys.argv[2])
    await driver.write_file(sys.argv[3], content(), WriteOptions())
    stream = await driver.open_read(sys.argv[3], ReadOptions(read_ahead=True))
    assert sum([len(chunk) async for chunk in stream]) == COUNT * MIB
    await driver.delete(sys.argv[3])
    await driver.aclose()
    with open("/proc/self/status") as status:  # ru_maxrss begins with that of the parent
        print(next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM")))

asyncio.run(main())
"""


async def test_large_file_is_written_and_read_in_constant_memory(azurite, folder):
    arguments = [azurite.container, azurite.connection_string, f"{folder}/file"]
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", MEASURED, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 200


async def test_read_of_blocks_has_ranges(make_driver, folder, content):
    driver, path = make_driver(**SMALL), f"{folder}/file"
    await driver.put(path, content)
    stream = await driver.open_read(path, ReadOptions(start=60_000, end=140_000))
    assert b"".join([chunk async for chunk in stream]) == content[60_000:140_000]


def at(proxy):
    return f"{proxy.endpoint_url}/{Path(proxy.target).name}"
