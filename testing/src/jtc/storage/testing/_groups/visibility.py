"""Visibility: who may read a file by its URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jtc.storage.exceptions import UnsupportedOperationException
from jtc.storage.models import Visibility
from jtc.storage.testing._suite import Suite, needs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from jtc.storage import Capabilities, Disk

__all__ = ["VisibilityTests"]

_BOTH = pytest.mark.parametrize("visibility", list(Visibility))


async def _write_through_file(disk: Disk) -> None:
    async with disk.open("a.txt", "wb") as file:
        await file.write(b"new")


async def _chunks() -> AsyncIterator[bytes]:
    yield b"new"


# How a file may be replaced, by a name for the report.
_WAYS: dict[str, Callable[[Disk], Awaitable[object]]] = {
    "put": lambda disk: disk.put("a.txt", b"new"),
    "put of a stream": lambda disk: disk.put("a.txt", _chunks()),
    "open": _write_through_file,
    "append": lambda disk: disk.append("a.txt", b"new"),
    "copy": lambda disk: disk.copy("b.txt", "a.txt"),
    "move": lambda disk: disk.move("b.txt", "a.txt"),
}


class VisibilityTests(Suite):
    """Needs the capability ``visibility``; a backend may still say at the call that it has none."""

    rules = "`visibility`, `set_visibility`"

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

    @_BOTH
    @pytest.mark.parametrize("way", [way for way in _WAYS if way not in ("copy", "move")])
    @needs("visibility")
    async def test_a_file_that_is_replaced_keeps_its_visibility(
        self, disk: Disk, capabilities: Capabilities, way: str, visibility: Visibility
    ) -> None:
        self._needs_kept_visibility()
        if way == "append" and not {"if_match", "overwrite"} <= capabilities.put_options:
            pytest.skip("the driver's files cannot be appended to")
        await disk.put("a.txt", b"old")
        await _known(disk.set_visibility("a.txt", visibility))
        await _WAYS[way](disk)
        assert await disk.visibility("a.txt") is visibility, f"{way} changed the visibility"

    @needs("visibility", put=["visibility"])
    async def test_a_visibility_that_is_given_replaces_the_old_one(self, storage: Disk) -> None:
        await _known(storage.put("a.txt", b"1", visibility=Visibility.PUBLIC))
        await storage.put("a.txt", b"2", visibility=Visibility.PRIVATE)
        assert await storage.visibility("a.txt") is Visibility.PRIVATE

    @_BOTH
    @pytest.mark.parametrize("there", [None, *Visibility])
    @pytest.mark.parametrize("way", ["copy", "move"])
    @needs("visibility", put=["visibility"])
    async def test_a_copy_has_the_visibility_of_its_source(
        self, disk: Disk, way: str, there: Visibility | None, visibility: Visibility
    ) -> None:
        self._needs_kept_visibility()
        await _known(disk.put("b.txt", b"source", visibility=visibility))
        if there is not None:
            await disk.put("a.txt", b"old", visibility=there)
        await _WAYS[way](disk)
        assert await disk.visibility("a.txt") is visibility, f"{way} changed the visibility"

    def _needs_kept_visibility(self) -> None:
        if not self.keeps_visibility:
            pytest.skip("the suite says that the backend keeps no visibility")

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
