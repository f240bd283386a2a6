"""Deletion of many files: `delete_many`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from jtc.storage.exceptions import InvalidPathException
from jtc.storage.testing._suite import Suite, also_alone

if TYPE_CHECKING:
    from jtc.storage import Disk

__all__ = ["BulkDeleteTests"]


class BulkDeleteTests(Suite):
    """Derived by `Disk` where the driver does not claim ``bulk_delete``."""

    rules = "`delete_many`"

    async def test_many_files_are_deleted(self, storage: Disk) -> None:
        paths = [f"d/{number}" for number in range(20)]
        await asyncio.gather(*(storage.put(path, b"content") for path in paths))
        outcome = await storage.delete_many(paths)
        assert dict(outcome) == dict.fromkeys(paths, True)
        assert not any([await storage.exists(path) for path in paths])

    async def test_each_answer_is_its_own(self, storage: Disk) -> None:
        await storage.put("here", b"1")
        outcome = await storage.delete_many(["here", "missing", "no/such"])
        assert dict(outcome) == {"here": True, "missing": False, "no/such": False}

    async def test_no_paths_have_no_answers(self, storage: Disk) -> None:
        await storage.put("a", b"1")
        assert dict(await storage.delete_many([])) == {}
        assert await storage.exists("a") is True

    async def test_other_files_stay(self, storage: Disk) -> None:
        for path in ("d/a", "d/ab", "d/b", "da"):
            await storage.put(path, b"content")
        await storage.delete_many(["d/a", "d/b"])
        assert await storage.exists("d/ab") is True
        assert await storage.exists("da") is True

    @also_alone
    async def test_a_path_that_is_refused_stops_no_other(self, storage: Disk) -> None:
        await storage.put("a", b"1")
        outcome = await storage.delete_many(["../b", "a", "c//d"])
        assert isinstance(outcome["../b"], InvalidPathException)
        assert isinstance(outcome["c//d"], InvalidPathException)
        assert outcome["a"] is True
        assert await storage.exists("a") is False

    async def test_a_path_given_twice_was_there(self, storage: Disk) -> None:
        await storage.put("a", b"1")
        assert dict(await storage.delete_many(["a", "a"])) == {"a": True}

    async def test_a_directory_is_not_deleted(self, storage: Disk) -> None:
        await storage.put("d/1", b"1")
        assert dict(await storage.delete_many(["d"])) == {"d": False}
        assert await storage.get("d/1") == b"1"

    async def test_answers_are_by_the_paths_as_they_were_given(self, storage: Disk) -> None:
        await storage.put("a", b"1")
        assert dict(await storage.delete_many(["/a"])) == {"/a": True}

    @pytest.mark.parametrize("name", ["a b", "a+b", "%20", "<&>", "größe", "\U0001f600"])
    async def test_special_characters_of_names_are_deleted(self, storage: Disk, name: str) -> None:
        self.skip_refused(name)
        await storage.put(name, b"1")
        assert dict(await storage.delete_many([name])) == {name: True}
        assert await storage.exists(name) is False

    async def test_more_than_a_thousand_are_answered(self, storage: Disk) -> None:
        await storage.put("0", b"1")
        await storage.put("1099", b"1")
        outcome = await storage.delete_many([str(number) for number in range(1_100)])
        assert len(outcome) == 1_100
        assert [path for path, answer in outcome.items() if answer is True] == ["0", "1099"]
        assert set(outcome.values()) == {True, False}
