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

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make_driver(self) -> LocalDriver:
        return LocalDriver(self.folder / "root")

    def make_failing_driver(self) -> LocalDriver:
        # A root that is a file: each operation has its ENOTDIR.
        (self.folder / "file").touch()
        return LocalDriver(self.folder / "file")
