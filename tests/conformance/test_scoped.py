"""The conformance tests on scoped views: a view has the capabilities of its disk."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import StorageManager
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.paths import MAX_PATH_BYTES
from jtc.storage.testing import DriverConformance
from jtc.storage.testing._groups.capabilities import CapabilityTests
from jtc.storage.testing._groups.listing import ListingTests
from jtc.storage.testing._groups.urls import UrlTests
from s3_conformance import OnS3, engine, opened

if TYPE_CHECKING:
    from pathlib import Path

    from jtc.storage.drivers.s3_driver import S3Driver

__all__ = ["engine", "opened"]


# The engine keeps emptied directories listed, so that each test has a prefix of its own.
ROOM = MAX_PATH_BYTES - len("conformance/0123456789abcdef/")


def scoped(driver: Any) -> Any:
    manager = StorageManager.isolated()
    manager.set_driver(driver, "whole")
    return manager.disk("whole").scoped(f"conformance/{secrets.token_hex(8)}").driver


class TestScopedMemory(DriverConformance):
    stands_alone = False  # a view is made by Disk
    max_path_bytes = ROOM

    def make_driver(self) -> Any:
        return scoped(MemoryDriver())


class WhatAViewRewrites(UrlTests, CapabilityTests, ListingTests):
    """URLs, and the paths and the order of a listing: each driver makes its own."""

    stands_alone = False
    max_path_bytes = ROOM


class TestScopedLocal(WhatAViewRewrites):
    files_may_shadow_directories = False

    @pytest.fixture
    def driver(self, tmp_path: Path) -> Any:
        return scoped(LocalDriver(tmp_path, "https://files.test/storage", secret="s" * 32))


class TestScopedS3(OnS3, WhatAViewRewrites):
    many_files = 60  # the pages are the driver's, whose own suite has more than one

    @pytest.fixture
    def driver(self, opened: S3Driver) -> Any:
        return scoped(opened)
