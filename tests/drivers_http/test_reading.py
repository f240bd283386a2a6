"""Readers of one version of a file, as a driver makes them."""

from __future__ import annotations

import asyncio
import math
import random
import zlib
from typing import TYPE_CHECKING

import pytest

from jtc.storage.exceptions import (
    FileNotFoundException,
    IntegrityException,
    PreconditionFailedException,
    StorageException,
    StorageTimeoutException,
    StorageUnavailableException,
)
from jtc.storage.http_support import concurrency
from jtc.storage.http_support.client import HttpClient
from jtc.storage.http_support.errors import RangeException
from jtc.storage.http_support.requests import Request
from jtc.storage.http_support.settings import HttpSettings
from jtc.storage.http_support.transfers import read_ahead
from jtc.storage.http_support.transfers.answers import FileAnswer
from jtc.storage.http_support.transfers.ranges import Version, range_header
from jtc.storage.http_support.transfers.reading import FileReader, file_reader, taken_at_once
from jtc.storage.models import FileInfo
from jtc.storage.options import ReadOptions
from scripted_store import ALWAYS, Rule, refusal, until

from .conftest import PlainService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    from jtc.storage.http_support.requests import Refusal
    from scripted_store import ScriptedStore

RANGE = 64 * 1024
CONTENT = random.Random(1).randbytes(RANGE * 20 + 5)

EXCEPTIONS = {
    404: FileNotFoundException,
    412: PreconditionFailedException,
    416: RangeException,
    503: StorageUnavailableException,
}


class FileService(PlainService):
    """One whose refusals are those of files."""

    def exception_for(self, refusal: Refusal, request: Request[Any]) -> Exception:
        kind = EXCEPTIONS.get(refusal.status, StorageException)
        return kind(f"{request.operation}: HTTP {refusal.status}")


