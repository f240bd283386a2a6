"""The Google Cloud Storage driver of jtc-storage.

Example:
    ```python
    Storage.configure({"disks": {"media": {"driver": "gcs", "bucket": "media"}}})
    ```
"""

from __future__ import annotations

from jtc.storage.drivers.gcs_driver._driver import GCSDriver
from jtc.storage.drivers.gcs_driver._driver_options import DRIVER_OPTIONS

__all__ = ["DRIVER_OPTIONS", "GCSDriver"]
