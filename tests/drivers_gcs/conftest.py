"""Drivers on a store of ours with the API of Google Cloud Storage, empty for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from faulty_proxy import FaultyProxy
from google_store import GoogleStore
from jtc.storage import StorageManager
from jtc.storage.drivers.gcs_driver import GCSDriver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from jtc.storage import Disk


@pytest.fixture(scope="session")
def _started_store() -> Iterator[GoogleStore]:
    with GoogleStore() as store:
        yield store


@pytest.fixture
def store(_started_store: GoogleStore) -> GoogleStore:
    _started_store.reset()
    return _started_store


@pytest_asyncio.fixture
async def make_driver(store: GoogleStore) -> AsyncIterator[Callable[..., GCSDriver]]:
    """Return a function that makes drivers, which are closed after the test."""
    made: list[GCSDriver] = []

    def make(**options: Any) -> GCSDriver:
        if not options.keys() & {"credentials_file", "credentials", "anonymous"}:
            options = {"credentials_info": store.account, **options}
        made.append(GCSDriver(**{"bucket": store.bucket, "endpoint_url": store.url, **options}))
        return made[-1]

    yield make
    for driver in made:
        await driver.aclose()


@pytest.fixture
def driver(make_driver: Callable[..., GCSDriver]) -> GCSDriver:
    return make_driver()


@pytest.fixture
def disk(driver: GCSDriver) -> Disk:
    return disk_of(driver)


def disk_of(driver: GCSDriver) -> Disk:
    manager = StorageManager.isolated()
    manager.set_driver(driver, "media")
    return manager.disk("media")


@pytest.fixture
def make_disk(make_driver: Callable[..., GCSDriver]) -> Callable[..., Disk]:
    return lambda **options: disk_of(make_driver(**options))


@pytest_asyncio.fixture
async def proxy(store: GoogleStore) -> AsyncIterator[FaultyProxy]:
    async with FaultyProxy(store.url) as faulty:
        yield faulty
