"""Visibility: who may read a file by its URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jtc.storage.exceptions import UnsupportedOperationException
from jtc.storage.models import Visibility
from jtc.storage.testing._suite import Suite, needs

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from jtc.storage import Disk

__all__ = ["VisibilityTests"]

_BOTH = pytest.mark.parametrize("visibility", list(Visibility))


class VisibilityTests(Suite):
    """Needs the capability ``visibility``; a backend may still say at the call that it has none."""

    @needs("visibility")
    async def test_a_file_has_a_visibility(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        assert await _known(storage.visibility("a.txt")) in set(Visibility)

    @_BOTH
    @needs("visibility")
    async def test_a_visibility_that_was_set_is_returned(
        self, storage: Disk, visibility: Visibility
    ) -> None:
        await storage.put("a.txt", b"content")
        await _known(storage.set_visibility("a.txt", visibility))
        assert await storage.visibility("a.txt") is visibility

    @needs("visibility")
    async def test_a_visibility_can_be_changed_back(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        for visibility in (Visibility.PUBLIC, Visibility.PRIVATE, Visibility.PUBLIC):
            await _known(storage.set_visibility("a.txt", visibility))
            assert await storage.visibility("a.txt") is visibility

    @_BOTH
    @needs("visibility", put=["visibility"])
    async def test_a_visibility_can_be_given_at_the_put(
        self, storage: Disk, visibility: Visibility
    ) -> None:
        await _known(storage.put("a.txt", b"content", visibility=visibility))
        assert await storage.visibility("a.txt") is visibility

    @_BOTH
    @needs("visibility", copy=["visibility"])
    @pytest.mark.parametrize("method", ["copy", "move"])
    async def test_a_visibility_can_be_given_to_a_copy(
        self, storage: Disk, method: str, visibility: Visibility
    ) -> None:
        await storage.put("a.txt", b"content")
        await _known(getattr(storage, method)("a.txt", "b.txt", visibility=visibility))
        assert await storage.visibility("b.txt") is visibility

    @needs("visibility")
    async def test_setting_the_visibility_leaves_the_content(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        await _known(storage.set_visibility("a.txt", Visibility.PUBLIC))
        assert await storage.get("a.txt") == b"content"

    @needs("visibility", "stat", put=["metadata", "content_type"])
    async def test_setting_the_visibility_leaves_the_metadata(self, storage: Disk) -> None:
        await storage.put("a.txt", b"1", metadata={"one": "ü"}, content_type="text/x-own")
        await _known(storage.set_visibility("a.txt", Visibility.PUBLIC))
        info = await storage.stat("a.txt")
        assert dict(info.metadata) == {"one": "ü"}
        assert info.content_type == "text/x-own"

    @needs("visibility")
    async def test_two_files_have_each_their_own_visibility(self, storage: Disk) -> None:
        await storage.put("d/a.txt", b"1")
        await storage.put("d/b.txt", b"2")
        await _known(storage.set_visibility("d/a.txt", Visibility.PUBLIC))
        await storage.set_visibility("d/b.txt", Visibility.PRIVATE)
        assert await storage.visibility("d/a.txt") is Visibility.PUBLIC
        assert await storage.visibility("d/b.txt") is Visibility.PRIVATE

    @needs("visibility")
    async def test_a_missing_file_has_no_visibility(self, storage: Disk) -> None:
        with pytest.raises(FileNotFoundError):
            await _known(storage.visibility("missing.txt"))

    @needs("visibility")
    async def test_a_missing_file_gets_no_visibility(self, storage: Disk) -> None:
        with pytest.raises(FileNotFoundError):
            await _known(storage.set_visibility("missing.txt", Visibility.PUBLIC))
        assert await storage.exists("missing.txt") is False


async def _known(result: Awaitable[object]) -> object:
    """Skip where the backend itself, such as a bucket without ACLs, has no visibility."""
    try:
        return await result
    except UnsupportedOperationException as error:
        pytest.skip(f"the backend says: {error}")
