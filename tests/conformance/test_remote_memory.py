"""The conformance tests on a driver that reaches its server over TCP, and breaks of that way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.testing import ConnectionFaults, DriverConformance
from remote_memory import RemoteMemory, RemoteMemoryDriver, served

if TYPE_CHECKING:
    from collections.abc import Iterator

# Coverage doubles the time, and would measure no line that other tests do not measure.
pytestmark = pytest.mark.no_cover


class TestRemoteMemory(DriverConformance):
    stands_alone = False
    changes_nothing_after_cancellation = False
    patience = 10

    @pytest.fixture
    def server(self) -> Iterator[RemoteMemory]:
        yield from served()

    @pytest.fixture
    def driver(self, server: RemoteMemory) -> RemoteMemoryDriver:
        return RemoteMemoryDriver(*server.server_address[:2])

    @pytest.fixture
    def networked_driver(self, server: RemoteMemory, faults: ConnectionFaults) -> Any:
        return RemoteMemoryDriver(*faults.through(*server.server_address[:2]))

    def make_failing_driver(self) -> RemoteMemoryDriver:
        return RemoteMemoryDriver("127.0.0.1", 9)
