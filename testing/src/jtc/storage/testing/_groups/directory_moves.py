"""Moves of directories in one step."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, cast

import pytest

from jtc.storage.exceptions import InvalidPathException
from jtc.storage.testing._suite import DECLARED, Suite, must_raise, needs

if TYPE_CHECKING:
    from jtc.storage import Capabilities, Disk
    from jtc.storage.driver import FullDriver, StorageDriver

__all__ = ["DirectoryMoveTests"]

_NEEDS = needs("directory_move", "directories", "listing")
_MOVERS = 5


class DirectoryMoveTests(Suite):
    """`move_directory`, called on the driver: `Disk` moves file by file where it cannot."""

    rules = "`move_directory`"

    @pytest.fixture
    def mover(self, driver: StorageDriver) -> FullDriver:
        """Return the driver, with the capability that each test here needs."""
        return cast("FullDriver", driver)

    async def entries(self, disk: Disk) -> list[str]:
        """Return the paths of all files and directories."""
        return sorted([each.path async for each in disk.list(recursive=True, directories=True)])

    @_NEEDS
    async def test_move_directory_moves_everything_below(
        self, disk: Disk, mover: FullDriver
    ) -> None:
        for path in ("d/1", "d/e/2", "d/e/f/3"):
            await disk.put(path, path.encode())
        await disk.make_directory("d/empty/one")
        await mover.move_directory("d", "m")
        assert await self.entries(disk) == [
            *("m", "m/1", "m/e", "m/e/2", "m/e/f", "m/e/f/3", "m/empty", "m/empty/one")
        ]
        assert await disk.get("m/e/f/3") == b"d/e/f/3"
        assert await disk.directory_exists("d") is False

    @_NEEDS
    async def test_move_directory_moves_an_empty_one(self, disk: Disk, mover: FullDriver) -> None:
        await disk.make_directory("d")
        await mover.move_directory("d", "m")
        assert await disk.directories() == ["m"]

    @_NEEDS
    async def test_move_directory_makes_directories_above_the_target(
        self, disk: Disk, mover: FullDriver
    ) -> None:
        await disk.put("d/1", b"1")
        await mover.move_directory("d", "one/two/m")
        assert await disk.get("one/two/m/1") == b"1"
        await disk.delete_directory("one/two/m")
        assert await disk.all_directories() == ["one", "one/two"]

    @_NEEDS
    async def test_move_directory_leaves_names_that_begin_alike(
        self, disk: Disk, mover: FullDriver
    ) -> None:
        for path in ("d/1", "d.txt", "d-e/2", "dd/3"):
            await disk.put(path, b"content")
        await mover.move_directory("d", "m")
        assert sorted(await disk.all_files()) == ["d-e/2", "d.txt", "dd/3", "m/1"]

    @_NEEDS
    async def test_move_directory_keeps_metadata_and_times(
        self, disk: Disk, mover: FullDriver, capabilities: Capabilities
    ) -> None:
        known = {name: DECLARED[name] for name in DECLARED if name in capabilities.put_options}
        await disk.put("d/1", b"1", **known)
        before = await disk.stat("d/1")
        await mover.move_directory("d", "m")
        after = await disk.stat("m/1")
        assert dataclasses.replace(after, path="d/1", etag=before.etag) == before

    @_NEEDS
    async def test_move_directory_leaves_a_place_for_another(
        self, disk: Disk, mover: FullDriver
    ) -> None:
        await disk.put("d/1", b"old")
        await mover.move_directory("d", "m")
        await disk.put("d/1", b"new")
        assert await disk.get("m/1") == b"old"
        await mover.move_directory("m", "n")
        assert await disk.all_files() == ["d/1", "n/1"]

    @_NEEDS
    @pytest.mark.parametrize("source", ["missing", "d/missing", "missing/below"])
    async def test_move_directory_requires_its_source(
        self, disk: Disk, mover: FullDriver, source: str
    ) -> None:
        await disk.put("d/1", b"1")
        with must_raise(FileNotFoundError, f"move_directory({source!r}, 'one/m')"):
            await mover.move_directory(source, "one/m")
        assert await self.entries(disk) == ["d", "d/1"]

    @_NEEDS
    async def test_move_directory_moves_no_file(self, disk: Disk, mover: FullDriver) -> None:
        await disk.put("a", b"file")
        with must_raise(FileNotFoundError, "move_directory('a', 'm')"):
            await mover.move_directory("a", "m")
        assert await disk.get("a") == b"file"
        assert await self.entries(disk) == ["a"]

    @_NEEDS
    @pytest.mark.parametrize("target", ["file", "full", "full/below", "empty", "d"])
    async def test_move_directory_replaces_nothing(
        self, disk: Disk, mover: FullDriver, target: str
    ) -> None:
        for path in ("d/1", "file", "full/below/2"):
            await disk.put(path, path.encode())
        await disk.make_directory("empty")
        before = await self.entries(disk)
        with must_raise(FileExistsError, f"move_directory('d', {target!r})"):
            await mover.move_directory("d", target)
        assert await self.entries(disk) == before
        assert await disk.get("file") == b"file"

    @_NEEDS
    async def test_move_directory_refuses_a_target_within(
        self, disk: Disk, mover: FullDriver
    ) -> None:
        await disk.put("d/1", b"1")
        for target in ("d/e", "d/1/e", "d/e/f"):
            with must_raise(InvalidPathException, f"move_directory('d', {target!r})"):
                await mover.move_directory("d", target)
        assert await self.entries(disk) == ["d", "d/1"]

    @_NEEDS
    async def test_move_directory_to_a_place_above_itself(
        self, disk: Disk, mover: FullDriver
    ) -> None:
        await disk.put("d/e/1", b"1")
        with must_raise(FileExistsError, "move_directory('d/e', 'd')"):
            await mover.move_directory("d/e", "d")
        await mover.move_directory("d/e", "e")
        assert await disk.all_files() == ["e/1"]

    @_NEEDS
    async def test_move_directory_of_several_at_once_has_one_source(
        self, disk: Disk, mover: FullDriver
    ) -> None:
        for name in "12":
            await disk.put(f"d/{name}", b"content")
        moves = [mover.move_directory("d", f"m{number}") for number in range(_MOVERS)]
        ended = await asyncio.gather(*moves, return_exceptions=True)
        assert ended.count(None) == 1
        assert all(isinstance(each, FileNotFoundError | None) for each in ended), ended
        winner = f"m{ended.index(None)}"
        assert await disk.all_files() == [f"{winner}/1", f"{winner}/2"]

    @_NEEDS
    async def test_move_directory_of_several_at_once_has_one_target(
        self, disk: Disk, mover: FullDriver
    ) -> None:
        for number in range(_MOVERS):
            await disk.put(f"d{number}/{number}", b"content")
        moves = [mover.move_directory(f"d{number}", "m") for number in range(_MOVERS)]
        ended = await asyncio.gather(*moves, return_exceptions=True)
        assert ended.count(None) == 1
        assert all(isinstance(each, FileExistsError | None) for each in ended), ended
        winner = ended.index(None)
        others = [f"d{number}/{number}" for number in range(_MOVERS) if number != winner]
        assert await disk.all_files() == [*others, f"m/{winner}"]

    @_NEEDS
    async def test_move_directory_is_seen_whole(self, disk: Disk, mover: FullDriver) -> None:
        for number in range(10):
            await disk.put(f"d/{number}", b"content")
        seen = False

        async def look() -> None:
            nonlocal seen
            while not seen:
                seen = await disk.exists("m/0") or await disk.exists("m/9")
                if seen:
                    assert await disk.exists("m/0")
                    assert await disk.exists("m/9")
                    assert not await disk.exists("d/0")
                    assert not await disk.exists("d/9")
                await asyncio.sleep(0)

        async with asyncio.timeout(self.patience):
            await asyncio.gather(look(), mover.move_directory("d", "m"))
