"""Servers for tests of services that OpenDAL reaches: one of each for the whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engines.engine import free_ports
from ftp import FTP
from webdav import WebDAV

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ftp", "redis_port", "webdav"]


@pytest.fixture(scope="session")
def webdav() -> Iterator[WebDAV]:
    with WebDAV() as server:
        yield server


@pytest.fixture(scope="session")
def ftp() -> Iterator[FTP]:
    with FTP() as server:
        yield server


@pytest.fixture(scope="session")
def redis_port() -> Iterator[int]:
    """Serve Redis on a port of loopback."""
    from redis_server import REDIS, redis_server

    if REDIS is None:
        pytest.skip("redis-server is not installed: tests/install_tools.sh installs it")
    port = free_ports(1)[0]
    with redis_server(port):
        yield port
