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

    @pytest.fixture
    def driver(self, seaweedfs: SeaweedFS) -> S3Driver:
        seaweedfs.empty()
        return S3Driver(seaweedfs.bucket, **seaweedfs.options)

    def make_failing_driver(self) -> S3Driver:
        # Port 9 is discard's: nobody listens there.
        return S3Driver(
            "bucket", "us-east-1", "key", "secret", "http://127.0.0.1:9", max_attempts=1
        )
