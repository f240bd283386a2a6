"""Hooks: which events they receive, what they may veto, and what becomes of their errors."""

from __future__ import annotations

import asyncio
import io
import logging
import subprocess
import sys
import tempfile
import threading
import types
from typing import TYPE_CHECKING, Any

import pytest
from starlette.datastructures import UploadFile

from jtc.storage import (
    Disk,
    FileNotFoundException,
    NotModifiedException,
    ReadOptions,
    ReadStream,
    RejectedException,
    StorageConfigException,
    StorageException,
    StorageManager,
    StoragePermissionException,
    StorageUnavailableException,
    Visibility,
)
from jtc.storage._hooks import Hooks
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.hookspecs import (
    AfterPut,
    BeforePut,
    Event,
    Failed,
    HookFailed,
    hookimpl,
)
from small_drivers import EightMethods, Streaming

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


class Listener:
    """Remembers every event that it receives."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    @hookimpl
    def storage_before_put(self, event: Any) -> None:
        self.events.append(event)

    @hookimpl
    async def storage_after_put(self, event: Any) -> None:
        await asyncio.sleep(0)
        self.events.append(event)

    storage_before_get = storage_before_delete = storage_before_copy = storage_before_move = (
        storage_before_put
    )
    storage_after_get = storage_after_delete = storage_after_copy = storage_after_move = (
        storage_after_put
    )
    storage_before_update = storage_before_put
    storage_after_update = storage_after_put
    storage_failed = storage_hook_failed = storage_before_put

    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


@pytest.fixture
def manager() -> StorageManager:
    manager = StorageManager.isolated({})
    manager.set_driver(MemoryDriver(), "d")
    manager.set_driver(EightMethods(), "e")
    return manager


@pytest.fixture
def disk(manager: StorageManager) -> Disk:
    return manager.disk("d")


@pytest.fixture
def listener(manager: StorageManager) -> Listener:
    listener = Listener()
    manager.hooks.register(listener)
    return listener


async def chunks() -> AsyncIterator[bytes]:
    yield b"123"
    yield b"45"


# Events


PUTS: dict[str, Callable[[Disk], Any]] = {
    "put": lambda d: d.put("a", b"12345"),
    "put with an option": lambda d: d.put("a", b"12345", content_type="x/y"),
    "put of chunks": lambda d: d.put("a", chunks()),
    "put of text": lambda d: d.put("a", "12345"),
    "put_json": lambda d: d.put_json("a", 12345),
    "append": lambda d: d.append("a", b"12345"),
    "prepend": lambda d: d.prepend("a", b"12345"),
    "put_file": lambda d: d.put_file("", b"12345"),
    "put_file_as": lambda d: d.put_file_as("", b"12345", "a"),
}


@pytest.mark.parametrize("name", PUTS)
@pytest.mark.parametrize("driver", ["d", "e"])
async def test_whatever_stores_content_is_a_put(
    manager: StorageManager, listener: Listener, name: str, driver: str
) -> None:
    if driver == "e" and name == "put with an option":
        pytest.skip("eight methods have no options")
    await PUTS[name](manager.disk(driver))
    assert listener.names() == ["BeforePut", "AfterPut"]
    before, after = listener.events
    assert (before.disk, after.disk) == (driver, driver)
    assert before.driver == after.driver == type(manager.disk(driver).driver).__name__
    operation = name.partition(" ")[0]
    # put_json is a put of text.
    assert before.operation == after.operation == {"put_json": "put"}.get(operation, operation)
    assert before.path == after.path
    assert before.id == after.id
    assert after.size == 5
    assert after.duration > 0


async def test_the_size_is_known_beforehand_where_it_can_be(disk: Disk, listener: Listener) -> None:
    await disk.put("/a", b"12345", metadata={"by": "me"})
    await disk.put("a", chunks())
    await disk.put("a", chunks(), size=5)
    sizes = [event.size for event in listener.events]
    assert sizes == [5, 5, None, 5, 5, 5]
    assert listener.events[0].options == {"metadata": {"by": "me"}}
    assert {event.path for event in listener.events} == {"a"}


async def whole(stream: Any) -> bytes:
    return b"".join([chunk async for chunk in stream])


async def read_back_and_forth(disk: Disk) -> None:
    async with disk.open("a") as file:
        await file.seek(3)
        assert await file.read() == b"45"
        await file.seek(0)
        assert await file.read(3) == b"123"


async def downloaded(disk: Disk, **conditions: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        await disk.download("a", f"{directory}/a", **conditions)


GETS: dict[str, Callable[[Disk], Any]] = {
    "get": lambda d: d.get("a"),
    "get_text": lambda d: d.get_text("a"),
    "get_json": lambda d: d.get_json("a"),
    "get_range": lambda d: d.get_range("a", 0, 5),
    "get_ranges": lambda d: d.get_ranges("a", [(3, 5), (0, 3)]),
    "get under a condition": lambda d: d.get("a", if_none_match="another"),
    "get_range under a condition": lambda d: d.get_range("a", 0, if_none_match="another"),
    "stream": lambda d: whole(d.stream("a", chunk_size=2)),
    "open": read_back_and_forth,
    "download": downloaded,
}


@pytest.mark.parametrize("name", GETS)
@pytest.mark.parametrize("driver", ["d", "e"])
async def test_whatever_gives_content_is_a_get(
    manager: StorageManager, listener: Listener, name: str, driver: str
) -> None:
    await manager.disk(driver).put("a", b"12345")
    listener.events.clear()
    await GETS[name](manager.disk(driver))
    assert listener.names() == ["BeforeGet", "AfterGet"]
    before, after = listener.events
    operation = "get" if name in {"get_text", "get_json"} else name.partition(" ")[0]
    assert before.operation == after.operation == operation
    assert (after.size, after.path, after.id) == (5, "a", before.id)
    assert after.duration > 0


@pytest.mark.parametrize("name", ["get", "get_range", "get_ranges", "stream", "download"])
async def test_read_that_is_not_modified_is_no_failure(
    disk: Disk, listener: Listener, name: str
) -> None:
    await disk.put("a", b"12345")
    etag = (await disk.stat("a")).etag
    listener.events.clear()
    reads: dict[str, Callable[[], Any]] = {
        "get": lambda: disk.get("a", if_none_match=etag),
        "get_range": lambda: disk.get_range("a", 0, if_none_match=etag),
        "get_ranges": lambda: disk.get_ranges("a", [(0, 1)], if_none_match=etag),
        "stream": lambda: whole(disk.stream("a", if_none_match=etag)),
        "download": lambda: downloaded(disk, if_none_match=str(etag)),
    }
    with pytest.raises(NotModifiedException):
        await reads[name]()
    assert listener.names() == ["BeforeGet", "AfterGet"]
    after = listener.events[1]
    assert (after.operation, after.size, after.etag, after.not_modified) == (name, 0, etag, True)


async def test_stream_has_an_event_when_it_is_opened_and_when_it_is_closed(
    disk: Disk, listener: Listener
) -> None:
    await disk.put("a", b"12345")
    listener.events.clear()
    stream = disk.stream("a", chunk_size=2)
    assert listener.names() == []
    async with stream:
        assert listener.names() == ["BeforeGet"]
        async for chunk in stream:
            assert chunk == b"12"
            break
        assert stream.info.size == 5
    assert listener.names() == ["BeforeGet", "AfterGet"]
    assert listener.events[-1].size == 2
    await stream.aclose()
    async for _ in disk.stream("a"):
        pass
    assert len(listener.events) == 4


async def test_written_file_has_its_events_when_it_is_closed(
    disk: Disk, listener: Listener
) -> None:
    async with disk.open("a", "wb") as file:
        await file.write(b"123")
        await file.write(b"45")
    assert listener.names() == ["BeforePut", "AfterPut"]
    assert (listener.events[-1].operation, listener.events[-1].size) == ("open", 5)
    assert [event.options for event in listener.events] == [{}, {}]


async def test_event_of_a_deletion_says_whether_there_was_a_file(
    disk: Disk, listener: Listener
) -> None:
    await disk.put("a", b"")
    listener.events.clear()
    await disk.delete("a")
    await disk.delete("a")
    assert listener.names() == ["BeforeDelete", "AfterDelete"] * 2
    assert [event.found for event in listener.events[1::2]] == [True, False]


@pytest.mark.parametrize("driver", ["d", "e"])
async def test_each_of_many_deletions_has_events_of_its_own(
    manager: StorageManager, listener: Listener, driver: str
) -> None:
    disk = manager.disk(driver)
    await disk.put("a", b"")
    listener.events.clear()
    outcome = await disk.delete_many(["a", "b", "../c"])
    assert (outcome["a"], outcome["b"]) == (True, False)
    assert [(type(event).__name__, event.path) for event in listener.events] == [
        ("BeforeDelete", "a"),
        ("BeforeDelete", "b"),
        ("AfterDelete", "a"),
        ("AfterDelete", "b"),
    ]
    assert [event.found for event in listener.events[2:]] == [True, False]
    assert {event.operation for event in listener.events} == {"delete_many"}


async def test_a_directory_is_deleted_as_one(disk: Disk, listener: Listener) -> None:
    await disk.put("dir/a", b"")
    await disk.put("dir/b", b"")
    listener.events.clear()
    await disk.delete_directory("dir")
    assert [(e.path, e.operation) for e in listener.events] == [("dir", "delete_directory")] * 2
    assert listener.names() == ["BeforeDelete", "AfterDelete"]
    assert listener.events[-1].found is None


@pytest.mark.parametrize("operation", ["copy", "move"])
@pytest.mark.parametrize("source", ["d", "e"])
@pytest.mark.parametrize("target", [None, "d", "e"])
async def test_a_copy_or_a_move_is_one_operation_however_it_is_done(
    manager: StorageManager, listener: Listener, operation: str, source: str, target: str | None
) -> None:
    await manager.disk(source).put("a", b"1")
    listener.events.clear()
    await getattr(manager.disk(source), operation)("a", "/b", to=target)
    assert listener.names() == [f"Before{operation.title()}", f"After{operation.title()}"]
    for event in listener.events:
        assert (event.disk, event.path, event.operation) == (source, "a", operation)
        assert (event.to_disk, event.to_path) == (target or source, "b")


@pytest.mark.parametrize("name", PUTS)
@pytest.mark.parametrize("driver", ["d", "e"])
async def test_event_after_a_put_has_etag_type_and_options(
    manager: StorageManager, listener: Listener, name: str, driver: str
) -> None:
    if driver == "e" and name == "put with an option":
        pytest.skip("eight methods have no options")
    disk = manager.disk(driver)
    await PUTS[name](disk)
    event = listener.events[1]
    options = {"content_type": "x/y"} if name == "put with an option" else {}
    assert event.options == options
    info = await disk.stat(event.path)
    assert event.etag == info.etag
    assert event.content_type is not None
    if driver == "d":
        assert event.etag is not None
        assert event.content_type == info.content_type


async def test_event_after_an_append_is_about_the_whole_file(
    disk: Disk, listener: Listener
) -> None:
    await disk.put("a.bin", b"\x89PNG\r\n\x1a\n", content_type="x/y")
    await disk.append("a.bin", b"12345")
    event = listener.events[-1]
    assert (event.size, event.content_type) == (13, "x/y")
    assert event.etag == (await disk.stat("a.bin")).etag


async def test_event_before_a_put_has_the_size_that_the_content_says(
    disk: Disk, listener: Listener
) -> None:
    await disk.put("a", io.BytesIO(b"12345"))
    await disk.put("a", UploadFile(io.BytesIO(b"12345"), size=5))
    await disk.put("a", UploadFile(io.BytesIO(b"12345")))
    assert [event.size for event in listener.events[::2]] == [5, 5, None]


async def test_events_of_a_read_have_options_etag_and_type(disk: Disk, listener: Listener) -> None:
    await disk.put("a.txt", b"12345")
    etag = (await disk.stat("a.txt")).etag
    listener.events.clear()
    await disk.get("a.txt")
    await disk.get("a.txt", if_match=etag)
    await disk.get_range("a.txt", 1, 3)
    await disk.get_ranges("a.txt", [(0, 1)], if_match=etag)
    await whole(disk.stream("a.txt", start=-2, if_none_match="x"))
    async with disk.open("a.txt") as file:
        await file.read()
    given: list[dict[str, Any]] = [
        {},
        {"if_match": etag},
        {"start": 1, "end": 3},
        {"ranges": [(0, 1)], "if_match": etag},
        {"start": -2, "if_none_match": "x"},
        {},
    ]
    assert [event.options for event in listener.events] == [o for each in given for o in [each] * 2]
    reported = [(event.etag, event.content_type) for event in listener.events[1::2]]
    assert reported[0] == (None, None)  # a plain get has the content only
    assert {each[0] for each in reported[1:]} == {etag}
    assert {each[1] for each in reported[1:]} <= {"text/plain", None}
    assert not any(event.not_modified for event in listener.events[1::2])


@pytest.mark.parametrize("operation", ["copy", "move"])
async def test_event_after_a_copy_has_etag_size_and_options(
    manager: StorageManager, listener: Listener, operation: str
) -> None:
    disk = manager.disk("d")
    await disk.put("a", b"12345")
    await getattr(disk, operation)("a", "b", metadata={"x": "y"})
    event = listener.events[-1]
    assert event.options == {"metadata": {"x": "y"}}
    assert event.etag == (await disk.stat("b")).etag
    await getattr(disk, operation)("b", "c", to="e")
    assert (listener.events[-1].size, listener.events[-1].options) == (5, {})
    await getattr(manager.disk("e"), operation)("c", "d", to="d")
    assert listener.events[-1].etag == (await disk.stat("d")).etag


async def test_metadata_and_visibility_have_update_events(disk: Disk, listener: Listener) -> None:
    await disk.put("a", b"1")
    listener.events.clear()
    await disk.set_metadata("a", content_type="x/y")
    await disk.set_visibility("a", "public")
    assert listener.names() == ["BeforeUpdate", "AfterUpdate"] * 2
    assert [event.operation for event in listener.events[::2]] == ["set_metadata", "set_visibility"]
    assert listener.events[1].options == {"content_type": "x/y"}
    assert listener.events[1].etag == (await disk.stat("a")).etag
    assert listener.events[3].options == {"visibility": Visibility.PUBLIC}
    with pytest.raises(FileNotFoundException):
        await disk.set_metadata("missing", content_type="x/y")
    assert listener.names()[4:] == ["BeforeUpdate", "Failed"]


async def test_removal_of_an_empty_directory_is_a_deletion(disk: Disk, listener: Listener) -> None:
    await disk.make_directory("d")
    assert listener.events == []
    assert await disk.remove_empty_directory("d")
    assert not await disk.remove_empty_directory("d")
    assert listener.names() == ["BeforeDelete", "AfterDelete"] * 2
    assert {event.operation for event in listener.events} == {"remove_empty_directory"}
    assert [event.found for event in listener.events[1::2]] == [True, False]


async def test_event_of_a_failure_has_the_event_before(disk: Disk, listener: Listener) -> None:
    with pytest.raises(FileNotFoundException):
        await disk.copy("missing", "b", metadata={"x": "y"})
    before, failed = listener.events
    assert failed.before == before
    assert (failed.before.to_path, failed.before.options) == ("b", {"metadata": {"x": "y"}})


async def test_metadata_listings_and_urls_have_no_events(disk: Disk, listener: Listener) -> None:
    await disk.put("a", b"1")
    listener.events.clear()
    await disk.exists("a")
    await disk.stat("a")
    await disk.size("a")
    await disk.checksum("a")
    await disk.mime_type("a")
    await disk.files()
    disk.url("a")
    assert listener.events == []


async def test_events_of_the_default_disk_have_its_own_name() -> None:
    manager = StorageManager.isolated({"default": "a", "disks": {"a": {"driver": "memory"}}})
    listener = Listener()
    manager.hooks.register(listener)
    await manager.put("x", b"1")
    for disk in (manager.disk(), manager.disk("default"), manager.scoped("s")):
        await disk.put("x", b"1")
    for to in ("default", manager.disk()):
        await manager.disk().copy("x", "y", to=to)
    assert {event.disk for event in listener.events} == {"a"}
    assert {event.to_disk for event in listener.events if hasattr(event, "to_disk")} == {"a"}


@pytest.mark.parametrize("recovered", [False, True])
async def test_open_file_whose_reading_fails_is_a_failure_unless_it_is_read_again(
    manager: StorageManager, listener: Listener, recovered: bool
) -> None:
    driver = Streaming()
    driver.kept["a"] = b"x" * 600_000
    driver.fail_after = 1
    manager.set_driver(driver, "s")
    async with manager.disk("s").open("a") as file:
        with pytest.raises(StorageUnavailableException):
            await file.read()
        if recovered:
            driver.fail_after = None
            assert len(await file.read()) == 600_000
    assert listener.names() == ["BeforeGet", "AfterGet" if recovered else "Failed"]


@pytest.mark.parametrize("way", ["open", "stream"])
async def test_stream_that_cannot_be_closed_is_a_failure(
    manager: StorageManager, listener: Listener, way: str
) -> None:
    class CannotClose(MemoryDriver):
        async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
            stream = await super().open_read(path, options)

            async def close() -> None:
                raise ConnectionResetError("gone")

            return ReadStream(stream.info, aiter(stream), close)

    driver = CannotClose()
    await driver.put("a", b"1")
    manager.set_driver(driver, "s")
    if way == "open":
        file = await manager.disk("s").open("a")
        close = file.close
    else:
        stream = await manager.disk("s").stream("a")
        close = stream.aclose
    with pytest.raises(StorageUnavailableException):
        await close()
    await close()
    assert listener.names() == ["BeforeGet", "Failed"]
    assert isinstance(listener.events[1].error, StorageUnavailableException)


async def test_events_of_a_scope_have_the_paths_within_it(disk: Disk, listener: Listener) -> None:
    await disk.scoped("s").put("a", b"1")
    assert [(event.disk, event.path) for event in listener.events] == [("d", "a")] * 2


async def test_no_view_gets_round_a_rule_that_goes_by_the_key(
    disk: Disk, listener: Listener
) -> None:
    view = disk.scoped("s").scoped("t").read_only()
    with pytest.raises(FileNotFoundException):
        await view.get("a")
    await disk.scoped("s").put("b", b"")
    await disk.scoped("s").copy("b", "c", to=disk.scoped("u"))
    await disk.scoped("s").delete_many(["b"])
    await disk.scoped("u").delete_directory("v")
    assert [event.key for event in listener.events[::2]] == ["s/t/a", "s/b", "s/b", "s/b", "u/v"]
    assert [event.key for event in listener.events[1::2]] == ["s/t/a", "s/b", "s/b", "s/b", "u/v"]
    assert [event.to_key for event in listener.events if hasattr(event, "to_key")] == ["u/c"] * 2


# Vetoes


class Veto:
    def __init__(self, error: Exception) -> None:
        self.error = error

    @hookimpl
    def storage_before_put(self, event: Event) -> None:
        if "forbidden" in event.path:
            raise self.error

    storage_before_get = storage_before_delete = storage_before_put

    @hookimpl
    async def storage_before_copy(self, event: Event) -> None:
        await asyncio.sleep(0)
        if "forbidden" in event.path:
            raise self.error

    storage_before_move = storage_before_copy


async def write_by_open(disk: Disk) -> None:
    async with disk.open("forbidden", "wb") as file:
        await file.write(b"x")


VETOED: dict[str, Callable[[Disk], Any]] = {
    "put": lambda d: d.put("forbidden", b"x"),
    "put with an option": lambda d: d.put("forbidden", b"x", content_type="x/y"),
    "put of chunks": lambda d: d.put("forbidden", chunks()),
    "append": lambda d: d.append("forbidden", b"x"),
    "put_json": lambda d: d.put_json("forbidden", 1),
    "put_file": lambda d: d.put_file("forbidden", b"x"),
    "open to write": write_by_open,
    "get": lambda d: d.get("forbidden"),
    "get_range": lambda d: d.get_range("forbidden", 0),
    "stream": lambda d: d.stream("forbidden"),
    "open": lambda d: d.open("forbidden"),
    "delete": lambda d: d.delete("forbidden"),
    "delete_directory": lambda d: d.delete_directory("forbidden"),
    "copy": lambda d: d.copy("forbidden", "b"),
    "copy to another disk": lambda d: d.copy("forbidden", "b", to="e"),
    "move": lambda d: d.move("forbidden", "b"),
}


@pytest.mark.parametrize("name", VETOED)
async def test_a_veto_keeps_the_operation_from_happening(
    manager: StorageManager, disk: Disk, name: str
) -> None:
    await disk.put("forbidden", b"old")
    veto = RejectedException("Not on my watch", reason="policy")
    listener = Listener()
    manager.hooks.register(listener)
    manager.hooks.register(Veto(veto))
    with pytest.raises(RejectedException, match="Not on my watch") as raised:
        await VETOED[name](disk)
    assert raised.value.reason == "policy"
    assert raised.value.disk == "d"
    failed = listener.events[-1]
    assert isinstance(failed, Failed)
    assert failed.error is raised.value
    manager.hooks.unregister(listener)
    manager.hooks.unregister("Veto")
    assert await disk.get("forbidden") == b"old"
    assert await disk.all_files() == ["forbidden"]
    assert await manager.disk("e").missing("b")


async def test_a_veto_of_one_deletion_is_that_files_outcome(
    manager: StorageManager, disk: Disk
) -> None:
    await disk.put("forbidden", b"")
    await disk.put("a", b"")
    manager.hooks.register(Veto(PermissionError("no")))
    outcome = await disk.delete_many(["a", "forbidden"])
    refused = outcome["forbidden"]
    assert outcome["a"] is True
    assert isinstance(refused, StoragePermissionException)
    assert (refused.disk, refused.path) == ("d", "forbidden")
    assert await disk.all_files() == ["forbidden"]


async def test_a_veto_with_an_error_of_no_storage_comes_as_it_is(
    manager: StorageManager, disk: Disk
) -> None:
    class Busy(Exception):
        pass

    manager.hooks.register(Veto(Busy()))
    with pytest.raises(Busy):
        await disk.put("forbidden", b"")


async def test_hooks_before_a_veto_leave_nothing_unawaited(
    manager: StorageManager, disk: Disk
) -> None:
    order: list[str] = []

    class First:
        @hookimpl(tryfirst=True)
        async def storage_before_put(self) -> None:
            await asyncio.sleep(0)
            order.append("first")

    class Last:
        @hookimpl(trylast=True)
        async def storage_before_put(self) -> None:
            order.append("last")

    class Middle:
        @hookimpl
        def storage_before_put(self, event: BeforePut) -> None:
            order.append("middle")
            if event.path == "forbidden":
                raise RejectedException("No")

    for plugin in (Last(), Middle(), First()):
        manager.hooks.register(plugin)
    await disk.put("a", b"")
    assert order == ["first", "middle", "last"]
    with pytest.raises(RejectedException):
        await disk.put("forbidden", b"")
    assert order[3:] == ["first", "middle"]


# Failures


async def test_event_of_a_failure_has_the_error_that_the_caller_gets(
    manager: StorageManager, listener: Listener
) -> None:
    for name in ("d", "e"):
        with pytest.raises(FileNotFoundException):
            await manager.disk(name).get("missing")
        before, failed = listener.events
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, FileNotFoundException)
        assert (failed.error.disk, failed.error.path) == (name, "missing")
        assert failed.id == before.id
        listener.events.clear()


@pytest.mark.parametrize(
    "fail",
    [
        lambda d: d.get("missing"),
        lambda d: d.get_range("missing", 0),
        lambda d: d.stream("missing"),
        lambda d: d.open("missing"),
        lambda d: d.copy("missing", "b"),
        lambda d: d.move("missing", "b"),
        lambda d: d.put("a", b"", overwrite=False),
        lambda d: d.put("a", b"123", max_size=2),
        lambda d: d.put("a", b"123", size=2),
        lambda d: d.put("a", chunks(), max_size=2),
    ],
)
async def test_failure_has_one_event(
    disk: Disk, listener: Listener, fail: Callable[[Disk], Any]
) -> None:
    await disk.put("a", b"old")
    listener.events.clear()
    with pytest.raises(StorageException) as raised:
        await fail(disk)
    assert len(listener.events) == 2
    assert isinstance(listener.events[1], Failed)
    assert listener.events[1].error is raised.value


async def test_a_stream_that_fails_half_way_is_a_failure(
    manager: StorageManager, listener: Listener
) -> None:
    driver = Streaming()
    driver.kept["a"] = b"x" * 600_000
    driver.fail_after = 1
    manager.set_driver(driver, "s")
    with pytest.raises(StorageUnavailableException):
        await whole(manager.disk("s").stream("a"))
    assert listener.names() == ["BeforeGet", "Failed"]
    assert isinstance(listener.events[1].error, StorageUnavailableException)


async def test_event_of_a_failure_has_the_contents_own_error_unchanged(
    disk: Disk, listener: Listener
) -> None:
    gone = ConnectionResetError("the client left")

    async def source() -> AsyncIterator[bytes]:
        yield b"1"
        raise gone

    with pytest.raises(ConnectionResetError):
        await disk.put("a", source())
    assert listener.events[-1].error is gone


async def test_cancelled_operation_is_a_failure(disk: Disk, listener: Listener) -> None:
    started = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        started.set()
        await asyncio.sleep(60)
        yield b""

    task = asyncio.create_task(disk.put("a", source()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert listener.names() == ["BeforePut", "Failed"]
    assert isinstance(listener.events[1].error, asyncio.CancelledError)


async def test_what_fails_before_it_begins_is_no_operation(
    manager: StorageManager, disk: Disk, listener: Listener
) -> None:
    with pytest.raises(StorageException):
        await disk.put("../a", b"")
    with pytest.raises(StorageConfigException):
        await manager.disk("nowhere").get("a")
    assert listener.events == []


# Errors in hooks


class Broken:
    @hookimpl(tryfirst=True)
    async def storage_after_put(self, event: AfterPut) -> None:
        raise LookupError("no index")

    @hookimpl(tryfirst=True)
    def storage_failed(self, event: Failed) -> None:
        raise LookupError("no index")


async def test_an_after_hook_that_fails_undoes_nothing_and_is_reported(
    manager: StorageManager, disk: Disk, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    manager.hooks.register(Broken(), "search-index")
    with caplog.at_level(logging.ERROR, "jtc.storage"):
        assert await disk.put("a", b"1") == "a"
    assert await disk.get("a") == b"1"
    assert listener.names()[:3] == ["BeforePut", "HookFailed", "AfterPut"]
    failure = listener.events[1]
    assert isinstance(failure, HookFailed)
    assert (failure.plugin, failure.hook) == ("search-index", "storage_after_put")
    assert isinstance(failure.error, LookupError)
    assert isinstance(failure.event, AfterPut)
    (record,) = caplog.records
    assert record.name == "jtc.storage._hooks"
    assert "'search-index' failed in storage_after_put" in record.getMessage()
    assert record.exc_info is not None
    fields = vars(record)
    assert {key: fields[key] for key in ("disk", "path", "operation", "plugin", "hook")} == {
        "disk": "d",
        "path": "a",
        "operation": "put",
        "plugin": "search-index",
        "hook": "storage_after_put",
    }


async def test_a_hook_that_keeps_failing_is_an_error_in_the_log_once_a_minute(
    manager: StorageManager,
    disk: Disk,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    manager.hooks.register(Broken(), "search-index")
    caplog.set_level(logging.INFO, "jtc.storage")
    for _ in range(3):
        await disk.put("a", b"1")
    with pytest.raises(FileNotFoundException):
        await disk.get("missing")
    levels = [record.levelname for record in caplog.records]
    assert levels == ["ERROR", "INFO", "INFO", "ERROR"]  # the last one of another hook
    monkeypatch.setattr("jtc.storage._hooks._QUIET_SECONDS", 0.0)
    manager.hooks._quiet_until.clear()
    caplog.clear()
    for _ in range(2):
        await disk.put("a", b"1")
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


def test_an_after_hook_that_fails_is_seen_without_logging_configured() -> None:
    program = """
