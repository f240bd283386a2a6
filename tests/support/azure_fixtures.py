"""Fixtures of tests on Azurite, each below a directory of its own."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from azurite import Azurite, AzuriteMissing
from faulty_proxy import FaultyProxy
from jtc.storage.drivers.azure_driver import AzureDriver

__all__ = ["MakeDriver", "azurite", "driver", "folder", "make_driver", "proxy"]

_numbers = itertools.count(1)

MakeDriver = Callable[..., AzureDriver]


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """Serve Azure Blob Storage; started at first use, for the whole run."""
    try:
        Azurite.install()
    except AzuriteMissing as missing:
        pytest.skip(str(missing))
    with Azurite() as store:
        yield store


@pytest.fixture
def folder() -> str:
    """Name a directory that no other test uses."""
    return f"test-{next(_numbers)}"


@pytest.fixture
async def make_driver(azurite: Azurite) -> AsyncIterator[MakeDriver]:
    """Make drivers of the test's container, closed when the test ends."""
    made: list[AzureDriver] = []

    def make(**options: Any) -> AzureDriver:
        driver = AzureDriver(**{"container": azurite.container, **azurite.options, **options})
        made.append(driver)
        return driver

    yield make
    for driver in made:
        await driver.aclose()


@pytest.fixture
def driver(make_driver: MakeDriver) -> AzureDriver:
    return make_driver()


@pytest.fixture
async def proxy(azurite: Azurite) -> AsyncIterator[FaultyProxy]:
    async with FaultyProxy(azurite.endpoint_url) as faulty:
        yield faulty
