"""Drivers on Azurite, each test below a directory of its own; and on a store that tests script."""

from __future__ import annotations

import base64
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from azure_fixtures import azurite, driver, folder, make_driver, proxy
from azurite import ACCOUNT, KEY
from jtc.storage.drivers.azure_driver import AzureDriver
from jtc.storage.drivers.azure_driver._transport.sas import VERSION, utc
from jtc.storage.drivers.azure_driver._transport.shared_key import signature
from jtc.storage.http_support import client
from scripted_store import ScriptedStore

__all__ = ["azurite", "driver", "folder", "make_driver", "proxy"]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry a request at once."""
    monkeypatch.setattr(client, "_LONGEST_PAUSE", 0)


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedStore]:
    async with ScriptedStore() as store:
        yield store


@pytest.fixture
async def scripted_driver(scripted: ScriptedStore) -> AsyncIterator[Callable[..., AzureDriver]]:
    """Make drivers of the scripted store, closed when the test ends."""
    made: list[AzureDriver] = []

    def make(**options: Any) -> AzureDriver:
        url = f"{scripted.endpoint_url}/bucket"
        where = {"account": "account", "account_key": "a2V5", "endpoint_url": url}
        driver = AzureDriver("container", **{**where, "max_attempts": 2, **options})
        made.append(driver)
        return driver

    yield make
    for each in made:
        await each.aclose()


@pytest.fixture
def content() -> bytes:
    return random.Random(1).randbytes(300_000)


@pytest.fixture
def container_sas() -> str:
    """Sign for all that a disk does with the container."""
    permissions, end = "racwdxltmei", utc(time.time() + 3600)
    resource = f"/blob/{ACCOUNT}/test-container"
    lines = [permissions, "", end, resource, "", "", "", VERSION, "c", "", "", *[""] * 5]
    made = signature(base64.b64decode(KEY), "\n".join(lines))
    query = {"sp": permissions, "se": end, "sv": VERSION, "sr": "c", "sig": made}
    return urlencode(query)
