"""The conformance tests on the S3 driver, against a real store."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.testing import ConnectionFaults, DriverConformance
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

    @pytest.fixture
    def networked_driver(self, seaweedfs: SeaweedFS, faults: ConnectionFaults) -> S3Driver:
        seaweedfs.empty()
        at = urlsplit(seaweedfs.options["endpoint_url"])
        host, port = faults.through(str(at.hostname), int(at.port or 80))
        options = {**seaweedfs.options, "endpoint_url": f"http://{host}:{port}"}
        waits = {"read_timeout": 0.5, "connect_timeout": 0.5, "request_timeout": 2.0}
        return S3Driver(seaweedfs.bucket, **{**options, **waits})


class TestS3(OnAnEmptyBucket, DriverConformance): ...
