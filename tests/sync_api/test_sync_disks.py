"""The sync API: every method of the async one, with the same results."""

from __future__ import annotations

import asyncio
import copy
import inspect
import io
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import (
    BuiltDisk,
    DirectoryInfo,
    Disk,
    FileExistsException,
    FileInfo,
    FileNotFoundException,
    InvalidPathException,
    ReadOnlyException,
    RejectedException,
    StorageManager,
    Visibility,
)
from jtc.storage._fakes import FakeDisk
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.hookspecs import hookimpl
from jtc.storage.sync import SyncBuiltDisk, SyncDisk, SyncFakeDisk, SyncStorage
from jtc.storage.sync._portal import CallersChunks, portal

if TYPE_CHECKING:
    from jtc.storage.hookspecs import AfterPut


def public(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("sync_class", "async_class"),
    [
        (SyncDisk, Disk),
        (SyncBuiltDisk, BuiltDisk),
        (SyncFakeDisk, FakeDisk),
        (SyncStorage, StorageManager),
    ],
    ids=lambda cls: cls.__name__,
)
def test_sync_class_has_the_names_of_the_async_one(sync_class: type, async_class: type) -> None:
    expected = public(async_class) - {"sync", "isolated", "guarded"}
    if "aclose" in expected:
        expected = expected - {"aclose"} | {"close"}
    annotated = {name for name in inspect.get_annotations(async_class) if not name.startswith("_")}
    assert public(sync_class) == expected | annotated
    for name in ("enter", "exit"):
        has = hasattr(async_class, f"__a{name}__") or hasattr(async_class, f"__{name}__")
        assert hasattr(sync_class, f"__{name}__") == has


@pytest.mark.parametrize(
    "name", sorted(public(Disk) - {"sync", "name", "driver", "capabilities", "open"})
)
def test_a_method_takes_what_the_async_one_takes(name: str) -> None:
    def parameters(cls: type) -> list[tuple[str, Any, Any, Any]]:
        found = inspect.signature(getattr(cls, name)).parameters.values()
        return [(p.name, p.kind, p.default, p.annotation) for p in found]

    expected = [
        (n, k, d, f"SyncApi[Disk] | {a}" if n in {"backup", "to"} else a)
        for n, k, d, a in parameters(Disk)
    ]
    assert parameters(SyncDisk) == expected
    assert not inspect.iscoroutinefunction(getattr(SyncDisk, name))


def test_whole_files(disk: SyncDisk) -> None:
    assert disk.put("a.txt", b"one") == "a.txt"
    assert disk.get("a.txt") == b"one"
    assert disk.append("a.txt", " two") == "a.txt"
    assert disk.prepend("a.txt", "zero ") == "a.txt"
    assert disk.get_text("a.txt") == "zero one two"
    disk.put_json("a.json", {"a": [1, None]})
    assert disk.get_json("a.json") == {"a": [1, None]}
    assert disk.exists("a.txt")
    assert disk.missing("b.txt")
    with pytest.raises(FileExistsException):
        disk.put("a.txt", b"mine", overwrite=False)
    with pytest.raises(FileNotFoundException) as caught:
        disk.get("b.txt")
    assert (caught.value.path, caught.value.operation) == ("b.txt", "get")
    with pytest.raises(InvalidPathException):
        disk.get("../b.txt")
    assert disk.delete("a.txt")
    assert not disk.delete("a.txt")
    assert disk.delete_many(["a.json", "b.json"]) == {"a.json": True, "b.json": False}
    disk.check()


def test_metadata_and_urls(disk: SyncDisk) -> None:
    disk.put("a.txt", b"0123456789")
    assert disk.size("a.txt") == 10
    assert disk.stat("a.txt").last_modified == disk.last_modified("a.txt")
    assert disk.mime_type("a.txt") == "text/plain"
    assert disk.checksum("a.txt", "md5") == "781e5e245d69b566979b86e28d23f2c7"
    assert disk.get_range("a.txt", -3) == b"789"
    assert disk.url("a.txt").endswith("a.txt")
    assert disk.path("a.txt").endswith("a.txt")
    assert "listing" in disk.capabilities
    disk.set_visibility("a.txt", Visibility.PRIVATE)


