"""The conformance tests on the S3 driver, against a real store."""

from __future__ import annotations

from jtc.storage.testing import DriverConformance
from s3_conformance import OnAnEmptyBucket, engine, opened

__all__ = ["engine", "opened"]


class TestS3(OnAnEmptyBucket, DriverConformance): ...
