"""Conditional deletions: `delete` with `if_match`, also beside writers."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from jtc.storage.exceptions import PreconditionFailedException
from jtc.storage.options import DeleteOptions
from jtc.storage.testing._suite import Suite, must_raise, needs

if TYPE_CHECKING:
    from jtc.storage import Disk
    from jtc.storage.driver import SupportsConditionalDelete

__all__ = ["ConditionalDeleteTests"]

_ROUNDS = 12


class ConditionalDeleteTests(Suite):
    """Deletions of one version of a file."""

    rules = "`delete_file`"

    @needs("conditional_delete", "stat")
    async def test_delete_if_match_deletes_this_version(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        await storage.put("b.txt", b"content")
        etag = (await storage.stat("a.txt")).etag
        assert etag is not None
        assert await storage.delete("a.txt", if_match=etag) is True
        assert await storage.exists("a.txt") is False
        assert await storage.get("b.txt") == b"content"

    @needs("conditional_delete", "stat")
    async def test_delete_if_match_keeps_another_version(self, storage: Disk) -> None:
        await storage.put("a.txt", b"old")
        etag = (await storage.stat("a.txt")).etag
        await storage.put("a.txt", b"newer")
        with must_raise(PreconditionFailedException, "delete(if_match=…) of another version"):
            await storage.delete("a.txt", if_match=etag)
        assert await storage.get("a.txt") == b"newer"

    @needs("conditional_delete")
    async def test_delete_if_match_of_empty_etag_deletes_nothing(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        with must_raise(PreconditionFailedException, "delete(if_match='')"):
            await storage.delete("a.txt", if_match="")
        assert await storage.get("a.txt") == b"content"

    @needs("conditional_delete", "stat")
    async def test_delete_if_match_returns_false_for_a_missing_file(self, storage: Disk) -> None:
        await storage.put("d/a.txt", b"content")
        etag = (await storage.stat("d/a.txt")).etag
        assert etag is not None
        assert await storage.delete("d/a.txt", if_match=etag) is True
        for path in ("d/a.txt", "d/missing.txt", "nowhere/a.txt"):
            assert await storage.delete(path, if_match=etag) is False, f"delete({path!r})"

    @needs("conditional_delete")
    async def test_delete_if_match_deletes_no_directory(self, storage: Disk) -> None:
        await storage.put("d/a.txt", b"content")
        assert await storage.delete("d", if_match="another-etag") is False
        assert await storage.get("d/a.txt") == b"content"

    @needs("conditional_delete")
    async def test_delete_file_without_condition_deletes_any_version(
        self, disk: Disk, driver: SupportsConditionalDelete
    ) -> None:
        await disk.put("a.txt", b"content")
        assert await driver.delete_file("a.txt", DeleteOptions()) is True
        assert await driver.delete_file("a.txt", DeleteOptions()) is False
        assert await disk.exists("a.txt") is False

    @needs("conditional_delete", "stat")
    async def test_delete_if_match_of_many_deleters_one_gets_true(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        etag = (await storage.stat("a.txt")).etag
        deletions = (storage.delete("a.txt", if_match=etag) for _ in range(6))
        assert sorted(await asyncio.gather(*deletions)) == [False] * 5 + [True]

    @needs("conditional_delete", "stat")
    async def test_delete_if_match_never_deletes_a_file_put_meanwhile(self, storage: Disk) -> None:
        for number in range(_ROUNDS):
            await storage.put("a.txt", b"old")
            etag = (await storage.stat("a.txt")).etag
            content = b"new %d" % number

            async def delete(etag: str | None = etag) -> None:
                with contextlib.suppress(PreconditionFailedException):
                    await storage.delete("a.txt", if_match=etag)

            both = [delete(), storage.put("a.txt", content)]
            await asyncio.gather(*(both if number % 2 else reversed(both)))
            assert await storage.exists("a.txt") is True, "delete(if_match=…) deleted a new file"
            assert await storage.get("a.txt") == content