def test_listings(disk: SyncDisk) -> None:
    for name in ("a.txt", "d/b.txt", "d/e/c.txt"):
        disk.put(name, b"1")
    entries = {entry.path: type(entry) for entry in disk.list()}
    assert entries == {"a.txt": FileInfo, "d": DirectoryInfo}
    assert disk.files("d") == ["d/b.txt"]
    assert sorted(disk.all_files()) == ["a.txt", "d/b.txt", "d/e/c.txt"]
    assert disk.directories() == ["d"]
    assert disk.all_directories() == ["d", "d/e"]
    assert disk.directory_exists("d")
    disk.make_directory("f")
    disk.delete_directory("d")
    assert [e.path for e in disk.list(recursive=True)] == ["a.txt"]


class AsyncUpload:
    filename = "a.csv"

    def __init__(self) -> None:
        self._pieces = [b"a,b\n", b"1,2\n"]

    async def read(self, size: int = -1) -> bytes:  # noqa: ARG002
        await asyncio.sleep(0)
        return self._pieces.pop(0) if self._pieces else b""


def pieces() -> Iterator[bytes]:
    yield b"one "
    yield b"two"


async def async_pieces() -> AsyncIterator[bytes]:
    yield b"one "
    await asyncio.sleep(0)
    yield b"two"


def test_every_kind_of_content_is_taken(disk: SyncDisk, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"one two")
    disk.put("from", b"one two")
    with source.open("rb") as file, disk.open("from") as opened:
        contents: list[Any] = [
            *(b"one two", bytearray(b"one two"), "one two", source, file, opened),
            *(io.BytesIO(b"one two"), pieces(), async_pieces(), disk.stream("from")),
            *(disk._behind.stream("from"), [b"one ", b"two"]),
        ]
        for n, content in enumerate(contents):
            disk.put(f"to-{n}", content)
            assert disk.get(f"to-{n}") == b"one two", content
        assert not file.closed
        assert not opened.closed
    assert disk.put_file("up", AsyncUpload()).endswith(".csv")
    assert disk.put_file_as("up", AsyncUpload(), "b.csv") == "up/b.csv"
    assert disk.get("up/b.csv") == b"a,b\n1,2\n"


def test_content_is_iterated_in_the_thread_that_calls(disk: SyncDisk) -> None:
    """A cursor, a connection or a lock that is held may belong to that thread."""
    lock = threading.RLock()

    class Upload:
        filename = "a.txt"

        def __iter__(self) -> Iterator[bytes]:
            with lock:
                yield from pieces()

    with closing(sqlite3.connect(":memory:")) as database:
        rows = database.execute("VALUES ('one '), ('two')")
        disk.put("a.txt", (row[0].encode() for row in rows))
    with lock:
        path = disk.put_file("up", Upload())  # type: ignore[arg-type]
    assert path.endswith(".txt")
    assert disk.get("a.txt") == disk.get(path) == b"one two"


def test_an_exception_that_ends_a_program_ends_a_put(disk: SyncDisk) -> None:
    disk.put("a.txt", b"old")

    def ends() -> Iterator[bytes]:
        yield b"1" * 3_000_000
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        disk.put("a.txt", ends())
    assert disk.get("a.txt") == b"old"


def test_worker_that_reads_after_the_end_of_its_call_does_not_wait() -> None:
    async def reads_nothing() -> None:
        pass

    chunks = CallersChunks(pieces())
    portal.run(reads_nothing(), chunks)
    with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match="aborted"):
        pool.submit(next, chunks).result(60)


def test_what_content_raises_comes_unchanged_and_leaves_the_old_file(disk: SyncDisk) -> None:
    disk.put("a.txt", b"old")

    def broken() -> Iterator[bytes]:
        yield b"new"
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        disk.put("a.txt", broken())
    assert disk.get("a.txt") == b"old"


def test_what_ends_a_program_in_content_ends_no_other_call(storage: SyncStorage) -> None:
    async def ends() -> AsyncIterator[bytes]:
        yield b"new"
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        storage.put("a.txt", ends())
    with storage.open("b.txt", "wb") as file:  # a task of its own
        file.write(b"1")
    assert storage.all_files() == ["b.txt"]


def test_copies_go_to_sync_and_async_disks_and_to_names(
    storage: SyncStorage, disk: SyncDisk
) -> None:
    disk.put("a.txt", b"one")
    storage.set_driver(MemoryDriver(), "other")
    other = storage.disk("other")
    assert disk.copy("a.txt", "b.txt") == "b.txt"
    assert disk.copy("a.txt", "sync.txt", to=other) == "sync.txt"
    assert disk.copy("a.txt", "async.txt", to=other._behind) == "async.txt"
    assert disk.move("b.txt", "moved.txt", to=other.scoped("d")) == "moved.txt"
    assert other.all_files() == ["async.txt", "d/moved.txt", "sync.txt"]
    assert disk.files() == ["a.txt"]


