"""The S3 driver of jtc-storage: AWS, and every store that speaks its protocol."""

from jtc.storage.drivers.s3_driver._driver import S3Driver

__all__ = ["S3Driver"]
