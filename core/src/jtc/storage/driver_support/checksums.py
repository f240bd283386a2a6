"""Checksums by name: those of `hashlib`, and CRC-32, which object stores keep."""

from __future__ import annotations

import zlib
from typing import Protocol

__all__ = ["Digest", "new_digest"]


class Digest(Protocol):
    """A checksum that is being computed."""

    def update(self, data: bytes, /) -> None:
        """Add the next bytes."""
        ...

    def hexdigest(self) -> str:
        """Return the checksum of all bytes so far, in lower-case hexadecimal."""
        ...


def new_digest(algorithm: str) -> Digest:
    """Return a new checksum.

    Args:
        algorithm: ``"crc32"`` (ISO 3309, as in `zlib`), or a name for `hashlib.new` of an
            algorithm with a fixed length.

    Raises:
        ValueError: There is no such algorithm; the message lists all.
    """
    if algorithm == "crc32":
        return _Crc32()
    import hashlib  # noqa: PLC0415 - imported only where it is used

    try:
        digest = hashlib.new(algorithm, usedforsecurity=False)
    except ValueError:
        digest = None
    if digest is None or digest.digest_size == 0:  # SHAKE has no fixed length
        known = sorted(name for name in hashlib.algorithms_guaranteed if "shake" not in name)
        raise ValueError(f"There is no checksum {algorithm!r}; there are crc32, {', '.join(known)}")
    return digest


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"