def test_views_are_sync_too(disk: SyncDisk) -> None:
    tenant = disk.scoped("tenants/42")
    assert tenant.put("a.txt", b"1") == "a.txt"
    assert disk.get("tenants/42/a.txt") == b"1"
    with pytest.raises(ReadOnlyException):
        tenant.read_only().put("a.txt", b"2")
    small = tenant.with_layer("validate", max_size=3)
    with pytest.raises(RejectedException):
        small.put("b.txt", b"1234")
    assert tenant.files() == ["a.txt"]


def test_storage_has_the_default_disks_methods_and_its_own(storage: SyncStorage) -> None:
    storage.put("a.txt", b"1")
    assert storage.name == "memory"
    assert storage.disk().get("a.txt") == storage.disk("memory").get("a.txt") == b"1"
    assert storage.disks() == ["local", "memory"]
    assert {"local", "memory", "s3"} <= set(storage.drivers())
    storage.extend("mine", MemoryDriver)
    storage.configure({"default": "own", "disks": {"own": {"driver": "mine"}}})
    assert storage.missing("a.txt")
    assert storage.driver_as(MemoryDriver) is storage.driver
    driver = storage.driver
    storage.forget()
    assert storage.driver is not driver
    assert repr(storage.disk("own")) == "<Disk 'own'>.sync"


def test_a_built_disk_is_closed_at_the_end_of_its_block() -> None:
    closed = []

    class Driver(MemoryDriver):
        async def aclose(self) -> None:
            closed.append(True)

    manager = StorageManager.isolated()
    manager.extend("mine", Driver)
    with manager.sync.build({"driver": "mine"}) as disk:
        disk.put("a.txt", b"1")
        assert disk.name == "built"
    assert closed == [True]
    assert isinstance(manager.build({"driver": "mine"}).sync, SyncBuiltDisk)


def test_a_fake_is_sync_and_has_its_assertions(storage: SyncStorage) -> None:
    with storage.fake("local", "memory") as disk:
        storage.disk("local").put("a/b.txt", "me")
        disk.assert_exists("a/b.txt", "me")
        disk.assert_missing("b.txt")
        disk.assert_count(1, "a")
        disk.disk("memory").assert_empty()
        with pytest.raises(AssertionError):
            disk.assert_empty()
    assert storage.disk("local").missing("a/b.txt")
    with storage._behind.fake("local").sync as again:
        again.put("c.txt", b"1")
        again.assert_count(1)


def test_hooks_receive_events_in_the_callers_context(storage: SyncStorage) -> None:
    user: ContextVar[str] = ContextVar("user")
    seen = []

    class Plugin:
        @hookimpl
        async def storage_after_put(self, event: AfterPut) -> None:
            seen.append((user.get(), event.path))

    def content() -> Iterator[bytes]:
        seen.append((user.get(), "sync content"))
        yield b"1"

    async def async_content() -> AsyncIterator[bytes]:
        seen.append((user.get(), "async content"))
        yield b"1"

    storage.hooks.register(Plugin())
    user.set("me")
    storage.put("a.txt", content())
    user.set("you")
    storage.put("b.txt", async_content())
    assert seen == [
        ("me", "sync content"),
        ("me", "a.txt"),
        ("you", "async content"),
        ("you", "b.txt"),
    ]


def test_sync_disk_is_as_late_bound_as_its_disk(storage: SyncStorage) -> None:
    disk = storage.disk("local")
    with storage.fake("local"):
        disk.put("a.txt", b"fake")
    assert disk.missing("a.txt")
    assert copy.copy(disk)._behind is disk._behind


def test_importing_the_core_neither_imports_the_sync_api_nor_starts_a_thread() -> None:
    program = (
        "import sys, threading, jtc.storage; jtc.storage.Storage.disk('s3')\n"
        "assert not [n for n in sys.modules if n.startswith('jtc.storage.sync')]\n"
        "import jtc.storage.sync; jtc.storage.Storage.sync.disk('s3')\n"
        "assert threading.active_count() == 1"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)
