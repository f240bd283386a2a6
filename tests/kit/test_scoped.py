"""The conformance kit on a scoped view of each driver: a view has the abilities of its disk."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import StorageManager
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.testing import DriverConformance

if TYPE_CHECKING:
    from pathlib import Path

    from seaweedfs import SeaweedFS


def scoped(driver: Any) -> Any:
    manager = StorageManager.isolated()
    manager.set_driver(driver, "whole")
    # The engine keeps emptied directories listed, so that each test has one of its own.
    return manager.disk("whole").scoped(f"kit/{secrets.token_hex(8)}").driver


class TestScopedMemory(DriverConformance):
    def make_driver(self) -> Any:
        return scoped(MemoryDriver())


class TestScopedLocal(DriverConformance):
    files_may_shadow_directories = False

    @pytest.fixture
    def driver(self, tmp_path: Path) -> Any:
        return scoped(LocalDriver(tmp_path))


class TestScopedS3(DriverConformance):
    lists_in_key_order = False
    changes_nothing_after_cancellation = False

    @pytest.fixture
    def driver(self, seaweedfs: SeaweedFS) -> Any:
        return scoped(S3Driver(seaweedfs.bucket, **seaweedfs.options))
