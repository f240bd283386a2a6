"""Streams, ranges, and their connections."""

from __future__ import annotations

import asyncio
import gc

import pytest

from faulty_proxy import Fault
from jtc.storage.exceptions import (
    FileNotFoundException,
    IntegrityException,
    PreconditionFailedException,
)
from jtc.storage.options import ReadOptions
from s3_fixtures import open_connections

CONTENT = bytes(range(256)) * 8


async def read(driver, path, **arguments):
    stream = await driver.open_read(path, ReadOptions(**arguments))
    try:
        return [chunk async for chunk in stream]
    finally:
        await stream.aclose()


@pytest.mark.parametrize("size", [0, 1, 2048])
async def test_every_range_is_that_of_a_slice(driver, folder, size):
    path, content = f"{folder}/file", CONTENT[:size]
    await driver.put(path, content)
    for start in (0, 1, 7, 2047, 2048, 5000):
        for end in (None, 0, 1, 7, 8, 2048, 9999, 2**64, 2**70):
            if end is not None and end < start:
                continue
            chunks = await read(driver, path, start=start, end=end)
            assert b"".join(chunks) == content[start:end], (start, end)
    for start in (-1, -7, -2048, -5000):
        first = max(0, size + start)
        for end in (None, 1, 2048):
            stop = size if end is None else end
            expected = content[first:stop] if stop > first else b""
            assert b"".join(await read(driver, path, start=start, end=end)) == expected


async def test_stream_has_the_metadata_of_the_whole_file(driver, folder):
    await driver.put(f"{folder}/file", CONTENT)
    stat = await driver.stat(f"{folder}/file")
    for arguments in ({}, {"start": 5, "end": 9}, {"start": -5}, {"start": 9999}, {"end": 0}):
        stream = await driver.open_read(f"{folder}/file", ReadOptions(**arguments))
        await stream.aclose()
        assert stream.info.size == len(CONTENT)
        assert stream.info.etag == stat.etag


async def test_chunks_have_the_length_that_was_asked_for(driver, folder):
    await driver.put(f"{folder}/file", CONTENT)
    chunks = await read(driver, f"{folder}/file", chunk_size=1000)
    assert [len(chunk) for chunk in chunks] == [1000, 1000, 48]


async def test_errors_come_when_it_is_opened(driver, folder):
    await driver.put(f"{folder}/file", CONTENT)
    with pytest.raises(FileNotFoundException):
        await driver.open_read(f"{folder}/missing", ReadOptions())
    for arguments in ({}, {"start": 9999}, {"start": 3, "end": 3}, {"start": -3, "end": 9}):
        with pytest.raises(PreconditionFailedException):
            await driver.open_read(f"{folder}/file", ReadOptions(if_match='"0"', **arguments))


async def test_no_stream_keeps_its_connection(make_driver, folder):
    driver = make_driver(max_connections=2)
    path = f"{folder}/file"
    await driver.put(path, CONTENT * 1000)
    for _ in range(5):
        await read(driver, path, chunk_size=500_000)
        stream = await driver.open_read(path, ReadOptions())
        await stream.aclose()
        await stream.aclose()
        async for _ in stream:
            pytest.fail("a closed stream has no bytes")
        stream = await driver.open_read(path, ReadOptions(chunk_size=10))
        async for _ in stream:
            break
        await stream.aclose()
        # Dropped, before and after the first chunk.
        stream = await driver.open_read(path, ReadOptions())
        del stream
        stream = await driver.open_read(path, ReadOptions(chunk_size=10))
        await anext(aiter(stream))
        del stream
        gc.collect()
        await asyncio.sleep(0.01)
        assert open_connections(driver) == 0


async def test_answer_that_is_no_whole_file_is_refused_and_keeps_no_connection(
    make_driver, proxy, folder
):
    driver = make_driver(endpoint_url=proxy.endpoint_url, max_attempts=1)
    for arguments in ((), (ReadOptions(),)):
        read_it = driver.open_read if arguments else driver.get
        # A part that was not requested, longer than what is read with its head.
        proxy.faults = [Fault(status=206, body=bytes(4_000_000))]
        with pytest.raises(IntegrityException, match="another range"):
            await read_it(f"{folder}/file", *arguments)
        assert proxy.faults == []
        assert open_connections(driver) == 0
