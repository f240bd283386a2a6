"""The conformance tests on the memory driver."""

from __future__ import annotations

from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.testing import DriverConformance
from jtc.storage.testing._groups.capabilities import CapabilityTests
from jtc.storage.testing._groups.urls import UrlTests
from jtc.storage.testing._groups.visibility import VisibilityTests


class TestMemoryDriver(DriverConformance):
    many_files = 10_000

    def make_driver(self) -> MemoryDriver:
        return MemoryDriver()


class TestMemoryDriverWithASecret(UrlTests, CapabilityTests, VisibilityTests):
    """What a secret changes."""

    def make_driver(self) -> MemoryDriver:
        return MemoryDriver(base_url="https://files.test/storage", secret="s" * 32)
