"""The conformance tests on the S3 driver, against a real store."""

from __future__ import annotations

from importlib.util import find_spec

from jtc.storage.testing import DriverConformance
from s3_conformance import OnAnEmptyBucket, engine, opened

__all__ = ["engine", "opened"]


class TestS3(OnAnEmptyBucket, DriverConformance):
    # Beside aioboto3, what differs is below the driver: once through Disk is enough.
    stands_alone = find_spec("aioboto3") is None
