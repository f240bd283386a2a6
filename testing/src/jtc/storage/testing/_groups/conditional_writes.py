"""Conditional writes: `overwrite=False` and `if_match`, also when many ask at once."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING

import pytest

from jtc.storage.exceptions import FileExistsException, PreconditionFailedException
from jtc.storage.models import FileInfo
from jtc.storage.options import WriteOptions
from jtc.storage.testing._suite import Suite, must_raise, needs, needs_empty_files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage import Disk
    from jtc.storage.driver import SupportsWriting

__all__ = ["ConditionalWriteTests"]


class ConditionalWriteTests(Suite):
    """Writes under a condition on the file that is there."""

    rules = "`write_file`"

    @needs(put=["overwrite"])
    async def test_create_only_creates(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content", overwrite=False)
        assert await storage.get("a.txt") == b"content"

    @needs(put=["overwrite"])
    async def test_create_only_refuses_a_file_that_is_there(self, storage: Disk) -> None:
        await storage.put("a.txt", b"old")
        with pytest.raises(FileExistsException):
            await storage.put("a.txt", b"new", overwrite=False)
        assert await storage.get("a.txt") == b"old"

    @needs(put=["overwrite"])
    @needs_empty_files
    async def test_create_only_refuses_an_empty_file_that_is_there(self, storage: Disk) -> None:
        await storage.put("empty", b"")
        with pytest.raises(FileExistsException):
            await storage.put("empty", b"new", overwrite=False)
        assert await storage.get("empty") == b""

    @needs(put=["overwrite"])
    async def test_create_only_creates_again_after_a_delete(self, storage: Disk) -> None:
        await storage.put("a.txt", b"old")
        await storage.delete("a.txt")
        await storage.put("a.txt", b"new", overwrite=False)
        assert await storage.get("a.txt") == b"new"

    @needs(put=["overwrite"])
    async def test_overwrite_that_is_asked_for_overwrites(self, storage: Disk) -> None:
        await storage.put("a.txt", b"old", overwrite=True)
        await storage.put("a.txt", b"new", overwrite=True)
        assert await storage.get("a.txt") == b"new"

    @needs(put=["overwrite"])
    async def test_of_many_creators_one_wins(self, storage: Disk) -> None:
        async def create(number: int) -> bool:
            try:
                await storage.put("a.txt", b"%d" % number, overwrite=False)
            except FileExistsException:
                return False
            return True

        won = await asyncio.gather(*map(create, range(12)))
        assert won.count(True) == 1
        assert await storage.get("a.txt") == b"%d" % won.index(True)

    @needs(put=["overwrite"])
    async def test_put_overwrite_false_refuses_file_that_appeared_while_content_was_read(
        self, storage: Disk
    ) -> None:
        with must_raise(FileExistsException, "put(overwrite=False) of a file that appeared"):
            await storage.put("a.txt", _meanwhile(storage, b"first"), overwrite=False)
        assert await storage.get("a.txt") == b"first"

    @needs("stat", put=["if_match"])
    async def test_put_if_match_refuses_file_that_changed_while_content_was_read(
        self, storage: Disk
    ) -> None:
        await storage.put("a.txt", b"old")
        etag = (await storage.stat("a.txt")).etag
        with must_raise(PreconditionFailedException, "put(if_match=…) of a file that changed"):
            await storage.put("a.txt", _meanwhile(storage, b"newer"), if_match=etag)
        assert await storage.get("a.txt") == b"newer"

    @needs(put=["if_match"])
    async def test_put_if_match_of_empty_etag_is_a_condition_that_fails(
        self, storage: Disk
    ) -> None:
        await storage.put("a.txt", b"old")
        for path in ("a.txt", "missing.txt"):
            with must_raise(PreconditionFailedException, f"put({path!r}, if_match='')"):
                await storage.put(path, b"new", if_match="")
        assert await storage.get("a.txt") == b"old"
        assert await storage.exists("missing.txt") is False

    @needs("stat", put=["if_match"])
    async def test_the_etag_that_the_file_has_lets_a_write_through(self, storage: Disk) -> None:
        await storage.put("a.txt", b"old")
        etag = (await storage.stat("a.txt")).etag
        assert etag is not None
        await storage.put("a.txt", b"new", if_match=etag)
        assert await storage.get("a.txt") == b"new"

    @needs("stat", put=["if_match"])
    async def test_an_older_etag_refuses_a_write(self, storage: Disk) -> None:
        await storage.put("a.txt", b"one")
        etag = (await storage.stat("a.txt")).etag
        await storage.put("a.txt", b"two")
        with pytest.raises(PreconditionFailedException):
            await storage.put("a.txt", b"three", if_match=etag)
        assert await storage.get("a.txt") == b"two"

    @needs("stat", put=["if_match"])
    async def test_an_etag_lets_one_write_through(self, storage: Disk) -> None:
        await storage.put("a.txt", b"one")
        etag = (await storage.stat("a.txt")).etag
        await storage.put("a.txt", b"two", if_match=etag)
        with pytest.raises(PreconditionFailedException):
            await storage.put("a.txt", b"three", if_match=etag)
        assert await storage.get("a.txt") == b"two"

    @needs("stat", put=["if_match"])
    async def test_an_etag_refuses_a_write_where_the_file_is_gone(self, storage: Disk) -> None:
        await storage.put("a.txt", b"one")
        etag = (await storage.stat("a.txt")).etag
        await storage.delete("a.txt")
        with pytest.raises(PreconditionFailedException):
            await storage.put("a.txt", b"two", if_match=etag)
        assert await storage.exists("a.txt") is False

    @needs("stat", put=["if_match"])
    async def test_the_etag_of_another_file_refuses_a_write(self, storage: Disk) -> None:
        await storage.put("a.txt", b"one")
        await storage.put("b.txt", b"two")
        etag = (await storage.stat("b.txt")).etag
        with pytest.raises(PreconditionFailedException):
            await storage.put("a.txt", b"three", if_match=etag)
        assert await storage.get("a.txt") == b"one"

    @needs("stat", "listing", put=["if_match"])
    async def test_a_listed_etag_lets_a_write_through(self, storage: Disk) -> None:
        await storage.put("a.txt", b"one")
        (entry,) = [entry async for entry in storage.list()]
        assert isinstance(entry, FileInfo)
        if entry.etag is None:
            pytest.skip("the driver lists no etags")
        await storage.put("a.txt", b"two", if_match=entry.etag)
        assert await storage.get("a.txt") == b"two"

    @needs("reading", put=["if_match"])
    async def test_a_streams_etag_lets_a_write_through(self, storage: Disk) -> None:
        await storage.put("a.txt", b"one")
        async with storage.stream("a.txt") as stream:
            etag = stream.info.etag
        assert etag is not None
        await storage.put("a.txt", b"two", if_match=etag)
        assert await storage.get("a.txt") == b"two"

    @needs("stat", "writing")
    async def test_a_write_returns_the_etag_of_what_it_wrote(
        self, disk: Disk, driver: SupportsWriting
    ) -> None:
        for content in (b"content", b"other", _pieces(b"con", b"tent"), io.BytesIO(b"content")):
            returned = await driver.write_file("a.txt", content, WriteOptions())
            assert returned in {None, (await disk.stat("a.txt")).etag}

    @needs("stat", put=["if_match"])
    async def test_no_update_is_lost_where_each_names_the_version_it_read(
        self, storage: Disk
    ) -> None:
        await storage.put("n", b"0")

        async def add() -> None:
            while True:
                info = await storage.stat("n")
                value = int(await storage.get("n"))
                try:
                    await storage.put("n", b"%d" % (value + 1), if_match=info.etag)
                except PreconditionFailedException:
                    await asyncio.sleep(0)
                else:
                    return

        await asyncio.gather(*(add() for _ in range(8)))
        assert await storage.get("n") == b"8"

    @needs("stat", put=["if_match", "overwrite"])
    async def test_no_append_is_lost(self, disk: Disk) -> None:
        await asyncio.gather(*(disk.append("log", f"{n}\n") for n in range(6)))
        assert sorted(await disk.get_text("log")) == sorted("0\n1\n2\n3\n4\n5\n")


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def _meanwhile(storage: Disk, content: bytes) -> AsyncIterator[bytes]:
    """Yield content; when it is half read, someone else has put another one to the same path."""
    yield b"late "
    await storage.put("a.txt", content)
    yield b"content"
