"""The directory ``.jtc`` at a disk's root: no path of a user leads there, and no listing has it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from disk_ways import WAYS, Awaited, disk_of, whole
from jtc.storage import (
    DeleteOptions,
    Disk,
    InvalidPathException,
    ListOptions,
    SignOptions,
    Usage,
    WriteOptions,
)
from jtc.storage._capabilities import resolve
from jtc.storage.driver import METHODS
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.options import ReadOptions
from jtc.storage.paths import RESERVED_DIRECTORY, check_path, is_reserved

if TYPE_CHECKING:
    from collections.abc import Callable

# Coverage doubles the time, and would measure no line that other tests do not measure.
pytestmark = pytest.mark.no_cover

RESERVED = [".jtc", "/.jtc", ".jtc/x", ".jtc/uploads/1", ".JTC", ".Jtc/x", "/.jTC/x"]
ALLOWED = [".jtc-x", ".jtcx", ".jt", "jtc/x", "a/.jtc", "a/.jtc/x", ".jtc.d/x", ".jtc -/x"]

CALLS: dict[str, Callable[[Any, str], Any]] = {
    "append": lambda d, p: d.append(p, b"x"),
    "checksum": lambda d, p: d.checksum(p),
    "confirm_upload": lambda d, p: d.confirm_upload(p),
    "copy": lambda d, p: d.copy(p, "a"),
    "copy to": lambda d, p: d.copy("a", p),
    "delete": lambda d, p: d.delete(p),
    "delete_directory": lambda d, p: d.delete_directory(p),
    "directory_exists": lambda d, p: d.directory_exists(p),
    "download": lambda d, p: d.download(p, "/nowhere/file"),
    "entry": lambda d, p: d.entry(p),
    "exists": lambda d, p: d.exists(p),
    "get": lambda d, p: d.get(p),
    "get_json": lambda d, p: d.get_json(p),
    "get_range": lambda d, p: d.get_range(p, 0),
    "get_ranges": lambda d, p: d.get_ranges(p, [(0, 1)]),
    "get_text": lambda d, p: d.get_text(p),
    "last_modified": lambda d, p: d.last_modified(p),
    "make_directory": lambda d, p: d.make_directory(p),
    "mime_type": lambda d, p: d.mime_type(p),
    "missing": lambda d, p: d.missing(p),
    "move": lambda d, p: d.move(p, "a"),
    "move to": lambda d, p: d.move("a", p),
    "open": lambda d, p: d.open(p),
    "open to write": lambda d, p: d.open(p, "wb"),
    "path": lambda d, p: called(d.path, p),
    "prepend": lambda d, p: d.prepend(p, b"x"),
    "put": lambda d, p: d.put(p, b"x"),
    "put with options": lambda d, p: d.put(p, b"x", size=1),
    "put_file": lambda d, p: d.put_file(p, b"x"),
    "put_file_as": lambda d, p: d.put_file_as(p, b"x", "x"),
    "put_json": lambda d, p: d.put_json(p, 1),
    "remove_empty_directory": lambda d, p: d.remove_empty_directory(p),
    "scoped": lambda d, p: called(d.scoped, p),
    "set_metadata": lambda d, p: d.set_metadata(p, content_type="x/y"),
    "set_visibility": lambda d, p: d.set_visibility(p, "public"),
    "size": lambda d, p: d.size(p),
    "stat": lambda d, p: d.stat(p),
    "stream": lambda d, p: whole(d.stream(p)),
    "temporary_upload_form": lambda d, p: d.temporary_upload_form(p, 60, max_size=1),
    "temporary_upload_url": lambda d, p: d.temporary_upload_url(p, 60),
    "temporary_url": lambda d, p: d.temporary_url(p, 60),
    "temporary_urls": lambda d, p: d.temporary_urls([p], 60),
    "url": lambda d, p: called(d.url, p),
    "visibility": lambda d, p: d.visibility(p),
    "files": lambda d, p: d.files(p),
    "all_files": lambda d, p: d.all_files(p),
    "directories": lambda d, p: d.directories(p),
    "all_directories": lambda d, p: d.all_directories(p),
    "usage": lambda d, p: d.usage(p),
    "list": lambda d, p: listed(d.list(p)),
    "list after": lambda d, p: listed(d.list(start_after=p)),
    "glob": lambda d, p: d.glob(f"{p}/*"),
    "put_many": lambda d, p: only(d.put_many({p: b"x"})),
    "get_many": lambda d, p: only(d.get_many([p])),
    "copy_many": lambda d, p: only(d.copy_many({p: "a"})),
    "copy_many to": lambda d, p: only(d.copy_many({"a": p})),
    "copy_directory": lambda d, p: only(d.copy_directory(p, "b")),
    "copy_directory to": lambda d, p: only(d.copy_directory("d", p)),
    "move_directory": lambda d, p: only(d.move_directory(p, "b")),
    "move_directory to": lambda d, p: only(d.move_directory("d", p)),
    "compare": lambda d, p: listed(d.compare(p, to=d.scoped("b"))),
    "plan_sync": lambda d, p: d.plan_sync(p, to=d.scoped("b")),
}


async def only(transfers: Any) -> None:
    """Raise the error of the only file."""
    async for result in transfers:
        if result.error is not None:
            raise result.error


async def called(method: Callable[[str], Any], path: str) -> Any:
    result = method(path)
    return await result if inspect.isawaitable(result) else result


async def listed(entries: Any) -> list[str]:
    return [entry.path async for entry in entries]


class Walked(MemoryDriver):
    supported_options: ClassVar = {**MemoryDriver.supported_options, "list_entries": frozenset()}


def test_calls_above_are_all_that_take_a_path() -> None:
    others = {
        "capabilities", "check", "delete_many", "driver", "driver_as", "name", "read_only", "sync",
        "with_layer",
    }  # fmt: skip
    names = {name.partition(" ")[0] for name in CALLS}
    assert {name for name in dir(Disk) if not name.startswith("_")} == names | others


SIGNING = {"base_url": "/files", "secret": "s" * 32}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("path", RESERVED)
async def test_disk_refuses_a_reserved_path_in_every_method(call: str, path: str) -> None:
    memory = disk_of(MemoryDriver(**SIGNING))  # type: ignore[arg-type]
    for disk in (memory, memory.scoped("s")):
        await disk.put("a", b"1")
        with pytest.raises(
            InvalidPathException, match=r"'\.jtc' at the root is reserved"
        ) as raised:
            await CALLS[call](disk, path)
        assert raised.value.disk == "d"
        assert raised.value.operation is not None


@pytest.mark.parametrize("way", WAYS)
async def test_each_way_refuses_a_reserved_path(way: str) -> None:
    _, disk = WAYS[way]()
    for path in RESERVED:
        for call in ("put", "get", "exists", "stat", "delete", "stream", "url"):
            if way != "read-only" or call not in {"put", "delete"}:
                with pytest.raises(InvalidPathException, match="reserved"):
                    await CALLS[call](disk, path)


async def test_delete_many_refuses_reserved_paths_and_deletes_the_others() -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a", b"")
    outcome = await disk.delete_many(["a", ".jtc/x", ".JTC"])
    assert outcome.pop("a") is True
    assert [type(error) for error in outcome.values()] == [InvalidPathException] * 2


ALONE: dict[str, Callable[[Any, str], Any]] = {
    "put": lambda d, p: d.put(p, b"x"),
    "get": lambda d, p: d.get(p),
    "exists": lambda d, p: d.exists(p),
    "delete": lambda d, p: d.delete(p),
    "size": lambda d, p: d.size(p),
    "last_modified": lambda d, p: d.last_modified(p),
    "url": lambda d, p: called(d.url, p),
    "path": lambda d, p: called(d.path, p),
    "stat": lambda d, p: d.stat(p),
    "open_read": lambda d, p: d.open_read(p, ReadOptions()),
    "read_ranges": lambda d, p: d.read_ranges(p, [(0, 1)], ReadOptions()),
    "write_file": lambda d, p: d.write_file(p, b"", WriteOptions()),
    "update_metadata": lambda d, p: d.update_metadata(p, WriteOptions(content_type="x/y")),
    "delete_file": lambda d, p: d.delete_file(p, DeleteOptions(if_match="1")),
    "list_entries": lambda d, p: listed(d.list_entries(p, ListOptions())),
    "make_directory": lambda d, p: d.make_directory(p),
    "delete_directory": lambda d, p: d.delete_directory(p),
    "remove_empty_directory": lambda d, p: d.remove_empty_directory(p),
    "move_directory": lambda d, p: d.move_directory(p, "b"),
    "copy_file": lambda d, p: d.copy_file("a", p, WriteOptions()),
    "copy_source": lambda d, p: called(d.copy_source, p),
    "copy_from": lambda d, p: d.copy_from(p, d.copy_source("a"), WriteOptions()),
    "move_file": lambda d, p: d.move_file(p, "b", WriteOptions()),
    "visibility": lambda d, p: d.visibility(p),
    "set_visibility": lambda d, p: d.set_visibility(p, "public"),
    "temporary_url": lambda d, p: d.temporary_url(p, SignOptions(expires_in=60)),
    "temporary_upload_url": lambda d, p: d.temporary_upload_url(p, SignOptions(expires_in=60)),
    "temporary_upload_form": lambda d, p: d.temporary_upload_form(
        p, SignOptions(expires_in=60, max_size=1)
    ),
}


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"delete_many", "check", "aclose"}))
@pytest.mark.parametrize("path", RESERVED)
async def test_driver_alone_refuses_a_reserved_path(method: str, path: str) -> None:
    driver: Any = MemoryDriver(**SIGNING)  # type: ignore[arg-type]
    for alone in (driver, disk_of(driver).scoped("s").driver):
        await alone.put("a", b"1")
        with pytest.raises(InvalidPathException, match="reserved"):
            await ALONE[method](alone, path)


@pytest.mark.parametrize("path", ALLOWED)
async def test_path_that_only_looks_like_a_reserved_one_is_allowed(path: str) -> None:
    assert check_path(path) == path
    assert not is_reserved(path)
    for disk in (disk_of(MemoryDriver()), disk_of(MemoryDriver()).scoped("s")):
        await disk.put(path, b"1")
        assert await disk.get(path) == b"1"
        assert await disk.all_files() == [path]


async def filled(driver: MemoryDriver) -> MemoryDriver:
    """Store files of a user, and the library's own, as a driver does that keeps some there."""
    methods = resolve(driver).methods
    for path in (".jtc-x", "a/.jtc/kept", "b"):
        await methods.put(path, b"12")
    for path in (f"{RESERVED_DIRECTORY}/uploads/1", ".JTC/2", ".jtc/3", ".jtc"):
        await methods.put(path, b"staged")
    await methods.make_directory(".jtc/empty")
    return driver


