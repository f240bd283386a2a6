"""Listing: whole parts of paths, each entry once, one order, `start_after`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.exceptions import InvalidPathException
from jtc.storage.models import DirectoryInfo, FileInfo
from jtc.storage.options import ListOptions
from jtc.storage.testing._suite import Suite, needs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from jtc.storage import Disk
    from jtc.storage.driver import SupportsListing
    from jtc.storage.models import Entry

__all__ = ["ListingTests"]

_TREE = ("a-b", "a.txt", "a/1", "a/2", "a/b/c", "a/b/d/e", "a0", "b/x", "z")
_TREE_KEYS = (*_TREE, "a/", "a/b/", "a/b/d/", "b/")
_ALIKE = ("A", "B", "K", "a", "b", "cafe\u0301", "cafz", "caf\u00e9", "k", "ss", "\u00df", "\u212a")
"""Keys in the order of their bytes, which no order by case or by Unicode form keeps."""
_WAYS: list[Any] = [{}, {"recursive": True}, {"recursive": True, "directories": True}]
_AT_ONCE = 32


class ListingTests(Suite):
    """Needs the capability ``listing``."""

    rules = "`list_entries`"

    @needs("listing")
    async def test_an_empty_storage_lists_nothing(self, storage: Disk) -> None:
        assert await _keys(storage.list()) == []
        assert await _keys(storage.list(recursive=True)) == []

    @needs("listing")
    async def test_files_of_the_root_are_listed(self, storage: Disk) -> None:
        await _put_all(storage, ["one", "two"])
        assert await _keys(storage.list()) == ["one", "two"]

    @needs("listing")
    async def test_a_directory_with_files_is_listed_once(self, storage: Disk) -> None:
        await _put_all(storage, ["d/1", "d/2", "d/e/3", "f"])
        assert await _keys(storage.list()) == ["d/", "f"]

    @needs("listing")
    async def test_a_directory_is_listed_by_its_path(self, storage: Disk) -> None:
        await _put_all(storage, ["d/1", "d/e/2", "f"])
        assert await _keys(storage.list("d")) == ["d/1", "d/e/"]

    @needs("listing")
    async def test_a_directory_in_a_directory_is_listed_by_its_path(self, storage: Disk) -> None:
        await _put_all(storage, ["d/e/f/1", "d/e/2", "d/3"])
        assert await _keys(storage.list("d/e")) == ["d/e/2", "d/e/f/"]

    @needs("listing")
    async def test_a_recursive_listing_has_the_files_at_any_depth(self, storage: Disk) -> None:
        await _put_all(storage, _TREE)
        assert sorted(await _keys(storage.list(recursive=True))) == sorted(_TREE)

    @needs("listing")
    async def test_a_recursive_listing_of_a_directory_has_its_files_only(
        self, storage: Disk
    ) -> None:
        await _put_all(storage, _TREE)
        keys = await _keys(storage.list("a", recursive=True))
        assert sorted(keys) == ["a/1", "a/2", "a/b/c", "a/b/d/e"]

    @needs("listing")
    async def test_a_recursive_listing_has_no_directories(self, storage: Disk) -> None:
        await _put_all(storage, ["d/e/f/1"])
        assert await _keys(storage.list(recursive=True)) == ["d/e/f/1"]

    @needs("listing")
    async def test_files_are_file_infos_and_directories_directory_infos(
        self, storage: Disk
    ) -> None:
        await _put_all(storage, ["d/1", "f"])
        kinds = {entry.path: type(entry) async for entry in storage.list()}
        assert kinds == {"d": DirectoryInfo, "f": FileInfo}

    @needs("listing")
    @pytest.mark.parametrize("recursive", [False, True])
    async def test_the_beginning_of_a_name_lists_nothing(
        self, storage: Disk, *, recursive: bool
    ) -> None:
        await _put_all(storage, ["img/1", "image"])
        assert await _keys(storage.list("im", recursive=recursive)) == []

    @needs("listing")
    @pytest.mark.parametrize("recursive", [False, True])
    async def test_directories_whose_names_begin_alike_are_not_mixed(
        self, storage: Disk, *, recursive: bool
    ) -> None:
        await _put_all(storage, ["foo/1", "foobar/2", "foo.d/3", "foo-bar"])
        assert await _keys(storage.list("foo", recursive=recursive)) == ["foo/1"]

    @needs("listing")
    @pytest.mark.parametrize("recursive", [False, True])
    async def test_a_missing_directory_lists_nothing(
        self, storage: Disk, *, recursive: bool
    ) -> None:
        await _put_all(storage, ["d/1"])
        assert await _keys(storage.list("missing", recursive=recursive)) == []
        assert await _keys(storage.list("d/missing", recursive=recursive)) == []

    @needs("listing")
    @pytest.mark.parametrize("recursive", [False, True])
    async def test_a_file_is_no_directory_to_list(self, storage: Disk, *, recursive: bool) -> None:
        await _put_all(storage, ["d/a.txt"])
        assert await _keys(storage.list("d/a.txt", recursive=recursive)) == []

    @needs("listing")
    @pytest.mark.parametrize("prefix", ["*", "?", "[a]", "{a,b}", "a*", "%61", ".*"])
    async def test_a_prefix_is_no_pattern(self, storage: Disk, prefix: str) -> None:
        self.skip_refused(f"{prefix}/3")
        await _put_all(storage, ["a/1", "b/2"])
        assert await _keys(storage.list(prefix)) == []
        await _put_all(storage, [f"{prefix}/3"])
        assert await _keys(storage.list(prefix)) == [f"{prefix}/3"]

    @needs("listing")
    async def test_one_leading_slash_of_a_prefix_is_dropped(self, storage: Disk) -> None:
        await _put_all(storage, ["d/1"])
        assert await _keys(storage.list("/d")) == ["d/1"]

    @needs("listing")
    @pytest.mark.parametrize("prefix", ["..", ".", "d/..", "d/", "d//e", "//", "a\\b", "d\x00"])
    async def test_a_prefix_keeps_to_the_path_policy(self, storage: Disk, prefix: str) -> None:
        with pytest.raises(InvalidPathException):
            await _keys(storage.list(prefix))

    @needs("listing")
    @pytest.mark.parametrize("recursive", [False, True])
    async def test_each_entry_is_listed_once(self, storage: Disk, *, recursive: bool) -> None:
        await _put_all(storage, [f"d{n % 5}/e{n % 3}/{n}" for n in range(60)])
        for prefix in ("", "d1", "d1/e1"):
            keys = await _keys(storage.list(prefix, recursive=recursive))
            assert len(keys) == len(set(keys))

    @needs("listing")
    async def test_every_directory_on_the_way_is_listed(self, storage: Disk) -> None:
        await _put_all(storage, ["one/two/three/file"])
        assert await _keys(storage.list()) == ["one/"]
        assert await _keys(storage.list("one")) == ["one/two/"]
        assert await _keys(storage.list("one/two")) == ["one/two/three/"]
        assert await _keys(storage.list("one/two/three")) == ["one/two/three/file"]

    @needs("listing")
    async def test_list_has_files_and_directories_at_great_depth(self, storage: Disk) -> None:
        parts = [f"d{number}" for number in range(40)]
        deep = "/".join(parts)
        await _put_all(storage, [f"{deep}/file", "d0/file"])
        assert await _keys(storage.list(recursive=True)) == [f"{deep}/file", "d0/file"]
        assert await _keys(storage.list(deep)) == [f"{deep}/file"]
        both = await _keys(storage.list(recursive=True, directories=True))
        above = ["/".join(parts[:depth]) + "/" for depth in range(1, 41)]
        assert sorted(both) == sorted([*above, f"{deep}/file", "d0/file"])
        await storage.delete_directory("d0/d1")
        assert await _keys(storage.list(recursive=True)) == ["d0/file"]

    @needs("listing")
    async def test_listed_metadata_is_that_of_the_files(self, storage: Disk) -> None:
        await storage.put("d/one", b"1")
        await storage.put("d/three", b"333")
        async for entry in storage.list("d"):
            assert isinstance(entry, FileInfo)
            assert entry.size == await storage.size(entry.path)
            modified = await storage.last_modified(entry.path)
            assert entry.last_modified == pytest.approx(modified, abs=1)

    @needs("listing", "stat")
    async def test_listed_etags_are_those_of_stat(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        async for entry in storage.list():
            assert isinstance(entry, FileInfo)
            info = await storage.stat("a.txt")
            assert entry.etag in {None, info.etag}
            assert entry.content_type in {None, info.content_type}

    @needs("listing")
    async def test_a_file_that_was_replaced_is_listed_once_with_its_new_size(
        self, storage: Disk
    ) -> None:
        await storage.put("a.txt", b"1")
        await storage.put("a.txt", b"four")
        sizes = [entry.size async for entry in storage.list() if isinstance(entry, FileInfo)]
        assert sizes == [4]

    @needs("listing")
    async def test_a_deleted_file_is_not_listed(self, storage: Disk) -> None:
        await _put_all(storage, ["d/1", "d/2"])
        await storage.delete("d/1")
        assert await _keys(storage.list("d")) == ["d/2"]
        assert await _keys(storage.list(recursive=True)) == ["d/2"]

    @needs("listing")
    @pytest.mark.parametrize(
        "name",
        [
            "a b",
            "a+b",
            "a%20b",
            "%2F",
            "a&b=c",
            "<a>&amp;",
            "#1",
            "größe",
            "cafe\u0301",
            "\U0001f600",
        ],
    )
    async def test_names_are_listed_as_they_were_put(self, storage: Disk, name: str) -> None:
        self.skip_refused(f"{name}/{name}")
        await _put_all(storage, [f"{name}/{name}"])
        assert await _keys(storage.list()) == [f"{name}/"]
        assert await _keys(storage.list(name)) == [f"{name}/{name}"]
        assert await _keys(storage.list(recursive=True)) == [f"{name}/{name}"]

    @needs("listing")
    async def test_a_listing_has_no_limit_of_a_thousand(self, storage: Disk) -> None:
        paths = [f"d/{number:05}" for number in range(self.many_files)]
        await _put_all(storage, paths)
        assert sorted(await _keys(storage.list("d"))) == paths
        assert sorted(await _keys(storage.list(recursive=True))) == paths
        kept = paths[-1_010:]
        await storage.delete_many(paths[:-1_010])
        await storage.put("d/new", b"1")
        assert sorted(await _keys(storage.list("d"))) == [*kept, "d/new"]
        await storage.delete_directory("d")
        assert await _keys(storage.list(recursive=True)) == []

    @needs("listing")
    async def test_a_flat_listing_is_in_the_order_of_keys(self, storage: Disk) -> None:
        self._ordered()
        await _put_all(storage, _TREE)
        assert await _keys(storage.list()) == ["a-b", "a.txt", "a/", "a0", "b/", "z"]

    @needs("listing")
    async def test_a_recursive_listing_is_in_the_order_of_keys(self, storage: Disk) -> None:
        self._ordered()
        await _put_all(storage, _TREE)
        assert await _keys(storage.list(recursive=True)) == sorted(_TREE)

    @needs("listing")
    @pytest.mark.parametrize("recursive", [False, True])
    async def test_the_order_is_that_of_utf8(self, storage: Disk, *, recursive: bool) -> None:
        self._ordered()
        names = ["A", "Z", "a", "b", "é", "\u0436", "日", "\uff5e", "\U0001f600"]
        await _put_all(storage, reversed(names))
        assert await _keys(storage.list(recursive=recursive)) == names

    @needs("listing")
    async def test_lists_in_key_order_of_a_driver_is_true(
        self, storage: Disk, driver: SupportsListing
    ) -> None:
        if getattr(driver, "lists_in_key_order", False) is not True:
            pytest.skip("the driver does not say that it lists in the order of keys")
        keys = sorted([*_TREE, "é", "\u0436", "\uff5e", "\U0001f600/1", "\U0001f600.txt"])
        await _put_all(storage, reversed(keys))
        assert await _keys(storage.list(recursive=True)) == keys
        assert await _keys(storage.list("a", recursive=True)) == [k for k in keys if k[:2] == "a/"]

    @needs("listing")
    @pytest.mark.parametrize("recursive", [False, True])
    async def test_the_order_is_the_same_each_time(self, storage: Disk, *, recursive: bool) -> None:
        await _put_all(storage, reversed(_TREE))
        first = await _keys(storage.list(recursive=recursive))
        await storage.put("a.txt", b"again")
        assert await _keys(storage.list(recursive=recursive)) == first

    @needs("listing")
    @pytest.mark.parametrize("recursive", [False, True])
    @pytest.mark.parametrize("prefix", ["", "a"])
    async def test_a_listing_goes_on_after_any_entry(
        self, storage: Disk, prefix: str, *, recursive: bool
    ) -> None:
        await _put_all(storage, _TREE)
        entries = [entry async for entry in storage.list(prefix, recursive=recursive)]
        for seen, last in enumerate(entries, start=1):
            rest = storage.list(prefix, recursive=recursive, start_after=last)
            assert await _keys(rest) == [_key(entry) for entry in entries[seen:]]

    @needs("listing")
    @pytest.mark.parametrize("recursive", [False, True])
    async def test_list_start_after_compares_bytes_not_case_or_unicode_form(
        self, storage: Disk, *, recursive: bool
    ) -> None:
        await _put_all(storage, _ALIKE)
        entries = [entry async for entry in storage.list(recursive=recursive)]
        assert len(entries) == len(_ALIKE)
        for seen, last in enumerate(entries, start=1):
            rest = storage.list(recursive=recursive, start_after=last)
            expected = [_key(entry) for entry in entries[seen:]]
            assert await _keys(rest) == expected, f"start_after={_key(last)!r}"

    @needs("listing")
    async def test_list_start_after_file_goes_on_with_directory_of_its_name(
        self, storage: Disk
    ) -> None:
        if not self.files_may_shadow_directories:
            pytest.skip("the suite says that no file has a directory of its name")
        self._ordered()
        await _put_all(storage, ["a", "a/1", "b"])
        entries = [entry async for entry in storage.list()]
        assert sorted(map(_key, entries)) == ["a", "a/", "b"]
        for seen, last in enumerate(entries, start=1):
            rest = await _keys(storage.list(start_after=last))
            assert rest == [_key(entry) for entry in entries[seen:]], f"after {_key(last)!r}"

    @needs("listing")
    async def test_nothing_comes_after_the_last_entry(self, storage: Disk) -> None:
        await _put_all(storage, ["1", "2"])
        assert await _keys(storage.list(start_after="2")) == []

    @needs("listing")
    async def test_a_listing_goes_on_after_a_file_that_is_gone(self, storage: Disk) -> None:
        await _put_all(storage, ["1", "2", "3", "4"])
        await storage.delete("2")
        assert await _keys(storage.list(start_after="2")) == ["3", "4"]
        assert await _keys(storage.list(recursive=True, start_after="2")) == ["3", "4"]

    @needs("listing")
    async def test_a_listing_goes_on_after_a_key_that_never_was(self, storage: Disk) -> None:
        self._ordered()
        await _put_all(storage, ["a", "c/1", "e"])
        assert await _keys(storage.list(start_after="b")) == ["c/", "e"]
        assert await _keys(storage.list(start_after="0")) == ["a", "c/", "e"]
        assert await _keys(storage.list(start_after="f")) == []

    @needs("listing")
    async def test_a_listing_that_is_left_early_leaves_the_storage_usable(
        self, storage: Disk
    ) -> None:
        await _put_all(storage, ["1", "2", "3"])
        async for _ in storage.list():
            break
        assert await _keys(storage.list()) == ["1", "2", "3"]

    @needs("listing")
    async def test_two_listings_at_once_are_both_whole(self, storage: Disk) -> None:
        await _put_all(storage, _TREE)
        both = await asyncio.gather(
            _keys(storage.list(recursive=True)), _keys(storage.list("a", recursive=True))
        )
        assert [len(keys) for keys in both] == [len(_TREE), 4]

    @needs("listing")
    async def test_what_is_deleted_during_a_listing_stops_nothing(self, storage: Disk) -> None:
        await _put_all(storage, [str(number) for number in range(9)])
        seen = []
        async for entry in storage.list():
            seen.append(entry.path)
            await storage.delete(entry.path)
        assert sorted(seen) == [str(number) for number in range(9)]

    @needs("listing")
    @pytest.mark.parametrize("options", _WAYS, ids=str)
    async def test_list_goes_on_when_entries_to_come_are_deleted_or_made(
        self, storage: Disk, options: Any
    ) -> None:
        await _put_all(storage, [f"{number}/{number}" for number in range(20)])
        listed = storage.list(**options)
        seen = [_key(await anext(listed))]
        for number in range(20):
            if not seen[0].startswith(f"{number}/"):
                await storage.delete(f"{number}/{number}")
        await storage.put("new", b"1")
        seen += [_key(entry) async for entry in listed]
        assert len(seen) == len(set(seen))
        assert await _keys(storage.list(recursive=True)) == sorted(
            [f"{seen[0].partition('/')[0]}/{seen[0].partition('/')[0]}", "new"]
        )

    @needs("listing")
    @pytest.mark.parametrize("prefix", ["", "a"])
    async def test_list_with_directories_has_each_before_its_entries(
        self, storage: Disk, prefix: str
    ) -> None:
        await _put_all(storage, _TREE)
        found = await _keys(storage.list(prefix, recursive=True, directories=True))
        below = f"{prefix}/" if prefix else ""
        expected = sorted(key for key in _TREE_KEYS if key.startswith(below) and key != below)
        assert sorted(found) == expected, "each entry is listed once, and each directory too"
        late = [key for at, key in enumerate(found) if _parent(key) in found[at:]]
        assert late == [], "a directory is listed before its entries"
        if self.lists_in_key_order:
            assert found == expected

    @needs("listing", "directories")
    async def test_list_with_directories_has_made_ones(self, disk: Disk) -> None:
        await disk.make_directory("one/two")
        await _put_all(disk, ["one/1", "a/b/2"])
        found = await _keys(disk.list(recursive=True, directories=True))
        assert sorted(found) == ["a/", "a/b/", "a/b/2", "one/", "one/1", "one/two/"]

    @needs("listing")
    @pytest.mark.parametrize("prefix", ["", "a"])
    async def test_list_with_directories_goes_on_after_any_entry(
        self, storage: Disk, prefix: str
    ) -> None:
        await _put_all(storage, _TREE)
        listed = storage.list(prefix, recursive=True, directories=True)
        entries = [entry async for entry in listed]
        for seen, last in enumerate(entries, start=1):
            rest = storage.list(prefix, recursive=True, directories=True, start_after=last)
            expected = [_key(entry) for entry in entries[seen:]]
            assert await _keys(rest) == expected, f"start_after={_key(last)!r}"

    @needs("listing", options={"list_entries": ["itself"]})
    async def test_list_entries_itself_yields_the_directory_alone(
        self, disk: Disk, driver: SupportsListing
    ) -> None:
        await _put_all(disk, ["d/e/1", "d/2", "da"])
        for path, expected in {"d": ["d/"], "d/e": ["d/e/"], "d/2": [], "missing": []}.items():
            found = await _keys(driver.list_entries(path, ListOptions(itself=True)))
            assert found == expected, f"list_entries({path!r}, itself)"

    @needs("listing", options={"list_entries": ["left_out"]})
    async def test_list_entries_reports_only_what_is_left_out(
        self, disk: Disk, driver: SupportsListing
    ) -> None:
        await _put_all(disk, ["d/e/1", "d/2", "d/é ü", "da"])
        reported: list[str] = []

        def report(key: str, _error: Exception) -> None:
            reported.append(key)

        options = ListOptions(recursive=True, left_out=report)
        found = await _keys(driver.list_entries("d", options))
        assert sorted(found) == ["d/2", "d/e/1", "d/é ü"]
        assert reported == [], "left_out is called for names that are not listed"

    @needs("listing")
    async def test_files_names_the_files_of_a_directory(self, disk: Disk) -> None:
        await _put_all(disk, ["d/1", "d/e/2", "f"])
        assert await disk.files() == ["f"]
        assert await disk.files("d") == ["d/1"]

    @needs("listing")
    async def test_all_files_names_the_files_below_a_directory(self, disk: Disk) -> None:
        await _put_all(disk, ["d/1", "d/e/2", "f"])
        assert sorted(await disk.all_files()) == ["d/1", "d/e/2", "f"]
        assert sorted(await disk.all_files("d")) == ["d/1", "d/e/2"]

    @needs("listing")
    async def test_directories_names_the_directories_of_a_directory(self, disk: Disk) -> None:
        await _put_all(disk, ["d/1", "d/e/2", "d/e/f/3", "f"])
        assert await disk.directories() == ["d"]
        assert await disk.directories("d") == ["d/e"]

    @needs("listing")
    async def test_all_directories_names_those_at_any_depth(self, disk: Disk) -> None:
        await _put_all(disk, ["d/1", "d/e/2", "d/e/f/3", "f"])
        assert await disk.all_directories() == ["d", "d/e", "d/e/f"]

    @needs("listing")
    async def test_a_directory_exists_where_files_are_below_it(self, disk: Disk) -> None:
        await _put_all(disk, ["foo/bar/1"])
        assert await disk.directory_exists("foo") is True
        assert await disk.directory_exists("foo/bar") is True
        assert await disk.directory_exists("fo") is False
        assert await disk.directory_exists("foo/bar/1") is False

    def _ordered(self) -> None:
        if not self.lists_in_key_order:
            pytest.skip("the backend lists in an order of its own")


async def _put_all(storage: Disk, paths: Iterable[str]) -> None:
    waiting = list(paths)
    while waiting:
        some, waiting = waiting[:_AT_ONCE], waiting[_AT_ONCE:]
        await asyncio.gather(*(storage.put(path, path.encode()) for path in some))


async def _keys(entries: AsyncIterator[Entry]) -> list[str]:
    return [_key(entry) async for entry in entries]


def _key(entry: Entry) -> str:
    return f"{entry.path}/" if isinstance(entry, DirectoryInfo) else entry.path


def _parent(key: str) -> str:
    """Return the key of the directory that holds a key."""
    return key.removesuffix("/").rpartition("/")[0] + "/"
