"""The client of clamd: real daemons, and one that answers oddly."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
import resource
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clamd import EICAR, scanned_disk
from jtc.storage import (
    RejectedException,
    StorageConfigException,
    StorageTimeoutException,
    StorageUnavailableException,
)
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.layers.clamav_layer import Clamd, ScannerAbsentException
from scripted_clamd import ScriptedClamd

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from clamd import RealClamd
    from scripted_clamd import Connection


async def of(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 100_000):
        yield content[at : at + 100_000]


async def scan(scanner: Clamd, content: bytes) -> str | None:
    return await scanner.scan(of(content), len(content))


@pytest.mark.parametrize("way", ["socket", "unix", "tcp", "scheme", "name"])
async def test_scan_finds_signature_by_each_address(clamd: RealClamd, way: str) -> None:
    port = clamd.tcp.rpartition(":")[2]
    places = {
        "socket": clamd.socket,
        "unix": f"unix:{clamd.socket}",
        "tcp": clamd.tcp,
        "scheme": f"tcp://{clamd.tcp}",
        "name": f"localhost:{port}",
    }
    scanner = Clamd(places[way])
    await scanner.ping()
    assert (await scanner.version()).startswith("ClamAV ")
    assert await scan(scanner, b"clean") is None
    assert await scan(scanner, b"") is None
    assert await scan(scanner, bytes(700_000) + EICAR) == "Jtc.Eicar.UNOFFICIAL"


async def test_address_may_be_an_ipv6_number() -> None:
    for address in ("[::1]:3310", "tcp://[::1]:3310"):
        parsed = Clamd(address)._address
        assert (parsed.host, parsed.port, parsed.unix) == ("::1", 3310, None)


@pytest.mark.parametrize(
    "address", ["", "clamd", "host:", "host:0", "host:65536", ":3310", "http://host:1", None, 3310]
)
def test_address_refuses_what_is_none(address: Any) -> None:
    with pytest.raises(StorageConfigException, match="'address'"):
        Clamd(address)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("max_size", value) for value in (0, -1, 1.5, "1", True)),
        *(("concurrency", value) for value in (0, 2.5, None)),
        *(("scan_timeout", value) for value in (0, "1", None)),
        ("connect_timeout", 0),
        ("probe_interval", -1),
    ],
)
def test_options_refuse_invalid_values(name: str, value: Any) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(StorageConfigException, match=name):
        Clamd("host:1", **options)


async def test_absent_daemon_is_named_in_the_error(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"  # bound, and nothing listens
        for where in (address, str(tmp_path / "clamd.sock"), "no-such-host.invalid:3310"):
            for call in (Clamd(where).ping(), Clamd(where).check(), scan(Clamd(where), b"x")):
                with pytest.raises(ScannerAbsentException, match="option 'address'") as raised:
                    await call
                assert where in str(raised.value)
                assert raised.value.retryable
                assert not isinstance(raised.value, FileNotFoundError)


async def test_hanging_daemon_is_absent_before_it_has_the_file() -> None:
    async def hang(_connection: Connection, _command: str) -> bool:
        await asyncio.sleep(60)
        return True

    async with ScriptedClamd(hang) as daemon:
        with pytest.raises(ScannerAbsentException, match=r"no answer in 0\.05 seconds"):
            await scan(Clamd(daemon.address, connect_timeout=0.05), b"x")


async def test_closing_daemon_is_absent_before_it_has_the_file() -> None:
    async def close(connection: Connection, _command: str) -> bool:
        connection.writer.close()
        return True

    async with ScriptedClamd(close) as daemon:
        with pytest.raises(ScannerAbsentException, match="closed the connection"):
            await scan(Clamd(daemon.address), b"x")


async def test_full_queue_of_connections_is_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "clamd.sock")
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as waiting:
        listener.bind(path)
        listener.listen(0)
        for _ in range(5):
            client = waiting.enter_context(socket.socket(socket.AF_UNIX))
            client.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                client.connect(path)
        with pytest.raises(ScannerAbsentException, match=r"no answer in 0\.05 seconds"):
            await Clamd(path, connect_timeout=0.05).ping()
        pinging = asyncio.create_task(Clamd(path).ping())
        await asyncio.sleep(0.05)
        assert not pinging.done()
        waiting.close()
        listener.close()
        with pytest.raises(ScannerAbsentException, match="refused"):
            await pinging


async def test_lack_of_descriptors_is_no_absence(clamd: RealClamd) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    disk = scanned_disk(MemoryDriver(), address=clamd.tcp, when_absent="pass")
    await disk.put("a.txt", b"clean")
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        with pytest.raises(StorageUnavailableException, match="Too many open files") as raised:
            await disk.put("b.txt", EICAR)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert raised.value.errno == errno.EMFILE
    assert not isinstance(raised.value, ScannerAbsentException)
    assert not await disk.exists("b.txt")


async def closes(connection: Connection) -> None:
    await connection.reader.readexactly(1000)
    connection.writer.close()


async def resets(connection: Connection) -> None:
    await connection.content()
    connection.writer.transport.abort()


async def says(connection: Connection, data: bytes) -> None:
    await connection.content()
    connection.writer.write(data.replace(b"#", b"%d" % connection.number))


ODD_ANSWERS = {
    "closes in the middle": closes,
    "resets": resets,
    "nothing": lambda connection: says(connection, b"\0"),
    "garbage": lambda connection: says(connection, b"\xff\xfe\x00\x01"),
    "not UTF-8": lambda connection: says(connection, b"#: stream: \xff FOUND\0"),
    "HTTP": lambda connection: says(connection, b"HTTP/1.1 200 OK\r\n\r\n" + bytes(1)),
    "another command's answer": lambda connection: says(connection, b"1: stream: OK\0"),
    "no number": lambda connection: says(connection, b"stream: OK\0"),
    "an error": lambda connection: says(connection, b"#: stream: Can't open file. ERROR\0"),
    "OK of something else": lambda connection: says(connection, b"#: /etc/passwd: OK\0"),
    "OK and more": lambda connection: says(connection, b"#: stream: OK, or not\0"),
    "ok": lambda connection: says(connection, b"#: stream: ok\0"),
    "two answers": lambda connection: says(connection, b"#: stream: OK\0#: stream: X FOUND\0"),
    "no end": lambda connection: says(connection, b"#: stream: " + b"OK" * 5000),
    "half an answer": lambda connection: says(connection, b"#: stream: OK"),
}


@pytest.mark.parametrize("odd", ODD_ANSWERS)
async def test_odd_answer_is_never_clean(odd: str) -> None:
    async def script(connection: Connection, command: str) -> bool:
        if command != "INSTREAM" or connection.number < 4:  # version, and two probes
            return False
        await ODD_ANSWERS[odd](connection)
        if odd == "half an answer":
            connection.writer.close()
        return True

    async with ScriptedClamd(script) as daemon:
        with pytest.raises(StorageUnavailableException) as raised:
            await scan(Clamd(daemon.address, scan_timeout=20), bytes(300_000))
        assert not isinstance(raised.value, ScannerAbsentException)
        assert len(str(raised.value)) < 1000


async def test_answer_with_one_wrong_byte_is_never_clean() -> None:
    right = b"2: stream: OK\0"
    chosen = random.Random(7)
    wrong: list[bytes] = []
    for at in range(len(right)):
        byte = bytes([chosen.randrange(256)])
        wrong += [
            right[:at] + right[at + 1 :],
            right[:at] + byte + right[at:],
            right[:at] + bytes([right[at] ^ 1 << chosen.randrange(8)]) + right[at + 1 :],
        ]
    sent = b""

    async def answers_wrongly(connection: Connection, command: str) -> bool:
        if command != "INSTREAM" or not sent:
            return False
        await connection.content()
        connection.writer.write(sent)
        connection.writer.close()
        return True

    async with ScriptedClamd(answers_wrongly) as daemon:
        scanner = Clamd(daemon.address)
        await scan(scanner, b"x")
        proved = scanner._proved
        for answer in wrong:
            sent = answer
            scanner._proved = proved  # a connection that broke has it probe again
            with pytest.raises(StorageUnavailableException):
                await scan(scanner, b"x")
        sent = right
        scanner._proved = proved
        assert await scan(scanner, b"x") is None


async def test_ok_for_a_part_of_a_file_is_never_clean() -> None:
    async def answers_early(connection: Connection, _command: str) -> bool:
        if connection.number < 4:
            return False
        await connection.reader.readexactly(1000)
        await connection.answer("stream: OK")
        connection.writer.close()
        return True

    async with ScriptedClamd(answers_early) as daemon:
        with pytest.raises(StorageUnavailableException, match="broke"):
            await scan(Clamd(daemon.address), bytes(20_000_000))


async def test_hanging_scan_ends_in_a_timeout() -> None:
    async def hang(connection: Connection, _command: str) -> bool:
        if connection.number >= 4:
            await asyncio.sleep(60)
        return False

    async with ScriptedClamd(hang) as daemon:
        for size in (10, 20_000_000):  # the second fills the buffers, and sending waits
            with pytest.raises(StorageTimeoutException, match=r"in 0\.1 seconds"):
                await scan(Clamd(daemon.address, scan_timeout=0.1), bytes(size))


async def test_cancellation_closes_the_connection() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def wait_for_end(connection: Connection, _command: str) -> bool:
        if connection.number < 4:
            return False
        await connection.content()
        began.set()
        assert await connection.reader.read() == b""
        ended.set()
        return True

    async with ScriptedClamd(wait_for_end) as daemon:
        scanning = asyncio.create_task(scan(Clamd(daemon.address), b"x"))
        await began.wait()
        scanning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await scanning
        await asyncio.wait_for(ended.wait(), 10)


async def test_error_of_the_content_passes_and_closes_the_connection() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(1000)
        raise RuntimeError("the content broke")

    async with ScriptedClamd() as daemon:
        with pytest.raises(RuntimeError, match="the content broke"):
            await Clamd(daemon.address).scan(broken(), 2000)


async def test_concurrency_limits_scans_of_a_loop() -> None:
    async with ScriptedClamd() as daemon:
        scanner = Clamd(daemon.address, concurrency=3)
        assert await asyncio.gather(*(scan(scanner, b"x") for _ in range(20))) == [None] * 20
        assert daemon.most_at_once == 3
        assert daemon.commands.count("INSTREAM") == 22, "each task probed the daemon by itself"


def test_scanner_serves_several_loops_and_threads(clamd: RealClamd) -> None:
    scanner = Clamd(clamd.socket, concurrency=2)
    found: list[str | None] = []

    async def both() -> None:
        found.extend(await asyncio.gather(*(scan(scanner, c) for c in (b"x", EICAR, b"y"))))

    threads = [threading.Thread(target=lambda: asyncio.run(both())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(both())
    assert found.count("Jtc.Eicar.UNOFFICIAL") == 4
    assert found.count(None) == 8


async def test_scan_probes_again_another_version_and_after_an_outage() -> None:
    async with ScriptedClamd() as daemon:
        scanner = Clamd(daemon.address)
        for version in ("1", "1", "2", "1"):
            daemon.version = version
            await scan(scanner, b"x")
        assert daemon.commands.count("INSTREAM") == 4 + 2 + 2, "1 and 2 were probed, once each"
        address = daemon.address
    with pytest.raises(ScannerAbsentException):
        await scan(scanner, b"x")
    assert address == daemon.address
    async with ScriptedClamd() as again:
        scanner._address = Clamd(again.address)._address
        again.version = "1"
        await scan(scanner, b"x")
        assert again.commands.count("INSTREAM") == 1 + 2


async def test_scan_probes_again_after_the_interval() -> None:
    async with ScriptedClamd() as daemon:
        scanner = Clamd(daemon.address, probe_interval=1e-9)
        await scan(scanner, b"x")
        await scan(scanner, b"x")
        assert daemon.commands.count("INSTREAM") == 2 + 2 * 2


async def test_file_longer_than_max_size_is_not_sent() -> None:
    async with ScriptedClamd() as daemon:
        with pytest.raises(RejectedException, match="longer than the 10 bytes") as raised:
            await scan(Clamd(daemon.address, max_size=10), bytes(11))
        assert raised.value.reason == "size"
        assert daemon.commands == []
