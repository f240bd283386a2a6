"""Reads over a network that resets, cuts and changes: exact, or an error."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from typing import TYPE_CHECKING, Any

import pytest

from faulty_proxy import Fault
from jtc.storage.exceptions import IntegrityException, StorageUnavailableException
from jtc.storage.http_support import concurrency
from jtc.storage.http_support.transfers import read_ahead
from jtc.storage.options import ReadOptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from faulty_proxy import FaultyProxy
    from jtc.storage.drivers.s3_driver import S3Driver
    from s3_fixtures import MakeDriver

CONTENT = random.Random(1).randbytes(300_000)
AT_ONCE = 10


@pytest.fixture
def faulty(make_driver: MakeDriver, proxy: FaultyProxy) -> S3Driver:
    return make_driver(endpoint_url=proxy.endpoint_url, request_timeout=20)


async def read(driver: S3Driver, path: str, **arguments: Any) -> bytes:
    stream = await driver.open_read(path, ReadOptions(**arguments))
    try:
        return b"".join([chunk async for chunk in stream])
    finally:
        await stream.aclose()


async def in_turns(count: int, task: Callable[[int], Awaitable[object]]) -> None:
    """Do something `count` times, a few at once."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with slots:
            await task(number)

    await asyncio.gather(*(one(number) for number in range(count)))


def by_turns(driver: S3Driver, path: str, number: int) -> Awaitable[bytes]:
    """Read a file whole, by one of the ways there are."""
    if number % 2:
        return driver.get(path)
    return read(driver, path, chunk_size=random.Random(number).choice((999, 77_777, 10**6)))


