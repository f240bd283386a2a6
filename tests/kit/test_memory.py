"""The conformance kit on the memory driver."""

from __future__ import annotations

from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.testing import DriverConformance


class TestMemoryDriver(DriverConformance):
    def make_driver(self) -> MemoryDriver:
        return MemoryDriver()
