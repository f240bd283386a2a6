"""Many downloads, a tenth of them broken off, and the descriptors and memory that they leave.

`make downloads` asks for 10,000 of each disk; without it there are a thousand, which a leak of one
descriptor or one chunk for each that was broken off shows as well.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seaweedfs import SeaweedFS

DOWNLOADS = int(os.environ.get("DOWNLOADS", "1000"))
AT_ONCE = 8
WHOLE, LARGE = 300_000, 16_000_000
DEADLINE = 60.0

_SERVER = """
import asyncio, json, socket, sys
import uvicorn
from jtc.storage import Storage
from jtc.storage.asgi import serve

async def main():
    disk = Storage.build(json.loads(sys.argv[1]))
    await disk.put("whole.bin", bytes(int(sys.argv[3])))
    await disk.put("large.bin", bytes(int(sys.argv[4])))
    app = serve(disk, public=True)
    config = uvicorn.Config(app, log_level="critical", lifespan="off", access_log=False)
    listener = socket.socket(fileno=int(sys.argv[2]))
    await uvicorn.Server(config).serve(sockets=[listener])

asyncio.run(main())
"""


@contextmanager
def serving(config: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """Serve a disk in a process of its own; give its port and its id."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        sizes = [str(WHOLE), str(LARGE)]
        server = subprocess.Popen(
            [sys.executable, "-c", _SERVER, json.dumps(config), str(listener.fileno()), *sizes],
            pass_fds=[listener.fileno()],
        )
        port = listener.getsockname()[1]
    try:
        yield port, server.pid
    finally:
        server.terminate()
        server.wait()


async def connect(port: int, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    return reader, writer


async def download(port: int) -> None:
    reader, writer = await connect(port, "/whole.bin")
    received = await reader.read(-1)
    assert len(received) == WHOLE
    writer.close()
    await writer.wait_closed()


async def break_off(port: int) -> None:
    """Read a little, and go without a word, while most of the file is still to come."""
    reader, writer = await connect(port, "/large.bin")
    await reader.readexactly(50_000)
    writer.transport.abort()


async def downloads(port: int, count: int) -> None:
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await (break_off(port) if number % 10 == 9 else download(port))

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


def descriptors(server: int) -> int:
    return sum(1 for _ in Path(f"/proc/{server}/fd").iterdir())


def settled_descriptors(server: int, wanted: int) -> int:
    """Return how many are open, once there are no more than wanted or it has taken too long."""
    deadline = time.monotonic() + DEADLINE
    while descriptors(server) > wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    return descriptors(server)


def resident_mib(server: int) -> float:
    with Path(f"/proc/{server}/status").open() as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


@pytest.mark.parametrize("driver", ["memory", "local", "s3"])
def test_downloads_broken_off_or_not_leave_nothing_behind(
    driver: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    config: dict[str, Any] = {"driver": driver}
    if driver == "local":
        config["root"] = str(tmp_path)
    if driver == "s3":
        store: SeaweedFS = request.getfixturevalue("seaweedfs")
        config |= {"bucket": store.bucket, **store.options}
    with serving(config) as (port, server):
        # As many connections, threads and pools as there will ever be.
        asyncio.run(downloads(port, max(100, DOWNLOADS // 10)))
        time.sleep(0.5)
        open_before, before = descriptors(server), resident_mib(server)
        for _ in itertools.repeat(None, 5):
            asyncio.run(downloads(port, DOWNLOADS // 5))
        open_after, after = settled_descriptors(server, open_before), resident_mib(server)
    broken = DOWNLOADS // 10
    sys.stdout.write(
        f"{driver}: {DOWNLOADS} downloads, {broken} broken off: {open_after - open_before:+} "
        f"descriptors, {after - before:+.1f} MiB (from {before:.0f})\n"
    )
    assert open_after <= open_before
    # One chunk kept for each that was broken off would be 25 MiB of a thousand.
    assert after - before < 12.0
