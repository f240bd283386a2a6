"""`SFTPDriver`."""

from __future__ import annotations

__all__ = ["SFTPDriver"]


class SFTPDriver:
    """The SFTP driver of jtc-storage."""
