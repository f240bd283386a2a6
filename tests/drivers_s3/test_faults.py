"""Failures of the store, the network or a task in the middle of an operation."""

from __future__ import annotations

import asyncio
import io
import random
import socket
import zlib
from types import SimpleNamespace

import pytest

from faulty_proxy import Fault
from jtc.storage.drivers.s3_driver._objects import content_parts
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    IntegrityException,
    PreconditionFailedException,
    StorageConfigException,
    StorageException,
    StoragePermissionException,
    StorageUnavailableException,
)
from jtc.storage.http_support import client
from jtc.storage.options import ListOptions, ReadOptions, WriteOptions

MIB = 1024 * 1024
CONTENT = random.Random(1).randbytes(300_000)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    """Retry a request at once: tests/faults/s3 waits for the real pauses."""
    monkeypatch.setattr(client, "_LONGEST_PAUSE", 0)


@pytest.fixture
async def path(driver, folder):
    await driver.put(f"{folder}/file", CONTENT)
    return f"{folder}/file"


@pytest.fixture
def faulty(make_driver, proxy):
    return make_driver(endpoint_url=proxy.endpoint_url, request_timeout=5)


async def read(driver, path, **arguments):
    stream = await driver.open_read(path, ReadOptions(**arguments))
    try:
        return b"".join([chunk async for chunk in stream])
    finally:
        await stream.aclose()


async def test_a_store_that_is_down_is_unavailable_and_never_an_empty_one(faulty, proxy, path):
    proxy.faults = [Fault(method, status=503) for method in ("GET", "HEAD", "PUT") * 9]
    calls = [faulty.get(path), faulty.exists(path), faulty.delete(path), faulty.put(path, b"1")]
    for call in calls:
        with pytest.raises(StorageUnavailableException) as caught:
            await call
        assert caught.value.retryable
        assert caught.value.path == path


async def test_no_store_at_all_is_unavailable(make_driver):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        driver = make_driver(endpoint_url=url, max_attempts=2)
        for call in (
            driver.exists("a"),
            driver.get("a"),
            anext(driver.list_entries("", ListOptions())),
        ):
            with pytest.raises(
                StorageUnavailableException, match="cannot be reached: check endpoint_url"
            ):
                await call


async def test_open_read_ahead_of_a_small_file_is_one_request_and_survives_broken_answers(
    faulty, driver, proxy, folder
):
    small = f"{folder}/small"
    await driver.write_file(small, CONTENT[:100_000], WriteOptions(metadata={"mtime": "1.5"}))
    stream = await faulty.open_read(small, ReadOptions(read_ahead=True, chunk_size=MIB))
    assert [chunk async for chunk in stream] == [CONTENT[:100_000]]
    assert (stream.info.size, stream.info.metadata) == (100_000, {"mtime": "1.5"})
    assert len(proxy.requests) == 1
    proxy.faults = [Fault(cut=70_000), Fault(truncate=99_999)]
    assert await read(faulty, small, read_ahead=True, chunk_size=MIB) == CONTENT[:100_000]
    proxy.faults = [Fault(flip=99_999)]
    with pytest.raises(IntegrityException, match="checksum"):
        await read(faulty, small, read_ahead=True, chunk_size=MIB)


async def test_a_connection_that_always_breaks_is_given_up(faulty, proxy, path):
    proxy.faults = [Fault(cut=0) for _ in range(50)]
    with pytest.raises(StorageUnavailableException, match="broke off"):
        await faulty.get(path)
    assert 40 < len(proxy.faults) < 50


async def test_content_that_changes_on_its_way_to_the_store_is_refused(
    make_driver, driver, path, monkeypatch
):
    of_other_content = SimpleNamespace(crc32=lambda part: zlib.crc32(part) ^ 1)
    monkeypatch.setattr(content_parts, "zlib", of_other_content)
    with pytest.raises(IntegrityException, match="on its way"):
        await driver.put(path, io.BytesIO(b"content"))
    multipart = make_driver(multipart_threshold=5 * MIB, part_size=5 * MIB)
    with pytest.raises(IntegrityException, match="on its way"):
        await multipart.put(path, random.Random(2).randbytes(6 * MIB))
    monkeypatch.undo()
    assert await driver.get(path) == CONTENT


