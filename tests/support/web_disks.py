"""Shared by tests of the web integration: a secret, a base URL, disks of drivers, a server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import uvicorn

from jtc.storage import Disk, StorageManager

if TYPE_CHECKING:
    import httpx

SECRET = "0123456789abcdef0123456789abcdef"
BASE = "http://files.test/storage"

Client = Callable[[Any], "httpx.AsyncClient"]


def disk_of(driver: Any) -> Disk:
    manager = StorageManager.isolated()
    manager.set_driver(driver, "media")
    return manager.disk("media")


@asynccontextmanager
async def running(app: Any) -> AsyncIterator[str]:
    """Serve an application on a free port of this machine, in this loop."""
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started and not serving.done():
                await asyncio.sleep(0.01)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            await serving
