"""Local files over HTTP, beside Starlette's `FileResponse` and `StaticFiles`, and nginx.

One uvicorn in a process of its own serves all, and one client asks for them in turns, over one
connection each, so that whatever else the machine does falls on all. Then wrk does, over many. What
a client that reads slowly takes of the server's memory is measured in a process for each way.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from measuring import MIB, OURS, Row, Way, in_turns, print_rows, repeat
from sizes import Sizes
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from wrk import STATIC, loaded

from jtc.storage import StorageManager
from jtc.storage.asgi import DiskResponse, XAccel, serve
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.s3_driver import S3Driver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Receive, Scope, Send

STARLETTE = "Starlette's FileResponse"
NAME = "file.bin"
LARGE = "large.bin"
WAYS = {OURS: "/ours", STARLETTE: "/theirs"}
DIRECTORIES = {OURS: "/served", STATIC: "/static"}


def application(root: Path, store: dict[str, str] | None) -> Starlette:
    """Return an application with files of a directory, and with those of a bucket of S3."""
    manager = StorageManager.isolated({})
    manager.set_driver(LocalDriver(root), "disk")
    disk = manager.disk("disk")
    routes = []
    if store is not None:
        manager.set_driver(S3Driver(**store, max_connections=1000), "s3")
        routes.append(Mount("/s3", serve(manager.disk("s3"), public=True)))

    async def ours(request: Request) -> DiskResponse:
        return DiskResponse(disk, request.path_params["name"])

    async def theirs(request: Request) -> FileResponse:
        return FileResponse(root / request.path_params["name"])

    accelerated = serve(disk, public=True, accelerate=XAccel("/internal/"))
    cached = serve(disk, public=True, cache_control="max-age=3600")

    async def storage(scope: Scope, receive: Receive, send: Send) -> None:
        await (cached if scope["query_string"] else accelerated)(scope, receive, send)

    return Starlette(
        routes=[
            Route("/ours/{name}", ours),
            Route("/theirs/{name}", theirs),
            Mount("/served", serve(disk, public=True)),
            Mount("/static", StaticFiles(directory=root)),
            Mount("/storage", storage),
            *routes,
        ]
    )


@contextmanager
def serving(root: Path, store: dict[str, str] | None = None) -> Iterator[tuple[int, int]]:
    """Serve the application in a process of its own, and give its port and its number."""
    # Of this protocol by name: else asyncio leaves Nagle's algorithm on.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        server = os.fork()
        if not server:
            config = uvicorn.Config(
                application(root, store), log_level="warning", lifespan="off", access_log=False
            )
            uvicorn.Server(config).run(sockets=[listener])
            os._exit(0)
        port = listener.getsockname()[1]
    try:
        yield port, server
    finally:
        os.kill(server, 15)
        os.waitpid(server, 0)


async def asking(
    port: int, path: str, headers: str, size: int, times: int, method: str = "GET"
) -> Way:
    """Return a way that sends `times` requests over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=MIB)
    request = f"{method} {path}/{NAME} HTTP/1.1\r\nHost: a\r\n{headers}\r\n".encode()

    async def ask(_number: int) -> None:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 20"), head
        left = size
        while left:
            left -= len(await reader.read(min(left, MIB)))

    return repeat(times, ask)


async def compare(
    port: int, sizes: Sizes, name: str, headers: str, size: int, method: str = "GET"
) -> Row:
    ways = {
        who: await asking(port, path, headers, size, sizes.calls, method)
        for who, path in WAYS.items()
    }
    return await in_turns(name, ways, rounds=sizes.rounds, per=sizes.calls, unit="ms")


async def longest(port: int, sizes: Sizes) -> Row:
    """Compare the 99th percentiles of 16 clients at once, each with connections of its own."""
    row = Row("1 MiB for 16 at once, the 99th percentile", "ms", {who: [] for who in WAYS})
    clients = {
        who: [await asking(port, path, "", MIB, 1) for _ in range(16)] for who, path in WAYS.items()
    }
    for _ in range(sizes.rounds):
        for who in WAYS:
            times: list[float] = []

            async def timed(ask: Way, times: list[float] = times) -> None:
                begun = time.perf_counter()
                await ask()
                times.append((time.perf_counter() - begun) * 1000)

            for _ in range(sizes.calls // 10):
                await asyncio.gather(*(timed(ask) for ask in clients[who]))
            row.wall[who].append(sorted(times)[len(times) * 99 // 100])
    return row


async def held(root: Path, path: str, readers: int, store: dict[str, str] | None = None) -> float:
    """Return the kB of memory that a server holds for each client that reads nothing."""
    loop = asyncio.get_running_loop()
    sockets: list[socket.socket] = []
    with serving(root, store) as (port, server):
        # What the server needs once is not a reader's.
        await (await asking(port, path, "", MIB, 20))()
        before = resident(server)
        for _ in range(readers):
            reader = socket.socket()
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.settimeout(0)
            sockets.append(reader)
            await loop.sock_connect(reader, ("127.0.0.1", port))
            await loop.sock_sendall(
                reader, f"GET {path}/{LARGE} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
            )
            await loop.sock_recv(reader, 1024)
        await asyncio.sleep(readers / 500)
        grown = resident(server) - before
        for reader in sockets:
            reader.close()
    return grown / readers


def resident(process: int) -> int:
    """Return the memory of a process in kB."""
    with Path(f"/proc/{process}/status").open() as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


async def main(sizes: Sizes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        root.mkdir()
        (root / NAME).write_bytes(os.urandom(MIB))
        (root / LARGE).write_bytes(bytes(8 * MIB))
        with serving(root) as (port, server):
            ranged = f"Range: bytes={MIB // 2}-\r\n"
            rows = [
                await compare(port, sizes, "1 MiB whole", "", MIB),
                await compare(port, sizes, "its second half, by a range", ranged, MIB // 2),
                await compare(port, sizes, "HEAD", "", 0, "HEAD"),
                await longest(port, sizes),
                *await loaded(root, (port, server), DIRECTORIES, sizes.loads, sizes.few),
            ]
        slow = Row(
            "memory for each of the clients that read slowly", "kB", {who: [] for who in WAYS}
        )
        for _ in range(sizes.fewest):
            for who, path in WAYS.items():
                slow.wall[who].append(await held(root, path, sizes.readers))
    print_rows([*rows, slow])


if __name__ == "__main__":
    asyncio.run(main(Sizes.named(sys.argv[1])))
