"""Placeholders: thumbhashes of the published format."""

from __future__ import annotations

import base64

import pytest
from PIL import Image

from jtc.storage.images import Processor
from jtc.storage.images._worker.thumbhash import thumbhash
from pictures import GREEN, RED, encoded, picture

PINNED = [
    # Made by the encoder of https://www.npmjs.com/package/thumbhash, version 0.1.1.
    ((64, 43, "opaque"), "FDYKNYyQhoeSh4d4d3d4d5CSCtpW"),
    ((43, 64, "opaque"), "EyYKNQqAdqGHmHdniHh3iJChCclX"),
    ((64, 64, "fading"), "G0eCDQIk4JbghE1omeDwDf8GgIehiId3eA=="),
    ((8, 8, "clear"), "AAiCBQAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="),
    ((1, 1, "opaque"), "gQcCHwAI9wiIh4hwj3CI+AiIcH/4AAAA"),
]


def pixels(width: int, height: int, kind: str) -> bytes:
    """Return pixels that differ in all directions, without symmetry."""
    opacity = {
        "opaque": lambda _x, _y: 255,
        "fading": lambda x, y: 255 * x * (y + 5) // (width * (height + 5)),
        "clear": lambda _x, _y: 0,
    }
    return bytes(
        value
        for y in range(height)
        for x in range(width)
        for value in (
            255 * x * (x + y) // (width * (width + height)),
            255 * y * y * (x + 9) // (height * height * (width + 9)),
            (37 * x * y + 11) % 251,
            opacity[kind](x, y),
        )
    )


@pytest.mark.parametrize(("made_of", "expected"), PINNED)
def test_thumbhash_is_that_of_the_published_encoder(made_of, expected: str) -> None:
    width, height, _ = made_of
    found = thumbhash(width, height, pixels(*made_of))
    assert base64.b64encode(found).decode() == expected


def mean_color(placeholder: str) -> tuple[float, float, float]:
    """Return the average color that a thumbhash states in its first three bytes, 0 to 1."""
    head = int.from_bytes(base64.b64decode(placeholder)[:3], "little")
    lightness = (head & 63) / 63
    yellow = ((head >> 6) & 63) / 31.5 - 1
    red = ((head >> 12) & 63) / 31.5 - 1
    blue = lightness - 2 / 3 * yellow
    reddish = (3 * lightness - blue + red) / 2
    return reddish, reddish - red, blue


async def test_placeholder_has_the_average_color(processor: Processor) -> None:
    half = Image.new("RGB", (300, 200), RED)
    half.paste(GREEN, (150, 0, 300, 200))
    placeholder = (await processor.inspect(encoded(half, "PNG"))).placeholder
    assert placeholder is not None
    expected = [(a + b) / 2 / 255 for a, b in zip(RED, GREEN, strict=True)]
    assert mean_color(placeholder) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(("size", "wide"), [((60, 40), True), ((40, 60), False)])
async def test_placeholder_has_the_proportions(
    processor: Processor, size: tuple[int, int], *, wide: bool
) -> None:
    placeholder = (await processor.inspect(picture(*size))).placeholder
    assert placeholder is not None
    second = int.from_bytes(base64.b64decode(placeholder)[3:5], "little")
    assert (second >> 15, second & 7) == (wide, 5)
