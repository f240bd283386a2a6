"""The hook `storage_uploaded`: for which calls it runs, its idempotency key, and its failures."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import (
    Disk,
    FileNotFoundException,
    PreconditionFailedException,
    StorageException,
    StorageManager,
)
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.hookspecs import AfterPut, Uploaded, hookimpl
from small_drivers import EightMethods

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


class Uploads:
    """Remembers the uploads, and fails while `error` is set."""

    def __init__(self) -> None:
        self.events: list[Uploaded] = []
        self.error: Exception | None = None

    @hookimpl
    async def storage_uploaded(self, event: Uploaded) -> None:
        await asyncio.sleep(0)
        self.events.append(event)
        if self.error is not None:
            raise self.error

    def keys(self) -> list[str]:
        return [event.idempotency_key for event in self.events]


@pytest.fixture
def manager(tmp_path: Path) -> StorageManager:
    manager = StorageManager.isolated({})
    manager.set_driver(MemoryDriver(), "memory")
    manager.set_driver(LocalDriver(tmp_path), "local")
    manager.set_driver(EightMethods(), "eight")
    return manager


@pytest.fixture
def disk(manager: StorageManager) -> Disk:
    return manager.disk("memory")


@pytest.fixture
def uploads(manager: StorageManager) -> Uploads:
    uploads = Uploads()
    manager.hooks.register(uploads)
    return uploads


async def chunks() -> AsyncIterator[bytes]:
    yield b"123"
    yield b"45"


async def written(disk: Disk) -> None:
    async with disk.open("a", "wb") as file:
        await file.write(b"12345")


PUTS: dict[str, Callable[[Disk], Any]] = {
    "put": lambda d: d.put("a", b"12345"),
    "put of chunks": lambda d: d.put("a", chunks()),
    "put_json": lambda d: d.put_json("a", 12345),
    "put_file": lambda d: d.put_file("", b"12345"),
    "put_file_as": lambda d: d.put_file_as("", b"12345", "a"),
    "append": lambda d: d.append("a", b"12345"),
    "prepend": lambda d: d.prepend("a", b"12345"),
    "open": written,
}


@pytest.mark.parametrize("name", PUTS)
@pytest.mark.parametrize("driver", ["memory", "local", "eight"])
async def test_storage_uploaded_runs_once_after_each_put(
    manager: StorageManager, uploads: Uploads, name: str, driver: str
) -> None:
    await PUTS[name](manager.disk(driver))
    (event,) = uploads.events
    assert (event.disk, event.size) == (driver, 5)
    assert event.operation == {"put_json": "put"}.get(name, name).partition(" ")[0]
    assert event.content_type is not None
    assert (event.etag is None) == (driver == "eight")
    assert len(event.idempotency_key) == 64


async def test_storage_uploaded_has_the_id_and_the_options_of_its_put(
    manager: StorageManager, disk: Disk, uploads: Uploads
) -> None:
    class Puts:
        events: list[AfterPut] = []  # noqa: RUF012 - of one test

        @hookimpl
        def storage_after_put(self, event: AfterPut) -> None:
            self.events.append(event)

    manager.hooks.register(Puts)
    await disk.put("a.bin", b"1", content_type="x/y", metadata={"by": "me"})
    (event,), (put,) = uploads.events, Puts.events
    assert event.id == put.id
    assert event.options == {"content_type": "x/y", "metadata": {"by": "me"}}
    assert (event.content_type, event.etag) == ("x/y", put.etag)


async def test_storage_uploaded_runs_for_no_copy_move_read_or_change_of_metadata(
    disk: Disk, uploads: Uploads
) -> None:
    await disk.put("a", b"1")
    uploads.events.clear()
    await disk.copy("a", "b")
    await disk.move("b", "c")
    await disk.set_metadata("a", content_type="x/y")
    await disk.get("a")
    await disk.delete("a")
    with pytest.raises(FileNotFoundException):
        await disk.copy("missing", "d")
    assert uploads.events == []


async def test_storage_uploaded_does_not_run_after_a_refused_put(
    disk: Disk, uploads: Uploads
) -> None:
    with pytest.raises(StorageException):
        await disk.put("a", b"12345", max_size=4)
    assert uploads.events == []


@pytest.mark.parametrize("driver", ["memory", "local"])
async def test_idempotency_key_is_that_of_the_version(
    manager: StorageManager, uploads: Uploads, driver: str
) -> None:
    disk = manager.disk(driver)
    await disk.put("d/a", b"1")
    await disk.confirm_upload("d/a")
    await disk.scoped("d").confirm_upload("a")
    await disk.put("d/a", b"another")
    await disk.put("d/b", b"1")
    first, *same, replaced, elsewhere = uploads.keys()
    assert same == [first, first]
    assert len({first, replaced, elsewhere}) == 3


async def test_idempotency_key_of_another_disk_is_another(
    manager: StorageManager, uploads: Uploads
) -> None:
    manager.set_driver(manager.disk("memory").driver, "same")
    await manager.disk("memory").put("a", b"1")
    await manager.disk("same").confirm_upload("a")
    assert uploads.events[0].etag == uploads.events[1].etag
    assert len(set(uploads.keys())) == 2


def test_idempotency_key_is_the_same_in_another_process(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from jtc.storage import StorageManager
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.hookspecs import hookimpl

class Uploads:
    @hookimpl
    def storage_uploaded(self, event):
        print(event.idempotency_key)

manager = StorageManager.isolated({})
manager.set_driver(LocalDriver(sys.argv[1]), "local")
manager.hooks.register(Uploads())
disk = manager.disk("local")
asyncio.run(disk.put("a", b"1") if sys.argv[2] == "put" else disk.confirm_upload("a"))
"""
    keys = [
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path), call],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for call in ("put", "confirm")
    ]
    assert keys[0] == keys[1] != ""


