"""The conformance tests on the local driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.local_driver._windows_names import name_error
from jtc.storage.testing import DriverConformance
from jtc.storage.testing._groups.capabilities import CapabilityTests
from jtc.storage.testing._groups.urls import UrlTests
from jtc.storage.testing._groups.visibility import VisibilityTests
from local_ways import local_driver

if TYPE_CHECKING:
    from pathlib import Path


class TestLocal(DriverConformance):
    files_may_shadow_directories = False

    way = "linux"

    @pytest.fixture
    def driver(self, tmp_path: Path) -> LocalDriver:
        return local_driver(tmp_path / "root", self.way)

    def make_failing_driver(self) -> LocalDriver:
        return LocalDriver("/dev/null")  # each operation has its ENOTDIR


class TestLocalPortable(TestLocal):
    """The same without what only Linux has: `openat2`, O_TMPFILE, copies in the kernel."""

    stands_alone = False  # what the driver does alone, it does so by the same code both ways
    way = "portable"


class TestLocalByPath(TestLocal):
    """The same by paths, as on Windows."""

    stands_alone = False
    way = "by path"

    def refuses_path(self, path: str) -> bool:
        return any(name_error(part) is not None for part in path.split("/"))


class TestLocalWithASecret(UrlTests, CapabilityTests, VisibilityTests):
    """What a secret changes."""

    @pytest.fixture
    def driver(self, tmp_path: Path) -> LocalDriver:
        return LocalDriver(tmp_path / "root", "https://files.test/storage", secret="s" * 32)
