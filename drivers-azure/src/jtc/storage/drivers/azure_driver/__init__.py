"""The Azure Blob Storage driver of jtc-storage."""

from jtc.storage.drivers.azure_driver._driver import AzureDriver
from jtc.storage.drivers.azure_driver._driver_options import DRIVER_OPTIONS

__all__ = ["DRIVER_OPTIONS", "AzureDriver"]
