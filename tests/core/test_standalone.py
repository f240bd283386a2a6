"""Drivers that are used alone: their checks and errors are those of a disk."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from disk_ways import disk_of
from jtc.storage import (
    DeleteOptions,
    DirectoryInfo,
    FileNotFoundException,
    InvalidPathException,
    ListOptions,
    PreconditionFailedException,
    ReadOptions,
    SignOptions,
    StorageException,
    StorageTimeoutException,
    StorageUnavailableException,
    UnsupportedOperationException,
    Visibility,
    WriteOptions,
)
from jtc.storage._capabilities import resolve
from jtc.storage.driver import METHODS
from jtc.storage.driver_support.standalone import standalone, without_checks
from jtc.storage.drivers.memory_driver import MemoryDriver
from small_drivers import EightMethods

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import Self

    from jtc.storage import Disk, Entry

SIGNING: dict[str, Any] = {"base_url": "/files", "secret": "s" * 32}


async def failure(call: Callable[[], Any]) -> Exception:
    try:
        result = call()
        await (anext(result) if hasattr(result, "__anext__") else result)
    except Exception as error:
        return error
    raise AssertionError("It did not fail")


# What fails, by the driver's method: the call of the driver alone, and that of the disk.
FAILURES: dict[str, tuple[Callable[[Any], Any], Callable[[Disk], Any]]] = {
    "put, path": (lambda m: m.put("..", b""), lambda d: d.put("..", b"")),
    "put, no str": (lambda m: m.put(5, b""), lambda d: d.put(5, b"")),  # type: ignore[arg-type]
    "put, no content": (lambda m: m.put("b", None), lambda d: d.put("b", None)),  # type: ignore[arg-type]
    "put, an item": (lambda m: m.put("b", [1]), lambda d: d.put("b", [1])),  # type: ignore[list-item]
    "get": (lambda m: m.get("/x"), lambda d: d.get("/x")),
    "get, path": (lambda m: m.get("a//b"), lambda d: d.get("a//b")),
    "get, list": (lambda m: m.get(["a"]), lambda d: d.get(["a"])),  # type: ignore[arg-type]
    "exists": (lambda m: m.exists(""), lambda d: d.exists("")),
    "delete": (lambda m: m.delete("a/"), lambda d: d.delete("a/")),
    "size": (lambda m: m.size("x"), lambda d: d.size("x")),
    "last_modified": (lambda m: m.last_modified("x"), lambda d: d.last_modified("x")),
    "url": (lambda m: m.url("../x"), lambda d: d.url("../x")),
    "path": (lambda m: m.path("a\\b"), lambda d: d.path("a\\b")),
    "stat": (lambda m: m.stat("x"), lambda d: d.stat("x")),
    "open_read": (lambda m: m.open_read("x", ReadOptions()), lambda d: d.stream("x")),
    "open_read, version": (
        lambda m: m.open_read("a", ReadOptions(if_match="1")),
        lambda d: d.stream("a", if_match="1"),
    ),
    "read_ranges": (
        lambda m: m.read_ranges("x", [(0, 1)], ReadOptions()),
        lambda d: d.get_ranges("x", [(0, 1)]),
    ),
    "write_file": (
        lambda m: m.write_file("a", b"", WriteOptions(overwrite=False)),
        lambda d: d.put("a", b"", overwrite=False),
    ),
    "write_file, version": (
        lambda m: m.write_file("a", "text", WriteOptions(if_match="1")),
        lambda d: d.put("a", "text", if_match="1"),
    ),
    "update_metadata": (
        lambda m: m.update_metadata("x", WriteOptions(content_type="x/y")),
        lambda d: d.set_metadata("x", content_type="x/y"),
    ),
    "list_entries": (lambda m: m.list_entries("a/", ListOptions()), lambda d: d.list("a/")),
    "make_directory": (lambda m: m.make_directory(""), lambda d: d.make_directory("")),
    "delete_directory": (lambda m: m.delete_directory("/"), lambda d: d.delete_directory("/")),
    "remove_empty_directory": (
        lambda m: m.remove_empty_directory("dir"),
        lambda d: d.remove_empty_directory("dir"),
    ),
    "copy_file": (lambda m: m.copy_file("x", "y", WriteOptions()), lambda d: d.copy("x", "y")),
    "copy_file, path": (
        lambda m: m.copy_file("a", "..", WriteOptions()),
        lambda d: d.copy("a", ".."),
    ),
    "copy_file, target": (
        lambda m: m.copy_file("a", "dir/b", WriteOptions(overwrite=False)),
        lambda d: d.copy("a", "dir/b", overwrite=False),
    ),
    "move_file": (lambda m: m.move_file("x", "y", WriteOptions()), lambda d: d.move("x", "y")),
    "move_file, version": (
        lambda m: m.move_file("a", "y", WriteOptions(if_source_match="1")),
        lambda d: d.move("a", "y", if_source_match="1"),
    ),
    "visibility": (lambda m: m.visibility("x"), lambda d: d.visibility("x")),
    "set_visibility": (
        lambda m: m.set_visibility("x", Visibility.PUBLIC),
        lambda d: d.set_visibility("x", "public"),
    ),
    "temporary_url": (
        lambda m: m.temporary_url("..", SignOptions(expires_in=60)),
        lambda d: d.temporary_url("..", 60),
    ),
    "temporary_url, header": (
        lambda m: m.temporary_url("a", SignOptions(expires_in=60, content_type="ü")),
        lambda d: d.temporary_url("a", 60, content_type="ü"),
    ),
    "temporary_upload_url": (
        lambda m: m.temporary_upload_url("a", SignOptions(expires_in=60, size=-1)),
        lambda d: d.temporary_upload_url("a", 60, size=-1),
    ),
    "temporary_upload_form": (
        lambda m: m.temporary_upload_form("", SignOptions(expires_in=60, max_size=1)),
        lambda d: d.temporary_upload_form("", 60, max_size=1),
    ),
    "delete_file": (
        lambda m: m.delete_file("a", DeleteOptions(if_match="1")),
        lambda d: d.delete("a", if_match="1"),
    ),
    "delete_file, path": (
        lambda m: m.delete_file("a/", DeleteOptions(if_match="1")),
        lambda d: d.delete("a/", if_match="1"),
    ),
    "delete_many": (lambda m: m.delete_many([5]), lambda d: d.delete_many([5])),  # type: ignore[list-item]
    "delete_many, one path": (lambda m: m.delete_many("abc"), lambda d: d.delete_many("abc")),
}


def test_failures_above_are_of_every_method() -> None:
    assert {name.partition(",")[0] for name in FAILURES} == set(METHODS) - {
        "check",
        "aclose",
        "copy_from",
        "copy_source",
        "move_directory",
    }


@pytest.mark.parametrize("name", FAILURES)
async def test_driver_alone_fails_as_behind_a_disk(name: str) -> None:
    alone, behind = FAILURES[name]
    errors = []
    for call, target in ((alone, MemoryDriver), (behind, lambda **o: disk_of(MemoryDriver(**o)))):
        driver: Any = target(**SIGNING)
        await driver.put("a", b"1")
        await driver.put("dir/b", b"1")
        errors.append(await failure(functools.partial(call, driver)))
    one, other = errors
    assert type(one) is type(other)
    if isinstance(one, StorageException) and isinstance(other, StorageException):
        assert (one.message, one.path, one.operation) == (
            other.message,
            other.path,
            other.operation,
        )
        assert one.operation is not None
        assert (one.disk, other.disk) == (None, "d")
        assert one.retryable == other.retryable
    else:
        assert one.args == other.args


async def test_delete_many_alone_has_the_results_of_a_disk() -> None:
    driver = MemoryDriver()
    found = {}
    for each in (driver, disk_of(driver)):
        await driver.put("a", b"1")
        found[type(each)] = await each.delete_many(["/a", "x", "..", "a", ".jtc"])
    one, other = found.values()
    assert set(one) == set(other) == {"/a", "x", "..", "a", ".jtc"}
    for path in ("/a", "x", "a"):
        assert one[path] == other[path] == (path != "x")
    for path in ("..", ".jtc"):
        errors: Any = (one[path], other[path])
        assert [type(error) for error in errors] == [InvalidPathException] * 2
        assert len({error.message for error in errors}) == 1
        assert {(error.path, error.operation) for error in errors} == {(path, "delete_many")}


CONTENTS: dict[str, Callable[[Path], Any]] = {
    "bytes": lambda _: b"one two",
    "bytearray": lambda _: bytearray(b"one two"),
    "memoryview": lambda _: memoryview(b"one two"),
    "str": lambda _: "one two",
    "path": lambda file: file,
    "file": lambda _: io.BytesIO(b"one two"),
    "list": lambda _: [b"one ", b"two"],
    "iterator": lambda _: iter([b"one ", b"two"]),
    "async iterator": lambda _: pieces(),
}


async def pieces() -> AsyncIterator[bytes]:
    yield b"one "
    yield b"two"


@pytest.mark.parametrize("kind", CONTENTS)
async def test_driver_alone_takes_every_kind_of_content(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "source"
    file.write_bytes(b"one two")
    driver: Any = MemoryDriver()
    await driver.put("a", CONTENTS[kind](file))
    await driver.write_file("b", CONTENTS[kind](file), WriteOptions(content_type="x/y"))
    assert await driver.get("a") == await driver.get("b") == b"one two"


def open_files(path: Path) -> int:
    """Return how many descriptors of this process lead to a file."""
    return sum(
        str(path) == str(each.readlink())
        for each in Path("/proc/self/fd").iterdir()
        if each.is_symlink()
    )


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at Linux's /proc")
async def test_path_as_content_is_closed_however_the_write_ends(tmp_path: Path) -> None:
    file = tmp_path / "source"
    file.write_bytes(b"content")
    seen = []

    @standalone
    class Looking(MemoryDriver):
        async def put(self, path: str, content: Any, /) -> str:
            seen.append(open_files(file))
            if path == "broken":
                content.read(1)
                raise ConnectionError
            return await super().put(path, content)

    driver = Looking()
    await driver.put("a", file)
    assert await driver.get("a") == b"content"
    with pytest.raises(StorageUnavailableException):
        await driver.put("broken", file)
    assert len(seen) == 2
    assert open_files(file) == 0
    with pytest.raises(PreconditionFailedException):
        await driver.write_file("a", file, WriteOptions(overwrite=False))  # type: ignore[arg-type]
    assert open_files(file) == 0


async def test_error_of_content_comes_unchanged_and_leaves_the_old_file() -> None:
    mine = OSError(5, "mine")

    def source() -> Iterator[bytes]:
        yield b"new"
        raise mine

    async def async_source() -> AsyncIterator[bytes]:
        yield b"new"
        raise mine

    driver = MemoryDriver()
    await driver.put("a", b"old")
    for content in (source(), async_source()):
        with pytest.raises(OSError, match="mine") as raised:
            await driver.put("a", content)
        assert raised.value is mine
    for content in (source(), async_source()):
        with pytest.raises(OSError, match="mine") as raised:
            await driver.write_file("a", content, WriteOptions())  # type: ignore[arg-type]
        assert raised.value is mine
    assert await driver.get("a") == b"old"


@standalone
class Own(EightMethods):
    async def get(self, path: str, /) -> bytes:
        return self._file(path)

    async def exists(self, path: str, /) -> bool:
        raise ConnectionError(path)

    def url(self, path: str, /) -> str:
        raise PermissionError(path)


async def test_standalone_translates_builtins_of_the_methods_that_the_class_defines() -> None:
    driver = Own()
    with pytest.raises(FileNotFoundException) as raised:
        await driver.get("/a")
    error = raised.value
    assert (error.path, error.operation, error.disk) == ("/a", "get", None)
    assert type(error.__cause__) is FileNotFoundError
    with pytest.raises(StorageUnavailableException):
        await driver.exists("a")
    with pytest.raises(StorageException) as raised_url:
        driver.url("a")
    assert raised_url.value.operation == "url"
    with pytest.raises(FileNotFoundError) as raised_size:
        await driver.size("a")  # which is EightMethods', and not decorated
    assert type(raised_size.value) is FileNotFoundError


async def test_list_entries_left_early_is_closed_at_once() -> None:
    closed = []

    @standalone
    class Listing:
        async def list_entries(self, prefix: str, _: ListOptions, /) -> AsyncIterator[Entry]:
            try:
                yield DirectoryInfo(path="a")
                yield DirectoryInfo(path="b")
            finally:
                await asyncio.sleep(0)
                closed.append(prefix)

    async with contextlib.aclosing(Listing().list_entries("x", ListOptions())) as entries:
        await anext(entries)
    assert closed == ["x"]


async def test_list_entries_may_be_an_iterator_without_aclose() -> None:
    class Entries:
        def __init__(self) -> None:
            self.left = ["a", "b"]

        def __aiter__(self) -> Self:
            return self

        async def __anext__(self) -> Entry:
            if not self.left:
                raise StopAsyncIteration
            return DirectoryInfo(path=self.left.pop(0))

    @standalone
    class Listing:
        def list_entries(self, _prefix: str, _options: ListOptions, /) -> Entries:
            return Entries()

    found = [entry.path async for entry in Listing().list_entries("", ListOptions())]
    assert found == ["a", "b"]


async def test_delete_many_names_operation_and_path_of_each_error() -> None:
    @standalone
    class Deleting:
        async def delete_many(self, paths, /):
            return {path: StorageUnavailableException("No") for path in paths}

    results = await Deleting().delete_many(["/a", "b", "../c"])
    assert {path: (error.operation, error.path) for path, error in results.items()} == {
        "/a": ("delete_many", "/a"),
        "b": ("delete_many", "b"),
        "../c": ("delete_many", "../c"),
    }


async def test_standalone_checks_path_of_health_check() -> None:
    @standalone
    class Checking(EightMethods):
        async def check(self, path: str, /) -> None:
            raise TimeoutError(path)

    for path, expected in (("../a", InvalidPathException), ("a", StorageTimeoutException)):
        with pytest.raises(expected) as raised:
            await Checking().check(path)
        assert (raised.value.path, raised.value.operation) == (path, "check")


# What Disk calls


def test_disk_calls_the_methods_as_they_are_written() -> None:
    driver = MemoryDriver(**SIGNING)
    methods = resolve(driver).methods
    for name in set(METHODS) - {"check", "aclose"}:
        written = getattr(MemoryDriver, name).__wrapped__
        assert getattr(methods, name).__func__ is written
        assert getattr(methods, name).__self__ is driver


async def test_disk_calls_an_overriding_method_as_it_is_overridden() -> None:
    class Overridden(MemoryDriver):
        async def get(self, path: str, /) -> bytes:
            return b"overridden " + await super().get(path)

    driver = Overridden()
    disk = disk_of(driver)
    await disk.put("a", b"content")
    for each in (driver, disk, disk.scoped("b").scoped("c"), disk.with_layer("scoped", prefix="b")):
        await each.put("a", b"content")
        assert await each.get("a") == b"overridden content"


async def test_disk_calls_a_decorator_around_a_checked_method() -> None:
    calls = []

    def traced(method: Any) -> Any:
        @functools.wraps(method)
        async def call(self: Any, path: str, /) -> Any:
            calls.append(path)
            return await method(self, path)

        return call

    class Traced(MemoryDriver):
        get = traced(MemoryDriver.get)

    disk = disk_of(Traced())
    await disk.put("a", b"content")
    assert await disk.get("a") == b"content"
    assert await disk.scoped("s").missing("a")
    assert calls == ["a"]
    with pytest.raises(FileNotFoundException) as raised:
        await disk.get("x")
    assert (raised.value.path, raised.value.operation, raised.value.disk) == ("x", "get", "d")


async def test_disk_calls_a_method_that_was_replaced_on_the_class_or_the_instance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def get(*_: Any) -> bytes:
        return b"replaced"

    driver = MemoryDriver()
    monkeypatch.setattr(driver, "get", get, raising=False)
    assert await disk_of(driver).get("a") == b"replaced"
    monkeypatch.setattr(MemoryDriver, "get", get)
    assert await disk_of(MemoryDriver()).get("a") == b"replaced"


def test_without_checks_returns_any_other_callable_as_it_is() -> None:
    driver = EightMethods()
    for callable_ in (driver.get, print, lambda: None, functools.partial(print)):
        assert without_checks(callable_) == callable_


async def test_driver_without_secret_signs_nothing_alone_and_lacks_it_behind_a_disk() -> None:
    driver = MemoryDriver()
    with pytest.raises(UnsupportedOperationException, match="'secret'"):
        await driver.temporary_url("a", SignOptions(expires_in=60))
    with pytest.raises(UnsupportedOperationException, match="'secret'"):
        await disk_of(driver).temporary_url("a", 60)
