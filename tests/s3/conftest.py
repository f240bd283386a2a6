"""Drivers on a real store, each test below a directory of its own."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
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


@pytest.fixture(scope="session")
def store_client(seaweedfs: SeaweedFS) -> Iterator[Any]:
    """Look into the store without the driver."""
    client = seaweedfs.client()
    yield client
    client.close()


@pytest.fixture
def empty_bucket(store_client: Any) -> str:
    """Empty a bucket for the test: a new one each time would cost a quarter of a second."""
    name = "empty-bucket"
    if name not in [each["Name"] for each in store_client.list_buckets()["Buckets"]]:
        store_client.create_bucket(Bucket=name)
    _empty(store_client, name, "")
    return name


def _empty(client: Any, bucket: str, prefix: str) -> None:
    page = client.list_objects_v2(Bucket=bucket, Prefix=prefix, Delimiter="/")
    for item in page.get("Contents", ()):
        client.delete_object(Bucket=bucket, Key=item["Key"])
    # SeaweedFS keeps directories; it deletes them from within.
    for directory in page.get("CommonPrefixes", ()):
        _empty(client, bucket, directory["Prefix"])
        client.delete_object(Bucket=bucket, Key=directory["Prefix"])
