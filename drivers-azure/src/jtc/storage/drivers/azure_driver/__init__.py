"""The Azure Blob Storage driver of jtc-storage."""

from jtc.storage.drivers.azure_driver._driver import AzureDriver

__all__ = ["AzureDriver"]
