"""A store that does not answer, or answers too slowly, is a typed error in time."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from faulty_proxy import Fault, FaultyProxy
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.exceptions import (
    FileNotFoundException,
    StorageException,
    StorageTimeoutException,
    StorageUnavailableException,
)
from jtc.storage.options import ListOptions, ReadOptions, WriteOptions
from seaweedfs import SeaweedFS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from s3_fixtures import MakeDriver

MIB = 1024 * 1024
CONTENT = bytes(range(256)) * 2000

DEADLINE = 1.0
ALLOWED = 0.5
"""The promise: at most this many seconds after the deadline."""


@pytest.fixture
async def path(driver: S3Driver, folder: str) -> str:
    return await driver.put(f"{folder}/file", CONTENT)


@pytest.fixture
async def impatient(make_driver: MakeDriver, proxy: FaultyProxy, path: str) -> S3Driver:
    driver = make_driver(endpoint_url=proxy.endpoint_url, request_timeout=DEADLINE)
    # The SDK's client is made at the first use, whose time is not the store's.
    assert await driver.exists(path)
    return driver


@pytest.mark.row(12)
def test_driver_has_deadlines_by_default(report: Callable[[str], None]) -> None:
    settings = S3Driver("b")._settings
    assert (settings.connect_timeout, settings.request_timeout) == (3, 30)
    report("by default a connection stands in 3 s and a request ends in 30 s, or there is an error")


async def read(driver: S3Driver, path: str) -> bytes:
    stream = await driver.open_read(path, ReadOptions())
    try:
        return b"".join([chunk async for chunk in stream])
    finally:
        await stream.aclose()


async def first(driver: S3Driver) -> object:
    async with aclosing(driver.list_entries("", ListOptions())) as entries:
        return await anext(entries)


def calls(driver: S3Driver, path: str) -> dict[str, Callable[[], Awaitable[object]]]:
    """Return one call for each kind of request, by the method that it begins with."""
    return {
        "GET get": lambda: driver.get(path),
        "GET stream": lambda: read(driver, path),
        "HEAD exists": lambda: driver.exists(path),
        "HEAD delete": lambda: driver.delete(path),
        "PUT put": lambda: driver.put(path, b"1"),
        "GET list": lambda: first(driver),
        "POST delete_many": lambda: driver.delete_many([path]),
        "HEAD copy": lambda: driver.copy_file(path, f"{path} copy", WriteOptions()),
    }


def some(
    tried: dict[str, Callable[[], Awaitable[object]]], count: int
) -> dict[str, Callable[[], Awaitable[object]]]:
    return dict(random.sample(sorted(tried.items()), min(count, len(tried))))


@pytest.mark.row(12)
async def test_two_503s_are_made_good_and_a_third_is_unavailable(
    make_driver: MakeDriver,
    driver: S3Driver,
    proxy: FaultyProxy,
    path: str,
    rounds: Callable[..., int],
    report: Callable[[str], None],
) -> None:
    patient = make_driver(endpoint_url=proxy.endpoint_url)
    tried = some(calls(patient, path), rounds(8, brief=1))
    for name, call in tried.items():
        await driver.put(path, CONTENT)
        method = name.partition(" ")[0]
        proxy.faults = [Fault(method, status=503), Fault(method, status=503)]
        await call()
        assert proxy.faults == []
    longest = 0.0
    for name, call in tried.items():
        await driver.put(path, CONTENT)
        method = name.partition(" ")[0]
        proxy.faults = [Fault(method, status=503) for _ in range(20)]
        began = time.perf_counter()
        with pytest.raises(StorageUnavailableException) as caught:
            await call()
        longest = max(longest, time.perf_counter() - began)
        assert caught.value.retryable
        assert len(proxy.faults) == 17
    report(
        f"503 twice: {len(tried)} kinds of calls succeed; forever: unavailable after "
        f"{longest:.1f} s at most, of 30"
    )


@contextmanager
def blackhole() -> Iterator[str]:
    """Serve a URL where connections are neither taken nor refused: a full backlog."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        try:
            for _ in range(4):
                each = socket.socket()
                each.settimeout(0)
                each.connect_ex(listener.getsockname())
                waiting.append(each)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for each in waiting:
                each.close()


@pytest.mark.row(12)
@pytest.mark.alone
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("hang", {"hang": True}),
        ("stall", {"stall": 100}),
        ("a byte a second", {"drip": 1.0}),
    ],
)
async def test_a_store_that_stops_answering_is_a_timeout(
    impatient: S3Driver,
    driver: S3Driver,
    proxy: FaultyProxy,
    path: str,
    name: str,
    fault: dict[str, Any],
    rounds: Callable[..., int],
    report: Callable[[str], None],
) -> None:
    longest = 0.0
    tried = calls(impatient, path)
    if name != "hang":
        # An answer without a body is complete at its head.
        tried = {key: call for key, call in tried.items() if key.startswith(("GET", "POST"))}
    for key, call in some(tried, rounds(8, brief=1)).items():
        proxy.faults = [Fault(key.partition(" ")[0], **fault) for _ in range(10)]
        began = time.perf_counter()
        with pytest.raises(StorageTimeoutException):
            await call()
        longest = max(longest, time.perf_counter() - began)
        await driver.put(path, CONTENT)
    report(f"{name}: a timeout in {longest:.2f} s at most, with a deadline of {DEADLINE:g} s")
    assert longest < DEADLINE + ALLOWED


