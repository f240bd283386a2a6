"""Directories with very many files: their listings in pages, and whether they exist."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bare import BARE
from measuring import OURS, Row, in_turns, repeat
from peers import Ours

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from sizes import Sizes

__all__ = ["WHOLE", "directories"]

WHOLE = "ours, one listing"
PAGE = 1000
SETTLED_SECONDS = 0.2
"""For how long a directory is unchanged until its names are kept."""


def make_files(directory: Path, count: int) -> None:
    """Make empty files in a new directory."""
    directory.mkdir()
    descriptor = os.open(directory, os.O_RDONLY)
    for number in range(count):
        os.mknod(f"{number:07}", dir_fd=descriptor)
    os.close(descriptor)


async def page_of(disk: Any, start_after: str | None) -> list[str]:
    """Return the paths of a page, whose listing ends early."""
    found: list[str] = []
    entries: AsyncGenerator[Any, None] = disk.list("very-many", start_after=start_after)
    async for entry in entries:
        found.append(entry.path)
        if len(found) == PAGE:
            break
    await entries.aclose()
    return found


async def directories(sizes: Sizes) -> list[Row]:
    """Measure a directory of ours: in memory, since a million files take a minute on a disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        ours = Ours.local(Path(folder))
        try:
            return await measured(ours, Path(folder) / "very-many", sizes)
        finally:
            await ours.aclose()


async def measured(ours: Any, directory: Path, sizes: Sizes) -> list[Row]:
    """Fill a directory of ours and measure it."""
    count = sizes.paged
    make_files(directory, count)

    async def change(_: str) -> None:
        """Let no listing use what an earlier one kept."""
        (directory / "0").touch()
        (directory / "0").unlink()
        await asyncio.sleep(SETTLED_SECONDS)

    async def in_pages() -> None:
        number, last = 0, None
        while page := await page_of(ours.disk, last):
            number, last = number + len(page), page[-1]
        assert number == count

    async def whole() -> None:
        assert len([entry async for entry in ours.disk.list("very-many")]) == count

    async def scanned() -> None:
        with os.scandir(directory) as entries:
            sum([entry.stat(follow_symlinks=False).st_size for entry in entries])

    async def first_page() -> None:
        assert len(await page_of(ours.disk, None)) == min(count, PAGE)

    async def names() -> None:
        with os.scandir(directory) as entries:
            found = sorted([entry.name for entry in entries if entry.is_file()])
        sum([os.stat(directory / name).st_size for name in found[:PAGE]])  # noqa: PTH116

    async def exists(_: int) -> None:
        assert await ours.disk.directory_exists("very-many")

    async def looked(_: int) -> None:
        assert os.path.isdir(directory)  # noqa: PTH112

    text = f"{count:,} files"
    pages, first = {OURS: in_pages, WHOLE: whole, BARE: scanned}, {OURS: first_page, BARE: names}
    await change(OURS)
    rows = [
        # Each round takes some seconds.
        await in_turns(
            f"list in pages of {PAGE:,}, {text}", pages,
            rounds=1, unit="ms", warm=False, between=change,
        ),
        await in_turns(
            f"the first page of {PAGE:,}, {text}", first,
            rounds=sizes.fewest, unit="ms", warm=False, between=change,
        ),
    ]  # fmt: skip
    asked = {OURS: repeat(sizes.calls, exists), BARE: repeat(sizes.calls, looked)}
    name = f"directory_exists, {text}"
    rows.append(await in_turns(name, asked, rounds=sizes.rounds, per=sizes.calls))
    return rows
