"""The memory driver: files in this process, for tests and development."""

from __future__ import annotations

from jtc.storage.drivers.memory_driver._driver import MemoryDriver

__all__ = ["MemoryDriver"]
