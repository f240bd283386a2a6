"""Streams and ranges."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from jtc.storage.exceptions import (
    FileNotFoundException,
    PreconditionFailedException,
    StorageException,
)
from jtc.storage.options import ReadOptions
from jtc.storage.testing._suite import (
    Suite,
    also_alone,
    assert_same,
    must_raise,
    needs,
    needs_empty_files,
)

if TYPE_CHECKING:
    from pathlib import Path

    from jtc.storage import Disk
    from jtc.storage.driver import SupportsReading

__all__ = ["StreamTests"]

_CONTENT = b"0123456789"

# start, end, the bytes of _CONTENT
_RANGES = [
    pytest.param(0, None, b"0123456789", id="everything"),
    pytest.param(0, 10, b"0123456789", id="everything, said"),
    pytest.param(0, 1, b"0", id="the first byte"),
    pytest.param(9, 10, b"9", id="the last byte"),
    pytest.param(3, 7, b"3456", id="from the middle"),
    pytest.param(4, None, b"456789", id="to the end"),
    pytest.param(0, 0, b"", id="nothing at the beginning"),
    pytest.param(5, 5, b"", id="nothing in the middle"),
    pytest.param(10, 10, b"", id="nothing at the end"),
    pytest.param(7, 100, b"789", id="cut at the end"),
    pytest.param(0, 2**40, b"0123456789", id="cut at the end, from the beginning"),
    pytest.param(10, None, b"", id="from the end"),
    pytest.param(11, None, b"", id="from past the end"),
    pytest.param(100, 200, b"", id="all past the end"),
    pytest.param(-1, None, b"9", id="the last byte, counted back"),
    pytest.param(-4, None, b"6789", id="the last bytes"),
    pytest.param(-10, None, b"0123456789", id="as many last bytes as there are"),
    pytest.param(-100, None, b"0123456789", id="more last bytes than there are"),
]


@also_alone
class StreamTests(Suite):
    """Reading piece by piece. A driver without ``reading`` is read whole by `Disk`."""

    rules = "`open_read`"

    async def test_a_stream_yields_the_content(self, storage: Disk) -> None:
        await storage.put("a.txt", _CONTENT)
        assert b"".join([chunk async for chunk in storage.stream("a.txt")]) == _CONTENT

    @needs_empty_files
    async def test_a_stream_of_an_empty_file_yields_nothing(self, storage: Disk) -> None:
        await storage.put("empty", b"")
        assert [chunk async for chunk in storage.stream("empty")] == []

    async def test_a_stream_of_megabytes_is_whole(self, storage: Disk) -> None:
        content = bytes(range(251)) * 12_000
        await storage.put("large", content)
        chunks = [chunk async for chunk in storage.stream("large", chunk_size=100_003)]
        assert_same(b"".join(chunks), content)

    async def test_no_chunk_is_empty_or_longer_than_asked_for(self, storage: Disk) -> None:
        await storage.put("a.txt", _CONTENT)
        lengths = [len(chunk) async for chunk in storage.stream("a.txt", chunk_size=4)]
        assert sum(lengths) == 10
        assert all(0 < length <= 4 for length in lengths)

    async def test_a_chunk_may_be_one_byte(self, storage: Disk) -> None:
        await storage.put("a.txt", b"abc")
        chunks = [chunk async for chunk in storage.stream("a.txt", chunk_size=1)]
        assert chunks == [b"a", b"b", b"c"]

    async def test_chunks_are_bytes(self, storage: Disk) -> None:
        await storage.put("a.txt", _CONTENT)
        kinds = {type(chunk) async for chunk in storage.stream("a.txt", chunk_size=4)}
        assert kinds == {bytes}

    @pytest.mark.parametrize("chunk_size", [65_536, 1_000_000, 2**30])
    async def test_stream_ends_at_the_end_of_the_file_whatever_the_chunk_size(
        self, storage: Disk, chunk_size: int
    ) -> None:
        content = bytes(range(251)) * 12_000
        await storage.put("large", content)
        chunks = [chunk async for chunk in storage.stream("large", chunk_size=chunk_size)]
        assert_same(b"".join(chunks), content)
        rest = storage.stream("large", start=1_500_000, chunk_size=chunk_size)
        assert_same(b"".join([chunk async for chunk in rest]), content[1_500_000:])

    async def test_streams_left_early_leave_nothing_open(self, storage: Disk) -> None:
        await storage.put("large", b"x" * 1_000_000)

        async def leave(number: int) -> None:
            stream = await storage.stream("large", chunk_size=1000)
            if number % 2:
                async for _ in stream:
                    break
            await stream.aclose()

        async def open_files() -> int:
            for number in range(20):
                await leave(number)
            await asyncio.sleep(0.02)  # what was aborted is closed in the loop's next rounds
            return _open_files()

        before = await open_files()
        assert await open_files() <= before + 8, "twenty streams that were left are closed"

    async def test_a_missing_file_fails_when_the_stream_is_opened(self, storage: Disk) -> None:
        with pytest.raises(FileNotFoundError):
            await storage.stream("missing.txt")

    async def test_a_directory_fails_when_the_stream_is_opened(self, storage: Disk) -> None:
        await storage.put("d/a.txt", _CONTENT)
        with pytest.raises(FileNotFoundError):
            await storage.stream("d")

    @pytest.mark.parametrize(("start", "end", "expected"), _RANGES)
    async def test_a_range_has_its_bytes(
        self, storage: Disk, start: int, end: int | None, expected: bytes
    ) -> None:
        await storage.put("a.txt", _CONTENT)
        assert await storage.get_range("a.txt", start, end) == expected

    @pytest.mark.parametrize(("start", "end", "expected"), _RANGES)
    async def test_a_stream_of_a_range_has_its_bytes(
        self, storage: Disk, start: int, end: int | None, expected: bytes
    ) -> None:
        await storage.put("a.txt", _CONTENT)
        stream = storage.stream("a.txt", start=start, end=end, chunk_size=3)
        assert b"".join([chunk async for chunk in stream]) == expected

    @pytest.mark.parametrize(("start", "end"), [(0, None), (0, 5), (3, 5), (3, None), (-2, None)])
    @needs_empty_files
    async def test_every_range_of_an_empty_file_is_empty(
        self, storage: Disk, start: int, end: int | None
    ) -> None:
        await storage.put("empty", b"")
        assert await storage.get_range("empty", start, end) == b""

    async def test_a_range_that_ends_before_it_begins_is_refused(self, storage: Disk) -> None:
        await storage.put("a.txt", _CONTENT)
        with pytest.raises(ValueError, match=r"."):
            await storage.get_range("a.txt", 5, 3)

    async def test_a_range_of_a_missing_file_fails(self, storage: Disk) -> None:
        with pytest.raises(FileNotFoundError):
            await storage.get_range("missing.txt", 0, 3)

    async def test_a_range_of_a_large_file_is_exact(self, storage: Disk) -> None:
        content = bytes(range(251)) * 4_000
        await storage.put("large", content)
        found = await storage.get_range("large", 262_143, 786_433)
        assert_same(found, content[262_143:786_433])

    async def test_a_stream_has_the_metadata_of_its_file(self, storage: Disk) -> None:
        await storage.put("d/a.txt", _CONTENT)
        async with storage.stream("/d/a.txt") as stream:
            assert stream.info.path == "d/a.txt"
            assert stream.info.size == 10

    async def test_a_stream_of_a_range_has_the_size_of_the_whole(self, storage: Disk) -> None:
        await storage.put("a.txt", _CONTENT)
        async with storage.stream("a.txt", start=2, end=4) as stream:
            assert stream.info.size == 10

    @needs("stat", "reading")
    async def test_a_stream_agrees_with_stat(self, storage: Disk) -> None:
        await storage.put("a.txt", _CONTENT)
        info = await storage.stat("a.txt")
        async with storage.stream("a.txt") as stream:
            assert stream.info.etag == info.etag
            assert stream.info.content_type == info.content_type
            assert stream.info.last_modified == pytest.approx(info.last_modified, abs=1)

    async def test_a_streams_metadata_is_that_of_its_bytes(self, storage: Disk) -> None:
        for content in (b"1", b"333", b"22", b"4444"):
            await storage.put("a.txt", content)
            async with storage.stream("a.txt") as stream:
                assert stream.info.size == len(content)
                assert b"".join([chunk async for chunk in stream]) == content

    async def test_an_open_stream_never_mixes_two_versions(self, storage: Disk) -> None:
        size = 1_000_000
        await storage.put("a.txt", b"o" * size)
        async with storage.stream("a.txt", chunk_size=1000) as stream:
            chunks = aiter(stream)
            read = await anext(chunks)
            await storage.put("a.txt", b"n" * size)
            try:
                async for chunk in chunks:
                    read += chunk
            except StorageException:
                return  # Not to deliver is fine; to deliver a mixture is not.
        assert_same(read, b"o" * size)

    async def test_an_open_stream_survives_or_fails_when_its_file_is_deleted(
        self, storage: Disk
    ) -> None:
        await storage.put("a.txt", b"o" * 1_000_000)
        async with storage.stream("a.txt", chunk_size=1000) as stream:
            chunks = aiter(stream)
            read = await anext(chunks)
            await storage.delete("a.txt")
            try:
                async for chunk in chunks:
                    read += chunk
            except StorageException:
                return
        assert_same(read, b"o" * 1_000_000)

    async def test_two_streams_of_a_file_do_not_disturb_each_other(self, storage: Disk) -> None:
        await storage.put("a.txt", _CONTENT)
        one, two = storage.stream("a.txt", chunk_size=3), storage.stream("a.txt", chunk_size=4)
        async with one, two:
            first, second = aiter(one), aiter(two)
            read = [await anext(first), await anext(second), await anext(first)]
        assert b"".join(read[::2]) == _CONTENT[: len(b"".join(read[::2]))]
        assert _CONTENT.startswith(read[1])

    async def test_a_stream_that_is_left_early_leaves_the_file_usable(self, storage: Disk) -> None:
        await storage.put("a.txt", b"x" * 100_000)
        async with storage.stream("a.txt", chunk_size=10) as stream:
            async for _ in stream:
                break
        await storage.put("a.txt", b"new")
        assert await storage.get("a.txt") == b"new"

    async def test_a_stream_that_is_never_read_can_be_closed_twice(self, storage: Disk) -> None:
        await storage.put("a.txt", _CONTENT)
        stream = await storage.stream("a.txt")
        await stream.aclose()
        await stream.aclose()
        assert await storage.delete("a.txt") is True

    @needs("stat", "reading")
    async def test_a_stream_opens_for_the_etag_that_the_file_has(
        self, disk: Disk, driver: SupportsReading
    ) -> None:
        await disk.put("a.txt", _CONTENT)
        etag = (await disk.stat("a.txt")).etag
        stream = await driver.open_read("a.txt", ReadOptions(if_match=etag))
        assert b"".join([chunk async for chunk in stream]) == _CONTENT
        await stream.aclose()

    @needs("stat", "reading")
    async def test_a_stream_does_not_open_for_an_older_etag(
        self, disk: Disk, driver: SupportsReading
    ) -> None:
        await disk.put("a.txt", _CONTENT)
        etag = (await disk.stat("a.txt")).etag
        if etag is None:
            pytest.skip("the driver has no etags")
        await disk.put("a.txt", b"9876543210")
        with pytest.raises(PreconditionFailedException):
            await driver.open_read("a.txt", ReadOptions(if_match=etag))

    @needs("reading")
    async def test_a_reader_that_takes_all_gets_the_same_bytes(
        self, disk: Disk, driver: SupportsReading
    ) -> None:
        content = bytes(range(251)) * 12_000
        await disk.put("a.txt", content)
        for start, end in ((0, None), (1, 2_999_999), (-2_000_000, None), (5, 5), (2**40, None)):
            options = ReadOptions(start=start, end=end, chunk_size=2**20, read_ahead=True)
            stream = await driver.open_read("a.txt", options)
            chunks = [chunk async for chunk in stream]
            await stream.aclose()
            assert_same(b"".join(chunks), content[start:end])
            assert max(map(len, chunks), default=0) <= options.chunk_size
            assert stream.info.size == len(content)

    @needs("reading")
    async def test_a_reader_that_takes_all_may_stop_early(
        self, disk: Disk, driver: SupportsReading
    ) -> None:
        content = bytes(range(251)) * 12_000
        await disk.put("a.txt", content)
        for _ in range(2):
            stream = await driver.open_read("a.txt", ReadOptions(read_ahead=True))
            first = await anext(aiter(stream))
            await stream.aclose()
            assert_same(first, content[: len(first)])
        assert_same(await disk.get("a.txt"), content)

    @needs("reading")
    async def test_a_reader_that_takes_all_never_gets_two_versions(
        self, disk: Disk, driver: SupportsReading
    ) -> None:
        size = 3_000_000
        await disk.put("a.txt", b"o" * size)
        stream = await driver.open_read("a.txt", ReadOptions(read_ahead=True))
        try:
            chunks = aiter(stream)
            read = await anext(chunks)
            await disk.put("a.txt", b"n" * size)
            async for chunk in chunks:
                read += chunk
        except (StorageException, OSError):
            return  # Not to deliver is fine; to deliver a mixture is not.
        finally:
            await stream.aclose()
        assert_same(read, b"o" * size)

    @pytest.fixture
    def directory(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Give an empty directory that no driver has files in."""
        return tmp_path_factory.mktemp("downloads")

    async def test_a_download_is_the_file_and_nothing_else(
        self, disk: Disk, directory: Path
    ) -> None:
        for content in (_CONTENT, b"", bytes(range(251)) * 12_000):
            if not content and not self.keeps_empty_files:
                continue
            await disk.put("a.txt", content)
            info = await disk.download("a.txt", directory / "copy")
            assert_same((directory / "copy").read_bytes(), content)
            assert info.size == len(content)
        assert _names(directory) == ["copy"]

    async def test_a_download_of_a_missing_file_leaves_nothing(
        self, disk: Disk, directory: Path
    ) -> None:
        with must_raise(FileNotFoundException, "download('missing.txt')"):
            await disk.download("missing.txt", directory / "copy")
        assert _names(directory) == []

    async def test_an_open_file_is_read_in_pieces(self, disk: Disk) -> None:
        await disk.put("a.txt", _CONTENT)
        async with disk.open("a.txt", "rb") as file:
            assert await file.read(4) == b"0123"
            assert await file.read() == b"456789"

    async def test_an_open_file_appears_whole_when_it_is_closed(self, disk: Disk) -> None:
        async with disk.open("a.txt", "wb") as file:
            await file.write(b"one ")
            assert await disk.exists("a.txt") is False
            await file.write(b"two")
        assert await disk.get("a.txt") == b"one two"

    async def test_an_open_file_is_dropped_when_its_block_raises(self, disk: Disk) -> None:
        await disk.put("a.txt", b"old")

        async def write_in_part() -> None:
            async with disk.open("a.txt", "wb") as file:
                await file.write(b"new")
                raise RuntimeError("changed my mind")

        with pytest.raises(RuntimeError, match="changed my mind"):
            await write_in_part()
        assert await disk.get("a.txt") == b"old"


def _open_files() -> int:
    """Return how many files, pipes and sockets this process has open."""
    try:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only their number counts
    except OSError:
        pytest.skip("the system does not say which files a process has open")


def _names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]
