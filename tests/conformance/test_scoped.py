"""The conformance kit on a scoped view of each driver: a view has the capabilities of its disk."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import StorageManager
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.paths import MAX_PATH_BYTES
from jtc.storage.testing import DriverConformance
from s3_conformance import S3Conformance, opened

if TYPE_CHECKING:
    from pathlib import Path

    from jtc.storage.drivers.s3_driver import S3Driver

__all__ = ["opened"]


# The engine keeps emptied directories listed, so that each test has a prefix of its own.
ROOM = MAX_PATH_BYTES - len("kit/0123456789abcdef/")


def scoped(driver: Any) -> Any:
    manager = StorageManager.isolated()
    manager.set_driver(driver, "whole")
    return manager.disk("whole").scoped(f"kit/{secrets.token_hex(8)}").driver


class TestScopedMemory(DriverConformance):
    stands_alone = False  # a view is made by Disk
    max_path_bytes = ROOM

    def make_driver(self) -> Any:
        return scoped(MemoryDriver())


class TestScopedLocal(DriverConformance):
    stands_alone = False  # a view is made by Disk
    max_path_bytes = ROOM
    files_may_shadow_directories = False

    @pytest.fixture
    def driver(self, tmp_path: Path) -> Any:
        return scoped(LocalDriver(tmp_path))


class TestScopedS3(S3Conformance):
    stands_alone = False  # a view is made by Disk
    max_path_bytes = ROOM

    @pytest.fixture
    def driver(self, opened: S3Driver) -> Any:
        return scoped(opened)
