"""The layer: every way in, scanners of one's own, absence, quarantine, copies."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clamd import EICAR, scanned_disk
from jtc.storage import (
    FileExistsException,
    FileNotFoundException,
    PreconditionFailedException,
    RejectedException,
    StorageConfigException,
    StorageException,
    StorageManager,
    StorageUnavailableException,
    UnsupportedOperationException,
)
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.hookspecs import Failed, hookimpl
from jtc.storage.layer import METHODS
from jtc.storage.layers.clamav_layer import ClamAV, Scan, Scanner, ScannerAbsentException
from jtc.storage.options import ListOptions, SignOptions
from scripted_clamd import ScriptedClamd

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable

    from clamd import RealClamd
    from jtc.storage import Disk

VIRUS = b"a virus"


class Recording:
    """A scanner that finds `VIRUS`, and keeps what it got."""

    def __init__(self) -> None:
        self.scanned: list[bytes] = []
        self.error: Exception | None = None

    async def scan(self, content: AsyncIterable[bytes], size: int, /) -> str | None:
        if self.error is not None:
            raise self.error
        chunks = [chunk async for chunk in content]
        self.scanned.append(b"".join(chunks))
        assert len(self.scanned[-1]) == size
        return "Test.Virus" if VIRUS in self.scanned[-1] else None

    async def check(self) -> None:
        if self.error is not None:
            raise self.error


@pytest.fixture
def scanner() -> Recording:
    return Recording()


@pytest.fixture
def scanned(scanner: Recording, below: MemoryDriver) -> Disk:
    return scanned_disk(below, Scan, scanner=scanner, memory=100)


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 7):
        yield content[at : at + 7]


class AsyncFile:
    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    async def read(self, size: int = -1, /) -> bytes:
        return self._file.read(size)


WAYS: dict[str, Callable[[bytes, Path], Any]] = {
    "bytes": lambda content, _: content,
    "bytearray": lambda content, _: bytearray(content),
    "str": lambda content, _: content.decode(),
    "file": lambda content, _: io.BytesIO(content),
    "path": lambda _, path: path,
    "iterator": lambda content, _: iter([content[:5], content[5:]]),
    "async iterator": lambda content, _: chunks(content),
    "async file": lambda content, _: AsyncFile(content),
}


@pytest.mark.parametrize("length", [0, 90, 100, 101, 3_000_000])
@pytest.mark.parametrize("way", WAYS)
async def test_put_scans_each_kind_of_content_whole(
    scanned: Disk, scanner: Recording, tmp_path: Path, way: str, length: int
) -> None:
    if way == "async iterator" and length > 1_000_000:
        length = 2_000
    clean = bytes(range(97, 123)) * (length // 26 + 1)
    for content in (clean[:length], clean[:length] + VIRUS):
        path = tmp_path / "content"
        path.write_bytes(content)
        call = scanned.put("a.txt", WAYS[way](content, path))
        if VIRUS in content:
            with pytest.raises(RejectedException, match=r"infected: Test\.Virus") as raised:
                await call
            assert raised.value.reason == "virus"
        else:
            await call
        assert scanner.scanned[-1] == content
    assert await scanned.get("a.txt") == clean[:length]


async def test_each_method_that_writes_content_scans_it(
    scanned: Disk, below: MemoryDriver, tmp_path: Path
) -> None:
    infected = tmp_path / "infected"
    infected.write_bytes(VIRUS * 100)

    async def written() -> None:
        async with scanned.open("f.txt", "wb") as file:
            await file.write(VIRUS)

    calls: list[Any] = [
        scanned.put("a.txt", VIRUS),
        scanned.put("a.txt", VIRUS, content_type="text/plain", metadata={"a": "b"}),
        scanned.put_file("d", infected),
        written(),
    ]
    for call in calls:
        with pytest.raises(RejectedException, match="infected"):
            await call
    driver: Any = scanned.driver
    with pytest.raises(RejectedException):
        await driver.put("alone.txt", VIRUS)
    assert [entry.path async for entry in below.list_entries("", ListOptions(recursive=True))] == []


async def test_options_of_put_are_kept(scanned: Disk, scanner: Recording) -> None:
    await scanned.put("a.txt", b"x" * 200, content_type="text/x-a", metadata={"a": "b"}, size=200)
    info = await scanned.stat("a.txt")
    assert (info.content_type, info.metadata) == ("text/x-a", {"a": "b"})
    with pytest.raises(FileExistsException):
        await scanned.put("a.txt", b"y", overwrite=False)
    with pytest.raises(PreconditionFailedException):
        await scanned.put("a.txt", b"y", if_match="another")
    with pytest.raises(RejectedException):
        await scanned.put("b.txt", chunks(b"x" * 200), max_size=150)
    assert len(scanner.scanned) == 3, "what a limit of the put refused was scanned"


async def test_error_of_the_content_passes_unchanged(scanned: Disk, below: MemoryDriver) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(1000)
        raise KeyError("the client went away")

    with pytest.raises(KeyError, match="the client went away"):
        await scanned.put("a.txt", broken())
    assert not await below.exists("a.txt")


async def test_max_size_refuses_before_the_content_is_read_to_its_end() -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1000
            yield bytes(1000)

    disk = scanned_disk(MemoryDriver(), Scan, scanner=Recording(), max_size=10_000, memory=100)
    with pytest.raises(RejectedException) as raised:
        await disk.put("a.bin", endless())
    assert raised.value.reason == "size"
    assert read == 11_000


async def test_cancelled_put_stores_nothing_and_leaves_no_file(
    below: MemoryDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    began = asyncio.Event()

    class Hanging(Recording):
        async def scan(self, _content: AsyncIterable[bytes], _size: int, /) -> str | None:
            began.set()
            await asyncio.sleep(60)
            return None

    disk = scanned_disk(below, Scan, scanner=Hanging(), memory=10)
    putting = asyncio.create_task(disk.put("a.bin", io.BytesIO(bytes(1_000_000))))
    await began.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert not await below.exists("a.bin")
    assert list(tmp_path.iterdir()) == []


async def test_scanner_of_ones_own_is_checked_by_check(scanned: Disk, scanner: Recording) -> None:
    await scanned.check()
    scanner.error = ScannerAbsentException("It is away")
    with pytest.raises(ScannerAbsentException, match="It is away"):
        await scanned.check()


async def test_check_includes_that_of_the_driver_and_of_the_quarantine(scanner: Recording) -> None:
    class Checking(MemoryDriver):
        checked = 0

        async def check(self, _path: str, /) -> None:
            type(self).checked += 1

    manager = StorageManager.isolated()
    manager.set_driver(Checking(), "quarantine")
    quarantine = manager.disk("quarantine")
    await scanned_disk(Checking(), Scan, scanner=scanner, quarantine=quarantine).check()
    assert Checking.checked == 2


async def test_refused_file_is_a_failed_operation_for_hooks(
    scanner: Recording, below: MemoryDriver
) -> None:
    failed: list[Failed] = []

    class Plugin:
        @hookimpl
        def storage_failed(self, event: Failed) -> None:
            failed.append(event)

    manager = StorageManager.isolated()
    manager.set_driver(below, "files")
    manager.hooks.register(Plugin(), "failures")
    with pytest.raises(RejectedException):
        await manager.disk("files").with_layer(Scan, scanner=scanner).put("a.txt", VIRUS)
    (event,) = failed
    assert event.path == "a.txt"
    assert isinstance(event.error, RejectedException)
    assert event.error.reason == "virus"


def test_sync_api_scans(scanner: Recording, below: MemoryDriver) -> None:
    disk = scanned_disk(below, Scan, scanner=scanner).sync
    disk.put("a.txt", b"clean")
    with pytest.raises(RejectedException):
        disk.put("a.txt", VIRUS)
    assert disk.get("a.txt") == b"clean"


@pytest.mark.parametrize("scanner", [None, object(), "clamd", lambda _: None])
def test_scanner_must_have_its_methods(scanner: Any) -> None:
    with pytest.raises(StorageConfigException, match="'scanner'"):
        Scan(MemoryDriver(), scanner=scanner)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("when_absent", "ignore"),
        ("max_size", "5MB"),
        ("memory", None),
        ("memory", "1"),
        ("quarantine", 3),
        ("staging", ""),
        ("staging", "a/../b"),
        ("staging", ".jtc"),
        ("staging", 1),
    ],
)
def test_options_refuse_invalid_values(name: str, value: Any) -> None:
    options: dict[str, Any] = {name: value}
    if (name, value) == ("memory", None):
        options = {"memory": -1}
    with pytest.raises(StorageConfigException):
        Scan(MemoryDriver(), scanner=Recording(), **options)


@pytest.mark.parametrize("passes", [False, True])
async def test_absent_scanner_refuses_or_passes_by_choice(
    below: MemoryDriver, tmp_path: Path, caplog: pytest.LogCaptureFixture, passes: bool
) -> None:
    options: dict[str, Any] = {"when_absent": "pass"} if passes else {}
    disk = scanned_disk(below, address=str(tmp_path / "nothing.sock"), **options)
    with caplog.at_level(logging.WARNING, "jtc.storage.clamav"):
        if passes:
            await disk.put("a.txt", b"x")
        else:
            with pytest.raises(ScannerAbsentException, match=r"'a\.txt'"):
                await disk.put("a.txt", b"x")
    assert await below.exists("a.txt") == passes
    assert ["a.txt" in record.getMessage() for record in caplog.records] == [True] * passes


@pytest.mark.parametrize(
    "error",
    [
        StorageUnavailableException("It failed"),
        OSError(5, "It failed"),
        FileNotFoundError(2, "It failed"),
        TimeoutError("It failed"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_scanner_that_failed_refuses_whatever_when_absent_says(
    below: MemoryDriver, scanner: Recording, error: Exception
) -> None:
    disk = scanned_disk(below, Scan, scanner=scanner, when_absent="pass")
    scanner.error = error
    with pytest.raises(StorageUnavailableException, match="It failed") as raised:
        await disk.put("a.txt", b"x")
    assert not isinstance(raised.value, FileNotFoundError)
    assert not await below.exists("a.txt")


@pytest.mark.parametrize("verdict", ["", False, "X"])
async def test_only_none_is_clean(below: MemoryDriver, scanner: Recording, verdict: Any) -> None:
    async def scan(_content: Any, _size: int) -> Any:
        return verdict

    scanner.scan = scan  # type: ignore[method-assign]
    with pytest.raises(RejectedException):
        await scanned_disk(below, Scan, scanner=scanner).put("a.txt", b"x")


@pytest.mark.parametrize("named", [True, False])
async def test_infected_file_is_kept_on_the_quarantine_disk(
    scanner: Recording, below: MemoryDriver, named: bool
) -> None:
    manager = StorageManager.isolated()
    manager.set_driver(MemoryDriver(), "quarantine")
    manager.set_driver(below, "files")
    where = manager.disk("quarantine")
    disk = manager.disk("files").with_layer(
        Scan, scanner=scanner, quarantine="quarantine" if named else where, memory=10
    )
    content = b"x" * 100 + VIRUS
    with pytest.raises(RejectedException, match="kept in quarantine as") as raised:
        await disk.put("letters/ü.txt", chunks(content))
    (path,) = await where.all_files()
    assert path in str(raised.value)
    assert "letters" not in path
    info = await where.stat(path)
    assert info.metadata == {
        "signature": "Test.Virus",
        "path": "letters/ü.txt",
        "disk": "files",
    }
    assert info.content_type == "application/octet-stream"
    assert await where.get(path) == content
    assert not await below.exists("letters/ü.txt")
    await disk.check()


async def test_quarantine_of_configuration_is_a_disk_of_the_same_manager() -> None:
    async with ScriptedClamd() as daemon:
        layer = {"name": "clamav", "address": daemon.address, "quarantine": "kept"}
        disks = {
            "files": {"driver": "memory", "layers": [layer]},
            "kept": {"driver": "memory"},
        }
        manager = StorageManager.isolated({"default": "files", "disks": disks})
        with pytest.raises(RejectedException, match="quarantine as kept:"):
            await manager.put("a.txt", EICAR)
        assert len(await manager.disk("kept").all_files()) == 1
        await manager.disk("files").check()


async def test_name_of_what_was_found_is_one_line(
    scanner: Recording, below: MemoryDriver, caplog: pytest.LogCaptureFixture
) -> None:
    async def scan(_content: Any, _size: int) -> str:
        return "X\nERROR all is lost\x1b[2J" + "y" * 10_000

    scanner.scan = scan  # type: ignore[method-assign]
    with pytest.raises(RejectedException) as raised:
        await scanned_disk(below, Scan, scanner=scanner).put("a.txt", b"x")
    for text in (str(raised.value), caplog.records[0].getMessage()):
        assert text.isprintable()
        assert len(text) < 500


async def test_quarantine_that_fails_hides_no_virus(
    scanner: Recording, below: MemoryDriver, caplog: pytest.LogCaptureFixture
) -> None:
    disk = scanned_disk(below, Scan, scanner=scanner, quarantine="no-such-disk")
    with pytest.raises(RejectedException, match=r"Test\.Virus") as raised:
        await disk.put("a.txt", VIRUS)
    assert "kept" not in str(raised.value)
    assert "could not be kept in quarantine" in caplog.text
    with pytest.raises(StorageException, match="no-such-disk"):
        await disk.check()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_cancelled_puts_leave_no_descriptor_and_no_connection(
    clamd: RealClamd, below: MemoryDriver
) -> None:
    disk = scanned_disk(below, address=clamd.tcp, max_size=None)
    for content in (b"x", io.BytesIO(bytes(2_000_000))):
        with contextlib.suppress(RejectedException):
            await disk.put("a.bin", content)  # what stays open is open now
    before = open_descriptors()
    for number in range(100):
        content = io.BytesIO(bytes(900_000 if number % 2 else 100) + EICAR)
        putting = asyncio.create_task(disk.put("b.bin", content))
        await asyncio.sleep(number * 0.0001)
        putting.cancel()
        with pytest.raises((asyncio.CancelledError, RejectedException)):
            await putting
    assert not await below.exists("b.bin")
    for _ in range(100):  # a thread may still have the content of the last one
        if open_descriptors() <= before:
            break
        await asyncio.sleep(0.05)
    assert open_descriptors() <= before
    await disk.put("b.bin", b"clean")


@pytest.mark.parametrize("operation", ["copy", "move"])
async def test_copy_of_what_came_another_way_is_scanned(
    scanned: Disk, scanner: Recording, below: MemoryDriver, operation: str
) -> None:
    await below.put("virus.txt", VIRUS)
    await scanned.put("clean.txt", b"clean", content_type="text/x-a", metadata={"a": "b"})
    transfer = getattr(scanned, operation)
    with pytest.raises(RejectedException):
        await transfer("virus.txt", "b.txt")
    assert not await below.exists("b.txt")
    await transfer("clean.txt", "c.txt")
    assert scanner.scanned == [b"clean", VIRUS, b"clean"]
    info = await scanned.stat("c.txt")
    assert (info.content_type, info.metadata) == ("text/x-a", {"a": "b"})
    assert await below.exists("clean.txt") == (operation == "copy")


async def test_copy_to_another_disk_with_the_layer_is_scanned(
    scanned: Disk, below: MemoryDriver
) -> None:
    manager = StorageManager.isolated()
    manager.set_driver(MemoryDriver(), "source")
    source = manager.disk("source")
    await source.put("a.txt", VIRUS)
    for call in (source.copy("a.txt", "b.txt", to=scanned), source.move("a.txt", "b", to=scanned)):
        with pytest.raises(RejectedException):
            await call
    assert await source.exists("a.txt")
    assert not await below.exists("b.txt")


async def test_rescan_copies_false_leaves_copies_to_the_driver(
    scanner: Recording, below: MemoryDriver
) -> None:
    disk = scanned_disk(below, Scan, scanner=scanner, rescan_copies=False, staging="unscanned")
    await below.put("a.txt", VIRUS)
    await below.put("unscanned/x.txt", VIRUS)
    await disk.copy("a.txt", "b.txt")
    await disk.move("b.txt", "c.txt")
    assert scanner.scanned == []
    assert {"copy", "move"} <= disk.capabilities.names
    for transfer in (disk.copy, disk.move):
        with pytest.raises(FileNotFoundException):
            await transfer("unscanned/x.txt", "d.txt")


async def test_presigned_uploads_are_unsupported_without_staging(
    scanner: Recording, tmp_path: Path
) -> None:
    driver = LocalDriver(tmp_path, base_url="https://files.test/", secret="s" * 32)
    disk = scanned_disk(driver, Scan, scanner=scanner)
    assert not {"temporary_uploads", "upload_forms"} & disk.capabilities.names
    with pytest.raises(UnsupportedOperationException, match="the layer Scan"):
        await disk.temporary_upload_url("a.txt", 60)
    with pytest.raises(UnsupportedOperationException, match="the layer Scan"):
        await disk.temporary_upload_form("a.txt", 60, max_size=10)
    layer: Any = disk.driver
    with pytest.raises(UnsupportedOperationException, match="option staging"):
        await layer.temporary_upload_url("a.txt", SignOptions(expires_in=60))
    assert "a.txt" in await disk.temporary_url("a.txt", 60)


def test_no_method_that_stores_is_the_inner_drivers(scanner: Recording) -> None:
    layer = Scan(MemoryDriver(), scanner=scanner)
    inner = {
        name
        for name, method in METHODS.items()
        if {"content", "write"} <= method.effects and getattr(layer, name, None) is not None
        if getattr(getattr(layer, name), "__self__", None) is not layer
    }
    assert inner == {"update_metadata"}
    assert not hasattr(layer, "copy_file")
    assert not hasattr(layer, "move_file")


def test_layer_is_found_by_its_name_and_suggests_options(below: MemoryDriver) -> None:
    assert isinstance(scanned_disk(below).driver, ClamAV)
    assert isinstance(scanned_disk(below).driver_as(ClamAV).scanner, Scanner)
    with pytest.raises(StorageConfigException, match="address"):
        scanned_disk(below, adress="x")


def test_layer_serves_several_loops_and_threads(disk: Disk) -> None:
    refused: list[str] = []

    async def both(name: str) -> None:
        await disk.put(f"{name}.txt", b"clean")
        try:
            await disk.put(f"{name}.txt", EICAR)
        except RejectedException as error:
            refused.append(error.reason)

    def run(name: str) -> None:
        asyncio.run(both(name))

    threads = [threading.Thread(target=run, args=[str(n)]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == ["virus"] * 4
