"""The path policy: what is kept exactly, and what is refused by every method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.exceptions import InvalidPathException
from jtc.storage.models import Visibility
from jtc.storage.testing._driver_as_disk import DriverAlone
from jtc.storage.testing._path_cases import ACCEPTED_PATHS, REJECTED_PATHS, PathCase
from jtc.storage.testing._suite import Suite, also_alone, awaited, needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage import Capabilities, Disk

__all__ = ["Paths"]

_ACCEPTED = pytest.mark.parametrize("case", ACCEPTED_PATHS, ids=lambda case: case.why)
_REJECTED = pytest.mark.parametrize("case", REJECTED_PATHS, ids=lambda case: case.why)


@also_alone
class Paths(Suite):
    """The same on every driver, whatever its backend would take."""

    @_ACCEPTED
    async def test_a_legitimate_path_is_kept_as_it_is(self, storage: Disk, case: PathCase) -> None:
        content = case.path.encode()
        if len(content) > self.max_path_bytes:
            pytest.skip(f"the suite's paths have {self.max_path_bytes} bytes at most")
        assert await storage.put(case.path, content) == case.path
        assert await storage.get(case.path) == content
        assert await storage.exists(case.path) is True
        assert await storage.size(case.path) == len(content)
        assert await storage.last_modified(case.path) > 0
        assert await storage.delete(case.path) is True
        assert await storage.exists(case.path) is False

    # What follows goes over all paths in one storage: a fresh one for each is dear on a network.

    async def test_legitimate_paths_are_told_by_stat_as_they_are(self, storage: Disk) -> None:
        for case in self._accepted():
            await storage.put(case.path, b"content")
            assert (await storage.stat(case.path)).path == case.path
            await storage.delete(case.path)

    @needs("listing")
    async def test_legitimate_paths_are_listed_as_they_are(self, storage: Disk) -> None:
        for case in self._accepted():
            await storage.put(case.path, b"content")
            assert [entry.path async for entry in storage.list(recursive=True)] == [case.path]
            first = case.path.partition("/")[0]
            below = [entry.path async for entry in storage.list(first, recursive=True)]
            assert below == ([] if first == case.path else [case.path])
            # Emptied directories of the cases before may still be there.
            assert [entry.path async for entry in storage.list()].count(first) == 1
            await storage.delete(case.path)

    async def test_legitimate_paths_can_be_copied_and_moved(self, storage: Disk) -> None:
        for case in self._accepted():
            await storage.put("from", case.path.encode())
            await storage.copy("from", case.path)
            assert await storage.get(case.path) == case.path.encode()
            await storage.move(case.path, "to")
            assert await storage.exists(case.path) is False
            assert await storage.get("to") == case.path.encode()

    def _accepted(self) -> list[PathCase]:
        return [case for case in ACCEPTED_PATHS if len(case.path.encode()) <= self.max_path_bytes]

    @_REJECTED
    async def test_a_path_that_could_mean_another_is_refused_by_every_method(
        self, storage: Disk, capabilities: Capabilities, case: PathCase
    ) -> None:
        accepted = []
        for name, method in [*_methods(storage), *_claimed(storage, capabilities)]:
            try:
                await awaited(method(case.path))
            except InvalidPathException:
                continue
            except FileNotFoundError:
                pass  # it was looked for, so it was accepted
            accepted.append(name)
        assert accepted == []

    async def test_paths_that_could_mean_others_are_no_ends_of_a_copy(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        for case in REJECTED_PATHS:
            for method in (storage.copy, storage.move):
                with pytest.raises(InvalidPathException):
                    await method(case.path, "b.txt")
                with pytest.raises(InvalidPathException):
                    await method("a.txt", case.path)
        assert await storage.get("a.txt") == b"content"

    @needs("listing")
    async def test_refused_paths_leave_nothing_behind(self, storage: Disk) -> None:
        for case in REJECTED_PATHS:
            with pytest.raises(InvalidPathException):
                await storage.put(case.path, b"content")
        assert [entry.path async for entry in storage.list()] == []

    @needs("listing")
    async def test_a_refused_prefix_of_a_listing_says_so(self, storage: Disk) -> None:
        accepted = []
        for case in REJECTED_PATHS:
            try:
                async for _ in storage.list(case.path):
                    break
            except InvalidPathException:
                continue
            accepted.append(case.path)
        assert accepted == []

    async def test_an_empty_path_is_refused_by_every_method(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        for _, method in _methods(storage):
            with pytest.raises(InvalidPathException):
                await awaited(method(""))
        assert await storage.get("a.txt") == b"content"

    async def test_one_leading_slash_is_dropped(self, storage: Disk) -> None:
        assert await storage.put("/d/a.txt", b"content") == "d/a.txt"
        assert await storage.get("d/a.txt") == b"content"
        assert await storage.get("/d/a.txt") == b"content"
        assert await storage.exists("/d/a.txt") is True
        assert await storage.size("/d/a.txt") == 7
        assert await storage.delete("/d/a.txt") is True
        assert await storage.exists("d/a.txt") is False

    @pytest.mark.parametrize("path", [None, 1, b"a.txt", ["a.txt"]])
    async def test_a_path_is_a_str(self, storage: Disk, path: Any) -> None:
        for _, method in _methods(storage):
            with pytest.raises(TypeError):
                await awaited(method(path))


def _methods(storage: Disk) -> list[tuple[str, Callable[[Any], Any]]]:
    """Return the eight methods as functions of a path."""
    return [
        ("put", lambda path: storage.put(path, b"content")),
        ("get", storage.get),
        ("exists", storage.exists),
        ("delete", storage.delete),
        ("size", storage.size),
        ("last_modified", storage.last_modified),
        ("url", storage.url),
        ("path", storage.path),
    ]


def _claimed(storage: Disk, capabilities: Capabilities) -> list[tuple[str, Callable[[str], Any]]]:
    """Return what the driver claims, and what `Disk` derives, as functions of a path."""
    methods: list[tuple[str, Callable[[str], Any]]] = []
    alone = isinstance(storage, DriverAlone)
    if not alone or "stat" in capabilities:
        methods.append(("stat", storage.stat))
    if not alone or "reading" in capabilities:
        methods.append(("stream", storage.stream))
    if "writing" in capabilities and "metadata" in capabilities.put_options:
        methods.append(("write", lambda path: storage.put(path, b"", metadata={"a": "b"})))
    if "directories" in capabilities:
        methods.append(("make_directory", storage.make_directory))
        methods.append(("delete_directory", storage.delete_directory))
    if "visibility" in capabilities:
        public = Visibility.PUBLIC
        methods.append(("visibility", storage.visibility))
        methods.append(("set_visibility", lambda path: storage.set_visibility(path, public)))
    return methods
