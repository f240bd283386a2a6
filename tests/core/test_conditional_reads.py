"""Reads under the condition of a version: `if_match` and `if_none_match`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from disk_ways import VERSIONED, WAYS, disk_of, whole
from jtc.storage import (
    FileNotFoundException,
    NotModifiedException,
    PreconditionFailedException,
    ReadOptions,
    StorageException,
)
from jtc.storage.drivers.memory_driver import MemoryDriver
from small_drivers import EightMethods, Streaming, Versioned

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

READS: dict[str, Callable[..., Awaitable[Any]]] = {
    "get": lambda d, path="a", **conditions: d.get(path, **conditions),
    "get_range": lambda d, path="a", **conditions: d.get_range(path, 2, 5, **conditions),
    "get_ranges": lambda d, path="a", **conditions: d.get_ranges(path, [(2, 5)], **conditions),
    "stream": lambda d, path="a", **conditions: whole(d.stream(path, **conditions)),
    "stat": lambda d, path="a", **conditions: d.stat(path, **conditions),
}
NO_RANGES = "get_ranges of none"
ALL_READS = {
    **READS,
    NO_RANGES: lambda d, path="a", **conditions: d.get_ranges(path, [], **conditions),
}


@pytest.mark.parametrize("way", VERSIONED)
@pytest.mark.parametrize("read", ALL_READS)
async def test_if_match_reads_this_version_and_refuses_another(way: str, read: str) -> None:
    files, disk = VERSIONED[way]()
    await files.put("a", b"old content")
    etag = (await disk.stat("a")).etag
    assert etag is not None
    unconditional = await ALL_READS[read](disk)
    assert await ALL_READS[read](disk, if_match=etag) == unconditional
    await files.put("a", b"new content")
    with pytest.raises(PreconditionFailedException) as raised:
        await ALL_READS[read](disk, if_match=etag)
    assert type(raised.value) is PreconditionFailedException
    assert (raised.value.path, raised.value.disk) == ("a", "d")
    assert raised.value.operation == read.partition(" ")[0]


@pytest.mark.parametrize("way", VERSIONED)
@pytest.mark.parametrize("read", ALL_READS)
async def test_if_none_match_reads_another_version_and_not_this_one(way: str, read: str) -> None:
    files, disk = VERSIONED[way]()
    await files.put("a", b"old content")
    etag = (await disk.stat("a")).etag
    assert etag is not None
    with pytest.raises(NotModifiedException) as raised:
        await ALL_READS[read](disk, if_none_match=etag)
    assert (raised.value.path, raised.value.disk) == ("a", "d")
    assert raised.value.operation == read.partition(" ")[0]
    assert not raised.value.retryable
    await files.put("a", b"new content")
    assert await ALL_READS[read](disk, if_none_match=etag) == await ALL_READS[read](disk)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("read", ALL_READS)
@pytest.mark.parametrize("condition", ["if_match", "if_none_match"])
async def test_conditional_read_of_missing_file_says_that_it_is_missing(
    way: str, read: str, condition: str
) -> None:
    _, disk = WAYS[way]()
    with pytest.raises(FileNotFoundException) as raised:
        await ALL_READS[read](disk, path="missing", **{condition: "etag"})
    assert raised.value.path == "missing"


@pytest.mark.parametrize("read", ALL_READS)
async def test_file_without_etag_matches_no_version(read: str) -> None:
    disk = disk_of(EightMethods())
    await disk.put("a", b"content")
    with pytest.raises(PreconditionFailedException):
        await ALL_READS[read](disk, if_match="etag")
    assert await ALL_READS[read](disk, if_none_match="etag") == await ALL_READS[read](disk)


@pytest.mark.parametrize("read", READS)
async def test_not_modified_leaves_no_stream_of_driver_open(read: str) -> None:
    driver = Streaming()
    disk = disk_of(driver)
    await disk.put("a", b"content")
    etag = (await disk.stream("a")).info.etag
    for conditions in ({"if_none_match": etag}, {"if_match": "another"}):
        before = driver.opened - driver.closed
        with pytest.raises(StorageException):
            await READS[read](disk, **conditions)
        assert driver.opened - driver.closed == before


async def test_if_none_match_reads_no_byte_where_driver_does_not_support_it() -> None:
    driver = Streaming()
    driver.fail_after = 0  # reading would fail
    disk = disk_of(driver)
    await disk.put("a", b"content")
    etag = (await driver.open_read("a", ReadOptions())).info.etag
    with pytest.raises(NotModifiedException):
        await disk.get("a", if_none_match=etag)


def test_not_modified_is_no_failed_precondition() -> None:
    assert not issubclass(NotModifiedException, PreconditionFailedException)
    assert not issubclass(PreconditionFailedException, NotModifiedException)


@pytest.mark.parametrize("driver", [MemoryDriver, Streaming, Versioned])
async def test_failed_if_match_wins_over_if_none_match(driver: Any) -> None:
    disk = disk_of(driver())
    await disk.put("a", b"content")
    etag = (await disk.stream("a")).info.etag
    with pytest.raises(PreconditionFailedException):
        await disk.get("a", if_match="another", if_none_match=etag)
    with pytest.raises(NotModifiedException):
        await disk.get("a", if_match=etag, if_none_match=etag)