async def test_a_forbidden_file_is_not_a_missing_one(make_driver, path):
    for options in ({"secret_key": "wrong"}, {"access_key": "unknown"}):
        driver = make_driver(**options)
        for call in (
            driver.exists(path),
            driver.get(path),
            driver.delete(path),
            driver.put(path, b"1"),
            driver.delete_directory("x"),
        ):
            with pytest.raises(StoragePermissionException) as caught:
                await call
            assert "test-secret-key" not in repr(caught.value)


async def test_refused_credentials_are_called_so_without_being_shown(make_driver):
    driver = make_driver(secret_key="hunter2-hunter2")
    with pytest.raises(StoragePermissionException, match="refuses the credentials") as caught:
        await driver.get("a")
    assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r} {driver!r}"


async def test_a_missing_bucket_is_no_missing_file(make_driver):
    driver = make_driver(bucket="no-such-bucket")
    calls = [
        driver.exists("a"),
        driver.get("a"),
        driver.size("a"),
        driver.delete("a"),
        anext(driver.list_entries("", ListOptions())),
        driver.delete_directory("a"),
    ]
    for call in calls:
        with pytest.raises(StorageConfigException, match="no bucket 'no-such-bucket'"):
            await call


async def test_bulk_delete_says_what_went_wrong_with_each(faulty, driver, proxy, folder):
    await driver.put(f"{folder}/a", b"1")
    proxy.faults = [Fault("POST", status=503) for _ in range(9)]
    with pytest.raises(StorageUnavailableException):
        await faulty.delete_many([f"{folder}/a"])
    proxy.faults = [Fault("HEAD", status=403)]
    results = await faulty.delete_many([f"{folder}/a", f"{folder}/missing", "../x"])
    kinds = {path: type(result).__name__ for path, result in results.items()}
    assert kinds["../x"] == "InvalidPathException"
    assert sorted(kinds.values())[-2:] in (
        ["StoragePermissionException", "bool"],
        ["bool", "bool"],
    )
    assert isinstance(results[f"{folder}/a"], (bool, StorageException))


# Uploads in parts


async def test_part_that_cannot_be_sent_aborts_its_upload(
    make_driver, driver, proxy, folder, uploads_below
):
    faulty = make_driver(
        endpoint_url=proxy.endpoint_url,
        multipart_threshold=5 * MIB,
        part_size=5 * MIB,
        max_attempts=1,
    )
    proxy.faults = [Fault("PUT"), Fault("PUT", status=503)]
    with pytest.raises(StorageUnavailableException):
        await faulty.put(f"{folder}/file", io.BytesIO(bytes(16 * MIB)))
    assert uploads_below(folder) == []
    assert not await driver.exists(f"{folder}/file")


@pytest.mark.parametrize("request_number", range(1, 7))
async def test_cancelled_upload_leaves_nothing_behind(
    make_driver, driver, proxy, folder, uploads_below, request_number
):
    faulty = make_driver(
        endpoint_url=proxy.endpoint_url, multipart_threshold=5 * MIB, part_size=5 * MIB
    )
    await driver.put(f"{folder}/file", b"old")
    await faulty.exists(f"{folder}/file")
    task = asyncio.ensure_future(faulty.put(f"{folder}/file", io.BytesIO(bytes(16 * MIB))))

    async def cancel():
        task.cancel()
        # The request goes on to the store: only who sent it is gone.
        await asyncio.sleep(0)

    # Create, four parts, complete: cancelled while the store has the one and has not answered.
    methods = ["POST", "PUT", "PUT", "PUT", "PUT", "POST"]
    proxy.faults = [
        Fault(method, before=cancel if number == request_number else None)
        for number, method in enumerate(methods, start=1)
    ]
    with pytest.raises(asyncio.CancelledError):
        await task
    assert uploads_below(folder) == []
    if request_number < 6:
        assert await driver.get(f"{folder}/file") == b"old"
    else:
        # The last request may land whole.
        assert await driver.size(f"{folder}/file") in (3, 16 * MIB)


async def test_stale_uploads_are_aborted_and_fresh_ones_are_not(
    driver, folder, store_client, uploads_below
):
    store_client.create_multipart_upload(Bucket="test-bucket", Key=f"{folder}/file")
    assert await driver.abort_stale_uploads() == 0
    assert len(uploads_below(folder)) == 1
    assert await driver.abort_stale_uploads(older_than=-60) >= 1
    assert uploads_below(folder) == []


