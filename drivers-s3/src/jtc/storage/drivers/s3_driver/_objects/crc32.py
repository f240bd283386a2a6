"""CRC-32 of a content from those of its parts."""

from __future__ import annotations

import functools

__all__ = ["combined"]

# Polynomials over the field of two elements, modulo that of CRC-32. As in the checksum itself, the
# highest bit is the coefficient of the lowest power: https://www.rfc-editor.org/rfc/rfc1952#section-8
_MODULUS = 0xEDB88320
_ONE = 1 << 31
_X = 1 << 30


def combined(before: int, crc32: int, size: int) -> int:
    """Return the CRC-32 of two contents, one after the other, which zlib computes from 3.15 on.

    Args:
        before: That of the first.
        crc32: That of the second.
        size: The second one's length in bytes.
    """
    return _product(before, _shift(size)) ^ crc32


@functools.lru_cache(maxsize=8)
def _shift(size: int) -> int:
    """Return what bytes without a bit do to a checksum: the power of X with eight times as many."""
    power, square = _ONE, _X
    exponent = 8 * size
    while exponent:
        if exponent & 1:
            power = _product(power, square)
        square = _product(square, square)
        exponent >>= 1
    return power


def _product(one: int, other: int) -> int:
    product = 0
    while one:
        if one & _ONE:
            product ^= other
        one = one << 1 & 0xFFFFFFFF
        other = other >> 1 ^ (_MODULUS if other & 1 else 0)
    return product
