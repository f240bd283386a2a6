"""Several ranges of one file: `get_ranges`, and the drivers' `read_ranges`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from jtc.storage.exceptions import FileNotFoundException, PreconditionFailedException
from jtc.storage.options import ReadOptions
from jtc.storage.testing._suite import Suite, must_raise, needs

if TYPE_CHECKING:
    from jtc.storage import Disk
    from jtc.storage.driver import SupportsRanges

__all__ = ["RangeTests"]

_CONTENT = b"0123456789"


class RangeTests(Suite):
    """`Disk` derives `get_ranges` where the driver does not claim ``ranges``."""

    rules = "`read_ranges`"

    async def test_get_ranges_keeps_the_order_of_the_ranges(self, disk: Disk) -> None:
        await disk.put("a.txt", _CONTENT)
        found = await disk.get_ranges("a.txt", [(7, 9), (-2, None), (0, 3), (8, 100)])
        assert found == [b"78", b"89", b"012", b"89"]

    async def test_get_ranges_of_overlapping_ranges_has_the_bytes_of_each(self, disk: Disk) -> None:
        await disk.put("a.txt", _CONTENT)
        found = await disk.get_ranges("a.txt", [(2, 6), (4, 8), (2, 6), (0, None), (5, 6)])
        assert found == [b"2345", b"4567", b"2345", _CONTENT, b"5"]

    async def test_get_ranges_of_empty_ranges_has_no_bytes(self, disk: Disk) -> None:
        await disk.put("a.txt", _CONTENT)
        assert await disk.get_ranges("a.txt", [(5, 5), (0, 0), (3, 5)]) == [b"", b"", b"34"]
        assert await disk.get_ranges("a.txt", [(10, None), (20, 30)]) == [b"", b""]
        assert await disk.get_ranges("a.txt", []) == []

    async def test_get_ranges_far_apart_is_exact(self, disk: Disk) -> None:
        content = bytes(range(251)) * 2_000
        spans = [(400_000, 400_300), (0, 70_000), (140_000, 140_001), (499_990, 502_000)]
        await disk.put("large", content)
        found = await disk.get_ranges("large", spans)
        assert [len(each) for each in found] == [len(content[a:b]) for a, b in spans]
        assert found == [content[start:end] for start, end in spans]

    async def test_get_ranges_of_missing_file_fails(self, disk: Disk) -> None:
        for ranges in ([], [(0, 3)]):
            with must_raise(FileNotFoundError, f"get_ranges() of {ranges}"):
                await disk.get_ranges("missing.txt", ranges)

    async def test_get_ranges_is_of_one_version(self, disk: Disk) -> None:
        size = 300_000
        ends = [(0, 10), (size // 2, size // 2 + 10), (size - 10, size)]
        await disk.put("a", b"o" * size)
        done = asyncio.Event()

        async def write() -> None:
            for number in range(1, 12):
                await disk.put("a", b"on"[number % 2 :][:1] * size)
                await asyncio.sleep(0)
            done.set()

        async def read() -> list[bytes]:
            mixed = []
            while not done.is_set():
                try:
                    found = b"".join(await disk.get_ranges("a", ends))
                except PreconditionFailedException:
                    pass  # not to return them is right; to return a mixture is not
                except FileNotFoundException:
                    assert not self.replaces_without_gap, "get_ranges() of a replaced file"
                else:
                    if len(set(found)) > 1:
                        mixed.append(found)
                await asyncio.sleep(0)
            return mixed

        _, mixed = await asyncio.gather(write(), read())
        assert mixed == []

    @needs("ranges")
    async def test_read_ranges_is_cut_at_the_end(self, disk: Disk, driver: SupportsRanges) -> None:
        await disk.put("a.txt", _CONTENT)
        found = await driver.read_ranges("a.txt", [(8, 100), (20, 30)], ReadOptions())
        assert list(found) == [b"89", b""]

    @needs("ranges", "stat")
    async def test_read_ranges_if_match_of_an_older_version_fails(
        self, disk: Disk, driver: SupportsRanges
    ) -> None:
        await disk.put("a.txt", _CONTENT)
        etag = (await disk.stat("a.txt")).etag
        if etag is None:
            pytest.skip("the driver has no etags")
        assert list(await driver.read_ranges("a.txt", [(0, 2)], ReadOptions(if_match=etag)))
        await disk.put("a.txt", b"9876543210")
        with pytest.raises(PreconditionFailedException):
            await driver.read_ranges("a.txt", [(0, 2)], ReadOptions(if_match=etag))
