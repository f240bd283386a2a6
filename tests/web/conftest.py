"""Fixtures: disks of each driver, and HTTP clients of applications in this process."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.wsgi import WsgiApplication
from web_disks import BASE, SECRET, Client, disk_of
from wsgi_client import WsgiTransport

if TYPE_CHECKING:
    from pathlib import Path

    from jtc.storage import Disk

_numbers = itertools.count(1)


@pytest.fixture(params=["memory", "local", "s3"])
async def disk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Disk]:
    """Give an empty disk of each driver."""
    if request.param == "s3":
        store = request.getfixturevalue("seaweedfs")
        driver = S3Driver(store.bucket, **store.options)
        yield disk_of(driver).scoped(f"web-{next(_numbers)}")
        await driver.aclose()
    elif request.param == "local":
        yield disk_of(LocalDriver(tmp_path / "root"))
    else:
        yield disk_of(MemoryDriver())


@pytest.fixture(params=["memory", "local"])
def signing(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    """Give an empty disk of each driver that presigns URLs."""
    if request.param == "local":
        return disk_of(LocalDriver(tmp_path / "root", BASE, secret=SECRET))
    return disk_of(MemoryDriver(base_url=BASE, secret=SECRET))


@pytest.fixture(params=["asgi", "wsgi"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """Make clients that call an application in this process, by ASGI and by WSGI."""
    async with AsyncExitStack() as stack:

        def connect(app: Any) -> httpx.AsyncClient:
            transport: httpx.AsyncBaseTransport = httpx.ASGITransport(app=app)
            if request.param == "wsgi":
                transport = WsgiTransport(WsgiApplication(app))
            made = httpx.AsyncClient(transport=transport, base_url="http://files.test")
            stack.push_async_callback(made.aclose)
            return made

        yield connect
