"""Copies and moves: within a disk, onto itself, and to another disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    PreconditionFailedException,
)
from jtc.storage.testing._minimal_driver import PlainDriver
from jtc.storage.testing._suite import Suite, also_alone, assert_same, needs

if TYPE_CHECKING:
    from jtc.storage import Disk, StorageManager

__all__ = ["CopyTests"]

_BOTH = pytest.mark.parametrize("method", ["copy", "move"])


class CopyTests(Suite):
    """What holds for both is run for both; `Disk` derives what the driver does not claim."""

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
