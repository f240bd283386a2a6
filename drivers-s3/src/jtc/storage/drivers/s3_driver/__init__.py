"""The S3 driver of jtc-storage: AWS, and every store that speaks its protocol.

``AIOBOTO3_AVAILABLE`` is whether aioboto3 is installed, which ``S3Driver(session="aioboto3")``
needs.
"""

import importlib.util
from typing import TYPE_CHECKING

from jtc.storage.drivers.s3_driver._driver import S3Driver
from jtc.storage.drivers.s3_driver._driver_options import DRIVER_OPTIONS
from jtc.storage.drivers.s3_driver._transport.errors import S3Refusal

__all__ = ["DRIVER_OPTIONS", "S3Driver", "S3Refusal"]

if TYPE_CHECKING:
    AIOBOTO3_AVAILABLE: bool
    """Whether aioboto3 is installed; ``S3Driver(session="aioboto3")`` needs it."""
else:

    def __getattr__(name: str) -> bool:
        if name == "AIOBOTO3_AVAILABLE":
            return importlib.util.find_spec("aioboto3") is not None
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
