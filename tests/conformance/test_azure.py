"""The conformance tests on the Azure driver, against Azurite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from azure_fixtures import azurite
from jtc.storage import StorageManager
from jtc.storage.drivers.azure_driver import AzureDriver
from jtc.storage.drivers.azure_driver._objects import listing
from jtc.storage.testing import ConnectionFaults, DriverConformance
from jtc.storage.testing._suite import DISK_NAME

if TYPE_CHECKING:
    from azurite import Azurite

__all__ = ["azurite", "opened"]


@pytest_asyncio.fixture(loop_scope="class", scope="class")
async def opened(azurite: Azurite) -> AsyncIterator[AzureDriver]:
    """Open a driver once a class: each event loop has a client of its own, slow to open."""
    driver = AzureDriver(azurite.container, **azurite.options)
    yield driver
    await driver.aclose()


# tests/drivers_azure measures the same lines.
@pytest.mark.no_cover
class TestAzure(DriverConformance):
    one_loop = True  # for tests/conformance/conftest.py
    many_files = 120

    lists_in_key_order = False  # by their UTF-16
    # As on S3: names are not a tree, and what was sent may land after a cancellation.
    files_may_shadow_directories = True
    changes_nothing_after_cancellation = False

    def refuses_path(self, path: str) -> bool:
        return "./" in f"{path}/"  # Azure drops such dots; Azurite does not

    @pytest.fixture(autouse=True)
    def small_pages(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(listing, "PAGE", 50)  # a long listing has several
            yield

    @pytest.fixture
    def driver(self, azurite: Azurite, opened: AzureDriver) -> AzureDriver:
        azurite.empty()
        return opened

    @pytest_asyncio.fixture(loop_scope="class")
    async def manager(self, driver: Any) -> AsyncIterator[StorageManager]:
        manager = StorageManager.isolated()
        manager.set_driver(driver, DISK_NAME)
        yield manager
        await manager.aclose()

    def make_failing_driver(self) -> AzureDriver:
        # Port 9 is discard's: nothing listens there.
        url = "http://127.0.0.1:9/account"
        return AzureDriver("container", account_key="a2V5", max_attempts=1, endpoint_url=url)

    @pytest.fixture
    def networked_driver(self, azurite: Azurite, faults: ConnectionFaults) -> AzureDriver:
        azurite.empty()
        at = urlsplit(azurite.endpoint_url)
        host, port = faults.through(str(at.hostname), int(at.port or 80))
        waits = {"read_timeout": 0.5, "connect_timeout": 0.5, "request_timeout": 2.0}
        options = azurite.options | {"endpoint_url": f"http://{host}:{port}{at.path}"}
        return AzureDriver(azurite.container, **options, **waits)
