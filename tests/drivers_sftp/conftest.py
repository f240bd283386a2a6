"""Servers and drivers of these tests."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from jtc.storage import StorageManager
from jtc.storage.drivers.sftp_driver import SFTPDriver
from openssh import SSHD, OpenSSH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from jtc.storage import Disk


@pytest.fixture(autouse=True)
def _empty(request: pytest.FixtureRequest) -> None:
    for name in ("openssh", "limited"):
        if name in request.fixturenames:
            request.getfixturevalue(name).empty()


@pytest.fixture(scope="session")
def limited() -> Iterator[OpenSSH]:
    """Serve by version 3 of the protocol alone, without OpenSSH's extensions."""
    if SSHD is None:
        pytest.skip("needs sshd: tests/install_tools.sh")
    denied = "posix-rename,hardlink,fsync,copy-data,limits,statvfs,fstatvfs,lsetstat"
    with OpenSSH(arguments=("-P", denied)) as server:
        yield server


@pytest.fixture
def unprivileged() -> Iterator[OpenSSH]:
    """Serve a user that may not read all: not root."""
    if SSHD is None:
        pytest.skip("needs sshd: tests/install_tools.sh")
    other = pwd.getpwuid(65534).pw_name
    with OpenSSH(username=other if os.getuid() == 0 else None) as server:
        yield server


@pytest_asyncio.fixture
async def driver(openssh: OpenSSH) -> AsyncIterator[SFTPDriver]:
    driver = SFTPDriver(**openssh.options)
    yield driver
    await driver.aclose()


@pytest.fixture
def disk(driver: SFTPDriver) -> Disk:
    manager = StorageManager.isolated()
    manager.set_driver(driver, "remote")
    return manager.disk("remote")


@pytest_asyncio.fixture
async def limited_driver(limited: OpenSSH) -> AsyncIterator[SFTPDriver]:
    driver = SFTPDriver(**limited.options)
    yield driver
    await driver.aclose()
