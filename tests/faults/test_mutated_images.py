"""Mutated images: each ends in a typed error or in pictures, and the next image is processed."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from PIL import Image

from jtc.storage import RejectedException, images
from jtc.storage.images import Processor
from pictures import animation, decoded, noise, picture

RECIPES = {"thumb": images.cover(50, 50), "whole": images.convert().png()}
REASONS = {"type", "image", "pixels", "memory", "time"}


def mutated(random_: random.Random, original: bytes) -> bytes:
    """Return the content with some bytes changed, inserted, removed or repeated."""
    content = bytearray(original)
    for _ in range(random_.choice((1, 3, 10, 100))):
        at = random_.randrange(len(content))
        change = random_.randrange(5)
        if change == 0:
            content[at] ^= 1 << random_.randrange(8)
        elif change == 1:
            content[at] = random_.choice((0, 0x7F, 0x80, 0xFF))
        elif change == 2:
            content[at:at] = random_.randbytes(random_.randrange(1, 8))
        elif change == 3:
            del content[at : at + random_.randrange(1, 8)]
        else:
            content[at : at + 4] = content[at : at + 64]
    return bytes(content)


def originals() -> list[bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6
    return [
        picture(120, 80, "JPEG", exif=exif),
        picture(120, 80, "JPEG", progressive=True),
        noise(120, 80, "JPEG"),
        picture(120, 80, "PNG", exif=exif),
        noise(120, 80, "PNG"),
        picture(120, 80, "WEBP"),
        noise(120, 80, "WEBP", lossless=True),
        animation("WEBP"),
        animation("GIF"),
        picture(120, 80, "AVIF"),
        picture(120, 80, "HEIF"),
    ]


async def outcome(processor: Processor, content: bytes) -> str:
    """Return the reason of the refusal, or that pictures were made, which are decoded."""
    try:
        done = await processor.process(content, RECIPES)
    except RejectedException as error:
        return error.reason
    for made in done.rendered.values():
        assert decoded(made.content).size == (made.width, made.height)
    return "picture"


@pytest.mark.row("mutated images")
async def test_mutated_images_end_in_typed_errors_or_pictures(report, rounds) -> None:
    random_ = random.Random(2026)
    sources = originals()
    count = rounds(200, brief=40)
    with Processor(workers=1) as processor:
        outcomes = Counter(
            [
                await outcome(processor, mutated(random_, sources[number % len(sources)]))
                for number in range(count)
            ]
        )
        assert (await processor.inspect(picture())).width == 60
    assert set(outcomes) <= REASONS | {"picture"}
    assert len(outcomes) > 1, outcomes
    each = ", ".join(f"{number} {reason}" for reason, number in sorted(outcomes.items()))
    report(f"{count} mutated images: {each}; no other error")
