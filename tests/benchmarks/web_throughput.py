"""A local file of 1 MiB over HTTP, beside Starlette's FileResponse. Run it with Python.

Both are served by one uvicorn in a process of its own, and asked in turns by the same client over
one connection, so that whatever else the machine does falls on both. Prints milliseconds an answer
(median of the rounds) and the ratio, whole and for a range.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Route

from jtc.storage import StorageManager
from jtc.storage.asgi import DiskResponse
from jtc.storage.drivers.local_driver import LocalDriver

SIZE = int(sys.argv[1]) if len(sys.argv) > 1 else 1024 * 1024
ROUNDS = 15
REQUESTS = 40
NAME = "file.bin"


def application(root: Path) -> Starlette:
    manager = StorageManager.isolated()
    manager.set_driver(LocalDriver(root), "disk")
    disk = manager.disk("disk")

    async def ours(_request: object) -> DiskResponse:
        return DiskResponse(disk, NAME)

    async def theirs(_request: object) -> FileResponse:
        return FileResponse(root / NAME)

    return Starlette(routes=[Route("/ours", ours), Route("/theirs", theirs)])


async def ask(host: str, port: int, path: str, headers: str, size: int) -> float:
    """Return the seconds of an answer, over some requests on one connection."""
    reader, writer = await asyncio.open_connection(host, port, limit=2**20)
    request = f"GET {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n".encode()
    begun = time.perf_counter()
    for _ in range(REQUESTS):
        writer.write(request)
        await reader.readuntil(b"\r\n\r\n")
        left = size
        while left:
            left -= len(await reader.read(min(left, 2**20)))
    took = (time.perf_counter() - begun) / REQUESTS
    writer.close()
    await writer.wait_closed()
    return took


async def compare(port: int, headers: str, size: int, label: str) -> None:
    times: dict[str, list[float]] = {"/ours": [], "/theirs": []}
    for number in range(ROUNDS + 1):
        for path, found in times.items():
            took = await ask("127.0.0.1", port, path, headers, size)
            if number:  # the first round warms up
                found.append(took)
    ours, theirs = (1000 * statistics.median(found) for found in times.values())
    print(f"{label}: ours {ours:.2f} ms, FileResponse {theirs:.2f} ms: {ours / theirs:.2f} x")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket() as listener:
        root = Path(folder)
        (root / NAME).write_bytes(os.urandom(SIZE))
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = os.fork()
        if not server:
            config = uvicorn.Config(application(root), log_level="warning", lifespan="off")
            uvicorn.Server(config).run(sockets=[listener])
            os._exit(0)
        try:
            port = listener.getsockname()[1]
            asyncio.run(compare(port, "", SIZE, f"{SIZE} bytes whole"))
            ranged = f"Range: bytes={SIZE // 2}-\r\n"
            asyncio.run(compare(port, ranged, SIZE - SIZE // 2, "their second half"))
        finally:
            os.kill(server, 15)
            os.waitpid(server, 0)


if __name__ == "__main__":
    main()
