"""`GCSDriver`."""

from __future__ import annotations

__all__ = ["GCSDriver"]


class GCSDriver:
    """The Google Cloud Storage driver of jtc-storage."""
