"""Sizes as text: ``"5MB"``."""

from __future__ import annotations

import re

from jtc.storage.exceptions import StorageConfigException

__all__ = ["bytes_of"]

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(?:([kmgt]?)(i?)b)?", re.IGNORECASE)


def bytes_of(setting: str, size: int | str | None) -> int | None:
    """Return a size in bytes.

    Args:
        setting: The setting, for messages.
        size: A number of bytes, or text: ``"5MB"`` (10^6) or ``"5MiB"`` (2^20).

    Raises:
        StorageConfigException: It is neither.
    """
    if size is None or (isinstance(size, int) and not isinstance(size, bool) and size >= 0):
        return size
    match = _SIZE.fullmatch(size.strip()) if isinstance(size, str) else None
    if match is None or (match[3] and not match[2]):
        raise StorageConfigException(
            f"{setting} is a number of bytes, or text like '5MB' or '5MiB', not {size!r}"
        )
    power = " kmgt".index((match[2] or " ").lower())
    unit: int = (1024 if match[3] else 1000) ** power
    return round(float(match[1]) * unit)
