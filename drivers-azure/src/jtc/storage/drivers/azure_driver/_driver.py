"""`AzureDriver`."""

from __future__ import annotations

__all__ = ["AzureDriver"]


class AzureDriver:
    """The Azure Blob Storage driver of jtc-storage."""
