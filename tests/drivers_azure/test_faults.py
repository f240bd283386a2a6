"""Failures of the store, the network or a task in the middle of an operation."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from faulty_proxy import Fault
from jtc.storage import exceptions
from jtc.storage.options import DeleteOptions, ReadOptions, WriteOptions
from scripted_store import ALWAYS, Answer, Rule

THERE = {"etag": '"0x1"', "last-modified": "Fri, 26 Jun 2015 23:39:12 GMT"}


@pytest.fixture
async def path(driver, folder, content):
    await driver.put(f"{folder}/file", content)
    return f"{folder}/file"


@pytest.fixture
def faulty(make_driver, proxy):
    url = f"{proxy.endpoint_url}/{Path(proxy.target).name}"
    return make_driver(endpoint_url=url, request_timeout=5)


async def read(driver, path, **arguments):
    stream = await driver.open_read(path, ReadOptions(**arguments))
    try:
        return b"".join([chunk async for chunk in stream])
    finally:
        await stream.aclose()


async def test_store_that_is_down_is_unavailable_and_never_an_empty_one(faulty, proxy, path):
    proxy.faults = [Fault(method, status=503) for method in ("GET", "HEAD", "PUT", "DELETE") * 9]
    for call in (
        faulty.get(path),
        faulty.exists(path),
        faulty.delete(path),
        faulty.put(path, b"1"),
    ):
        with pytest.raises(exceptions.StorageUnavailableException) as caught:
            await call
        assert caught.value.retryable


@pytest.mark.parametrize("start", [0, 1000])
async def test_broken_read_goes_on_where_it_was(faulty, proxy, path, content, start):
    proxy.faults = [Fault(cut=100_000), Fault(truncate=70_000)]
    assert await read(faulty, path, start=start) == content[start:]
    assert len(proxy.requests) == 3


async def test_broken_read_of_a_replaced_file_is_no_mix(faulty, proxy, driver, path, content):
    async def replace():
        await driver.put(path, content[::-1])

    proxy.faults = [Fault(cut=100_000, meanwhile=replace)]
    with pytest.raises(
        exceptions.IntegrityException, match="replaced or deleted while it was read"
    ):
        await faulty.get(path)
    assert await faulty.get(path) == content[::-1]


async def test_flipped_bit_of_a_whole_read_is_found(faulty, proxy, path):
    proxy.faults = [Fault(flip=250_000)]
    with pytest.raises(exceptions.IntegrityException, match="checksum differs"):
        await faulty.get(path)
    proxy.faults = [Fault(flip=10)]
    with pytest.raises(exceptions.IntegrityException, match="checksum differs"):
        await read(faulty, path)


async def test_put_whose_answer_is_lost_is_sent_again(faulty, proxy, folder):
    proxy.faults = [Fault("PUT", lose=True)]
    assert await faulty.put(f"{folder}/new", b"1")
    assert await faulty.get(f"{folder}/new") == b"1"


async def test_conditional_put_whose_answer_is_lost_is_not_called_refused(faulty, proxy, folder):
    proxy.faults = [Fault("PUT", lose=True)]
    with pytest.raises(exceptions.StorageUnavailableException, match="may be the one") as caught:
        await faulty.write_file(f"{folder}/new", b"1", WriteOptions(overwrite=False))
    assert not caught.value.retryable
    proxy.faults = [Fault("PUT", lose=True)]
    await faulty.put(f"{folder}/other", b"12")
    proxy.faults = [Fault("PUT", status=503)]
    with pytest.raises(exceptions.FileExistsException):
        await faulty.write_file(f"{folder}/other", b"1", WriteOptions(overwrite=False))


async def test_deletion_whose_answer_is_lost_counts(faulty, proxy, path):
    await faulty.delete(f"{path}-missing")  # it asks what account it is once
    proxy.faults = [Fault("DELETE", lose=True)]
    assert await faulty.delete(path)
    assert not await faulty.delete(path)


async def test_conditional_deletion_whose_answer_is_lost_counts(faulty, proxy, driver, path):
    etag = (await driver.stat(path)).etag
    proxy.faults = [Fault("DELETE", lose=True)]
    assert await faulty.delete_file(path, DeleteOptions(if_match=etag))


async def test_copy_whose_answer_is_lost_is_not_called_refused(faulty, proxy, path, folder):
    proxy.faults = [Fault("PUT", lose=True)]
    with pytest.raises(exceptions.StorageUnavailableException, match="may be the one"):
        await faulty.copy_file(path, f"{folder}/copy", WriteOptions(overwrite=False))
    assert await faulty.exists(f"{folder}/copy")


async def test_store_that_hangs_ends_in_a_timeout(make_driver, proxy, path):
    url = f"{proxy.endpoint_url}/{Path(proxy.target).name}"
    driver = make_driver(endpoint_url=url, request_timeout=0.3, read_timeout=0.2)
    proxy.faults = [Fault(hang=True) for _ in range(3)]
    with pytest.raises(exceptions.StorageTimeoutException):
        await driver.get(path)
    proxy.faults = [Fault(stall=70_000), *(Fault(hang=True) for _ in range(9))]
    with pytest.raises(exceptions.StorageTimeoutException):
        await driver.get(path)
    await proxy.settle()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirect_is_not_followed(scripted, scripted_driver, status):
    scripted.store("elsewhere", b"the bytes of another place")
    headers = {"location": f"{scripted.endpoint_url}/bucket/elsewhere"}
    scripted.rule(Rule(answer=Answer(status, headers), times=ALWAYS))
    driver = scripted_driver()
    for call in (driver.get("a"), driver.exists("a"), driver.put("a", b"1")):
        with pytest.raises(exceptions.StorageConfigException, match="redirect"):
            await call
    assert {request.key for request in scripted.requests} == {"container/a"}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(200, {}, b"1"), "no ETag"),
        (Answer(206, THERE | {"content-range": "bytes 0-0/9"}, b"1"), "another range"),
    ],
)
async def test_answer_that_lies_of_a_whole_file_is_refused(
    scripted, scripted_driver, answer, message
):
    scripted.rule(Rule(answer=answer, times=ALWAYS))
    with pytest.raises(exceptions.StorageException, match=message):
        await scripted_driver().get("a")
    with pytest.raises(exceptions.StorageException, match=message):
        await read(scripted_driver(), "a")


async def test_answer_that_lies_of_a_range_is_refused(scripted, scripted_driver):
    other = Answer(206, THERE | {"content-range": "bytes 7-8/9"}, b"12")
    scripted.rule(Rule(answer=other, times=ALWAYS))
    with pytest.raises(exceptions.IntegrityException, match="another range"):
        await read(scripted_driver(), "a", start=1, end=3)


@pytest.mark.parametrize("option", ["if_match", "if_none_match"])
async def test_store_that_ignores_a_condition_is_not_believed(scripted, scripted_driver, option):
    scripted.rule(Rule(answer=Answer(200, THERE, b"1"), times=ALWAYS))
    etag = '"0x1"' if option == "if_none_match" else '"0x2"'
    expected = exceptions.PreconditionFailedException
    if option == "if_none_match":
        expected = exceptions.NotModifiedException
    with pytest.raises(expected):
        await read(scripted_driver(), "a", **{option: etag})


async def test_check_finds_a_store_that_ignores_conditions(scripted, scripted_driver):
    listed = b"<EnumerationResults><Blobs/><NextMarker/></EnumerationResults>"
    scripted.rule(Rule(where=lambda each: each.method == "GET", answer=Answer(200, {}, listed)))
    missing = Answer(404, {"x-ms-error-code": "BlobNotFound"})
    scripted.rule(Rule(where=lambda each: each.method == "HEAD", answer=missing))
    scripted.rule(Rule(answer=Answer(201, THERE), times=ALWAYS))
    with pytest.raises(exceptions.UnsupportedOperationException, match="ignores conditions"):
        await scripted_driver().check("probe")


async def test_put_without_an_etag_in_the_answer_is_not_believed(scripted, scripted_driver):
    scripted.rule(Rule(answer=Answer(201), times=ALWAYS))
    with pytest.raises(exceptions.StorageUnavailableException, match="no ETag"):
        await scripted_driver().put("a", b"1")


async def test_two_hundred_puts_at_once_all_land(driver, folder):
    paths = [f"{folder}/{number}" for number in range(200)]
    await asyncio.gather(*(driver.put(path, path.encode()) for path in paths))
    found = await asyncio.gather(*(driver.get(path) for path in paths))
    assert found == [path.encode() for path in paths]


async def test_cancelled_calls_leave_connections_that_work(driver, folder, content):
    for delay in (0, 0.001, 0.003, 0.01, 0.02):
        task = asyncio.create_task(driver.put(f"{folder}/file", content))
        await asyncio.sleep(delay)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not await driver.exists(f"{folder}/file") or await driver.get(f"{folder}/file")
    await driver.put(f"{folder}/file", b"1")
    assert await driver.get(f"{folder}/file") == b"1"


async def test_reader_that_was_cancelled_does_not_go_on_behind_what_it_lost(faulty, proxy, path):
    proxy.faults = [Fault(stall=100_000)]
    stream = await faulty.open_read(path, ReadOptions(chunk_size=200_000))
    task = asyncio.ensure_future(anext(aiter(stream)))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(exceptions.StorageUnavailableException, match="open the file again"):
        await anext(aiter(stream))
    await stream.aclose()
    await proxy.settle()
