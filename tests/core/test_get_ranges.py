"""Several ranges of one version of a file, by few reads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disk_ways import WAYS, disk_of
from jtc.storage import FileNotFoundException, InvalidPathException, PreconditionFailedException
from jtc.storage.drivers.memory_driver import MemoryDriver
from small_drivers import EightMethods, Streaming

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jtc.storage import ReadOptions, ReadStream

KIB = 1024
CONTENT = bytes(range(256)) * 4 * KIB  # 1 MiB, so that ranges can be far from each other


class Reads(Streaming):
    """Remembers which ranges were read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[tuple[int, int | None]] = []

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        if (options.start, options.end) != (0, 0):  # no byte: the version and the length
            self.read.append((options.start, options.end))
        return await super().open_read(path, options)


class Ranges(MemoryDriver):
    """Remembers which ranges it was asked for at once."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[tuple[int, int]]] = []

    async def read_ranges(
        self, path: str, ranges: Sequence[tuple[int, int]], options: ReadOptions, /
    ) -> Sequence[bytes]:
        self.asked.append(list(ranges))
        return await super().read_ranges(path, ranges, options)


ranges = st.tuples(st.integers(-12, 12), st.none() | st.integers(0, 12)).filter(
    lambda r: r[0] < 0 or r[1] is None or r[1] >= r[0]
)


@pytest.mark.parametrize("way", WAYS)
@given(content=st.binary(max_size=10), wanted=st.lists(ranges, max_size=6))
def test_get_ranges_returns_the_slices_in_their_order(
    way: str, content: bytes, wanted: list[tuple[int, int | None]]
) -> None:
    async def check() -> None:
        files, disk = WAYS[way]()
        await files.put("a", content)
        assert await disk.get_ranges("a", wanted) == [content[start:end] for start, end in wanted]

    asyncio.run(check())


@pytest.mark.parametrize("way", WAYS)
async def test_get_ranges_takes_any_iterable_once(way: str) -> None:
    files, disk = WAYS[way]()
    await files.put("a", b"0123456789")
    wanted = ((start, start + 2) for start in (6, 0))
    assert await disk.get_ranges("a", wanted) == [b"67", b"01"]


@pytest.mark.parametrize(
    ("wanted", "read"),
    [
        ([(0, 10), (20, 30)], [(0, 30)]),
        ([(20, 30), (0, 10), (5, 25)], [(0, 30)]),
        ([(0, 10), (10 + 64 * KIB, 64 * KIB + 20)], [(0, 64 * KIB + 20)]),
        ([(0, 10), (11 + 64 * KIB, 64 * KIB + 20)], [(0, 10), (64 * KIB + 11, 64 * KIB + 20)]),
        ([(-8, None), (0, 4), (500 * KIB, 600 * KIB), (550 * KIB, 650 * KIB)],
         [(0, 4), (500 * KIB, 650 * KIB), (KIB * KIB - 8, KIB * KIB)]),
        ([(2 * KIB * KIB, None)], [(KIB * KIB, KIB * KIB)]),
    ],
)  # fmt: skip
async def test_get_ranges_reads_close_ranges_at_once_and_no_byte_between_distant_ones(
    wanted: list[tuple[int, int | None]], read: list[tuple[int, int]]
) -> None:
    driver = Reads()
    disk = disk_of(driver)
    await disk.put("a", CONTENT)
    assert await disk.get_ranges("a", wanted) == [CONTENT[start:end] for start, end in wanted]
    assert driver.read == read
    assert driver.opened == driver.closed == len(read) + 1


async def test_get_ranges_asks_driver_with_ranges_once_for_offsets_within_the_file() -> None:
    driver = Ranges()
    disk = disk_of(driver)
    await disk.put("a", b"0123456789")
    assert await disk.get_ranges("a", [(8, 99), (-2, None), (0, 1), (0, 1)]) == [
        b"89", b"89", b"0", b"0"
    ]  # fmt: skip
    assert driver.asked == [[(8, 10), (8, 10), (0, 1), (0, 1)]]


async def test_get_ranges_reads_the_file_once_where_driver_has_no_streams() -> None:
    class Counting(EightMethods):
        gets = 0

        async def get(self, path: str, /) -> bytes:
            self.gets += 1
            return await super().get(path)

    driver = Counting()
    disk = disk_of(driver)
    await disk.put("a", CONTENT)
    assert await disk.get_ranges("a", [(0, 1), (-1, None)]) == [b"\x00", b"\xff"]
    assert driver.gets == 1


async def test_get_ranges_refuses_ranges_of_two_versions() -> None:
    class Replaced(Streaming):
        async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
            stream = await super().open_read(path, options)
            self.kept[path] = CONTENT[::-1]
            return stream

    disk = disk_of(Replaced())
    for wanted in ([(0, 1)], [(0, 1), (-1, None)]):
        await disk.put("a", CONTENT)
        with pytest.raises(PreconditionFailedException) as raised:
            await disk.get_ranges("a", wanted)
        assert (raised.value.operation, raised.value.path) == ("get_ranges", "a")


async def test_get_ranges_refuses_a_file_that_was_replaced_before_driver_reads_its_ranges() -> None:
    class Replaced(Ranges):
        async def read_ranges(
            self, path: str, ranges: Sequence[tuple[int, int]], options: ReadOptions, /
        ) -> Sequence[bytes]:
            await self.put(path, b"another")
            return await super().read_ranges(path, ranges, options)

    disk = disk_of(Replaced())
    await disk.put("a", b"0123456789")
    with pytest.raises(PreconditionFailedException):
        await disk.get_ranges("a", [(0, 1)])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("wanted", [[], [(0, 1)]])
async def test_get_ranges_of_missing_file_or_bad_path_says_where(
    way: str, wanted: list[tuple[int, int]]
) -> None:
    _, disk = WAYS[way]()
    with pytest.raises(FileNotFoundException) as raised:
        await disk.get_ranges("missing", wanted)
    assert (raised.value.operation, raised.value.path) == ("get_ranges", "missing")
    with pytest.raises(InvalidPathException):
        await disk.get_ranges("..", wanted)


@pytest.mark.parametrize("bad", [(5, 3), (0, -1), (-3, -1)])
async def test_get_ranges_refuses_a_range_that_ends_before_it_begins_and_reads_nothing(
    bad: tuple[int, int],
) -> None:
    driver: Any = Reads()
    disk = disk_of(driver)
    await disk.put("a", CONTENT)
    with pytest.raises(ValueError, match="A range ends where it begins or later"):
        await disk.get_ranges("a", [(0, 1), bad])
    assert driver.opened == 0


async def test_get_ranges_without_etags_refuses_a_file_that_is_replaced_meanwhile() -> None:
    class Unversioned(Streaming):
        """Has no etags; another program extends the file after the first look at it."""

        async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
            stream = await super().open_read(path, options)
            stream.info.etag = None
            self.kept[path] += b"more"
            return stream

    driver = Unversioned()
    await driver.put("a", bytes(100))
    with pytest.raises(PreconditionFailedException, match="replaced between"):
        await disk_of(driver).get_ranges("a", [(0, 1), (50, 51)])
    assert driver.opened == driver.closed == 2