@pytest.mark.parametrize("driver", [MemoryDriver, Walked])
@pytest.mark.parametrize("view", ["disk", "scope", "read-only", "sync"])
async def test_listings_leave_the_reserved_directory_out(driver: Any, view: str) -> None:
    disk: Any = disk_of(await filled(driver()))
    if view == "scope":
        memory = driver()
        for path, file in (await filled(driver()))._files.items():
            memory._store(f"s/{path}", file)
        disk = disk_of(memory).scoped("s")
    elif view == "read-only":
        disk = disk.read_only()
    elif view == "sync":
        disk = Awaited(disk.sync)
    mine = [".jtc-x", "a/.jtc/kept", "b"]
    assert await disk.files() == [".jtc-x", "b"]
    assert await disk.directories() == ["a"]
    assert await disk.all_files() == mine
    assert await disk.all_directories() == ["a", "a/.jtc"]
    assert await disk.all_files("a") == ["a/.jtc/kept"]
    assert await disk.usage() == Usage(files=3, bytes=6)
    assert await disk.glob("**") == mine
    assert await disk.glob("*") == [".jtc-x", "b"]
    assert await disk.glob(".*/**") == []
    assert await disk.glob("[.]jtc*") == [".jtc-x"]
    if view != "sync":
        listing = disk.list(recursive=True, directories=True, start_after=".a")
        assert await listed(listing) == [".jtc-x", "a", "a/.jtc", "a/.jtc/kept", "b"]


async def test_scope_of_no_root_shows_the_reserved_name_to_the_disk_around_it_only() -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("s/.jtc/x", b"1")
    await disk.put("s/a", b"1")
    assert await disk.all_files() == ["s/.jtc/x", "s/a"]
    assert await disk.scoped("s").all_files() == ["a"]
