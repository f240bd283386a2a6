"""Views: one directory of a disk, or a disk that is only read."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import (
    DirectoryInfo,
    Disk,
    FileExistsException,
    FileInfo,
    FileNotFoundException,
    InvalidPathException,
    PresignedForm,
    PresignedRequest,
    ReadOnlyException,
    StorageException,
    StorageManager,
    StorageUnavailableException,
    UnsupportedOperationException,
    Visibility,
)
from jtc.storage.drivers.memory_driver import MemoryDriver
from small_drivers import EightMethods, Streaming

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from jtc.storage import Entry, ListOptions, SignOptions


class Everything(MemoryDriver):
    """A memory driver with every capability; remembers some calls."""

    unsupported = frozenset()

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Any] = []

    async def temporary_url(self, path: str, options: SignOptions, /) -> str:
        kept = f"{options.content_type}:{options.content_disposition}"
        return f"signed:{path}:{options.expires_in}:{kept}"

    async def temporary_upload_url(self, path: str, options: SignOptions, /) -> PresignedRequest:
        url = f"put:{path}:{options.content_type}:{options.size}"
        return PresignedRequest(method="PUT", url=url, headers={}, expires_at=0.0)

    async def temporary_upload_form(self, path: str, options: SignOptions, /) -> PresignedForm:
        url = f"form:{path}:{options.content_type}:{options.min_size}:{options.max_size}"
        return PresignedForm(url=url, fields={}, expires_at=0.0)

    async def delete_many(self, paths: Sequence[str], /) -> Mapping[str, bool | Exception]:
        self.asked.append(list(paths))
        outcome = dict(await super().delete_many(paths))
        if "s/bad" in outcome:
            outcome["s/bad"] = StorageException("No", path="s/bad")
        return outcome

    async def aclose(self) -> None:
        self.asked.append("aclose")


@pytest.fixture
def driver() -> Everything:
    return Everything()


@pytest.fixture
def manager(driver: Everything) -> StorageManager:
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    return manager


@pytest.fixture
def disk(manager: StorageManager) -> Disk:
    return manager.disk("d")


@pytest.fixture
def scope(disk: Disk) -> Disk:
    return disk.scoped("s")


# Scopes


async def test_paths_in_are_below_the_scope_and_paths_out_begin_there(
    scope: Disk, driver: Everything
) -> None:
    assert await scope.put("a/x.txt", b"1", content_type="text/x-odd") == "a/x.txt"
    assert await scope.put("/b", b"22") == "b"
    assert driver.all_paths() == ["s/a/x.txt", "s/b"]
    assert await scope.get("a/x.txt") == b"1"
    assert await scope.exists("a/x.txt")
    assert not await scope.exists("s/a/x.txt")
    assert await scope.size("b") == 2
    assert await scope.last_modified("b") > 0
    info = await scope.stat("a/x.txt")
    assert (info.path, info.content_type) == ("a/x.txt", "text/x-odd")
    assert scope.url("b c") == "memory://s/b%20c"
    assert scope.path("b") == "memory://s/b"
    assert scope.name == "d"
    assert await scope.append("b", b"3") == "b"
    assert await scope.delete("b")
    assert not await scope.delete("b")


async def test_stream_has_the_scopes_path(scope: Disk) -> None:
    await scope.put("a", b"0123456789")
    async with scope.stream("a", start=2, end=5, chunk_size=2) as stream:
        assert stream.info.path == "a"
        assert [chunk async for chunk in stream] == [b"23", b"4"]
    async with scope.open("a") as file:
        assert file.info.path == "a"
        assert await file.seek(8) == 8
        assert await file.read() == b"89"


async def test_a_scope_lists_what_is_below_it_and_resumes(scope: Disk, disk: Disk) -> None:
    for path in ("s/a", "s/b/c", "s/b/d", "s/e", "sx", "t"):
        await disk.put(path, b"")
    entries = [entry async for entry in scope.list()]
    assert [(type(entry), entry.path) for entry in entries] == [
        (FileInfo, "a"),
        (DirectoryInfo, "b"),
        (FileInfo, "e"),
    ]
    for number, entry in enumerate(entries):
        after = [one.path async for one in scope.list(start_after=entry)]
        assert after == [one.path for one in entries[number + 1 :]]
    assert await scope.all_files() == ["a", "b/c", "b/d", "e"]
    assert await scope.files("b") == ["b/c", "b/d"]
    assert [e.path async for e in scope.list("b", start_after="b/c")] == ["b/d"]
    assert await scope.directory_exists("b")
    assert not await scope.directory_exists("nowhere")


async def test_directories_are_below_the_scope(scope: Disk, disk: Disk) -> None:
    await scope.make_directory("a/b")
    assert await disk.all_directories() == ["s", "s/a", "s/a/b"]
    await disk.put("a/kept", b"")
    await scope.put("a/gone", b"")
    await scope.delete_directory("a")
    assert await disk.all_files() == ["a/kept"]


async def test_copies_and_moves_are_within_the_scope(scope: Disk, driver: Everything) -> None:
    await scope.put("a", b"1")
    assert await scope.copy("a", "b") == "b"
    assert await scope.move("a", "c/d") == "c/d"
    assert driver.all_paths() == ["s/b", "s/c/d"]
    with pytest.raises(FileExistsException):
        await scope.copy("b", "c/d", overwrite=False)


async def test_visibility_and_presigned_urls_are_those_of_the_file_within(scope: Disk) -> None:
    await scope.put("a", b"1", visibility="public")
    assert await scope.visibility("a") is Visibility.PUBLIC
    await scope.set_visibility("a", "private")
    assert await scope.visibility("a") is Visibility.PRIVATE
    url = await scope.temporary_url("a", 60, content_type="x/y", content_disposition="inline")
    assert url == "signed:s/a:60:x/y:inline"
    request = await scope.temporary_upload_url("a", 60, content_type="x/y", size=5)
    assert request.url == "put:s/a:x/y:5"
    form = await scope.temporary_upload_form("a", 60, min_size=1, max_size=9, content_type="x/y")
    assert form.url == "form:s/a:x/y:1:9"


async def test_many_are_deleted_under_their_names_in_the_scope(
    scope: Disk, driver: Everything
) -> None:
    await scope.put("a", b"")
    await scope.put("bad", b"")
    outcome = await scope.delete_many(["a", "/b", "bad", "../x"])
    bad, invalid = outcome["bad"], outcome["../x"]
    assert (outcome["a"], outcome["/b"]) == (True, False)
    assert isinstance(bad, StorageException)
    assert bad.path == "bad"
    assert isinstance(invalid, InvalidPathException)
    assert list(outcome) != []
    assert driver.asked == [["s/a", "s/b", "s/bad"]]


@pytest.mark.parametrize(
    "fail",
    [
        lambda d: d.get("missing"),
        lambda d: d.size("missing"),
        lambda d: d.last_modified("missing"),
        lambda d: d.stat("missing"),
        lambda d: d.get_range("missing", 0),
        lambda d: d.stream("missing"),
        lambda d: d.open("missing"),
        lambda d: d.copy("missing", "b"),
        lambda d: d.move("missing", "b"),
        lambda d: d.visibility("missing"),
        lambda d: d.set_visibility("missing", "public"),
    ],
)
async def test_paths_in_errors_begin_below_the_scope(
    scope: Disk, fail: Callable[[Disk], Any]
) -> None:
    for view in (scope, scope.scoped("deeper"), scope.read_only().scoped("deeper")):
        with pytest.raises(StorageException) as raised:
            await fail(view)
        if isinstance(raised.value, ReadOnlyException):
            continue
        assert type(raised.value) is FileNotFoundException
        assert raised.value.path == "missing"
        assert raised.value.disk == "d"
        assert "s/" not in str(raised.value)


async def test_what_a_driver_without_our_errors_raises_is_relative_too() -> None:
    manager = StorageManager.isolated({})
    manager.set_driver(EightMethods(), "d")
    scope = manager.disk("d").scoped("s")
    with pytest.raises(FileNotFoundException) as raised:
        await scope.get("a")
    assert (raised.value.path, raised.value.operation) == ("a", "get")
    await scope.put("a", b"0123456789")
    assert await scope.get_range("a", 3, 6) == b"345"
    assert (await scope.stat("a")).path == "a"
    assert scope.capabilities.names == frozenset()
    with pytest.raises(UnsupportedOperationException, match=r"'EightMethods'.*'listing'"):
        await scope.files()


async def test_a_listing_that_fails_at_the_scopes_root_does_not_tell_where_that_is() -> None:
    class Broken(MemoryDriver):
        async def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
            async for entry in super().list_entries(prefix, options):
                yield entry
            raise StorageUnavailableException("Broken", path=prefix)

    manager = StorageManager.isolated({})
    manager.set_driver(Broken())
    await manager.put("hidden/place/a", b"")
    scope = manager.scoped("hidden/place")
    with pytest.raises(StorageUnavailableException) as raised:
        await scope.files()
    assert raised.value.path == ""
    assert "hidden" not in str(raised.value)
    with pytest.raises(StorageUnavailableException) as raised:
        await scope.files("sub")
    assert raised.value.path == "sub"


async def test_a_stream_that_fails_half_way_in_a_scope_is_mapped_and_closed() -> None:
    driver = Streaming()
    driver.kept["s/a"] = b"x" * 600_000
    driver.fail_after = 1
    manager = StorageManager.isolated({})
    manager.set_driver(driver)
    with pytest.raises(StorageUnavailableException) as raised:
        async for _ in manager.scoped("s").stream("a"):
            pass
    assert raised.value.path == "a"
    assert (driver.opened, driver.closed) == (1, 1)


@pytest.mark.parametrize("path", ["../x", "a/../../x", "", "/", ".."])
async def test_a_scope_is_not_left(scope: Disk, disk: Disk, path: str) -> None:
    await disk.put("x", b"outside")
    for use in (scope.get(path), scope.put(path, b""), scope.delete(path), scope.stat(path)):
        with pytest.raises(InvalidPathException) as raised:
            await use
        assert raised.value.path == path
    with pytest.raises(InvalidPathException):
        scope.url(path)
    assert await disk.all_files() == ["x"]


@pytest.mark.parametrize("prefix", ["", "/", "a/", "..", "a//b", "a\\b"])
def test_a_scope_needs_a_prefix(disk: Disk, prefix: str) -> None:
    with pytest.raises(InvalidPathException) as raised:
        disk.scoped(prefix)
    assert (raised.value.operation, raised.value.path) == ("scoped", prefix)


async def test_a_scope_of_a_scope_is_below_both(disk: Disk, driver: Everything) -> None:
    inner = disk.scoped("/a").scoped("b/c")
    await inner.put("x", b"1")
    assert driver.all_paths() == ["a/b/c/x"]
    assert [entry.path async for entry in inner.list()] == ["x"]
    assert (await inner.stat("x")).path == "x"


async def test_keys_that_are_too_long_together_are_refused_by_their_own_name(disk: Disk) -> None:
    half = "/".join(["p" * 200] * 3)
    scope = disk.scoped(half)
    path = "/".join(["q" * 200] * 3)
    with pytest.raises(InvalidPathException, match="1024") as raised:
        await scope.put(path, b"")
    assert raised.value.path == path
    with pytest.raises(InvalidPathException) as raised:
        await scope.copy(path, path)
    assert "ppp" not in str(raised.value)
    with pytest.raises(InvalidPathException):
        await scope.make_directory(path)
    await scope.put("a", b"")
    outcome = await scope.delete_many(["a", path])
    refused = outcome[path]
    assert isinstance(refused, InvalidPathException)
    assert (outcome["a"], refused.path) == (True, path)


async def test_a_view_follows_its_disk_to_another_driver(
    manager: StorageManager, disk: Disk, scope: Disk
) -> None:
    await scope.put("a", b"old")
    other = MemoryDriver()
    view = scope.read_only()
    assert await view.get("a") == b"old"
    manager.set_driver(other, "d")
    assert await view.missing("a")
    await scope.put("a", b"new")
    assert other.all_paths() == ["s/a"]
    manager.set_driver(EightMethods(), "d")
    assert scope.capabilities.names == frozenset()
    assert disk.capabilities == scope.capabilities


async def test_a_view_of_the_manager_follows_the_default_disk() -> None:
    manager = StorageManager.isolated({})
    scope = manager.scoped("s")
    driver = MemoryDriver()
    manager.set_driver(driver, "x")
    manager.configure({"default": "y", "disks": {"y": {"driver": "memory"}}})
    await scope.put("a", b"1")
    assert await manager.disk("y").get("s/a") == b"1"
    assert scope.name == "default"


def test_a_view_is_made_once_for_each_driver(scope: Disk, manager: StorageManager) -> None:
    first = scope.driver
    assert scope.driver is first
    manager.set_driver(MemoryDriver(), "d")
    assert scope.driver is not first


def test_a_scope_can_what_its_disk_can(scope: Disk, disk: Disk) -> None:
    assert scope.capabilities == disk.capabilities
    assert "bulk_delete" in scope.capabilities


async def test_closing_a_view_closes_what_is_within(scope: Disk, driver: Everything) -> None:
    assert scope.capabilities.names >= {"close"}
    view: Any = scope.driver
    await view.aclose()
    assert driver.asked == ["aclose"]


# Copies between a disk and its views


@pytest.mark.parametrize("operation", ["copy", "move"])
async def test_a_file_copied_or_moved_onto_itself_through_a_view_stays(
    disk: Disk, scope: Disk, operation: str
) -> None:
    await disk.put("s/a", b"1", metadata={"kept": "yes"})
    before = await disk.stat("s/a")
    nested = disk.scoped("s").scoped("t")
    await getattr(disk, operation)("s/a", "a", to=scope)
    await getattr(scope, operation)("a", "s/a", to=disk)
    await getattr(scope, operation)("a", "a", to=disk.scoped("s"))
    await disk.put("s/t/b", b"2")
    await getattr(nested, operation)("b", "t/b", to=scope)
    assert await disk.stat("s/a") == before
    assert await disk.get("s/t/b") == b"2"


async def test_a_file_moves_from_a_view_to_another_place(disk: Disk, scope: Disk) -> None:
    await scope.put("a", b"1")
    assert await scope.move("a", "a", to=disk) == "a"
    assert await disk.all_files() == ["a"]
    assert await disk.read_only().copy("a", "b", to=scope) == "b"
    assert await disk.all_files() == ["a", "s/b"]


async def test_nothing_is_copied_where_its_source_may_not_be_taken_away(
    manager: StorageManager, disk: Disk
) -> None:
    manager.set_driver(EightMethods(), "other")
    await disk.put("a", b"1")
    with pytest.raises(ReadOnlyException):
        await disk.read_only().move("a", "a", to="other")
    assert await manager.disk("other").missing("a")


# Read-only views


WRITES: dict[str, Callable[[Disk], Any]] = {
    "put bytes": lambda d: d.put("new", b"x"),
    "put with options": lambda d: d.put("new", b"x", overwrite=False),
    "put chunks": lambda d: d.put("new", [b"x"]),
    "put_json": lambda d: d.put_json("new", 1),
    "append": lambda d: d.append("a", b"x"),
    "append new": lambda d: d.append("new", b"x"),
    "prepend": lambda d: d.prepend("a", b"x"),
    "delete": lambda d: d.delete("a"),
    "delete missing": lambda d: d.delete("missing"),
    "delete if it matches": lambda d: d.delete("a", if_match="etag"),
    "delete_many": lambda d: d.delete_many(["a"]),
    "copy": lambda d: d.copy("a", "b"),
    "copy onto itself": lambda d: d.copy("a", "a"),
    "move": lambda d: d.move("a", "b"),
    "put_file": lambda d: d.put_file("", b"x"),
    "put_file_as": lambda d: d.put_file_as("", b"x", "n"),
    "open wb": lambda d: d.open("a", "wb"),
    "open xb": lambda d: d.open("new", "xb"),
    "make_directory": lambda d: d.make_directory("dir"),
    "delete_directory": lambda d: d.delete_directory("dir"),
    "remove_empty_directory": lambda d: d.remove_empty_directory("dir"),
    "set_metadata": lambda d: d.set_metadata("a", content_type="x/y"),
    "set_visibility": lambda d: d.set_visibility("a", "public"),
    "temporary_upload_url": lambda d: d.temporary_upload_url("a", 60),
    "temporary_upload_form": lambda d: d.temporary_upload_form("a", 60, max_size=1),
    "check": lambda d: d.check(),
    "put_many": lambda d: d.put_many({"new": b"x"}),
    "copy_many": lambda d: d.copy_many({"a": "b"}),
    "copy_directory": lambda d: d.copy_directory("dir", "other"),
    "move_directory": lambda d: d.move_directory("dir", "other"),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("kind", [Everything, EightMethods])
@pytest.mark.parametrize(
    "view",
    [
        lambda d: d.read_only(),
        lambda d: d.scoped("s").read_only(),
        lambda d: d.read_only().scoped("s"),
    ],
)
async def test_everything_that_would_write_is_refused(
    kind: Any, write: str, view: Callable[[Disk], Disk]
) -> None:
    driver = kind()
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    disk = manager.disk("d")
    for path in ("a", "s/a", "dir/f", "s/dir/f"):
        await disk.put(path, b"old")
    with pytest.raises(ReadOnlyException, match="read-only view") as raised:
        await WRITES[write](view(disk))
    assert raised.value.disk == "d"
    assert raised.value.operation is not None
    for path in ("a", "s/a", "dir/f", "s/dir/f"):
        assert await disk.get(path) == b"old"
    assert await disk.missing("new")


def test_the_writes_named_here_are_all_that_a_disk_has() -> None:
    reads = {
        "capabilities", "checksum", "compare", "confirm_upload", "directories", "directory_exists",
        "download", "driver", "driver_as", "get_many", "plan_sync",
        "all_directories", "all_files", "entry", "exists", "files", "get", "get_json", "get_range",
        "get_ranges", "get_text", "glob", "last_modified", "list", "mime_type", "missing", "name",
        "path", "read_only", "scoped", "size", "stat", "stream", "sync", "temporary_url",
        "temporary_urls", "url", "usage", "visibility", "with_layer",
    }  # fmt: skip
    writes = {write.partition(" ")[0] for write in WRITES}
    assert {name for name in dir(Disk) if not name.startswith("_")} == reads | writes


async def test_a_driver_refuses_too_where_it_is_used_by_itself(disk: Disk) -> None:
    driver: Any = disk.read_only().driver
    for use in (driver.put("a", b""), driver.delete("a"), driver.set_visibility("a", "public")):
        with pytest.raises(ReadOnlyException):
            await use


async def test_a_read_only_view_reads_everything(disk: Disk) -> None:
    await disk.put("dir/a.txt", b"content", visibility="public")
    view = disk.read_only()
    assert await view.get("dir/a.txt") == b"content"
    assert await view.get_range("dir/a.txt", 3) == b"tent"
    assert b"".join([chunk async for chunk in view.stream("dir/a.txt")]) == b"content"
    assert await view.exists("dir/a.txt")
    assert await view.size("dir/a.txt") == 7
    assert await view.stat("dir/a.txt") == await disk.stat("dir/a.txt")
    assert await view.last_modified("dir/a.txt") == await disk.last_modified("dir/a.txt")
    assert await view.mime_type("dir/a.txt") == "text/plain"
    assert await view.all_files() == ["dir/a.txt"]
    assert await view.directory_exists("dir")
    assert await view.visibility("dir/a.txt") is Visibility.PUBLIC
    assert view.url("a") == disk.url("a")
    assert view.path("a") == disk.path("a")
    assert (await view.temporary_url("a", 5)).startswith("signed:a")
    assert await view.scoped("dir").get("a.txt") == b"content"
    async with view.open("dir/a.txt") as file:
        assert await file.read(3) == b"con"


def test_read_only_view_has_the_disks_capabilities_without_those_that_write(disk: Disk) -> None:
    capabilities = disk.read_only().capabilities
    assert capabilities.names == {
        "stat",
        "reading",
        "ranges",
        "listing",
        "copy_source",
        "visibility",
        "temporary_urls",
        "close",
    }
    assert capabilities.put_options == capabilities.copy_options == frozenset()


async def test_what_the_driver_cannot_read_is_unsupported_and_not_read_only() -> None:
    manager = StorageManager.isolated({})
    manager.set_driver(EightMethods())
    view = manager.read_only()
    assert view.capabilities.names == frozenset()
    for use in (view.visibility("a"), view.files(), view.temporary_url("a", 5)):
        with pytest.raises(UnsupportedOperationException) as raised:
            await use
        assert type(raised.value) is UnsupportedOperationException


async def test_scoped_shows_all_of_a_files_metadata() -> None:
    whole = FileInfo(
        path="a/b",
        size=1,
        last_modified=2.0,
        etag="3",
        content_type="4",
        cache_control="5",
        content_disposition="6",
        content_encoding="7",
        metadata={"eight": "8"},
        checksums={"md5": "9"},
        last_modified_ns=10,
    )
    names = [field.name for field in dataclasses.fields(FileInfo)]
    empty = FileInfo(path="", size=0, last_modified=0.0)
    assert not [name for name in names if getattr(whole, name) == getattr(empty, name)]

    class Described(MemoryDriver):
        async def stat(self, path: str, /) -> FileInfo:
            assert path == whole.path
            return whole

        async def list_entries(self, prefix: str, _: ListOptions, /) -> AsyncIterator[Entry]:
            assert prefix == "a"
            yield whole

    manager = StorageManager.isolated()
    manager.set_driver(Described(), "disk")
    view = manager.disk("disk").scoped("a")
    for info in (await view.stat("b"), *[entry async for entry in view.list()]):
        assert info.path == "b"
        shown = {name: getattr(info, name) for name in names}
        assert shown == {name: getattr(whole, name) for name in names} | {"path": "b"}
