"""The conformance kit, on a real store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.testing import DriverConformance

if TYPE_CHECKING:
    from conftest import MakeDriver


class TestS3Driver(DriverConformance):
    """On SeaweedFS, which lists ``a/`` before ``a-b``; a put that was sent may land."""

    lists_in_key_order = False
    changes_nothing_after_cancellation = False

    @pytest.fixture
    async def driver(self, make_driver: MakeDriver, empty_bucket: str) -> S3Driver:
        return make_driver(bucket=empty_bucket)

    def make_failing_driver(self) -> S3Driver:
        return S3Driver(
            "bucket",
            access_key="key",
            secret_key="secret",
            endpoint_url="http://127.0.0.1:1",
            max_attempts=1,
        )
