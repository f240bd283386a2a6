"""`OpenDALDriver`."""

from __future__ import annotations

__all__ = ["OpenDALDriver"]


class OpenDALDriver:
    """The bridge of jtc-storage to the services of Apache OpenDAL."""
