"""The Google Cloud Storage driver of jtc-storage."""

from jtc.storage.drivers.gcs_driver._driver import GCSDriver

__all__ = ["GCSDriver"]
