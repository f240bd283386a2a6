"""Refusal to pickle a driver that holds connections."""

from __future__ import annotations

from jtc.storage.exceptions import StorageException

__all__ = ["NotPicklableException"]


class NotPicklableException(StorageException, TypeError):
    """An object that must not be pickled; a TypeError, as pickle itself raises."""