@pytest.fixture
async def client(
    store: ScriptedStore, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> AsyncIterator[HttpClient]:
    """Return a client whose readers read ahead at once, in small ranges."""
    monkeypatch.setattr(read_ahead, "RANGE", RANGE)
    monkeypatch.setattr(read_ahead, "READ_AHEAD_FROM", 4 * RANGE)
    monkeypatch.setattr(concurrency, "_PATIENCE", 0)
    monkeypatch.setattr(concurrency, "_ENOUGH", math.inf)
    monkeypatch.setattr(concurrency, "_VALID_SECONDS", math.inf)
    assert pauses == []
    made = HttpClient(HttpSettings(endpoint_url=store.endpoint_url), FileService(), "test")
    store.store("big", CONTENT)
    yield made
    await made.aclose()


def get(start: int, end: int | None, headers: dict[str, str]) -> Request[FileAnswer]:
    wanted = {**headers, **range_header(start, end)}
    return Request("Get", "GET", "/bucket/big", FileAnswer.of, wanted, leave_open_from=-1)


async def opened(client: HttpClient, crc32: str = "", **given: Any) -> FileReader:
    options = ReadOptions(**{"read_ahead": True, **given})
    request = get(options.start, options.end, {})
    request.most = taken_at_once(options)
    answer = await client.send(request)
    info = FileInfo(
        path="big",
        size=answer.size or 0,
        last_modified=answer.last_modified,
        etag=answer.etag,
        checksums={"crc32": crc32} if crc32 else {},
    )
    pinned = {"if-match": info.etag or ""}
    version = Version(client, info, lambda start, end: get(start, end, pinned))
    return await file_reader(version, answer, options)


async def read(client: HttpClient, **given: Any) -> bytes:
    reader = await opened(client, **given)
    try:
        return b"".join([chunk async for chunk in reader])
    finally:
        await reader.aclose()


async def released(client: HttpClient) -> None:
    """Wait until all connections and all memory are released."""
    memory = await client.memory()
    await until(lambda: memory.are_free(memory.number))
    await until(client.has_free_place)
    taken = client.free_place()
    assert taken is not None
    taken.places.release()
    places = taken.places
    await until(lambda: places.are_free(places.number))


@pytest.mark.parametrize("chunk_size", [1000, 70_000, 2**20])
@pytest.mark.parametrize("ahead", [True, False])
async def test_file_reader_yields_all_bytes_in_order(
    store: ScriptedStore, client: HttpClient, chunk_size: int, ahead: bool
) -> None:
    assert await read(client, chunk_size=chunk_size, read_ahead=ahead) == CONTENT
    pinned = [each for each in store.requests if "if-match" in each.headers]
    assert bool(pinned) == ahead
    assert {each.headers["if-match"] for each in pinned} <= {store.objects["big"].etag}
    await released(client)


@pytest.mark.parametrize(
    ("start", "end"), [(0, 10), (5, None), (RANGE, RANGE * 15), (-100, None), (10, 10**9)]
)
async def test_file_reader_yields_a_range(client: HttpClient, start: int, end: int | None) -> None:
    assert await read(client, start=start, end=end) == CONTENT[start:end]
    await released(client)


async def test_file_reader_holds_a_whole_file_to_its_checksum(client: HttpClient) -> None:
    crc32 = f"{zlib.crc32(CONTENT):08x}"
    assert await read(client, crc32=crc32) == CONTENT
    with pytest.raises(IntegrityException, match="checksum differs"):
        await read(client, crc32="00000000")
    assert await read(client, crc32="00000000", start=1) == CONTENT[1:]
    await released(client)


async def test_file_reader_replaces_a_connection_that_breaks(
    store: ScriptedStore, client: HttpClient
) -> None:
    store.rule(Rule(operations="GetObject", cut=1000, times=2))
    assert await read(client, read_ahead=False) == CONTENT
    starts = [each.headers.get("range") for each in store.requests]
    last = len(CONTENT) - 1
    assert starts == [None, f"bytes=1000-{last}", f"bytes=2000-{last}"]
    await released(client)


async def test_file_reader_gives_up_where_connections_break_again_and_again(
    store: ScriptedStore, client: HttpClient
) -> None:
    store.rule(Rule(operations="GetObject", cut=0, times=ALWAYS))
    with pytest.raises(StorageUnavailableException, match="broke off"):
        await read(client, read_ahead=False)
    assert len(store.requests) == 3
    await released(client)


@pytest.mark.parametrize("status", [404, 412, 416])
async def test_file_reader_of_a_file_that_was_replaced_says_so(
    store: ScriptedStore, client: HttpClient, status: int
) -> None:
    store.rule(Rule(operations="GetObject", cut=1000))
    store.rule(Rule(operations="GetObject", answer=refusal(status, "No"), times=ALWAYS))
    with pytest.raises(IntegrityException, match="replaced or deleted") as failed:
        await read(client, read_ahead=False)
    assert failed.value.retryable
    await released(client)


async def test_file_reader_takes_no_bytes_of_another_version_of_a_store_without_conditions(
    store: ScriptedStore, client: HttpClient
) -> None:
    store.rule(Rule(operations="GetObject", cut=1000))
    store.rule(Rule(operations="GetObject", ignore=("if-match",), times=ALWAYS))
    reader = await opened(client, chunk_size=1000, read_ahead=False)
    assert await anext(reader) == CONTENT[:1000]
    store.store("big", CONTENT[::-1])
    with pytest.raises(IntegrityException, match="replaced or deleted"):
        await anext(reader)
    await reader.aclose()
    await released(client)


async def test_file_reader_goes_on_over_one_connection_where_the_store_has_no_ranges(
    store: ScriptedStore, client: HttpClient
) -> None:
    store.rule(Rule(operations="GetObject", ignore=("range",), times=ALWAYS))
    assert await read(client) == CONTENT
    assert client.has_ranges is False
    store.requests.clear()
    assert await read(client) == CONTENT
    assert len(store.requests) == 1
    await released(client)


async def test_file_reader_that_is_closed_early_releases_all(client: HttpClient) -> None:
    reader = await opened(client, chunk_size=1000)
    await anext(reader)
    await reader.aclose()
    await released(client)


async def test_file_reader_that_is_dropped_releases_all(client: HttpClient) -> None:
    reader = await opened(client, chunk_size=1000)
    await anext(reader)
    del reader
    await released(client)


async def test_file_reader_that_is_cancelled_does_not_go_on_behind_lost_bytes(
    store: ScriptedStore, client: HttpClient
) -> None:
    stalled = store.rule(Rule(operations="GetObject", stall=1500))
    reader = await opened(client, chunk_size=1000, read_ahead=False)
    await anext(reader)
    reading = asyncio.create_task(anext(reader))
    await stalled.arrived.wait()
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    with pytest.raises(StorageUnavailableException, match="open the file again"):
        await anext(reader)
    await released(client)


async def test_file_reader_of_a_store_that_stalls_ends_after_request_timeout(
    store: ScriptedStore, client: HttpClient
) -> None:
    object.__setattr__(client.settings, "request_timeout", 0.05)
    store.rule(Rule(operations="GetObject", stall=1500, times=ALWAYS))
    reader = await opened(client, read_ahead=False)
    with pytest.raises(StorageTimeoutException, match="sent too little"):
        await anext(reader)
    await released(client)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, None, {}),
        (0, 5, {"range": "bytes=0-4"}),
        (3, None, {"range": "bytes=3-"}),
        (3, 4, {"range": "bytes=3-3"}),
        (-7, None, {"range": "bytes=-7"}),
    ],
)
def test_range_header_has_the_last_byte(
    start: int, end: int | None, expected: dict[str, str]
) -> None:
    assert range_header(start, end) == expected
