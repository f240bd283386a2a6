"""Drivers on a real store, each test below a directory of its own."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import pytest

from faulty_proxy import FaultyProxy
from jtc.storage.drivers.s3_driver import S3Driver

if TYPE_CHECKING:
    from seaweedfs import SeaweedFS

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


@pytest.fixture
async def empty_bucket(make_driver: MakeDriver) -> str:
    """Empty a bucket for the test: a new one each time would cost a quarter of a second."""
    name = "empty-bucket"
    driver = make_driver(bucket=name)
    client = await driver._bucket._clients.get()
    if name not in [each["Name"] for each in (await client.list_buckets())["Buckets"]]:
        await client.create_bucket(Bucket=name)
    page = await client.list_objects_v2(Bucket=name, Delimiter="/")
    for item in page.get("Contents", ()):
        await client.delete_object(Bucket=name, Key=item["Key"])
    for directory in page.get("CommonPrefixes", ()):
        await driver.delete_directory(directory["Prefix"].removesuffix("/"))
    return name
