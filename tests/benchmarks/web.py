"""A local file of 1 MiB over HTTP, beside Starlette's `FileResponse`.

One uvicorn in a process of its own serves both, and one client asks for them in turns, over one
connection each, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from measuring import MIB, OURS, Row, Way, in_turns, print_rows, repeat
from sizes import Sizes
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Route

from jtc.storage import StorageManager
from jtc.storage.asgi import DiskResponse
from jtc.storage.drivers.local_driver import LocalDriver

if TYPE_CHECKING:
    from collections.abc import Iterator

STARLETTE = "Starlette's FileResponse"
NAME = "file.bin"


def application(root: Path) -> Starlette:
    manager = StorageManager.isolated({})
    manager.set_driver(LocalDriver(root), "disk")
    disk = manager.disk("disk")

    async def ours(_request: object) -> DiskResponse:
        return DiskResponse(disk, NAME)

    async def theirs(_request: object) -> FileResponse:
        return FileResponse(root / NAME)

    return Starlette(routes=[Route("/ours", ours), Route("/theirs", theirs)])


@contextmanager
def serving(root: Path) -> Iterator[int]:
    """Serve the application in a process of its own, and give its port."""
    # Of this protocol by name: else asyncio leaves Nagle's algorithm on.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = os.fork()
        if not server:
            config = uvicorn.Config(application(root), log_level="warning", lifespan="off")
            uvicorn.Server(config).run(sockets=[listener])
            os._exit(0)
        port = listener.getsockname()[1]
    try:
        yield port
    finally:
        os.kill(server, 15)
        os.waitpid(server, 0)


async def asking(port: int, path: str, headers: str, size: int, times: int) -> Way:
    """Return a way that sends `times` requests over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=MIB)
    request = f"GET {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n".encode()

    async def ask(_number: int) -> None:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 20"), head
        left = size
        while left:
            left -= len(await reader.read(min(left, MIB)))

    return repeat(times, ask)


async def compare(port: int, sizes: Sizes, name: str, headers: str, size: int) -> Row:
    ways = {
        who: await asking(port, path, headers, size, sizes.calls)
        for who, path in ((OURS, "/ours"), (STARLETTE, "/theirs"))
    }
    return await in_turns(name, ways, rounds=sizes.rounds, per=sizes.calls, unit="ms")


async def main(sizes: Sizes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / NAME).write_bytes(os.urandom(MIB))
        with serving(root) as port:
            ranged = f"Range: bytes={MIB // 2}-\r\n"
            rows = [
                await compare(port, sizes, "1 MiB whole", "", MIB),
                await compare(port, sizes, "its second half, by a range", ranged, MIB // 2),
            ]
    print_rows(rows)


if __name__ == "__main__":
    asyncio.run(main(Sizes.named(sys.argv[1])))
