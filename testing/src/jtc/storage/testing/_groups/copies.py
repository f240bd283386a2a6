"""Copies and moves: within a disk, onto itself, and to another disk."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    PreconditionFailedException,
    UnsupportedOperationException,
)
from jtc.storage.options import WriteOptions
from jtc.storage.testing._minimal_driver import PlainDriver
from jtc.storage.testing._suite import (
    DECLARED,
    DECLARED_AGAIN,
    Suite,
    also_alone,
    assert_same,
    must_raise,
    needs,
    needs_empty_files,
)

if TYPE_CHECKING:
    from jtc.storage import Capabilities, Disk, StorageManager

__all__ = ["CopyTests"]

_BOTH = pytest.mark.parametrize("method", ["copy", "move"])


class CopyTests(Suite):
    """What holds for both is run for both; `Disk` derives what the driver does not claim."""

    rules = "`copy_file`, `move_file`"

    @_BOTH
    async def test_the_target_has_the_content(self, storage: Disk, method: str) -> None:
        await storage.put("a.txt", b"content")
        await getattr(storage, method)("a.txt", "b.txt")
        assert await storage.get("b.txt") == b"content"

    async def test_a_copy_leaves_the_source(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        await storage.copy("a.txt", "b.txt")
        assert await storage.get("a.txt") == b"content"

    async def test_a_move_takes_the_source_away(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        await storage.move("a.txt", "b.txt")
        assert await storage.exists("a.txt") is False

    @_BOTH
    async def test_the_targets_path_is_returned(self, disk: Disk, method: str) -> None:
        await disk.put("a.txt", b"content")
        assert await getattr(disk, method)("a.txt", "/d/b.txt") == "d/b.txt"

    @_BOTH
    async def test_the_target_is_replaced_whole(self, storage: Disk, method: str) -> None:
        await storage.put("a.txt", b"new")
        await storage.put("b.txt", b"old and longer")
        await getattr(storage, method)("a.txt", "b.txt")
        assert await storage.get("b.txt") == b"new"

    @_BOTH
    async def test_directories_on_the_way_to_the_target_need_not_be_made(
        self, storage: Disk, method: str
    ) -> None:
        await storage.put("a.txt", b"content")
        await getattr(storage, method)("a.txt", "one/two/b.txt")
        assert await storage.get("one/two/b.txt") == b"content"

    @_BOTH
    @needs_empty_files
    async def test_an_empty_file_arrives(self, storage: Disk, method: str) -> None:
        await storage.put("a.txt", b"")
        await getattr(storage, method)("a.txt", "b.txt")
        assert await storage.get("b.txt") == b""

    @_BOTH
    async def test_megabytes_arrive(self, storage: Disk, method: str) -> None:
        content = bytes(range(251)) * 12_000
        await storage.put("large", content)
        await getattr(storage, method)("large", "larger")
        assert_same(await storage.get("larger"), content)

    @_BOTH
    async def test_a_missing_source_is_not_found(self, storage: Disk, method: str) -> None:
        with pytest.raises(FileNotFoundError):
            await getattr(storage, method)("missing.txt", "b.txt")

    @_BOTH
    async def test_copy_errors_name_the_path_that_they_are_about(
        self, disk: Disk, capabilities: Capabilities, method: str
    ) -> None:
        await disk.put("a.txt", b"a")
        await disk.put("b.txt", b"b")
        options = capabilities.copy_options & capabilities.move_options
        with pytest.raises(FileNotFoundException) as missing:
            await getattr(disk, method)("missing.txt", "b.txt")
        assert missing.value.path == "missing.txt"
        if "overwrite" in options:
            with pytest.raises(FileExistsException) as exists:
                await getattr(disk, method)("a.txt", "b.txt", overwrite=False)
            assert exists.value.path == "b.txt"
        if "if_source_match" in options:
            with pytest.raises(PreconditionFailedException) as changed:
                await getattr(disk, method)("a.txt", "b.txt", if_source_match="another")
            assert changed.value.path == "a.txt"

    @_BOTH
    async def test_a_missing_source_leaves_the_target(self, storage: Disk, method: str) -> None:
        await storage.put("b.txt", b"old")
        with pytest.raises(FileNotFoundError):
            await getattr(storage, method)("missing.txt", "b.txt")
        assert await storage.get("b.txt") == b"old"

    @_BOTH
    async def test_a_missing_source_leaves_no_target(self, storage: Disk, method: str) -> None:
        with pytest.raises(FileNotFoundError):
            await getattr(storage, method)("missing.txt", "b.txt")
        assert await storage.exists("b.txt") is False

    @_BOTH
    async def test_a_directory_is_no_source(self, storage: Disk, method: str) -> None:
        await storage.put("d/1", b"1")
        with pytest.raises(FileNotFoundError):
            await getattr(storage, method)("d", "e")
        assert await storage.get("d/1") == b"1"

    @also_alone
    @_BOTH
    async def test_onto_itself_changes_nothing(self, storage: Disk, method: str) -> None:
        await storage.put("a.txt", b"content")
        modified = await storage.last_modified("a.txt")
        await getattr(storage, method)("a.txt", "a.txt")
        assert await storage.get("a.txt") == b"content"
        assert await storage.last_modified("a.txt") == modified

    @also_alone
    @_BOTH
    @needs("copy", "move", copy=["overwrite"])
    async def test_onto_itself_overwrite_false_is_refused(self, storage: Disk, method: str) -> None:
        await storage.put("a.txt", b"content")
        with pytest.raises(FileExistsError):
            await getattr(storage, method)("a.txt", "a.txt", overwrite=False)
        assert await storage.get("a.txt") == b"content"

    @also_alone
    @_BOTH
    @needs("copy", "move", "stat", put=["metadata"], copy=["metadata"])
    async def test_onto_itself_drops_no_option(self, storage: Disk, method: str) -> None:
        await storage.put("a.txt", b"content", metadata={"one": "1"})
        expected = {"two": "2"}
        try:
            await getattr(storage, method)("a.txt", "a.txt", metadata={"two": "2"})
        except UnsupportedOperationException:
            expected = {"one": "1"}
        assert await storage.get("a.txt") == b"content"
        assert dict((await storage.stat("a.txt")).metadata) == expected

    @_BOTH
    async def test_onto_itself_by_a_leading_slash_changes_nothing(
        self, storage: Disk, method: str
    ) -> None:
        await storage.put("a.txt", b"content")
        await getattr(storage, method)("/a.txt", "a.txt")
        assert await storage.get("a.txt") == b"content"

    @_BOTH
    async def test_a_missing_file_onto_itself_is_not_found(
        self, storage: Disk, method: str
    ) -> None:
        with pytest.raises(FileNotFoundError):
            await getattr(storage, method)("missing.txt", "missing.txt")

    async def test_a_copy_and_its_source_are_two_files(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        await storage.copy("a.txt", "b.txt")
        await storage.put("a.txt", b"changed")
        assert await storage.get("b.txt") == b"content"
        await storage.delete("b.txt")
        assert await storage.get("a.txt") == b"changed"

    async def test_moved_there_and_back_is_the_same(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        await storage.move("a.txt", "b.txt")
        await storage.move("b.txt", "a.txt")
        assert await storage.get("a.txt") == b"content"
        assert await storage.exists("b.txt") is False

    @_BOTH
    @pytest.mark.parametrize(
        "name", ["a b", "a+b", "a%20b", "50%", "a?b#c", "größe 日本", "&<>\"'", "\U0001f600"]
    )
    async def test_special_characters_of_names_arrive(
        self, storage: Disk, method: str, name: str
    ) -> None:
        self.skip_refused(f"to/{name}")
        await storage.put(f"from/{name}", b"content")
        await getattr(storage, method)(f"from/{name}", f"to/{name}")
        assert await storage.get(f"to/{name}") == b"content"

    @_BOTH
    @needs("stat", put=["content_type"])
    async def test_the_content_type_travels(self, storage: Disk, method: str) -> None:
        await storage.put("a.txt", b"content", content_type="application/x-own")
        await getattr(storage, method)("a.txt", "b.html")
        assert (await storage.stat("b.html")).content_type == "application/x-own"

    @_BOTH
    @needs("stat", put=["metadata"])
    async def test_the_metadata_travels(self, storage: Disk, method: str) -> None:
        metadata = {"owner": "Ünï", "n-1": "x"}
        await storage.put("a.txt", b"content", metadata=metadata)
        await getattr(storage, method)("a.txt", "b.txt")
        assert dict((await storage.stat("b.txt")).metadata) == metadata

    @_BOTH
    @needs("stat", put=["cache_control", "content_disposition"])
    async def test_the_headers_to_serve_with_travel(self, storage: Disk, method: str) -> None:
        await storage.put(
            "a.txt", b"1", cache_control="max-age=60", content_disposition="attachment"
        )
        await getattr(storage, method)("a.txt", "b.txt")
        info = await storage.stat("b.txt")
        assert info.cache_control == "max-age=60"
        assert info.content_disposition == "attachment"

    @_BOTH
    @needs("stat", put=["metadata"])
    async def test_metadata_of_the_replaced_file_does_not_stay(
        self, storage: Disk, method: str
    ) -> None:
        await storage.put("a.txt", b"new")
        await storage.put("b.txt", b"old", metadata={"old": "yes"})
        await getattr(storage, method)("a.txt", "b.txt")
        assert dict((await storage.stat("b.txt")).metadata) == {}

    @_BOTH
    @needs("stat", put=["content_type"], copy=["content_type"])
    async def test_another_content_type_can_be_asked_for(self, storage: Disk, method: str) -> None:
        await storage.put("a.txt", b"content", content_type="text/plain")
        await getattr(storage, method)("a.txt", "b.txt", content_type="text/markdown")
        assert (await storage.stat("b.txt")).content_type == "text/markdown"

    @_BOTH
    @needs("stat", put=["metadata", "content_type"], copy=["metadata"])
    async def test_other_metadata_can_be_asked_for(self, storage: Disk, method: str) -> None:
        await storage.put("a.txt", b"1", metadata={"old": "1"}, content_type="text/x-own")
        await getattr(storage, method)("a.txt", "b.txt", metadata={"new": "2"})
        info = await storage.stat("b.txt")
        assert dict(info.metadata) == {"new": "2"}
        assert info.content_type == "text/x-own"

    @_BOTH
    @needs("stat", put=["metadata", "content_type"], copy=["metadata"])
    async def test_copy_metadata_of_no_names_removes_all(self, storage: Disk, method: str) -> None:
        await storage.put("a.txt", b"1", metadata={"old": "1"}, content_type="text/x-own")
        await getattr(storage, method)("a.txt", "b.txt", metadata={})
        info = await storage.stat("b.txt")
        assert dict(info.metadata) == {}
        assert info.content_type == "text/x-own"

    @_BOTH
    @needs("stat", put=["metadata"], copy=["metadata"])
    async def test_copy_keeps_each_declared_field_that_no_option_replaces(
        self, storage: Disk, capabilities: Capabilities, method: str
    ) -> None:
        replaceable = capabilities.copy_options & capabilities.move_options
        both = capabilities.put_options & replaceable & set(DECLARED)
        old, new = ({name: of[name] for name in both} for of in (DECLARED, DECLARED_AGAIN))
        for option in (*new, "all of them"):
            given = {option: new[option]} if option in new else new
            await storage.put("a.txt", b"1", **old)
            await getattr(storage, method)("a.txt", "b.txt", **given)
            info = await storage.stat("b.txt")
            found = {name: getattr(info, name) for name in new} | {"metadata": dict(info.metadata)}
            assert found == old | given, f"{method}() with {list(given)}"

    async def test_last_modified_of_copy_is_when_it_was_made(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        await asyncio.sleep(0.02)
        await storage.put("before", b"before")
        await storage.copy("a.txt", "b.txt")
        before = await storage.last_modified("before")
        assert await storage.last_modified("b.txt") >= before

    @needs("stat", put=["metadata"], update=["metadata"])
    async def test_copy_shares_no_metadata_with_its_source(self, disk: Disk) -> None:
        await disk.put("a.txt", b"content", metadata={"of": "a"})
        await disk.copy("a.txt", "b.txt")
        await disk.set_metadata("b.txt", metadata={"of": "b"})
        assert dict((await disk.stat("a.txt")).metadata) == {"of": "a"}

    @_BOTH
    @needs("stat")
    async def test_copy_file_returns_the_etag_of_its_target(
        self, disk: Disk, driver: Any, capabilities: Capabilities, method: str
    ) -> None:
        if method not in capabilities:
            pytest.skip(f"the driver does not claim the capability {method!r}")
        await disk.put("a.txt", b"content")
        await disk.put("b.txt", b"old")
        returned = await getattr(driver, f"{method}_file")("a.txt", "b.txt", WriteOptions())
        assert returned in {None, (await disk.stat("b.txt")).etag}

    async def test_copy_of_file_that_is_replaced_meanwhile_is_of_one_version(
        self, storage: Disk
    ) -> None:
        contents = [b"o" * 300_000, b"n" * 200_000]
        await storage.put("a", contents[0])
        for number in range(6):
            both = [storage.put("a", contents[number % 2 - 1]), storage.copy("a", "b")]
            ended = await asyncio.gather(*both[:: 1 if number % 3 else -1], return_exceptions=True)
            failed = [each for each in ended if isinstance(each, BaseException)]
            assert all(isinstance(each, PreconditionFailedException) for each in failed), failed
            if await storage.exists("b"):
                assert await storage.get("b") in contents, "a copy is of one version"

    async def test_move_leaves_the_file_at_one_of_its_paths_all_the_time(
        self, storage: Disk
    ) -> None:
        await storage.put("0", b"content")
        done = asyncio.Event()
        moved = 0

        async def move() -> None:
            nonlocal moved
            for number in range(8):
                await storage.move(str(number), str(number + 1))
                moved = number + 1
            done.set()

        async def look() -> list[int]:
            lost = []
            while not done.is_set():
                before = moved
                there = [await storage.exists(str(before)), await storage.exists(str(before + 1))]
                # A move that ended meanwhile may have been followed by the next one.
                if not any(there) and moved == before:
                    lost.append(before)
                await asyncio.sleep(0)
            return lost

        _, lost = await asyncio.gather(move(), look())
        assert lost == [], "a moved file is at its old or its new path at any time"

    @_BOTH
    @needs(copy=["overwrite"])
    async def test_of_many_copies_to_one_new_target_one_wins(
        self, storage: Disk, method: str
    ) -> None:
        async def transfer(number: int) -> bool:
            try:
                await getattr(storage, method)(f"s{number}", "target", overwrite=False)
            except FileExistsException:
                return False
            return True

        for number in range(6):
            await storage.put(f"s{number}", b"%d" % number)
        won = await asyncio.gather(*map(transfer, range(6)))
        assert won.count(True) == 1, f"of six {method}() with overwrite=False one succeeds"
        assert await storage.get("target") == b"%d" % won.index(True)
        kept = [await storage.exists(f"s{number}") for number in range(6)]
        assert kept == [method == "copy" or not each for each in won]

    @_BOTH
    @needs(copy=["if_source_match"])
    async def test_copy_if_source_match_of_empty_etag_is_a_condition_that_fails(
        self, storage: Disk, method: str
    ) -> None:
        await storage.put("a.txt", b"one")
        with must_raise(PreconditionFailedException, f"{method}(if_source_match='')"):
            await getattr(storage, method)("a.txt", "b.txt", if_source_match="")
        assert await storage.exists("b.txt") is False

    @_BOTH
    @needs(copy=["overwrite"])
    async def test_a_target_that_exists_can_be_refused(self, storage: Disk, method: str) -> None:
        await storage.put("a.txt", b"new")
        await storage.put("b.txt", b"old")
        with pytest.raises(FileExistsException):
            await getattr(storage, method)("a.txt", "b.txt", overwrite=False)
        assert await storage.get("a.txt") == b"new"
        assert await storage.get("b.txt") == b"old"

    @_BOTH
    @needs(copy=["overwrite"])
    async def test_a_target_that_is_new_is_not_refused(self, storage: Disk, method: str) -> None:
        await storage.put("a.txt", b"new")
        await getattr(storage, method)("a.txt", "b.txt", overwrite=False)
        assert await storage.get("b.txt") == b"new"

    @_BOTH
    @needs("stat", copy=["if_source_match"])
    async def test_a_source_that_changed_can_be_refused(self, storage: Disk, method: str) -> None:
        await storage.put("a.txt", b"one")
        etag = (await storage.stat("a.txt")).etag
        await storage.put("a.txt", b"two")
        with pytest.raises(PreconditionFailedException):
            await getattr(storage, method)("a.txt", "b.txt", if_source_match=etag)
        assert await storage.exists("b.txt") is False
        assert await storage.get("a.txt") == b"two"

    @_BOTH
    @needs("stat", copy=["if_source_match"])
    async def test_a_missing_source_is_missing_whatever_version_is_named(
        self, storage: Disk, method: str
    ) -> None:
        await storage.put("a.txt", b"one")
        etag = (await storage.stat("a.txt")).etag
        with pytest.raises(FileNotFoundException):
            await getattr(storage, method)("missing.txt", "b.txt", if_source_match=etag)
        assert await storage.exists("b.txt") is False

    @_BOTH
    @needs("stat", copy=["if_source_match"])
    async def test_a_source_that_is_the_one_is_not_refused(
        self, storage: Disk, method: str
    ) -> None:
        await storage.put("a.txt", b"one")
        etag = (await storage.stat("a.txt")).etag
        await getattr(storage, method)("a.txt", "b.txt", if_source_match=etag)
        assert await storage.get("b.txt") == b"one"

    @_BOTH
    async def test_a_file_can_go_to_another_disk(
        self, disk: Disk, manager: StorageManager, method: str
    ) -> None:
        manager.set_driver(PlainDriver(), "other")
        await disk.put("a.txt", b"content")
        await getattr(disk, method)("a.txt", "b.txt", to="other")
        assert await manager.disk("other").get("b.txt") == b"content"
        assert await disk.exists("a.txt") is (method == "copy")

    @_BOTH
    async def test_a_file_can_come_from_another_disk(
        self, disk: Disk, manager: StorageManager, method: str
    ) -> None:
        manager.set_driver(PlainDriver(), "other")
        other = manager.disk("other")
        await other.put("a.txt", b"content")
        await getattr(other, method)("a.txt", "b.txt", to=disk)
        assert await disk.get("b.txt") == b"content"
        assert await other.exists("a.txt") is (method == "copy")

    @_BOTH
    async def test_the_same_path_on_another_disk_is_another_file(
        self, disk: Disk, manager: StorageManager, method: str
    ) -> None:
        manager.set_driver(PlainDriver(), "other")
        await disk.put("a.txt", b"content")
        await getattr(disk, method)("a.txt", "a.txt", to="other")
        assert await manager.disk("other").get("a.txt") == b"content"
