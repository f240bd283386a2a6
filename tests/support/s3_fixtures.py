"""Fixtures of tests on a real S3 store, each below a directory of its own."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from faulty_proxy import FaultyProxy
from jtc.storage.drivers.s3_driver import S3Driver
from s3_ways import send

if TYPE_CHECKING:
    from seaweedfs import SeaweedFS

__all__ = ["MakeDriver", "driver", "folder", "make_driver", "proxy", "store_client", "way"]

_numbers = itertools.count(1)

MakeDriver = Callable[..., S3Driver]


@pytest.fixture
def folder() -> str:
    """Name a directory that no other test uses."""
    return f"test-{next(_numbers)}"


@pytest.fixture
def way() -> str:
    """Say which of `s3_ways` the test's drivers go."""
    return "direct"


@pytest.fixture
async def make_driver(seaweedfs: SeaweedFS, way: str) -> AsyncIterator[MakeDriver]:
    """Make drivers of the test's bucket, closed when the test ends."""
    made: list[S3Driver] = []

    def make(**options: Any) -> S3Driver:
        driver = S3Driver(**{"bucket": seaweedfs.bucket, **seaweedfs.options, **options})
        made.append(send(driver, way))
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
