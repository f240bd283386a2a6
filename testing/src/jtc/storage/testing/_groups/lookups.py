"""Lookups that `Disk` derives from listings and metadata: `glob`, `usage`, `entry`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jtc.storage.models import DirectoryInfo, FileInfo, Usage
from jtc.storage.testing._suite import Suite, needs

if TYPE_CHECKING:
    from jtc.storage import Disk

__all__ = ["LookupTests"]


class LookupTests(Suite):
    """The same on every driver."""

    rules = "`list_entries`, `stat`"

    @needs("listing")
    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("*.csv", {"Top.csv"}),
            ("r/*.csv", {"r/A.csv", "r/b.csv"}),
            ("r/**/*.csv", {"r/A.csv", "r/b.csv", "r/x/c.csv", "r/x/y/d.csv"}),
            ("r/x/**", {"r/x/c.csv", "r/x/y/d.csv", "r/x/y/e.CSV"}),
            ("**/[a-d].csv", {"r/b.csv", "r/x/c.csv", "r/x/y/d.csv"}),
            ("r/A.csv", {"r/A.csv"}),
            ("s/*", set()),
        ],
    )
    async def test_glob_returns_the_files_that_match(
        self, disk: Disk, pattern: str, expected: set[str]
    ) -> None:
        for path in ("Top.csv", "r/A.csv", "r/b.csv", "r/x/c.csv", "r/x/y/d.csv", "r/x/y/e.CSV"):
            await disk.put(path, b"content")
        found = await disk.glob(pattern)
        assert len(found) == len(set(found))
        assert set(found) == expected

    @needs("listing")
    async def test_usage_counts_the_files_below_a_directory_and_their_bytes(
        self, disk: Disk
    ) -> None:
        for path, size in {"d/1": 3, "d/e/2": 1_000, "d/e/f/3": 1, "da": 7}.items():
            await disk.put(path, b"x" * size)
        assert await disk.usage("d") == Usage(files=3, bytes=1_004)
        assert await disk.usage() == Usage(files=4, bytes=1_011)
        assert await disk.usage("missing") == Usage(files=0, bytes=0)

    async def test_entry_of_file_is_its_metadata(self, disk: Disk) -> None:
        await disk.put("d/a.txt", b"content")
        assert await disk.entry("d/a.txt") == await disk.stat("d/a.txt")
        assert isinstance(await disk.entry("d/a.txt"), FileInfo)

    @needs("listing")
    async def test_entry_of_directory_is_a_directory(self, disk: Disk) -> None:
        await disk.put("d/e/a.txt", b"content")
        assert await disk.entry("d") == DirectoryInfo(path="d")
        assert await disk.entry("d/e") == DirectoryInfo(path="d/e")

    @needs("listing", "directories")
    async def test_entry_of_made_directory_is_a_directory(self, disk: Disk) -> None:
        await disk.make_directory("d/e")
        assert await disk.entry("d/e") == DirectoryInfo(path="d/e")

    async def test_entry_is_none_where_nothing_is(self, disk: Disk) -> None:
        await disk.put("d/a.txt", b"content")
        for path in ("missing", "d/a", "d/a.txt/below", "da", "missing/a.txt"):
            assert await disk.entry(path) is None, f"entry({path!r})"
