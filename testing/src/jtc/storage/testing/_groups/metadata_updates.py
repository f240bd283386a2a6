"""Updates of declared metadata: `set_metadata`, and the drivers' `update_metadata`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.exceptions import (
    FileNotFoundException,
    PreconditionFailedException,
    UnsupportedOperationException,
)
from jtc.storage.models import Visibility
from jtc.storage.options import WriteOptions
from jtc.storage.testing._suite import (
    DECLARED,
    DECLARED_AGAIN,
    Suite,
    metadata_update_options,
    must_raise,
    needs,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from jtc.storage import Capabilities, Disk
    from jtc.storage.driver import SupportsMetadataUpdate

__all__ = ["MetadataUpdateTests"]


class MetadataUpdateTests(Suite):
    """`Disk` rewrites the file where the driver has conditional writes, but no updates."""

    rules = "`update_metadata`"

    @needs("stat", put=["metadata"], update=["metadata"])
    @pytest.mark.parametrize("option", DECLARED)
    async def test_set_metadata_replaces_what_is_given_and_keeps_the_rest(
        self, disk: Disk, capabilities: Capabilities, option: str
    ) -> None:
        supported = capabilities.put_options & metadata_update_options(capabilities)
        if option not in supported:
            pytest.skip(f"the driver does not support the option {option!r}")
        old = {name: value for name, value in DECLARED.items() if name in supported}
        await disk.put("a.txt", b"content", **old)
        new: Any = {option: DECLARED_AGAIN[option]}
        await disk.set_metadata("a.txt", **new)
        info = await disk.stat("a.txt")
        found = {name: getattr(info, name) for name in old} | {"metadata": dict(info.metadata)}
        assert found == old | new

    @needs("stat", put=["metadata"], update=["metadata"])
    async def test_set_metadata_of_no_names_removes_all(self, disk: Disk) -> None:
        await disk.put("a.txt", b"content", metadata={"one": "1"})
        await disk.set_metadata("a.txt", metadata={})
        assert dict((await disk.stat("a.txt")).metadata) == {}

    @needs(update=["content_type"])
    async def test_set_metadata_keeps_the_content(self, disk: Disk) -> None:
        content = bytes(range(251)) * 1_000
        await disk.put("a.bin", content)
        await disk.set_metadata("a.bin", content_type="text/x-new")
        assert await disk.get("a.bin") == content
        assert await disk.size("a.bin") == len(content)

    @needs("visibility", update=["content_type"])
    @pytest.mark.parametrize("visibility", list(Visibility))
    async def test_set_metadata_keeps_the_visibility(
        self, disk: Disk, capabilities: Capabilities, visibility: Visibility
    ) -> None:
        if "metadata_update" not in capabilities and "visibility" not in capabilities.put_options:
            pytest.skip("a file that is rewritten cannot be given its visibility")
        await disk.put("a.txt", b"content")
        try:
            await disk.set_visibility("a.txt", visibility)
        except UnsupportedOperationException as error:
            pytest.skip(f"the backend says: {error}")
        await disk.set_metadata("a.txt", content_type="text/x-new")
        assert await disk.visibility("a.txt") is visibility

    @needs("stat", update=["content_type", "if_match"])
    async def test_set_metadata_if_match_of_the_version_there_updates(self, disk: Disk) -> None:
        await disk.put("a.txt", b"content")
        etag = (await disk.stat("a.txt")).etag
        await disk.set_metadata("a.txt", content_type="text/x-new", if_match=etag)
        assert (await disk.stat("a.txt")).content_type == "text/x-new"

    @needs("stat", put=["content_type"], update=["content_type", "if_match"])
    async def test_set_metadata_if_match_of_an_older_version_changes_nothing(
        self, disk: Disk
    ) -> None:
        await disk.put("a.txt", b"older")
        etag = (await disk.stat("a.txt")).etag
        await disk.put("a.txt", b"newer", content_type="text/x-old")
        with pytest.raises(PreconditionFailedException):
            await disk.set_metadata("a.txt", content_type="text/x-new", if_match=etag)
        assert (await disk.stat("a.txt")).content_type == "text/x-old"
        assert await disk.get("a.txt") == b"newer"

    @needs("stat", put=["content_type"], update=["content_type", "if_match"])
    async def test_set_metadata_if_match_of_empty_etag_changes_nothing(self, disk: Disk) -> None:
        await disk.put("a.txt", b"content", content_type="text/x-old")
        with must_raise(PreconditionFailedException, "set_metadata(if_match='')"):
            await disk.set_metadata("a.txt", content_type="text/x-new", if_match="")
        assert (await disk.stat("a.txt")).content_type == "text/x-old"

    @needs(update=["content_type"])
    async def test_set_metadata_never_brings_back_older_content(self, disk: Disk) -> None:
        for number in range(6):
            await disk.put("a.txt", b"old")
            update = disk.set_metadata("a.txt", content_type="text/x-new")
            both: list[Coroutine[Any, Any, object]] = [update, disk.put("a.txt", b"new")]
            ended = await asyncio.gather(*both[:: 1 if number % 2 else -1], return_exceptions=True)
            failed = [each for each in ended if isinstance(each, BaseException)]
            assert all(isinstance(each, PreconditionFailedException) for each in failed), failed
            assert await disk.get("a.txt") == b"new", "a put beside an update of metadata is lost"

    @needs("stat", update=["content_type", "if_match"])
    async def test_set_metadata_of_two_at_once_under_one_etag_one_fails(self, disk: Disk) -> None:
        if not self.metadata_changes_etags:
            pytest.skip("an etag of the backend names the content only")
        for _ in range(3):
            await disk.put("a.txt", b"content")
            etag = (await disk.stat("a.txt")).etag
            ended = await asyncio.gather(
                *(
                    disk.set_metadata("a.txt", content_type=f"text/x-{n}", if_match=etag)
                    for n in range(2)
                ),
                return_exceptions=True,
            )
            assert [type(each) for each in ended if each is not None] == [
                PreconditionFailedException
            ], (
                "of two updates under one etag, one is made and the other one fails; if an etag of"
                " the backend names the content only, set metadata_changes_etags = False"
            )
            winner = ended.index(None)
            assert (await disk.stat("a.txt")).content_type == f"text/x-{winner}"

    @needs(update=["content_type"])
    async def test_set_metadata_of_missing_file_fails_and_makes_none(self, disk: Disk) -> None:
        with pytest.raises(FileNotFoundException):
            await disk.set_metadata("missing.txt", content_type="text/x-new")
        assert await disk.exists("missing.txt") is False

    @needs("metadata_update", "stat", update=["content_type"])
    async def test_update_metadata_returns_the_etag_of_the_file(
        self, disk: Disk, driver: SupportsMetadataUpdate
    ) -> None:
        await disk.put("a.txt", b"content")
        returned = await driver.update_metadata("a.txt", WriteOptions(content_type="text/x-new"))
        assert returned in {None, (await disk.stat("a.txt")).etag}
