"""Fixtures of tests on a real S3 store, each below a directory of its own."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from faulty_proxy import FaultyProxy
from jtc.storage.drivers.s3_driver import S3Driver

if TYPE_CHECKING:
    from seaweedfs import SeaweedFS

__all__ = [
    "MakeDriver",
    "driver",
    "folder",
    "make_driver",
    "open_connections",
    "proxy",
    "store_client",
]

_numbers = itertools.count(1)

MakeDriver = Callable[..., S3Driver]


@pytest.fixture
def folder() -> str:
    """Name a directory that no other test uses."""
    return f"test-{next(_numbers)}"


@pytest.fixture
async def make_driver(seaweedfs: SeaweedFS) -> AsyncIterator[MakeDriver]:
    """Make drivers of the test's bucket, closed when the test ends."""
    made: list[S3Driver] = []

    def make(**options: Any) -> S3Driver:
        driver = S3Driver(**{"bucket": seaweedfs.bucket, **seaweedfs.options, **options})
        made.append(driver)
        return driver

    yield make
    for driver in made:
        await driver.aclose()


@pytest.fixture
def driver(make_driver: MakeDriver) -> S3Driver:
    return make_driver()


@pytest.fixture
async def proxy(seaweedfs: SeaweedFS) -> AsyncIterator[FaultyProxy]:
    async with FaultyProxy(seaweedfs.endpoint_url) as faulty:
        yield faulty


@pytest.fixture(scope="session")
def store_client(seaweedfs: SeaweedFS) -> Iterator[Any]:
    """Look into the store without the driver."""
    client = seaweedfs.client()
    yield client
    client.close()


def open_connections(driver: S3Driver) -> int:
    """Return how many of a used driver's connections in this loop have an unread answer."""
    connector = driver._transport._clients.opened[asyncio.get_running_loop()].session.connector
    assert connector is not None
    return len(connector._acquired)
