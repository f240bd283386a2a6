"""The S3 driver of jtc-storage: AWS, and every store that speaks its protocol."""

from jtc.storage.drivers.s3_driver._driver import S3Driver
from jtc.storage.drivers.s3_driver._metadata import DRIVER_OPTIONS

__all__ = ["DRIVER_OPTIONS", "S3Driver"]
