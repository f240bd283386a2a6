"""The conformance tests on the S3 driver, against a real store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.testing import DriverConformance
from s3_conformance import OnS3, opened

if TYPE_CHECKING:
    from seaweedfs import SeaweedFS

__all__ = ["opened"]


class OnAnEmptyBucket(OnS3):
    @pytest.fixture
    def driver(self, seaweedfs: SeaweedFS, opened: S3Driver) -> S3Driver:
        seaweedfs.empty()
        return opened

    def make_failing_driver(self) -> S3Driver:
        # Port 9 is discard's: nothing listens there.
        return S3Driver(
            "bucket", "us-east-1", "key", "secret", "http://127.0.0.1:9", max_attempts=1
        )


class TestS3(OnAnEmptyBucket, DriverConformance): ...
