"""Texts of callers, made short enough for messages."""

from __future__ import annotations

__all__ = ["shortened"]


def shortened(text: str, longest: int = 200) -> str:
    """Return a text, cut where it is too long, with its length then."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]}… ({len(text)} characters)"