import asyncio
from jtc.storage import StorageManager
from jtc.storage.drivers import MemoryDriver
from jtc.storage.hookspecs import hookimpl

class Index:
    @hookimpl
    def storage_after_put(self, event):
        raise LookupError("no index")

async def main():
    manager = StorageManager.isolated({})
    manager.set_driver(MemoryDriver(), "d")
    manager.hooks.register(Index(), "search-index")
    for _ in range(3):
        await manager.disk("d").put("a", b"1")

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr.count("The plugin 'search-index' failed in storage_after_put") == 1
    assert "LookupError: no index" in done.stderr


async def test_a_failure_hook_that_fails_leaves_the_failure_as_it_was(
    manager: StorageManager, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    manager.hooks.register(Broken())
    with pytest.raises(FileNotFoundException):
        await disk.get("missing")
    assert "storage_failed" in caplog.text


async def test_a_reporter_that_fails_is_only_logged(
    manager: StorageManager, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    class BrokenReporter:
        @hookimpl
        def storage_hook_failed(self) -> None:
            raise RuntimeError("no network")

    manager.hooks.register(Broken())
    manager.hooks.register(BrokenReporter())
    await disk.put("a", b"1")
    assert "'BrokenReporter' failed in storage_hook_failed" in caplog.text


# Plugins


class Slow:
    """Waits in its first after-hook until it is cancelled."""

    def __init__(self) -> None:
        self.began = asyncio.Event()

    @hookimpl
    async def storage_after_put(self) -> None:
        if not self.began.is_set():
            self.began.set()
            await asyncio.sleep(3600)

    storage_after_delete = storage_hook_failed = storage_after_put


async def cancelled_in(slow: Slow, operation: Any) -> None:
    task = asyncio.create_task(operation)
    await slow.began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_in_an_after_hook_keeps_it_from_no_other_plugin(
    manager: StorageManager, disk: Disk, listener: Listener
) -> None:
    slow = Slow()
    manager.hooks.register(slow)
    await cancelled_in(slow, disk.put("a", b"1"))
    assert listener.names() == ["BeforePut", "AfterPut"]
    assert await disk.exists("a")


async def test_cancellation_in_a_hook_of_failed_hooks_stops_the_others_no_more(
    manager: StorageManager, disk: Disk, listener: Listener
) -> None:
    class Failing:
        @hookimpl
        def storage_after_get(self) -> None:
            raise ValueError("no")

    await disk.put("a", b"1")
    listener.events.clear()
    slow = Slow()
    manager.hooks.register(slow)
    manager.hooks.register(Failing())
    await cancelled_in(slow, disk.get("a"))
    assert listener.names() == ["BeforeGet", "HookFailed", "AfterGet"]


async def test_each_of_many_deletions_has_its_event_although_one_hook_was_cancelled(
    manager: StorageManager, disk: Disk, listener: Listener
) -> None:
    for path in ("a", "b", "c"):
        await disk.put(path, b"1")
    listener.events.clear()
    slow = Slow()
    manager.hooks.register(slow)
    await cancelled_in(slow, disk.delete_many(["a", "b", "c"]))
    assert listener.names() == ["BeforeDelete"] * 3 + ["AfterDelete"] * 3


async def test_a_cancellation_of_what_an_after_hook_waits_for_is_that_hooks_failure(
    manager: StorageManager, disk: Disk, listener: Listener
) -> None:
    class Waiting:
        @hookimpl
        async def storage_after_put(self) -> None:
            task = asyncio.create_task(asyncio.sleep(3600))
            task.cancel()
            await task

    manager.hooks.register(Waiting())
    await disk.put("a", b"1")
    assert listener.names() == ["BeforePut", "HookFailed", "AfterPut"]
    assert isinstance(listener.events[1].error.__cause__, asyncio.CancelledError)


async def test_a_fault_in_a_before_hook_keeps_all_of_many_files(
    manager: StorageManager, disk: Disk, listener: Listener
) -> None:
    class Faulty:
        @hookimpl
        def storage_before_delete(self, event: Any) -> None:
            if event.path == "b":
                raise ZeroDivisionError

    for path in ("a", "b", "c"):
        await disk.put(path, b"1")
    listener.events.clear()
    manager.hooks.register(Faulty())
    with pytest.raises(ZeroDivisionError):
        await disk.delete_many(["a", "b", "c"])
    assert listener.names() == ["BeforeDelete", "Failed", "Failed"]
    assert await disk.all_files() == ["a", "b", "c"]


async def test_a_hook_cannot_change_what_was_asked_for(
    manager: StorageManager, disk: Disk, listener: Listener
) -> None:
    class Meddling:
        @hookimpl
        def storage_before_put(self, event: Any) -> None:
            event.options.update(content_type="text/html", metadata=None)

        storage_before_copy = storage_before_move = storage_before_put

    manager.hooks.register(Meddling())
    await disk.put("a", b"1", content_type="text/plain", metadata={"by": "me"})
    await disk.copy("a", "b", content_type="text/csv")
    await disk.move("b", "c", content_type="text/css")
    found = [await disk.stat(path) for path in ("a", "c")]
    assert [(f.content_type, f.metadata) for f in found] == [
        ("text/plain", {"by": "me"}),
        ("text/css", {"by": "me"}),
    ]


def test_a_plugin_is_a_module_an_instance_or_a_class() -> None:
    hooks = Hooks()
    module = types.ModuleType("audit")
    module.storage_failed = hookimpl(lambda event: None)  # type: ignore[attr-defined]
    for plugin in (module, Listener(), Listener(), Listener):
        hooks.register(plugin)
    assert hooks.plugins() == ["Listener", "Listener-2", "Listener-3", "audit"]
    hooks.unregister(module)
    hooks.unregister("Listener-2")
    assert hooks.plugins() == ["Listener", "Listener-3"]
    assert "Listener" in repr(hooks)


def test_without_plugins_there_is_nothing_to_look_at() -> None:
    hooks = Hooks()
    assert hooks.active is None
    listener = Listener()
    hooks.register(listener)
    assert hooks.active is hooks
    hooks.unregister(listener)
    assert hooks.active is None
    assert hooks.plugins() == []


def test_registering_twice_or_unregistering_the_unknown_is_refused() -> None:
    hooks = Hooks()
    listener = Listener()
    hooks.register(listener)
    with pytest.raises(StorageConfigException, match="'Listener-2' is refused"):
        hooks.register(listener)
    with pytest.raises(StorageConfigException, match="'audit'; there are: Listener"):
        hooks.unregister("audit")
    with pytest.raises(StorageConfigException, match="no plugin"):
        hooks.unregister(Veto(ValueError()))
    assert hooks.plugins() == ["Listener"]


def test_a_name_that_is_taken_stays_with_its_plugin() -> None:
    hooks = Hooks()
    listener = Listener()
    hooks.register(listener, "audit")
    for other in (listener, Listener()):
        with pytest.raises(StorageConfigException, match="plugin 'audit' is registered already"):
            hooks.register(other, "audit")
    hooks.register(Listener(), "another")
    assert hooks.plugins() == ["another", "audit"]


def refused(function: Any, name: str = "storage_after_put", **marks: Any) -> Any:
    return type("Odd", (), {name: hookimpl(**marks)(function)})()


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (object(), "has no hooks"),
        (
            refused(lambda self, event: None, "storage_after_list"),
            "no such hook.*storage_after_put",
        ),
        (refused(lambda self, event, disk: None), "refused"),
        (refused(lambda self, event: iter(()), hookwrapper=True), "refused|wraps"),
        (type("Needy", (), {"__init__": lambda self, url: None}), "refused"),
    ],
)
def test_a_plugin_that_cannot_be_called_is_refused(plugin: Any, message: str) -> None:
    hooks = Hooks()
    with pytest.raises(StorageConfigException, match=message):
        hooks.register(plugin)
    assert hooks.plugins() == []
    assert hooks.active is None


