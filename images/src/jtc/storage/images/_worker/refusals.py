"""Refusals of content, which the application's process raises as `RejectedException`."""

from __future__ import annotations

__all__ = ["RefusedError"]


class RefusedError(Exception):
    """The content is no image that may be decoded.

    Args:
        reason: A short word: ``type``, ``image``, ``pixels`` or ``memory``; ``recipe`` if not the
            content is to blame.
        message: What is wrong.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
