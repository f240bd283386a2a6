"""The conformance tests over the scanning layer, with a scanner that reads everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.layers.clamav_layer import Scan
from jtc.storage.testing import DriverConformance

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

# Coverage doubles the time, and would measure no line that other tests do not measure.
pytestmark = pytest.mark.no_cover


class FindsNothing:
    async def scan(self, content: AsyncIterable[bytes], size: int, /) -> None:
        assert sum([len(chunk) async for chunk in content]) == size

    async def check(self) -> None:
        pass


class TestScannedMemory(DriverConformance):
    def make_driver(self) -> Scan:
        return Scan(MemoryDriver(), scanner=FindsNothing(), staging="unscanned", memory=1000)
