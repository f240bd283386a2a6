"""The conformance tests on the SFTP driver, against a real OpenSSH server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from jtc.storage import StorageManager
from jtc.storage.drivers.sftp_driver import SFTPDriver
from jtc.storage.testing import DriverConformance
from jtc.storage.testing._suite import DISK_NAME

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage.testing import ConnectionFaults
    from openssh import OpenSSH


@pytest_asyncio.fixture(loop_scope="class", scope="class")
async def opened(openssh: OpenSSH) -> AsyncIterator[SFTPDriver]:
    """Make a driver once a class: a login takes longer than most tests."""
    driver = SFTPDriver(**openssh.options, base_url="https://files.test/storage")
    yield driver
    await driver.aclose()


class TestSFTP(DriverConformance):
    one_loop = True  # for conftest.py
    files_may_shadow_directories = False
    patience = 10

    @pytest.fixture
    def driver(self, openssh: OpenSSH, opened: SFTPDriver) -> SFTPDriver:
        openssh.empty()
        return opened

    @pytest_asyncio.fixture(loop_scope="class")
    async def manager(self, driver: SFTPDriver) -> AsyncIterator[StorageManager]:
        manager = StorageManager.isolated()
        manager.set_driver(driver, DISK_NAME)
        yield manager
        await manager.aclose()

    def make_failing_driver(self) -> SFTPDriver:
        return SFTPDriver("127.0.0.1", 9)  # where nothing listens

    @pytest.fixture
    def networked_driver(self, openssh: OpenSSH, faults: ConnectionFaults) -> SFTPDriver:
        openssh.empty()
        host, port = faults.through("127.0.0.1", openssh.port)
        options = {**openssh.options, "host": host, "port": port}
        return SFTPDriver(**options, connect_timeout=1, request_timeout=0.5)
