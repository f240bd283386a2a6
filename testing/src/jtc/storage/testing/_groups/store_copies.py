"""Copies that the store of two drivers makes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from jtc.storage.driver import CopySource
from jtc.storage.exceptions import PreconditionFailedException, UnsupportedOperationException
from jtc.storage.options import WriteOptions
from jtc.storage.testing._minimal_driver import PlainDriver
from jtc.storage.testing._suite import (
    DECLARED,
    DECLARED_AGAIN,
    Suite,
    assert_same,
    must_raise,
    needs,
)

if TYPE_CHECKING:
    from jtc.storage import Capabilities, Disk
    from jtc.storage.driver import FullDriver, StorageDriver

__all__ = ["StoreCopyTests"]

_NEEDS = "copy_source", "copy_from"
_CREATES = needs(*_NEEDS, options={"copy_from": ["overwrite"]})
_COMPARES = needs(*_NEEDS, "stat", options={"copy_from": ["if_source_match"]})
_WRITERS = 5


class StoreCopyTests(Suite):
    """`copy_source` and `copy_from`, of one driver to itself: a suite has no second one."""

    rules = "`copy_source`, `copy_from`"

    @pytest.fixture
    def copier(self, driver: StorageDriver) -> FullDriver:
        """Return the driver, with the capabilities that each test here needs."""
        return cast("FullDriver", driver)

    @needs(*_NEEDS)
    async def test_copy_from_stores_the_content(self, disk: Disk, copier: FullDriver) -> None:
        content = bytes(range(251)) * 12_000
        await disk.put("a", content)
        etag = await copier.copy_from("d/b", copier.copy_source("a"), WriteOptions())
        assert_same(await disk.get("d/b"), content)
        assert_same(await disk.get("a"), content)
        if etag is not None:
            assert etag == (await disk.stat("d/b")).etag

    @needs(*_NEEDS)
    async def test_copy_from_replaces_the_target(self, disk: Disk, copier: FullDriver) -> None:
        await disk.put("a", b"new")
        await disk.put("b", b"old and longer")
        await copier.copy_from("b", copier.copy_source("a"), WriteOptions())
        assert await disk.get("b") == b"new"

    @needs(*_NEEDS)
    async def test_copy_from_keeps_metadata(
        self, disk: Disk, copier: FullDriver, capabilities: Capabilities
    ) -> None:
        known = {name: DECLARED[name] for name in DECLARED if name in capabilities.put_options}
        await disk.put("a", b"content", **known)
        await copier.copy_from("b", copier.copy_source("a"), WriteOptions())
        info = await disk.stat("b")
        assert {name: getattr(info, name) for name in known} == known

    @needs(*_NEEDS, options={"copy_from": ["metadata", "content_type"]})
    async def test_copy_from_replaces_metadata(self, disk: Disk, copier: FullDriver) -> None:
        await disk.put("a", b"content", content_type="text/x-old", metadata=DECLARED["metadata"])
        changed = {name: DECLARED_AGAIN[name] for name in ("content_type", "metadata")}
        await copier.copy_from("b", copier.copy_source("a"), WriteOptions(**changed))
        info = await disk.stat("b")
        assert {name: getattr(info, name) for name in changed} == changed
        assert (await disk.stat("a")).metadata == DECLARED["metadata"]

    @needs(*_NEEDS)
    async def test_copy_from_requires_its_source(self, disk: Disk, copier: FullDriver) -> None:
        await disk.put("b", b"old")
        for target in ("b", "new"):
            with must_raise(FileNotFoundError, "copy_from() of a missing file"):
                await copier.copy_from(target, copier.copy_source("missing"), WriteOptions())
        assert await disk.get("b") == b"old"
        assert await disk.exists("new") is False

    @_CREATES
    async def test_copy_from_refuses_an_existing_target(
        self, disk: Disk, copier: FullDriver
    ) -> None:
        await disk.put("a", b"new")
        await disk.put("b", b"old")
        with must_raise(FileExistsError, "copy_from() with overwrite=False"):
            await copier.copy_from("b", copier.copy_source("a"), WriteOptions(overwrite=False))
        assert await disk.get("b") == b"old"
        await copier.copy_from("c", copier.copy_source("a"), WriteOptions(overwrite=False))
        assert await disk.get("c") == b"new"

    @_CREATES
    async def test_copy_from_of_several_at_once_has_one_target(
        self, disk: Disk, copier: FullDriver
    ) -> None:
        for number in range(_WRITERS):
            await disk.put(f"a{number}", f"{number}")
        copies = [
            copier.copy_from("b", copier.copy_source(f"a{number}"), WriteOptions(overwrite=False))
            for number in range(_WRITERS)
        ]
        ended = await asyncio.gather(*copies, return_exceptions=True)
        winners = [n for n, each in enumerate(ended) if not isinstance(each, BaseException)]
        assert len(winners) == 1, ended
        others = [each for each in ended if isinstance(each, BaseException)]
        assert all(isinstance(each, FileExistsError) for each in others), ended
        assert await disk.get("b") == f"{winners[0]}".encode()

    @_COMPARES
    async def test_copy_from_copies_the_version_that_is_named(
        self, disk: Disk, copier: FullDriver
    ) -> None:
        await disk.put("a", b"old")
        old = (await disk.stat("a")).etag
        await disk.put("a", b"and new")
        options = WriteOptions(if_source_match=old)
        with must_raise(PreconditionFailedException, "copy_from() of another version"):
            await copier.copy_from("b", copier.copy_source("a"), options)
        assert await disk.exists("b") is False
        options = WriteOptions(if_source_match=(await disk.stat("a")).etag)
        await copier.copy_from("b", copier.copy_source("a"), options)
        assert await disk.get("b") == b"and new"

    @needs(*_NEEDS)
    async def test_copy_from_refuses_another_store(self, disk: Disk, copier: FullDriver) -> None:
        other = PlainDriver()
        await other.put("a", b"content")
        await disk.put("a", b"ours")
        with must_raise(UnsupportedOperationException, "copy_from() of another store"):
            await copier.copy_from("b", CopySource(other, "a"), WriteOptions())
        assert await disk.exists("b") is False

    @needs(*_NEEDS)
    async def test_copy_source_needs_no_file(self, copier: FullDriver) -> None:
        source = copier.copy_source("d/missing")
        assert source.path.endswith("d/missing")

    @needs(*_NEEDS)
    async def test_copy_to_a_view_of_the_disk_has_its_path(self, disk: Disk) -> None:
        await disk.put("one/a", b"content")
        await disk.scoped("one").copy("a", "b", to=disk.scoped("two"))
        await disk.scoped("one").move("a", "c", to=disk.scoped("two/three"))
        assert await disk.get("two/b") == b"content"
        assert await disk.get("two/three/c") == b"content"
        assert await disk.exists("one/a") is False