def test_a_wrapper_is_refused() -> None:
    def around(self: Any, event: Any) -> Any:
        yield

    hooks = Hooks()
    for mark in ("wrapper", "hookwrapper"):
        with pytest.raises(StorageConfigException, match="wraps storage_after_put"):
            hooks.register(refused(around, **{mark: True}))
    assert hooks.plugins() == []


def test_generator_whose_veto_would_never_run_is_refused() -> None:
    def plain(self: Any, event: Any) -> Any:
        yield

    async def asynchronous(self: Any, event: Any) -> Any:
        yield

    for function in (plain, asynchronous):
        with pytest.raises(StorageConfigException, match="generator for storage_before_put"):
            Hooks().register(refused(function, "storage_before_put"))


def test_an_import_that_is_interrupted_is_taken_up_at_the_next_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hooks = Hooks()
    interruptions = [SystemExit("a plugin ends the program"), None]

    def load() -> Iterator[tuple[str, Any]]:
        yield "theirs:first", Listener
        hooks.register(Listener(), "of the second")
        assert hooks.active is None, "not before all are there"
        if (interruption := interruptions.pop(0)) is not None:
            hooks.unregister("of the second")
            raise interruption
        yield "theirs:second", Listener

    monkeypatch.setattr("jtc.storage._hooks.load_plugins", load)
    with pytest.raises(SystemExit):
        _ = hooks.active
    assert hooks.active is hooks
    assert hooks.plugins() == ["of the second", "theirs:first", "theirs:second"]


