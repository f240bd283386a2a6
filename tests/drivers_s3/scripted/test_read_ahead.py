"""Large files that are read over several connections at once."""

from __future__ import annotations

import asyncio
import gc
import itertools
import math
import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jtc.storage import Disk, IntegrityException, StorageUnavailableException
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.http_support import concurrency
from jtc.storage.http_support.transfers import read_ahead
from jtc.storage.options import ReadOptions
from s3_fixtures import open_connections
from scripted_store import ALWAYS, Request, Rule, ScriptedStore, refusal, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage.driver import ReadStream

MakeDisk = Callable[..., Disk]

RANGE = 100_000
CONTENT = random.Random(1).randbytes(20 * RANGE + 7)


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_ahead, "RANGE", RANGE)
    monkeypatch.setattr(read_ahead, "READ_AHEAD_FROM", 4 * RANGE)
    monkeypatch.setattr(read_ahead, "WINDOW", 32 * RANGE)


@pytest.fixture(autouse=True)
def far_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one connection be known as slow."""
    monkeypatch.setattr(concurrency, "_PATIENCE", 0)
    monkeypatch.setattr(concurrency, "_ENOUGH", math.inf)
    monkeypatch.setattr(concurrency, "_VALID_SECONDS", math.inf)


@pytest.fixture(autouse=True)
def content(store: ScriptedStore) -> None:
    store.store("big", CONTENT)


def is_range(request: Request) -> bool:
    return "range" in request.headers


def starts(store: ScriptedStore) -> list[int]:
    """Return where the ranges that were requested begin."""
    texts = [request.headers["range"] for request in store.of("GetObject") if is_range(request)]
    return [int(text.removeprefix("bytes=").partition("-")[0]) for text in texts]


def from_byte(start: int) -> Callable[[Request], bool]:
    return lambda request: request.headers.get("range", "").startswith(f"bytes={start}-")


async def opened(disk: Disk, **options: Any) -> ReadStream:
    options = {"read_ahead": True, "chunk_size": 64 * 1024, **options}
    return await disk.driver_as(S3Driver).open_read("big", ReadOptions(**options))


async def read(disk: Disk, **options: Any) -> bytes:
    stream = await opened(disk, **options)
    try:
        return b"".join([chunk async for chunk in stream])
    finally:
        await stream.aclose()


async def released(disk: Disk) -> None:
    """Wait until all connections, all memory and all tasks of a disk are released."""
    driver = disk.driver_as(S3Driver)
    connections = driver._transport._clients.opened[asyncio.get_running_loop()]
    await until(
        lambda: (
            not open_connections(driver)
            and connections.places.are_free(connections.places.number)
            and connections.memory.are_free(connections.memory.number)
            and not any("_fetch" in repr(task) for task in asyncio.all_tasks())
        )
    )


# Order


async def test_get_of_a_large_file_reads_ranges_over_other_connections(
    store: ScriptedStore, disk: Disk
) -> None:
    assert await disk.get("big") == CONTENT
    assert len(starts(store)) > 10
    assert store.connections > 2
    # Each is of the version that the first answer named.
    etag = store.objects["big"].etag
    assert {r.headers["if-match"] for r in store.of("GetObject") if is_range(r)} == {etag}
    await released(disk)


async def test_get_of_a_small_file_is_one_request(store: ScriptedStore, disk: Disk) -> None:
    store.store("small", CONTENT[: 4 * RANGE - 1])
    assert await disk.get("small") == CONTENT[: 4 * RANGE - 1]
    assert len(store.requests) == 1


async def test_get_from_a_near_store_is_one_request(
    store: ScriptedStore, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concurrency, "_VALID_SECONDS", 60)
    monkeypatch.setattr(concurrency, "_PERIOD_SECONDS", 0)
    monkeypatch.setattr(concurrency, "_PATIENCE", 60)
    assert await disk.get("big") == CONTENT
    assert len(store.requests) == 1
    # Measured meanwhile.
    assert disk.driver_as(S3Driver)._transport.downloads.alone > 0


async def test_open_read_without_read_ahead_is_one_request(
    store: ScriptedStore, disk: Disk
) -> None:
    assert await read(disk, read_ahead=False) == CONTENT
    assert len(store.requests) == 1


async def test_open_read_of_a_part_reads_no_byte_beyond_it(
    store: ScriptedStore, disk: Disk
) -> None:
    start, end = RANGE // 2, 9 * RANGE
    assert await read(disk, start=start, end=end) == CONTENT[start:end]
    ends = [int(r.headers["range"].rpartition("-")[2]) for r in store.of("GetObject")]
    assert len(ends) > 3
    assert max(ends) == end - 1


async def test_open_read_returns_ranges_in_order_that_come_the_other_way_round(
    store: ScriptedStore, disk: Disk
) -> None:
    first = [2 * RANGE, 3 * RANGE, 4 * RANGE]
    rules = [store.rule(Rule(where=from_byte(at), hold=asyncio.Event())) for at in first]
    reading = asyncio.ensure_future(read(disk))
    await until(lambda: all(rule.taken for rule in rules))
    for rule in reversed(rules):
        assert rule.hold is not None
        rule.hold.set()
        await asyncio.sleep(0.01)
    assert await reading == CONTENT


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    size=st.integers(0, 60),
    step=st.integers(1, 9),
    window=st.integers(1, 8),
    most=st.integers(1, 9),
    bounds=st.tuples(st.integers(0, 60), st.integers(0, 60)),
    chunk_size=st.integers(1, 70),
    cuts=st.lists(st.integers(0, 8), max_size=4),
    order=st.randoms(use_true_random=False),
)
async def test_open_read_returns_the_bytes_whatever_the_sizes_and_the_order(
    size: int,
    step: int,
    window: int,
    most: int,
    bounds: tuple[int, int],
    chunk_size: int,
    cuts: list[int],
    order: random.Random,
) -> None:
    start, end = sorted(bounds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read_ahead, "RANGE", step)
        patch.setattr(read_ahead, "READ_AHEAD_FROM", 1)
        patch.setattr(read_ahead, "WINDOW", window * step)
        async with ScriptedStore() as store:
            store.store("big", CONTENT[:size])
            for cut in cuts:
                rule = Rule(operations="GetObject", where=is_range, skip=order.randrange(4))
                rule.cut = cut
                store.rule(rule)
            driver = S3Driver(
                store.bucket,
                endpoint_url=store.endpoint_url,
                access_key="key",
                secret_key="secret",
                max_concurrency=most,
                max_attempts=10,
            )
            driver._transport.downloads.level = most
            options = ReadOptions(start=start, end=end, chunk_size=chunk_size, read_ahead=True)
            stream = await driver.open_read("big", options)
            chunks = []
            async for chunk in stream:
                chunks.append(chunk)
                for _ in range(order.randrange(9)):
                    await asyncio.sleep(0)
            await stream.aclose()
            assert b"".join(chunks) == CONTENT[:size][start:end]
            assert {len(chunk) for chunk in chunks[:-1]} <= {chunk_size}
            await driver.aclose()


# Verification


@pytest.mark.parametrize("header", ["content-range", "etag"])
async def test_get_refuses_another_range_or_version(
    store: ScriptedStore, disk: Disk, header: str
) -> None:
    other = {"content-range": f"bytes 1-{RANGE}/{len(CONTENT)}", "etag": '"other"'}
    rule = Rule(where=from_byte(3 * RANGE), edit={header: other[header]})
    store.rule(rule)
    with pytest.raises(IntegrityException, match=r"another range|was replaced"):
        await disk.get("big")
    assert rule.taken == 1
    await released(disk)


async def test_get_asks_again_where_an_answer_does_not_say_which_range_it_is(
    store: ScriptedStore, disk: Disk
) -> None:
    rule = store.rule(Rule(where=from_byte(3 * RANGE), edit={"content-range": None}))
    assert await disk.get("big") == CONTENT
    assert rule.taken == 1


async def test_get_of_a_store_that_never_says_which_range_it_sends_fails_clearly(
    store: ScriptedStore, disk: Disk
) -> None:
    store.rule(Rule(where=from_byte(3 * RANGE), times=ALWAYS, edit={"content-range": None}))
    with pytest.raises(StorageUnavailableException, match="did not say which one"):
        await disk.get("big")
    await released(disk)


async def test_get_refuses_a_range_of_a_file_of_another_length(
    store: ScriptedStore, disk: Disk
) -> None:
    edit = {"content-range": f"bytes {3 * RANGE}-{4 * RANGE - 1}/{len(CONTENT) + 1}"}
    store.rule(Rule(where=from_byte(3 * RANGE), edit=edit))
    with pytest.raises(IntegrityException, match="was replaced"):
        await disk.get("big")


@pytest.mark.parametrize("is_deleted", [True, False])
async def test_get_of_a_file_that_is_replaced_or_deleted_meanwhile_fails(
    store: ScriptedStore, disk: Disk, is_deleted: bool
) -> None:
    stream = await opened(disk)
    chunks = aiter(stream)
    await anext(chunks)
    if is_deleted:
        del store.objects["big"]
    else:
        store.store("big", CONTENT[::-1])
    with pytest.raises(IntegrityException, match="replaced or deleted") as caught:
        async for _ in chunks:
            pass
    assert caught.value.retryable
    await stream.aclose()
    await released(disk)


async def test_get_checks_the_checksum_of_all_ranges(store: ScriptedStore, disk: Disk) -> None:
    flipped = CONTENT[: 5 * RANGE] + b"?" + CONTENT[5 * RANGE + 1 :]
    there = store.objects["big"]
    store.rule(Rule(times=1, edit={"x-amz-checksum-crc32": there.crc32}))
    store.objects["big"] = type(there)(flipped, there.headers, there.etag)
    with pytest.raises(IntegrityException, match="checksum"):
        await disk.get("big")


# Breaks and fallbacks


async def test_get_goes_on_inside_a_range_whose_connection_breaks(
    store: ScriptedStore, disk: Disk
) -> None:
    store.rule(Rule(where=from_byte(3 * RANGE), cut=1000))
    assert await disk.get("big") == CONTENT
    assert 3 * RANGE + 1000 in starts(store)


async def test_get_reads_on_over_one_connection_where_no_other_one_holds(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    disk = make_disk(store, max_concurrency=2)
    # All attempts of the range's own task.
    rule = store.rule(Rule(where=is_range, close=True, times=3))
    assert await disk.get("big") == CONTENT
    assert rule.taken == 3
    await released(disk)


async def test_get_from_a_store_without_ranges_is_one_stream(
    store: ScriptedStore, disk: Disk
) -> None:
    store.rule(Rule(times=ALWAYS, ignore=("range",)))
    assert await disk.get("big") == CONTENT
    asked = len(store.requests)
    assert asked > 1
    await released(disk)
    # It is remembered.
    assert await disk.get("big") == CONTENT
    assert len(store.requests) == asked + 1


async def test_get_from_a_store_without_etags_is_one_request(
    store: ScriptedStore, disk: Disk
) -> None:
    store.rule(Rule(times=ALWAYS, edit={"etag": None}))
    assert await disk.get("big") == CONTENT
    assert len(store.requests) == 1


async def test_get_that_is_refused_for_load_has_fewer_ranges_at_once(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    disk = make_disk(store, max_concurrency=16)
    known = disk.driver_as(S3Driver)._transport.downloads
    known.level = 16
    store.rule(Rule(where=is_range, times=3, answer=refusal(503, "SlowDown")))
    assert await disk.get("big") == CONTENT
    assert known.level < 16


# Limits


async def test_get_of_many_at_once_stays_within_max_connections(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    disk = make_disk(store, max_connections=4, pool_timeout=5)
    disk.driver_as(S3Driver)._transport.downloads.level = 32
    contents = await asyncio.gather(*(disk.get("big") for _ in range(6)))
    assert contents == [CONTENT] * 6
    await released(disk)


async def test_open_read_of_as_many_as_max_connections_never_waits_for_one(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    disk = make_disk(store, max_connections=3, pool_timeout=0.2)
    streams = [await opened(disk) for _ in range(3)]
    # In step: each waits for the others.
    iterators = [aiter(stream) for stream in streams]
    found = [b""] * 3
    for _ in range(-(-len(CONTENT) // (64 * 1024))):
        for number, chunks in enumerate(iterators):
            found[number] += await anext(chunks)
    assert found == [CONTENT] * 3
    for stream in streams:
        await stream.aclose()
    await released(disk)


async def test_open_read_for_a_slow_reader_holds_no_more_than_the_window(
    store: ScriptedStore, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_ahead, "WINDOW", 5 * RANGE)
    stream = await opened(disk)
    chunks = aiter(stream)
    found = await anext(chunks)
    await until(lambda: len(starts(store)) == 5)
    for _ in range(200):
        await asyncio.sleep(0)
    assert len(starts(store)) == 5
    async for chunk in chunks:
        found += chunk
    assert found == CONTENT
    await stream.aclose()


async def test_open_read_does_not_wait_for_memory_that_uploads_hold(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    parts = {"part_size": 5 * 2**20, "multipart_threshold": 5 * 2**20}
    disk = make_disk(store, max_transfer_memory=6 * 2**20, pool_timeout=0.2, **parts)
    is_reading, goes_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield bytes(2**20)
        is_reading.set()
        await goes_on.wait()

    upload = asyncio.ensure_future(disk.put("slow", slow()))
    await is_reading.wait()
    assert await disk.get("big") == CONTENT
    assert starts(store) == []
    goes_on.set()
    await upload
    # Reading ahead leaves enough for a part.
    disk.driver_as(S3Driver)._transport.downloads.level = 32
    assert await disk.get("big") == CONTENT
    assert len(starts(store)) > 0


async def test_copy_of_two_disks_into_each_other_never_waits_for_the_other_one(
    store: ScriptedStore, make_disk: MakeDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    mib = 2**20
    monkeypatch.setattr(read_ahead, "RANGE", mib)
    content = CONTENT * 5
    store.store("large", content)
    options = {"max_transfer_memory": 8 * mib, "pool_timeout": 5, "multipart_threshold": 5 * mib}
    options["disable"] = ["copy_from"]  # both are of one store, which would copy
    one, other = (make_disk(store, **options) for _ in range(2))
    for each in (one, other):
        each.driver_as(S3Driver)._transport.downloads.level = 32
    await asyncio.gather(
        *(one.copy("large", f"one-{number}", to=other) for number in range(2)),
        *(other.copy("large", f"other-{number}", to=one) for number in range(2)),
    )
    assert len(starts(store)) > 4
    assert all(store.content(f"{name}-1") == content for name in ("one", "other"))
    for each in (one, other):
        await released(each)


# Ends


async def test_open_read_that_is_closed_early_leaves_no_connection_and_no_task(
    store: ScriptedStore, disk: Disk
) -> None:
    store.rule(Rule(where=from_byte(4 * RANGE), stall=10))
    stream = await opened(disk)
    await anext(aiter(stream))
    await until(lambda: len(starts(store)) >= 3)
    await stream.aclose()
    await released(disk)


@pytest.mark.parametrize("is_eager", [True, False])
async def test_open_read_goes_on_after_a_cancelled_read_with_an_error_and_no_gap(
    store: ScriptedStore, disk: Disk, is_eager: bool
) -> None:
    stalled = Rule(where=from_byte(2 * RANGE), stall=RANGE // 2)
    store.rule(stalled if is_eager else Rule(stall=5 * RANGE // 2))
    stream = await opened(disk, read_ahead=is_eager, chunk_size=RANGE)
    chunks = aiter(stream)
    found = await anext(chunks) + await anext(chunks)
    reading = asyncio.ensure_future(anext(chunks))
    source = chunks.source  # type: ignore[attr-defined]
    # Half of the chunk has been taken when the task that waits for the rest is cancelled.
    await until(lambda: chunks.missing < len(CONTENT) - 2 * RANGE)  # type: ignore[attr-defined]
    reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled()
    with pytest.raises(StorageUnavailableException, match="open the file again"):
        await anext(chunks)
    assert found == CONTENT[: 2 * RANGE]
    assert len(source._ahead) == 0
    await stream.aclose()
    await released(disk)


@pytest.mark.parametrize("is_eager", [True, False])
async def test_open_read_that_another_task_closes_is_a_typed_error(
    store: ScriptedStore, disk: Disk, is_eager: bool
) -> None:
    stalled = Rule(where=from_byte(2 * RANGE), stall=10)
    store.rule(stalled if is_eager else Rule(stall=2 * RANGE))
    stream = await opened(disk, read_ahead=is_eager, chunk_size=RANGE)
    chunks = aiter(stream)
    await anext(chunks)
    await anext(chunks)
    reading = asyncio.ensure_future(anext(chunks))
    for _ in range(100):
        await asyncio.sleep(0)
    await stream.aclose()
    async with asyncio.timeout(5):
        with pytest.raises(StorageUnavailableException, match="was closed"):
            await reading
    await released(disk)


async def test_get_that_is_cancelled_at_any_time_leaves_no_connection_and_no_task(
    disk: Disk,
) -> None:
    await disk.get("big")
    for rounds in range(0, 120, 7):
        call = asyncio.ensure_future(disk.get("big"))
        for _ in range(rounds):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        await released(disk)


@pytest.mark.parametrize("is_started", [True, False])
async def test_open_read_that_is_dropped_in_another_thread_releases_all(
    store: ScriptedStore, disk: Disk, is_started: bool
) -> None:
    store.rule(Rule(where=from_byte(4 * RANGE), stall=10))
    streams = [await opened(disk)]
    if is_started:
        await anext(aiter(streams[0]))
        await until(lambda: len(starts(store)) >= 3)

    def drop() -> None:
        streams.clear()
        gc.collect()

    thread = threading.Thread(target=drop)
    thread.start()
    await asyncio.to_thread(thread.join)
    await released(disk)


@pytest.mark.parametrize("has_ended", [True, False])
async def test_open_read_that_another_loop_closes_releases_all(disk: Disk, has_ended: bool) -> None:
    streams: list[ReadStream] = []
    is_open, is_closed = threading.Event(), threading.Event()

    async def reading() -> None:
        streams.append(await opened(disk))
        await anext(aiter(streams[0]))
        is_open.set()
        if not has_ended:
            await asyncio.to_thread(is_closed.wait)
            await released(disk)

    calls = asyncio.ensure_future(asyncio.to_thread(asyncio.run, reading()))
    await asyncio.to_thread(is_open.wait)
    if has_ended:
        await calls
    await streams.pop().aclose()
    is_closed.set()
    await calls


async def test_open_read_after_aclose_of_the_disk_is_whole_or_a_typed_error(disk: Disk) -> None:
    stream = await opened(disk)
    chunks = aiter(stream)
    content = await anext(chunks)
    closing = asyncio.ensure_future(disk.driver_as(S3Driver).aclose())
    try:
        async for chunk in chunks:
            content += chunk
    except StorageUnavailableException:
        pass
    else:
        assert content == CONTENT
    await stream.aclose()
    await closing


@pytest.mark.parametrize("is_eager", [True, False])
async def test_open_read_that_waits_for_the_store_notices_aclose_of_the_disk(
    store: ScriptedStore, disk: Disk, is_eager: bool
) -> None:
    store.rule(Rule(times=1, stall=3 * RANGE // 2))
    stream = await opened(disk, read_ahead=is_eager, chunk_size=RANGE)
    chunks = aiter(stream)
    await anext(chunks)
    reading = asyncio.ensure_future(anext(chunks))
    await until(lambda: chunks.missing < len(CONTENT) - RANGE)  # type: ignore[attr-defined]
    await disk.driver_as(S3Driver).aclose()
    # The rest comes over another connection.
    async with asyncio.timeout(5):
        assert await reading == CONTENT[RANGE : 2 * RANGE]
    await stream.aclose()


async def test_get_in_several_threads_at_once_mixes_no_event_loops(disk: Disk) -> None:
    def in_its_own_loop() -> bytes:
        return asyncio.run(disk.get("big"))

    calls = (asyncio.to_thread(in_its_own_loop) for _ in range(3))
    contents = await asyncio.gather(disk.get("big"), *itertools.chain(calls))
    assert contents == [CONTENT] * 4
    await released(disk)
