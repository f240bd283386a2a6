"""The conformance kit on the local driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.testing import DriverConformance

if TYPE_CHECKING:
    from pathlib import Path


class TestLocal(DriverConformance):
    files_may_shadow_directories = False

    @pytest.fixture
    def driver(self, tmp_path: Path) -> LocalDriver:
        return LocalDriver(tmp_path / "root")

    def make_failing_driver(self) -> LocalDriver:
        return LocalDriver("/dev/null")  # each operation has its ENOTDIR