async def test_each_manager_has_plugins_of_its_own(listener: Listener) -> None:
    other = StorageManager.isolated({})
    other.set_driver(MemoryDriver(), "d")
    await other.disk("d").put("a", b"")
    assert listener.events == []


async def test_fake_has_events_too(manager: StorageManager, listener: Listener) -> None:
    with manager.fake("d"):
        await manager.disk("d").put("a", b"1")
    assert listener.names() == ["BeforePut", "AfterPut"]


async def test_a_disk_has_one_name_for_plugins_also_as_the_default_one() -> None:
    manager = StorageManager.isolated(
        {"default": "media", "disks": {"media": {"driver": "memory"}}}
    )
    listener = Listener()
    manager.hooks.register(listener)
    await manager.put("a", b"")
    await manager.disk().put("a", b"")
    await manager.disk("media").put("a", b"")
    await manager.disk().scoped("s").put("a", b"")
    assert {event.disk for event in listener.events} == {"media"}


def test_a_plugin_that_is_registered_during_the_first_operation_is_not_forgotten() -> None:
    class PausingLock:
        """Stops one thread where it has just given the lock back."""

        def __init__(self) -> None:
            self.lock = threading.RLock()
            self.given_back = threading.Event()
            self.go_on = threading.Event()

        def __enter__(self) -> None:
            self.lock.acquire()

        def __exit__(self, *exc_info: object) -> None:
            self.lock.release()
            if threading.current_thread() is first:
                self.given_back.set()
                self.go_on.wait(30)

    hooks = Hooks()
    lock = PausingLock()
    hooks._lock = lock  # type: ignore[assignment] # it locks
    first = threading.Thread(target=lambda: hooks.active)
    first.start()
    assert lock.given_back.wait(30)
    hooks.register(Listener())
    lock.go_on.set()
    first.join()
    assert hooks.active is hooks
