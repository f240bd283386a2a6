"""Directories: made, deleted, removed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from jtc.storage.exceptions import InvalidPathException, PathConflictException
from jtc.storage.testing._suite import Suite, also_alone, must_raise, needs

if TYPE_CHECKING:
    from jtc.storage import Capabilities, Disk

__all__ = ["DirectoryTests"]


class DirectoryTests(Suite):
    """Directories: making them needs ``directories``, deleting is derived from ``listing``."""

    rules = "`make_directory`, `delete_directory`, `remove_empty_directory`"

    @needs("listing", "directories")
    async def test_a_directory_that_was_made_exists(self, disk: Disk) -> None:
        await disk.make_directory("d")
        assert await disk.directory_exists("d") is True

    @needs("listing", "directories")
    async def test_a_directory_that_was_made_is_listed(self, disk: Disk) -> None:
        await disk.make_directory("d")
        assert await disk.directories() == ["d"]

    @needs("listing", "directories")
    async def test_those_above_a_directory_are_made_as_well(self, disk: Disk) -> None:
        await disk.make_directory("one/two/three")
        assert await disk.all_directories() == ["one", "one/two", "one/two/three"]

    @needs("listing", "directories")
    async def test_a_new_directory_is_empty(self, disk: Disk) -> None:
        await disk.make_directory("d")
        assert await disk.files("d") == []
        assert await disk.all_files() == []

    @needs("listing", "directories")
    async def test_a_directory_may_be_made_twice(self, storage: Disk) -> None:
        await storage.make_directory("d")
        await storage.put("d/1", b"1")
        await storage.make_directory("d")
        assert await storage.get("d/1") == b"1"

    @needs("directories")
    async def test_a_made_directory_is_no_file(self, storage: Disk) -> None:
        await storage.make_directory("d")
        assert await storage.exists("d") is False
        assert await storage.delete("d") is False
        for method in (storage.get, storage.size, storage.last_modified):
            with pytest.raises(FileNotFoundError):
                await method("d")

    @needs("directories")
    async def test_files_can_be_put_into_a_made_directory(self, storage: Disk) -> None:
        await storage.make_directory("d")
        await storage.put("d/1", b"1")
        assert await storage.get("d/1") == b"1"

    @needs("listing", "directories")
    async def test_a_made_directory_stays_when_its_files_go(self, disk: Disk) -> None:
        await disk.make_directory("d")
        await disk.put("d/1", b"1")
        await disk.delete("d/1")
        assert await disk.directory_exists("d") is True

    @needs("listing", "directories")
    async def test_an_empty_directory_can_be_deleted(self, disk: Disk) -> None:
        await disk.make_directory("one/two")
        await disk.delete_directory("one/two")
        assert await disk.directory_exists("one/two") is False
        assert await disk.directory_exists("one") is True

    @needs("listing", "directories")
    async def test_empty_directories_are_deleted_with_the_one_above(self, disk: Disk) -> None:
        await disk.make_directory("one/two/three")
        await disk.delete_directory("one")
        assert await disk.all_directories() == []

    @needs("listing")
    async def test_deleting_a_directory_deletes_everything_below(self, storage: Disk) -> None:
        for path in ("d/1", "d/2", "d/e/3", "d/e/f/4"):
            await storage.put(path, b"content")
        await storage.delete_directory("d")
        assert [entry.path async for entry in storage.list(recursive=True)] == []

    @needs("listing")
    async def test_a_deleted_directory_does_not_exist(self, disk: Disk) -> None:
        await disk.put("one/two/1", b"1")
        await disk.put("one/2", b"2")
        await disk.delete_directory("one/two")
        assert await disk.exists("one/two/1") is False
        assert await disk.all_files() == ["one/2"]

    @needs("listing")
    async def test_deleting_a_directory_leaves_names_that_begin_alike(self, storage: Disk) -> None:
        for path in ("foo/1", "foobar/2", "foo.txt", "foo-bar/3"):
            await storage.put(path, b"content")
        await storage.delete_directory("foo")
        files = [entry.path async for entry in storage.list(recursive=True)]
        assert sorted(files) == ["foo-bar/3", "foo.txt", "foobar/2"]

    @needs("listing")
    @pytest.mark.parametrize("name", ["!", "0", "A", "~", "\u00e9", "\u65e5", "\U0001f600"])
    async def test_directory_of_any_name_is_listed_and_deleted(
        self, disk: Disk, capabilities: Capabilities, name: str
    ) -> None:
        for path in (f"{name}/1", f"{name}/{name}/2", "k/3"):
            await disk.put(path, b"content")
        assert sorted(await disk.all_files(name)) == sorted([f"{name}/1", f"{name}/{name}/2"])
        if "empty_directory_removal" in capabilities:
            with must_raise(PathConflictException, f"remove_empty_directory({name!r})"):
                await disk.remove_empty_directory(name)
        await disk.delete_directory(name)
        assert await disk.all_files() == ["k/3"]

    @needs("listing")
    async def test_deleting_a_directory_leaves_the_one_above(self, storage: Disk) -> None:
        await storage.put("d/1", b"1")
        await storage.put("d/e/2", b"2")
        await storage.delete_directory("d/e")
        assert await storage.get("d/1") == b"1"

    @needs("listing")
    @pytest.mark.parametrize("pattern", ["*", "?", "[a]", "a*", "%61"])
    async def test_a_directory_to_delete_is_no_pattern(self, storage: Disk, pattern: str) -> None:
        self.skip_refused(pattern)
        await storage.put("a/1", b"1")
        await storage.delete_directory(pattern)
        assert await storage.get("a/1") == b"1"

    @needs("listing")
    async def test_a_missing_directory_can_be_deleted(self, storage: Disk) -> None:
        await storage.put("a", b"1")
        await storage.delete_directory("missing")
        await storage.delete_directory("no/such")
        assert await storage.exists("a") is True

    @also_alone
    @needs("listing")
    @pytest.mark.parametrize("path", ["", "/", ".", "..", "d/..", "d/"])
    async def test_neither_the_root_nor_what_is_above_can_be_deleted(
        self, storage: Disk, path: str
    ) -> None:
        await storage.put("d/1", b"1")
        with pytest.raises(InvalidPathException):
            await storage.delete_directory(path)
        assert await storage.get("d/1") == b"1"

    @also_alone
    @needs("empty_directory_removal")
    @pytest.mark.parametrize("path", ["", "/", ".", "d/.."])
    async def test_remove_empty_directory_refuses_the_root(self, storage: Disk, path: str) -> None:
        with pytest.raises(InvalidPathException):
            await storage.remove_empty_directory(path)

    @needs("listing")
    async def test_a_directory_can_be_filled_again_after_it_was_deleted(
        self, storage: Disk
    ) -> None:
        await storage.put("d/1", b"old")
        await storage.delete_directory("d")
        await storage.put("d/2", b"new")
        assert [entry.path async for entry in storage.list(recursive=True)] == ["d/2"]

    @needs("empty_directory_removal", "directories", "listing")
    async def test_remove_empty_directory_removes_it_and_no_other(self, disk: Disk) -> None:
        await disk.make_directory("one/two")
        await disk.make_directory("one/twofold")
        assert await disk.remove_empty_directory("one/two") is True
        assert await disk.all_directories() == ["one", "one/twofold"]
        assert await disk.remove_empty_directory("one/two") is False

    @needs("empty_directory_removal")
    async def test_remove_empty_directory_refuses_one_with_files(self, disk: Disk) -> None:
        await disk.put("d/e/1", b"1")
        for path in ("d", "d/e"):
            with must_raise(PathConflictException, f"remove_empty_directory({path!r})"):
                await disk.remove_empty_directory(path)
        assert await disk.get("d/e/1") == b"1"

    @needs("empty_directory_removal", "directories", "listing")
    async def test_remove_empty_directory_refuses_one_with_directories(self, disk: Disk) -> None:
        await disk.make_directory("one/two")
        with pytest.raises(PathConflictException):
            await disk.remove_empty_directory("one")
        assert await disk.all_directories() == ["one", "one/two"]

    @needs("empty_directory_removal")
    async def test_remove_empty_directory_returns_false_where_nothing_is(self, disk: Disk) -> None:
        await disk.put("d/1", b"1")
        assert await disk.remove_empty_directory("missing") is False
        assert await disk.remove_empty_directory("d/missing") is False
        assert await disk.remove_empty_directory("missing/below") is False

    @needs("empty_directory_removal")
    async def test_remove_empty_directory_refuses_a_file(self, disk: Disk) -> None:
        await disk.put("a", b"file")
        with pytest.raises(PathConflictException):
            await disk.remove_empty_directory("a")
        assert await disk.get("a") == b"file"

    @needs("empty_directory_removal", "directories")
    async def test_remove_empty_directory_never_removes_a_file_put_meanwhile(
        self, disk: Disk
    ) -> None:
        for number in range(10):
            path = f"d{number}"
            await disk.make_directory(path)
            both = [disk.put(f"{path}/1", b"1"), disk.remove_empty_directory(path)]
            ended = await asyncio.gather(*both[:: 1 if number % 2 else -1], return_exceptions=True)
            unexpected = [
                each
                for each in ended
                if isinstance(each, BaseException) and not isinstance(each, PathConflictException)
            ]
            assert unexpected == []
            assert await disk.get(f"{path}/1") == b"1"

    async def test_a_file_below_a_file_is_kept_or_refused(self, storage: Disk) -> None:
        await storage.put("a", b"file")
        if self.files_may_shadow_directories:
            await storage.put("a/b", b"below")
            assert await storage.get("a/b") == b"below"
        else:
            with pytest.raises(PathConflictException):
                await storage.put("a/b", b"below")
            assert await storage.exists("a/b") is False
        assert await storage.get("a") == b"file"

    async def test_a_file_in_place_of_a_directory_is_kept_or_refused(self, storage: Disk) -> None:
        await storage.put("a/b", b"below")
        if self.files_may_shadow_directories:
            await storage.put("a", b"file")
            assert await storage.get("a") == b"file"
        else:
            with pytest.raises(PathConflictException):
                await storage.put("a", b"file")
            assert await storage.exists("a") is False
        assert await storage.get("a/b") == b"below"

    @needs("directories")
    async def test_a_directory_in_place_of_a_file_is_kept_or_refused(self, storage: Disk) -> None:
        await storage.put("a", b"file")
        if self.files_may_shadow_directories:
            # Stores that keep an empty directory as an object of its own may refuse that one.
            with contextlib.suppress(PathConflictException):
                await storage.make_directory("a")
        else:
            with pytest.raises(PathConflictException):
                await storage.make_directory("a")
        assert await storage.get("a") == b"file"

    @needs("listing")
    async def test_deleting_a_directory_leaves_a_file_of_its_name(self, storage: Disk) -> None:
        await storage.put("a", b"file")
        if self.files_may_shadow_directories:
            await storage.put("a/b", b"below")
            await storage.delete_directory("a")
            assert await storage.exists("a/b") is False
        else:
            # To say that it is a file is as good as to do nothing.
            with contextlib.suppress(PathConflictException):
                await storage.delete_directory("a")
        assert await storage.get("a") == b"file"