@pytest.mark.row(12)
@pytest.mark.alone
async def test_store_that_is_down_is_a_timeout_in_time(
    make_driver: MakeDriver, path: str, report: Callable[[str], None]
) -> None:
    with blackhole() as nowhere:
        driver = make_driver(endpoint_url=nowhere, request_timeout=DEADLINE)
        with pytest.raises(StorageTimeoutException):
            await driver.exists(path)
        began = time.perf_counter()
        with pytest.raises(StorageTimeoutException):
            await driver.get(path)
        silent = time.perf_counter() - began
        patient = make_driver(endpoint_url=nowhere, connect_timeout=0.3, max_attempts=1)
        with pytest.raises(StorageTimeoutException):
            await patient.exists(path)
        began = time.perf_counter()
        with pytest.raises(StorageTimeoutException):
            await patient.exists(path)
        connecting = time.perf_counter() - began
    refusing = make_driver(endpoint_url=nowhere, request_timeout=DEADLINE)
    with pytest.raises(StorageUnavailableException):
        await refusing.exists(path)
    report(
        f"down: a timeout in {silent:.2f} s, and in {connecting:.2f} s with a connect_timeout of "
        "0.3 s and one attempt; refused connections: unavailable"
    )
    assert silent < DEADLINE + ALLOWED
    assert connecting < 0.3 + ALLOWED


@pytest.mark.row(12)
async def test_a_slow_clients_upload_and_download_live(
    make_driver: MakeDriver,
    driver: S3Driver,
    folder: str,
    rounds: Callable[..., int],
    report: Callable[[str], None],
) -> None:
    slow = make_driver(
        request_timeout=DEADLINE,
        read_timeout=DEADLINE,
        multipart_threshold=5 * MIB,
        part_size=5 * MIB,
        max_concurrency=1,
    )
    assert not await slow.exists(f"{folder}/file")
    pause, pieces = DEADLINE * 0.6, rounds(6, brief=3)

    async def content() -> AsyncIterator[bytes]:
        for _ in range(pieces):
            await asyncio.sleep(pause)
            yield bytes(2 * MIB)

    began = time.perf_counter()
    await slow.put(f"{folder}/file", content())
    uploaded = time.perf_counter() - began
    stream = await slow.open_read(f"{folder}/file", ReadOptions(chunk_size=2 * MIB))
    began, size = time.perf_counter(), 0
    async for chunk in stream:
        size += len(chunk)
        await asyncio.sleep(pause)
    downloaded = time.perf_counter() - began
    assert size == pieces * 2 * MIB == await driver.size(f"{folder}/file")
    assert min(uploaded, downloaded) > 0.5 * pieces * DEADLINE
    report(
        f"a slow client: an upload of {uploaded:.1f} s and a download of {downloaded:.1f} s live "
        f"with a deadline of {DEADLINE:g} s"
    )


@pytest.mark.row(12)
async def test_waiting_for_a_connections_turn_is_not_waiting_for_the_store(
    make_driver: MakeDriver,
    proxy: FaultyProxy,
    path: str,
    report: Callable[[str], None],
) -> None:
    narrow = make_driver(
        endpoint_url=proxy.endpoint_url, request_timeout=DEADLINE, max_connections=1
    )
    assert await narrow.exists(path)

    async def slowly() -> None:
        await asyncio.sleep(DEADLINE * 0.3)

    proxy.faults = [Fault("HEAD", before=slowly) for _ in range(6)]
    began = time.perf_counter()
    assert await asyncio.gather(*(narrow.exists(path) for _ in range(6))) == [True] * 6
    took = time.perf_counter() - began
    assert took > 1.5 * DEADLINE
    report(f"6 slow requests over one connection, {took:.1f} s together, live")


@pytest.mark.row(12)
async def test_a_store_killed_in_mid_flight_fails_in_time_and_serves_whole_files_afterwards(
    tmp_path: Path, report: Callable[[str], None]
) -> None:
    old, new = b"old" * 100_000, b"new" * 100_000
    with SeaweedFS(directory=tmp_path) as store:
        async with FaultyProxy(store.endpoint_url) as proxy:
            options = {**store.options, "endpoint_url": proxy.endpoint_url}
            driver = S3Driver(store.bucket, **options, request_timeout=3)
            paths = [f"kill/{number}" for number in range(24)]
            await asyncio.gather(*(driver.put(path, old) for path in paths))
            writes = [asyncio.ensure_future(driver.put(path, new)) for path in paths]
            reads = [asyncio.ensure_future(read(driver, path)) for path in paths]
            while not any(task.done() for task in writes):
                await asyncio.sleep(0)
            store.kill()
            began = time.perf_counter()
            # A quick store may have done all others by now.
            reads += [asyncio.ensure_future(read(driver, path)) for path in paths[:4]]
            outcomes = await asyncio.gather(*writes, *reads, return_exceptions=True)
            took = time.perf_counter() - began
            failed = [each for each in outcomes if isinstance(each, BaseException)]
            assert failed
            assert [each for each in failed if not isinstance(each, StorageException)] == []
            assert {each for each in outcomes[24:] if isinstance(each, bytes)} <= {old, new}
            await driver.aclose()
        # A part's upload allows for its bytes: one second more for each 64 KiB.
        assert took < 3 + len(new) / 65_536 + 1
    with SeaweedFS(directory=tmp_path) as store:
        driver = S3Driver(store.bucket, **store.options)
        contents = []
        for path in paths:
            try:
                contents.append(await driver.get(path))
            except FileNotFoundException:
                # What a store keeps of an unsynced write is its own promise.
                contents.append(old)
        await driver.aclose()
    assert set(contents) <= {old, new}
    report(
        f"SeaweedFS killed under {len(outcomes)} requests: {len(failed)} typed errors in "
        f"{took:.1f} s, 0 torn files afterwards"
    )
