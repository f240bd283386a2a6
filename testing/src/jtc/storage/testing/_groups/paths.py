"""The path policy: what is kept exactly, and what is refused by every method."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.driver_support.derived import resolve
from jtc.storage.exceptions import InvalidPathException, StorageException
from jtc.storage.models import Usage, Visibility
from jtc.storage.paths import RESERVED_DIRECTORY
from jtc.storage.testing._driver_as_disk import DriverAlone
from jtc.storage.testing._path_cases import ACCEPTED_PATHS, REJECTED_PATHS, PathCase
from jtc.storage.testing._suite import Suite, also_alone, awaited, must_raise, needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage import Capabilities, Disk

__all__ = ["FURTHER_METHODS", "PathTests"]

_ACCEPTED = pytest.mark.parametrize("case", ACCEPTED_PATHS, ids=lambda case: case.why)
_REJECTED = pytest.mark.parametrize("case", REJECTED_PATHS, ids=lambda case: case.why)


@also_alone
class PathTests(Suite):
    """The same on every driver, whatever its backend would take."""

    rules = "every method"

    @_ACCEPTED
    async def test_a_legitimate_path_is_kept_as_it_is(self, storage: Disk, case: PathCase) -> None:
        content = case.path.encode()
        if len(content) > self.max_path_bytes:
            pytest.skip(f"the suite's paths have {self.max_path_bytes} bytes at most")
        if self.refuses_path(case.path):
            for name, method in _methods(storage):
                if name not in {"url", "path"}:  # which may ask no backend
                    with must_raise(InvalidPathException, f"{name}({case.path!r}, …)"):
                        await awaited(method(case.path))
            return
        if self.refuses_put(case.path):
            with must_raise(InvalidPathException, f"put({case.path!r}, …)"):
                await storage.put(case.path, content)
            assert await storage.exists(case.path) is False
            return
        assert await storage.put(case.path, content) == case.path
        assert await storage.get(case.path) == content
        assert await storage.exists(case.path) is True
        assert await storage.size(case.path) == len(content)
        assert await storage.last_modified(case.path) > 0
        assert await storage.delete(case.path) is True
        assert await storage.exists(case.path) is False

    # What follows goes over all paths in one storage: a fresh one for each is slow on a network.

    async def test_stat_returns_legitimate_paths_as_they_are(self, storage: Disk) -> None:
        for case in self._accepted():
            await storage.put(case.path, b"content")
            assert (await storage.stat(case.path)).path == case.path
            await storage.delete(case.path)

    @needs("listing")
    async def test_legitimate_paths_are_listed_as_they_are(
        self, storage: Disk, capabilities: Capabilities
    ) -> None:
        removes = not self.files_may_shadow_directories and "directories" in capabilities
        for case in self._accepted():
            await storage.put(case.path, b"content")
            assert [entry.path async for entry in storage.list(recursive=True)] == [case.path]
            first = case.path.partition("/")[0]
            below = [entry.path async for entry in storage.list(first, recursive=True)]
            assert below == ([] if first == case.path else [case.path])
            # An emptied directory of another case may still be there.
            assert [entry.path async for entry in storage.list()].count(first) == 1
            await storage.delete(case.path)
            if removes and first != case.path:  # or each later case would list them all
                await storage.delete_directory(first)

    async def test_legitimate_paths_can_be_copied_and_moved(self, storage: Disk) -> None:
        for case in self._accepted():
            await storage.put("from", case.path.encode())
            await storage.copy("from", case.path)
            assert await storage.get(case.path) == case.path.encode()
            await storage.move(case.path, "to")
            assert await storage.exists(case.path) is False
            assert await storage.get("to") == case.path.encode()

    def _accepted(self) -> list[PathCase]:
        return [
            case
            for case in ACCEPTED_PATHS
            if len(case.path.encode()) <= self.max_path_bytes and not self.refuses_put(case.path)
        ]

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
            except StorageException:
                pass  # it got as far as the backend, or the capability, so it was accepted
            accepted.append(name)
        assert accepted == [], f"methods that accept {case.path[:100]!a}"

    async def test_paths_that_could_mean_others_are_no_ends_of_a_copy(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        for case in REJECTED_PATHS:
            for name in ("copy", "move"):
                method = getattr(storage, name)
                with must_raise(InvalidPathException, f"{name}() from a path, {case.why},"):
                    await method(case.path, "b.txt")
                with must_raise(InvalidPathException, f"{name}() to a path, {case.why},"):
                    await method("a.txt", case.path)
        assert await storage.get("a.txt") == b"content"

    @needs("listing")
    async def test_refused_paths_leave_nothing_behind(self, storage: Disk) -> None:
        for case in REJECTED_PATHS:
            with must_raise(InvalidPathException, f"put() to a path, {case.why},"):
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

    @needs("listing")
    async def test_the_reserved_directory_is_not_listed(self, disk: Disk, driver: Any) -> None:
        await disk.put("a.txt", b"1")
        await disk.put("a/.jtc/b", b"22")
        try:
            # As the library's own parts do: without the check of the path.
            await resolve(driver).methods.put(f"{RESERVED_DIRECTORY}/staged/1", b"333")
        except InvalidPathException:
            pytest.skip("the driver has no way into the reserved directory")
        assert await disk.files() == ["a.txt"]
        assert await disk.directories() == ["a"]
        assert sorted(await disk.all_files()) == ["a.txt", "a/.jtc/b"]
        assert await disk.all_directories() == ["a", "a/.jtc"]
        assert sorted(await disk.glob("**")) == ["a.txt", "a/.jtc/b"]
        assert await disk.usage() == Usage(files=2, bytes=3)

    async def test_an_empty_path_is_refused_by_every_method(self, storage: Disk) -> None:
        await storage.put("a.txt", b"content")
        for name, method in _methods(storage):
            with must_raise(InvalidPathException, f"{name}() of an empty path"):
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
        for name, method in _methods(storage):
            with must_raise(TypeError, f"{name}() of {path!r}"):
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
    """Return all further methods as functions of a path; of a driver alone, what it claims."""
    return [
        (name, functools.partial(method, storage))
        for name, (capability, method) in FURTHER_METHODS.items()
        if not isinstance(storage, DriverAlone)
        or (capability in capabilities and hasattr(storage, name.partition(" ")[0]))
    ]


FURTHER_METHODS: dict[str, tuple[str, Callable[[Disk, str], Any]]] = {
    "put with options": ("writing", lambda disk, path: disk.put(path, b"", overwrite=False)),
    "put_json": ("", lambda disk, path: disk.put_json(path, 1)),
    "append": ("", lambda disk, path: disk.append(path, b"1")),
    "prepend": ("", lambda disk, path: disk.prepend(path, b"1")),
    "get_text": ("", lambda disk, path: disk.get_text(path)),
    "get_json": ("", lambda disk, path: disk.get_json(path)),
    "get_range": ("reading", lambda disk, path: disk.get_range(path, 0, 1)),
    "get_ranges": ("ranges", lambda disk, path: disk.get_ranges(path, [(0, 1)])),
    "stream": ("reading", lambda disk, path: disk.stream(path)),
    "download": ("", lambda disk, path: disk.download(path, "/nowhere/file")),
    "open": ("", lambda disk, path: disk.open(path)),
    "open to write": ("", lambda disk, path: disk.open(path, "wb")),
    "missing": ("", lambda disk, path: disk.missing(path)),
    "stat": ("stat", lambda disk, path: disk.stat(path)),
    "delete if_match": (
        "conditional_delete",
        lambda disk, path: disk.delete(path, if_match="another-etag"),
    ),
    "set_metadata": (
        "metadata_update",
        lambda disk, path: disk.set_metadata(path, content_type="text/plain"),
    ),
    "mime_type": ("", lambda disk, path: disk.mime_type(path)),
    "confirm_upload": ("", lambda disk, path: disk.confirm_upload(path)),
    "checksum": ("", lambda disk, path: disk.checksum(path)),
    "entry": ("", lambda disk, path: disk.entry(path)),
    "directory_exists": ("", lambda disk, path: disk.directory_exists(path)),
    "make_directory": ("directories", lambda disk, path: disk.make_directory(path)),
    "delete_directory": ("directories", lambda disk, path: disk.delete_directory(path)),
    "copy_directory": ("", lambda disk, path: disk.copy_directory(path, "target")),
    "move_directory": ("directory_move", lambda disk, path: disk.move_directory(path, "target")),
    "move_directory to it": (
        "directory_move",
        lambda disk, path: disk.move_directory("source", path),
    ),
    "remove_empty_directory": (
        "empty_directory_removal",
        lambda disk, path: disk.remove_empty_directory(path),
    ),
    "visibility": ("visibility", lambda disk, path: disk.visibility(path)),
    "set_visibility": (
        "visibility",
        lambda disk, path: disk.set_visibility(path, Visibility.PUBLIC),
    ),
    "temporary_url": ("", lambda disk, path: disk.temporary_url(path, 60)),
    "temporary_urls": ("", lambda disk, path: disk.temporary_urls([path], 60)),
    "temporary_upload_url": ("", lambda disk, path: disk.temporary_upload_url(path, 60)),
    "temporary_upload_form": (
        "",
        lambda disk, path: disk.temporary_upload_form(path, 60, max_size=1),
    ),
}
"""What takes the path of a file or directory besides the eight methods, with the capability by
which a driver alone has it."""
