"""Conditional reads: `if_match` and `if_none_match`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.exceptions import (
    FileNotFoundException,
    NotModifiedException,
    PreconditionFailedException,
)
from jtc.storage.options import ReadOptions
from jtc.storage.testing._suite import Suite, must_raise, needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage import Disk
    from jtc.storage.driver import SupportsReading

__all__ = ["ConditionalReadTests"]


async def _streamed(disk: Disk, path: str, conditions: Any) -> bytes:
    return b"".join([chunk async for chunk in disk.stream(path, **conditions)])


_READS: dict[str, Callable[[Disk, str, Any], Any]] = {
    "get": lambda disk, path, conditions: disk.get(path, **conditions),
    "get_range": lambda disk, path, conditions: disk.get_range(path, 1, 3, **conditions),
    "get_ranges": lambda disk, path, conditions: disk.get_ranges(path, [(1, 3)], **conditions),
    "stream": _streamed,
    "stat": lambda disk, path, conditions: disk.stat(path, **conditions),
}
_EACH = pytest.mark.parametrize("read", _READS)


class ConditionalReadTests(Suite):
    """Where the driver has etags; `Disk` derives what the driver does not support."""

    rules = "`open_read`"

    @_EACH
    async def test_read_if_match_of_the_version_there_reads(self, disk: Disk, read: str) -> None:
        await disk.put("a.txt", b"content")
        found = await _READS[read](disk, "a.txt", {"if_match": await _etag(disk)})
        assert found == await _READS[read](disk, "a.txt", {})

    @_EACH
    async def test_read_if_match_of_an_older_version_fails(self, disk: Disk, read: str) -> None:
        older = await _replaced(disk)
        with pytest.raises(PreconditionFailedException):
            await _READS[read](disk, "a.txt", {"if_match": older})

    @_EACH
    async def test_read_if_none_match_of_the_version_there_is_not_modified(
        self, disk: Disk, read: str
    ) -> None:
        await disk.put("a.txt", b"content")
        etag = await _etag(disk)
        with pytest.raises(NotModifiedException):
            await _READS[read](disk, "a.txt", {"if_none_match": etag})

    @_EACH
    async def test_read_if_none_match_of_an_older_version_reads_the_newer(
        self, disk: Disk, read: str
    ) -> None:
        older = await _replaced(disk)
        found = await _READS[read](disk, "a.txt", {"if_none_match": older})
        assert found == await _READS[read](disk, "a.txt", {})

    async def test_read_of_empty_etag_names_no_version(self, disk: Disk) -> None:
        await disk.put("a.txt", b"content")
        for name, read in _READS.items():
            with must_raise(PreconditionFailedException, f"{name}(if_match='')"):
                await read(disk, "a.txt", {"if_match": ""})
            found = await read(disk, "a.txt", {"if_none_match": ""})
            assert found == await read(disk, "a.txt", {}), f"{name}(if_none_match='') reads"

    @pytest.mark.parametrize("condition", ["if_match", "if_none_match"])
    async def test_conditional_read_of_missing_file_is_not_found(
        self, disk: Disk, condition: str
    ) -> None:
        for name, read in _READS.items():
            with must_raise(FileNotFoundException, f"{name}({condition}=…) of a missing file"):
                await read(disk, "missing.txt", {condition: "an etag"})

    @needs("stat", options={"open_read": ["if_none_match"]})
    async def test_open_read_if_none_match_of_the_version_there_is_not_modified(
        self, disk: Disk, driver: SupportsReading
    ) -> None:
        await disk.put("a.txt", b"content")
        etag = await _etag(disk)
        with pytest.raises(NotModifiedException):
            await driver.open_read("a.txt", ReadOptions(if_none_match=etag))


async def _etag(disk: Disk) -> str:
    etag = (await disk.stat("a.txt")).etag
    if etag is None:
        pytest.skip("the driver has no etags")
    return etag


async def _replaced(disk: Disk) -> str:
    """Put a file and replace it; return the first version's etag."""
    await disk.put("a.txt", b"older")
    older = await _etag(disk)
    await disk.put("a.txt", b"the newer content")
    return older
