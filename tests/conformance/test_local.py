"""The conformance tests on the local driver."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.local_driver._windows_names import name_error
from jtc.storage.testing import DriverConformance
from jtc.storage.testing._groups.capabilities import CapabilityTests
from jtc.storage.testing._groups.urls import UrlTests
from jtc.storage.testing._groups.visibility import VisibilityTests
from local_ways import USUAL_WAY, local_driver


class TestLocal(DriverConformance):
    files_may_shadow_directories = False

    way = USUAL_WAY

    @pytest.fixture
    def driver(self, tmp_path: Path) -> LocalDriver:
        return local_driver(tmp_path / "root", self.way)

    def make_failing_driver(self) -> LocalDriver:
        return local_driver(Path(__file__), self.way)  # each operation has its ENOTDIR

    def refuses_path(self, path: str) -> bool:
        return self.way == "by path" and any(map(name_error, path.split("/")))


@pytest.mark.skipif(sys.platform == "win32", reason="it opens directories")
class TestLocalPortable(TestLocal):
    """The same without what only Linux has: `openat2`, O_TMPFILE, copies in the kernel."""

    stands_alone = False  # what the driver does alone, it does so by the same code both ways
    way = "portable"


@pytest.mark.skipif(sys.platform == "win32", reason="it is the usual way")
class TestLocalByPath(TestLocal):
    """The same by paths, as on Windows."""

    stands_alone = False
    way = "by path"


class TestLocalWithASecret(UrlTests, CapabilityTests, VisibilityTests):
    """What a secret changes."""

    @pytest.fixture
    def driver(self, tmp_path: Path) -> LocalDriver:
        return LocalDriver(tmp_path / "root", "https://files.test/storage", secret="s" * 32)
