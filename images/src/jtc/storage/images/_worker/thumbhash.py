"""Thumbhash: a placeholder of about 25 bytes, from which a blurred picture is drawn.

The format is that of https://evanw.github.io/thumbhash/ by Evan Wallace: the average color, and
the lowest frequencies of a cosine transform of lightness, two color differences and opacity, each
in four bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import mul

__all__ = ["LONGEST_SIDE", "thumbhash"]

LONGEST_SIDE = 64
"""The most pixels of a side: more cannot be seen in the lowest frequencies."""


def thumbhash(width: int, height: int, pixels: bytes) -> bytes:
    """Return the thumbhash of a picture.

    Args:
        width: At most `LONGEST_SIDE`.
        height: At most `LONGEST_SIDE`.
        pixels: Red, green, blue and opacity of each pixel, row by row, a byte each.
    """
    lightness, yellow_blue, red_green, opacity = _channels(pixels)
    has_alpha = min(opacity) < 1
    most = 5 if has_alpha else 7
    longest = max(width, height)
    across = max(1, _rounded(most * width / longest))
    down = max(1, _rounded(most * height / longest))
    light = _transform(lightness, width, max(3, across), max(3, down))
    yellow = _transform(yellow_blue, width, 3, 3)
    red = _transform(red_green, width, 3, 3)
    wide = width > height
    first = (
        _rounded(63 * light.mean)
        | _rounded(31.5 + 31.5 * yellow.mean) << 6
        | _rounded(31.5 + 31.5 * red.mean) << 12
        | _rounded(31 * light.scale) << 18
        | has_alpha << 23
    )
    second = (
        (down if wide else across)
        | _rounded(63 * yellow.scale) << 3
        | _rounded(63 * red.scale) << 9
        | wide << 15
    )
    head = first.to_bytes(3, "little") + second.to_bytes(2, "little")
    waves = [*light.waves, *yellow.waves, *red.waves]
    if has_alpha:
        alpha = _transform(opacity, width, 5, 5)
        head += bytes([_rounded(15 * alpha.mean) | _rounded(15 * alpha.scale) << 4])
        waves += alpha.waves
    nibbles = [_rounded(15 * wave) for wave in waves] + [0] * (len(waves) % 2)
    return head + bytes(
        low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True)
    )


def _rounded(value: float) -> int:
    return math.floor(value + 0.5)


def _channels(pixels: bytes) -> tuple[list[float], list[float], list[float], list[float]]:
    """Return lightness, yellow against blue, red against green, and opacity, 0 to 1 or -1 to 1."""
    opacity = [value / 255 for value in pixels[3::4]]
    total = sum(opacity)
    colors = []
    for color in range(3):
        values = [value / 255 for value in pixels[color::4]]
        weighted = [value * alpha for value, alpha in zip(values, opacity, strict=True)]
        # Transparent pixels have the average color, so that they add no wave.
        mean = sum(weighted) / total if total else 0.0
        colors.append(
            [value + mean * (1 - alpha) for value, alpha in zip(weighted, opacity, strict=True)]
        )
    red, green, blue = colors
    return (
        [(r + g + b) / 3 for r, g, b in zip(red, green, blue, strict=True)],
        [(r + g) / 2 - b for r, g, b in zip(red, green, blue, strict=True)],
        [r - g for r, g in zip(red, green, strict=True)],
        opacity,
    )


@dataclass(frozen=True, slots=True)
class _Transformed:
    mean: float
    waves: list[float]
    """Each from 0 to 1, in units of the scale."""
    scale: float


def _transform(channel: list[float], width: int, across: int, down: int) -> _Transformed:
    """Return the cosine transform's lowest frequencies, those of a triangle."""
    height = len(channel) // width
    columns = [_cosines(width, number) for number in range(across)]
    rows = [channel[start : start + width] for start in range(0, len(channel), width)]
    # First along the rows, then down the columns, which is the same and takes less time.
    along = [[_product(row, column) for row in rows] for column in columns]
    found = [
        _product(along[x], _cosines(height, y)) / (width * height)
        for y in range(down)
        for x in range(across)
        if x * down < across * (down - y)
    ]
    mean, waves = found[0], found[1:]
    scale = max(map(abs, waves))
    return _Transformed(
        mean, [0.5 + 0.5 / scale * wave for wave in waves] if scale else waves, scale
    )


def _cosines(length: int, number: int) -> list[float]:
    return [math.cos(math.pi / length * number * (at + 0.5)) for at in range(length)]


def _product(values: list[float], others: list[float]) -> float:
    return math.fsum(map(mul, values, others))