async def test_idempotency_key_of_a_driver_without_etags_is_new_for_each_put(
    manager: StorageManager, uploads: Uploads
) -> None:
    disk = manager.disk("eight")
    for _ in range(2):
        await disk.put("a", b"1")
    for _ in range(2):
        await disk.confirm_upload("a")
    *puts, confirmed, again = uploads.keys()
    assert len({*puts, confirmed}) == 3
    assert again == confirmed


async def test_confirm_upload_returns_the_metadata_and_runs_the_hook_with_its_options(
    disk: Disk, uploads: Uploads
) -> None:
    await disk.put("a.bin", b"%PDF-1.7 ")
    uploads.events.clear()
    info = await disk.confirm_upload("a.bin", options={"owner": 7})
    assert info == await disk.stat("a.bin")
    (event,) = uploads.events
    assert (event.operation, event.path, event.size) == ("confirm_upload", "a.bin", 9)
    assert (event.etag, event.options) == (info.etag, {"owner": 7})
    assert event.content_type == await disk.mime_type("a.bin")


async def test_confirm_upload_without_a_plugin_returns_the_metadata(disk: Disk) -> None:
    await disk.put("a", b"12345")
    assert (await disk.confirm_upload("a")).size == 5


async def test_confirm_upload_of_a_missing_file_runs_no_hook(disk: Disk, uploads: Uploads) -> None:
    with pytest.raises(FileNotFoundException) as caught:
        await disk.confirm_upload("a")
    assert (caught.value.operation, caught.value.path) == ("confirm_upload", "a")
    assert uploads.events == []


async def test_confirm_upload_if_match_refuses_another_version(
    disk: Disk, uploads: Uploads
) -> None:
    await disk.put("a", b"1")
    etag = (await disk.stat("a")).etag
    await disk.put("a", b"2")
    uploads.events.clear()
    with pytest.raises(PreconditionFailedException):
        await disk.confirm_upload("a", if_match=etag)
    assert uploads.events == []
    await disk.confirm_upload("a", if_match=(await disk.stat("a")).etag)
    assert len(uploads.events) == 1


async def test_confirm_upload_raises_until_the_hook_succeeds(
    manager: StorageManager, disk: Disk, uploads: Uploads, caplog: pytest.LogCaptureFixture
) -> None:
    other = Uploads()
    manager.hooks.register(other, "other")
    uploads.error = LookupError("no index")
    with caplog.at_level(logging.ERROR, "jtc.storage"):
        assert await disk.put("a", b"1") == "a"  # it is stored: a put does not fail afterwards
    assert "'Uploads' failed in storage_uploaded" in caplog.text
    with pytest.raises(StorageException, match=r"'Uploads' failed.*confirm the upload again") as no:
        await disk.confirm_upload("a")
    assert no.value.__cause__ is uploads.error
    assert (no.value.disk, no.value.path) == ("memory", "a")
    uploads.error = None
    await disk.confirm_upload("a")
    assert len(set(uploads.keys() + other.keys())) == 1
    assert len(uploads.events) == len(other.events) == 3


async def test_storage_uploaded_runs_although_the_caller_is_cancelled_in_an_after_hook(
    manager: StorageManager, disk: Disk, uploads: Uploads
) -> None:
    began = asyncio.Event()

    class Slow:
        @hookimpl
        async def storage_after_put(self) -> None:
            began.set()
            await asyncio.sleep(3600)

    manager.hooks.register(Slow())
    task = asyncio.create_task(disk.put("a", b"1"))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(uploads.events) == 1


def test_confirm_upload_of_the_sync_api_runs_the_hook(disk: Disk, uploads: Uploads) -> None:
    disk.sync.put("a", b"1")
    assert disk.sync.confirm_upload("a", options={"by": "me"}).size == 1
    assert [event.operation for event in uploads.events] == ["put", "confirm_upload"]
