"""`JtcFileSystem`."""

from __future__ import annotations

__all__ = ["JtcFileSystem"]


class JtcFileSystem:
    """Any disk as an fsspec file system."""