async def test_a_copy_of_a_source_that_is_replaced_meanwhile_fails(driver, faulty, proxy, path):
    proxy.faults = [Fault("PUT", before=lambda: driver.put(path, b"other"))]
    with pytest.raises(PreconditionFailedException, match="replaced while it was copied"):
        await faulty.copy_file(path, f"{path} copy", WriteOptions())
    with pytest.raises(FileNotFoundException):
        await driver.get(f"{path} copy")


async def test_open_read_by_the_length_reads_the_version_that_it_found(driver, path):
    options = ReadOptions(start=-10, end=len(CONTENT))
    stream = await driver.open_read(path, options)
    assert [chunk async for chunk in stream] == [CONTENT[-10:]]
    stream = await driver.open_read(path, options)
    await driver.put(path, b"other content")
    with pytest.raises(IntegrityException, match="replaced or deleted while it was read"):
        await anext(aiter(stream))


async def test_a_write_whose_answer_is_lost_is_not_called_refused(driver, faulty, proxy, path):
    new = f"{path} new"
    etag = (await driver.stat(path)).etag
    writes = {
        new: WriteOptions(overwrite=False),
        path: WriteOptions(if_match=etag),
    }
    for target, options in writes.items():
        proxy.faults = [Fault("PUT", lose=True)]
        # A FileExistsException would say that another writer had made it, and an append would
        # take a PreconditionFailedException for a reason to add its bytes once more.
        with pytest.raises(StorageUnavailableException, match="may be the one") as caught:
            await faulty.write_file(target, b"written", options)
        assert (caught.value.path, caught.value.retryable) == (target, False)
        assert await driver.get(target) == b"written"


async def test_a_lost_answer_does_not_hide_that_another_file_is_there(driver, faulty, proxy, path):
    proxy.faults = [Fault("PUT", status=503)]
    with pytest.raises(FileExistsException):
        await faulty.write_file(path, b"another length", WriteOptions(overwrite=False))
    proxy.faults = [Fault("PUT", status=503)]
    with pytest.raises(PreconditionFailedException):
        await faulty.write_file(path, b"another length", WriteOptions(if_match='"0"'))
    assert await driver.get(path) == CONTENT


async def test_a_large_write_whose_answer_is_lost_is_not_called_refused(
    make_driver, driver, proxy, folder
):
    faulty = make_driver(endpoint_url=proxy.endpoint_url, multipart_threshold=MIB)
    proxy.faults = [Fault("POST"), Fault("POST", lose=True)]
    with pytest.raises(StorageUnavailableException, match="may be the one"):
        await faulty.write_file(f"{folder}/large", bytes(6 * MIB), WriteOptions(overwrite=False))
    assert await driver.size(f"{folder}/large") == 6 * MIB


async def test_a_copy_whose_answer_is_lost_is_not_called_refused(driver, faulty, proxy, path):
    for number, transfer in enumerate((faulty.copy_file, faulty.move_file)):
        proxy.faults = [Fault("PUT", lose=True)]
        with pytest.raises(StorageUnavailableException, match="may be the one") as caught:
            await transfer(path, f"{path} {number}", WriteOptions(overwrite=False))
        assert caught.value.path == f"{path} {number}"
        assert await driver.get(f"{path} {number}") == CONTENT
    assert await driver.get(path) == CONTENT


async def test_a_deletion_whose_answer_is_lost_has_deleted(driver, faulty, proxy, path):
    proxy.faults = [Fault("DELETE", lose=True)]
    assert await faulty.delete(path)
    await driver.put(path, b"1")
    proxy.faults = [Fault("DELETE", lose=True)]
    await faulty.move_file(path, f"{path} moved", WriteOptions())
    assert not await driver.exists(path)
    proxy.faults = [Fault("POST", lose=True)]
    assert await faulty.delete_many([f"{path} moved", path]) == {f"{path} moved": True, path: False}


async def test_a_store_that_always_redirects_is_asked_a_few_times(make_driver, proxy, folder):
    driver = make_driver(endpoint_url=proxy.endpoint_url, max_attempts=1)
    for method, read in (("GET", driver.get), ("HEAD", driver.exists)):
        proxy.faults = [Fault(each, status=301) for each in ("GET", "HEAD") for _ in range(50)]
        proxy.requests.clear()
        with pytest.raises(StorageConfigException, match="another region"):
            await read(f"{folder}/file")
        assert len(proxy.requests) <= 4, method
