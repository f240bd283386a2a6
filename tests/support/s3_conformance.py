"""The conformance tests on a real S3 store, with one client for all of a class's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from jtc.storage import StorageManager
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.testing._suite import DISK_NAME, Suite

if TYPE_CHECKING:
    from seaweedfs import SeaweedFS

__all__ = ["OnS3", "opened"]


@pytest_asyncio.fixture(loop_scope="class", scope="class")
async def opened(seaweedfs: SeaweedFS) -> AsyncIterator[S3Driver]:
    """Open a driver once a class: each event loop has a client of its own, slow to open."""
    driver = S3Driver(seaweedfs.bucket, **seaweedfs.options)
    yield driver
    await driver.aclose()


# Tracing the SDK doubles the time of these tests; tests/drivers_s3 measures the same lines.
@pytest.mark.no_cover
class OnS3(Suite):
    one_loop = True  # for tests/conformance/conftest.py

    # The engine's own ways: it lists by directory, and keeps a file and a directory of one name
    # apart from AWS; a request that was sent may take effect after its task was cancelled.
    lists_in_key_order = False
    files_may_shadow_directories = True
    changes_nothing_after_cancellation = False
    metadata_changes_etags = False  # they are MD5 sums of the content
    keeps_visibility = False  # the ACL of the old file is not read

    @pytest_asyncio.fixture(loop_scope="class")
    async def manager(self, driver: Any) -> AsyncIterator[StorageManager]:
        manager = StorageManager.isolated()
        manager.set_driver(driver, DISK_NAME)
        yield manager
        await manager.aclose()
