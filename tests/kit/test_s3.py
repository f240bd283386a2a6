"""The conformance kit on the S3 driver, against a real store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.testing import DriverConformance

if TYPE_CHECKING:
    from seaweedfs import SeaweedFS


class TestS3(DriverConformance):
    # The engine's own ways: it lists by directory, and keeps a file and a directory of one name
    # apart from AWS; a request that was sent may land after its task was cancelled.
    lists_in_key_order = False
    files_may_shadow_directories = True
    changes_nothing_after_cancellation = False

    @pytest.fixture(autouse=True)
    def _store(self, seaweedfs: SeaweedFS) -> None:
        seaweedfs.empty()
        self.store = seaweedfs

    def make_driver(self) -> S3Driver:
        return S3Driver(self.store.bucket, **self.store.options)

    def make_failing_driver(self) -> S3Driver:
        options = self.store.options | {"endpoint_url": "http://127.0.0.1:9"}
        return S3Driver(self.store.bucket, **options, max_attempts=1)