@pytest.mark.row(13)
async def test_a_reset_or_a_truncation_anywhere_is_made_good_by_reading_on(
    driver: S3Driver,
    faulty: S3Driver,
    proxy: FaultyProxy,
    folder: str,
    rounds: Callable[..., int],
    report: Callable[[str], None],
) -> None:
    count = rounds(100, brief=20)
    exact = 0

    async def one(number: int) -> None:
        nonlocal exact
        # Every fourth is one of those that are read with the answer's head.
        content = CONTENT if number % 4 else CONTENT[:50_000]
        path = await driver.put(f"{folder}/{number}.", content)
        at = random.Random(number).randrange(len(content) * 2 // 3)
        key = f"/{number}."
        proxy.faults += [Fault(cut=at, key=key), Fault(truncate=at // 2, key=key)]
        if number % 3:
            whole = await by_turns(faulty, path, number)
            exact += whole == content
        else:
            part = await read(faulty, path, start=100, end=250_000, chunk_size=9999)
            exact += part == content[100:250_000]

    await in_turns(count, one)
    assert proxy.faults == []
    report(f"{count} resets and {count} truncations at random offsets, {exact} exact")
    assert exact == count


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read files of this module in several ranges at once."""
    monkeypatch.setattr(read_ahead, "RANGE", 20_000)
    monkeypatch.setattr(read_ahead, "READ_AHEAD_FROM", 1)
    monkeypatch.setattr(concurrency, "_PATIENCE", 0)
    monkeypatch.setattr(concurrency, "_ENOUGH", math.inf)
    monkeypatch.setattr(concurrency, "_VALID_SECONDS", math.inf)


@pytest.mark.usefixtures("small_ranges")
async def test_ranges_that_are_reset_or_truncated_are_made_good_by_reading_on(
    driver: S3Driver, faulty: S3Driver, proxy: FaultyProxy, folder: str
) -> None:
    async def one(number: int) -> None:
        path = await driver.put(f"{folder}/{number}.", CONTENT)
        # Less than a range has, so that any of them may be the one.
        at = random.Random(number).randrange(19_000)
        key = f"/{number}."
        proxy.faults += [Fault(cut=at, key=key), Fault(truncate=at // 2, key=key)]
        if number % 2:
            assert await faulty.get(path) == CONTENT
        else:
            found = await read(faulty, path, start=7, chunk_size=9999, read_ahead=True)
            assert found == CONTENT[7:]

    await in_turns(16, one)
    assert proxy.faults == []


@pytest.mark.usefixtures("small_ranges")
async def test_ranges_of_a_file_that_is_replaced_meanwhile_are_never_mixed(
    driver: S3Driver, faulty: S3Driver, folder: str
) -> None:
    async def one(number: int) -> None:
        path = await driver.put(f"{folder}/{number}.", CONTENT)
        stream = await faulty.open_read(path, ReadOptions(chunk_size=7000, read_ahead=True))
        found = b""
        with contextlib.suppress(IntegrityException):
            async for chunk in stream:
                found += chunk
                if len(found) == 7000 * (number + 1):
                    await driver.put(path, CONTENT[::-1])
        await stream.aclose()
        assert CONTENT.startswith(found)
        lengths.append(len(found))

    lengths: list[int] = []
    await in_turns(12, one)
    assert min(lengths) < len(CONTENT)


@pytest.mark.row(13)
async def test_a_file_replaced_while_it_is_read_is_never_mixed(
    driver: S3Driver,
    faulty: S3Driver,
    proxy: FaultyProxy,
    folder: str,
    rounds: Callable[..., int],
    report: Callable[[str], None],
) -> None:
    count = rounds(100, brief=12)
    noticed = 0

    async def one(number: int) -> None:
        nonlocal noticed
        path = await driver.put(f"{folder}/{number}.", CONTENT)
        changes = [
            lambda: driver.put(path, CONTENT[::-1]),
            lambda: driver.put(path, CONTENT[:-1]),
            lambda: driver.delete(path),
        ]
        at = random.Random(number).randrange(1, 290_000)
        change = changes[number % 3]
        proxy.faults.append(Fault(cut=at, key=f"/{number}.", meanwhile=change))
        with pytest.raises(IntegrityException, match="replaced or deleted") as caught:
            await by_turns(faulty, path, number)
        assert caught.value.retryable
        noticed += 1

    await in_turns(count, one)
    assert noticed == count
    report(f"{count} replaced or deleted meanwhile, 0 mixes")


@pytest.mark.row(13)
@pytest.mark.parametrize("sent", ["one request", "parts", "one request, few bytes"])
async def test_a_flipped_bit_is_noticed(
    make_driver: MakeDriver,
    faulty: S3Driver,
    proxy: FaultyProxy,
    folder: str,
    sent: str,
    rounds: Callable[..., int],
    report: Callable[[str], None],
) -> None:
    count = rounds(100, brief=16) // 2
    writer = make_driver(multipart_threshold=1000 if sent == "parts" else 10**9)
    # A few are read with the answer's head, and not as a stream.
    content = CONTENT[:50_000] if "few" in sent else CONTENT
    path = await writer.put(f"{folder}/file", content)
    for number in range(count):
        proxy.faults = [Fault(flip=random.Random(number).randrange(len(content)))]
        with pytest.raises(IntegrityException, match="checksum"):
            await by_turns(faulty, path, number)
        assert proxy.faults == []
    report(f"{count} flipped bits in files sent in {sent}, {count} caught")


@pytest.mark.row(13)
async def test_a_file_that_is_always_truncated_is_an_error(
    make_driver: MakeDriver,
    driver: S3Driver,
    proxy: FaultyProxy,
    folder: str,
    rounds: Callable[..., int],
    report: Callable[[str], None],
) -> None:
    count = rounds(100, brief=16)
    caught = 0
    hasty = make_driver(endpoint_url=proxy.endpoint_url, max_attempts=1)

    async def one(number: int) -> None:
        nonlocal caught
        path = await driver.put(f"{folder}/{number}.", CONTENT)
        at = random.Random(number).randrange(len(CONTENT))
        proxy.faults.append(Fault(truncate=at, key=f"/{number}."))
        try:
            await by_turns(hasty, path, number)
        except StorageUnavailableException:
            caught += 1

    await in_turns(count, one)
    report(f"{count} truncations without another attempt, {caught} caught")
    assert caught == count


@pytest.mark.row(13)
async def test_continued_reads_have_a_budget(
    make_driver: MakeDriver,
    driver: S3Driver,
    proxy: FaultyProxy,
    folder: str,
    report: Callable[[str], None],
) -> None:
    eager = make_driver(endpoint_url=proxy.endpoint_url, max_attempts=100, request_timeout=60)
    path = await driver.put(f"{folder}/file", CONTENT)
    proxy.faults = [Fault(cut=0) for _ in range(300)]
    before = len(proxy.requests)
    outcomes = await asyncio.gather(*(eager.get(path) for _ in range(30)), return_exceptions=True)
    assert {type(each) for each in outcomes} == {StorageUnavailableException}
    sent = len(proxy.requests) - before
    # Each of the thirty begins once; a hundred are continued, however many attempts each has.
    assert sent == 130
    proxy.faults = []
    assert await eager.get(path) == CONTENT
    report(f"30 reads of a store that always resets: {sent} requests")
