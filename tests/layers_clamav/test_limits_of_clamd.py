"""What exceeds a limit of clamd is refused, and never found clean: real daemons."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from clamd import EICAR, scanned_disk
from infected_files import BEYOND, MEGABYTE, packed
from jtc.storage import RejectedException, StorageConfigException
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.layers.clamav_layer import Clamd, ScannerAbsentException
from scripted_clamd import ScriptedClamd

if TYPE_CHECKING:
    from clamd import RealClamd
    from jtc.storage import Disk
    from scripted_clamd import Connection


@pytest.mark.parametrize("beyond", BEYOND)
async def test_put_refuses_what_exceeds_a_limit(
    disk: Disk, below: MemoryDriver, beyond: str
) -> None:
    content, reason = BEYOND[beyond]
    with pytest.raises(RejectedException) as raised:
        await disk.put("a.bin", content)
    assert raised.value.reason == reason
    assert not await below.exists("a.bin")


async def test_put_stores_what_reaches_each_limit(disk: Disk) -> None:
    for content in (bytes(MEGABYTE), packed(b"clean", depth=10), packed(bytes(MEGABYTE // 2))):
        await disk.put("a.bin", content)
        assert await disk.get("a.bin") == content
    for content in (bytes(MEGABYTE - len(EICAR)) + EICAR, packed(EICAR, depth=10)):
        with pytest.raises(RejectedException, match=r"Jtc\.Eicar") as raised:
            await disk.put("a.bin", content)
        assert raised.value.reason == "virus"


async def test_clamd_itself_finds_clean_what_exceeds_max_file_size(lax_clamd: RealClamd) -> None:
    # What all this is about: without the proof, the layer would store it.
    scanner = Clamd(lax_clamd.socket, max_size=MEGABYTE)
    await scanner.check()
    scanner._max_size = 4 * MEGABYTE
    content = EICAR + bytes(3 * MEGABYTE)

    async def chunks() -> Any:
        yield content

    assert await scanner.scan(chunks(), len(content)) is None


async def test_clamd_itself_cuts_a_long_file_of_an_archive_where_max_scan_size_is_higher(
    clamd: RealClamd, own_clamd: RealClamd
) -> None:
    # Why docs/scanning.md sets both to one value: then the cut part exceeds MaxScanSize.
    content = BEYOND["in a long file of an archive"][0]
    disk = scanned_disk(MemoryDriver(), address=own_clamd.socket, alerts=True)
    await disk.put("a.zip", content)
    disk = scanned_disk(MemoryDriver(), address=clamd.socket, alerts=True)
    with pytest.raises(RejectedException, match="MaxScanSize"):
        await disk.put("a.zip", content)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "takes no file of max_size"),  # StreamMaxLength is below
        ({"max_size": MEGABYTE + 1}, "set max_size to at most"),
        ({"max_size": None}, "AlertExceedsMax yes"),
        ({"max_size": MEGABYTE, "alerts": True}, "AlertExceedsMax yes"),
    ],
)
async def test_put_refuses_everything_where_clamd_would_miss_something(
    lax_clamd: RealClamd, options: dict[str, Any], message: str
) -> None:
    below = MemoryDriver()
    disk = scanned_disk(below, address=lax_clamd.socket, when_absent="pass", **options)
    for call in (disk.put("a.txt", b"clean"), disk.put("a.txt", b"clean"), disk.check()):
        with pytest.raises(StorageConfigException, match=message):
            await call
    assert not await below.exists("a.txt")


async def test_put_with_max_size_of_max_file_size_stores_and_warns_of_archives(
    lax_clamd: RealClamd, caplog: pytest.LogCaptureFixture
) -> None:
    disk = scanned_disk(MemoryDriver(), address=lax_clamd.socket, max_size=MEGABYTE)
    with caplog.at_level(logging.WARNING, "jtc.storage.clamav"):
        await disk.put("a.txt", b"clean")
        await disk.put("b.txt", b"clean")
    assert [r.message for r in caplog.records if "AlertExceedsMax yes" in r.message] != []
    assert len(caplog.records) == 1
    with pytest.raises(RejectedException) as raised:
        await disk.put("c.bin", EICAR + bytes(3 * MEGABYTE))
    assert raised.value.reason == "size"


async def test_put_without_max_size_is_limited_by_clamd(clamd: RealClamd) -> None:
    disk = scanned_disk(MemoryDriver(), address=clamd.tcp, max_size=None, alerts=True)
    await disk.put("a.txt", b"clean")
    with pytest.raises(RejectedException, match="StreamMaxLength"):
        await disk.put("a.txt", bytes(9 * MEGABYTE))


async def test_restart_with_other_limits_is_noticed(own_clamd: RealClamd) -> None:
    disk = scanned_disk(MemoryDriver(), address=own_clamd.socket)
    await disk.put("a.txt", b"clean")
    own_clamd.stop()
    with pytest.raises(ScannerAbsentException):
        await disk.put("a.txt", b"clean")
    own_clamd.start(AlertExceedsMax="no")
    with pytest.raises(StorageConfigException):
        await disk.put("a.txt", b"clean")
    own_clamd.stop()
    own_clamd.start(AlertExceedsMax="yes")
    await disk.put("a.txt", b"clean")


async def test_scanner_that_finds_nothing_is_refused() -> None:
    async def finds_nothing(connection: Connection, command: str) -> bool:
        if command == "INSTREAM":
            await connection.content()
            await connection.answer("stream: OK")
        return command == "INSTREAM"

    async with ScriptedClamd(finds_nothing) as daemon:
        disk = scanned_disk(MemoryDriver(), address=daemon.address)
        with pytest.raises(StorageConfigException, match="EICAR test file clean"):
            await disk.put("a.txt", b"clean")
