"""What recipes make of images, and what is read from them."""

from __future__ import annotations

import pillow_heif
import pytest

from jtc.storage import images
from jtc.storage.images import Processor
from pictures import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    color_at,
    decoded,
    is_near,
    picture,
)

CORNERS = {"top-left": RED, "top-right": GREEN, "bottom-left": BLUE, "bottom-right": WHITE}
PLACES = {
    "top-left": (0.1, 0.1),
    "top-right": (0.9, 0.1),
    "bottom-left": (0.1, 0.9),
    "bottom-right": (0.9, 0.9),
}
pillow_heif.register_heif_opener()


def corners(content: bytes) -> list[tuple[int, ...]]:
    return [color_at(content, *place) for place in PLACES.values()]


def assert_corners(content: bytes, *expected: tuple[int, ...]) -> None:
    found = corners(content)
    assert all(is_near(a, b) for a, b in zip(found, expected, strict=True)), found


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("WEBP", "image/webp"),
        ("GIF", "image/gif"),
        ("AVIF", "image/avif"),
        ("HEIF", "image/heic"),
    ],
)
async def test_process_reads_each_format(
    processor: Processor, kind: str, content_type: str
) -> None:
    done = await processor.process(picture(60, 40, kind), {"a": images.convert().png()})
    assert (done.info.content_type, done.info.width, done.info.height) == (content_type, 60, 40)
    assert done.info.frames == 1
    assert_corners(done.rendered["a"].content, RED, GREEN, BLUE, WHITE)


@pytest.mark.parametrize("output", ["webp", "avif", "jpeg", "png", "gif"])
async def test_transform_makes_each_format(processor: Processor, output: str) -> None:
    recipe = getattr(images.fit(30), output)()
    made = await processor.transform(picture(60, 40), recipe)
    image = decoded(made.content)
    assert (image.format, image.size) == (output.upper(), (30, 20))
    assert (made.content_type, made.width, made.height) == (recipe.content_type, 30, 20)
    assert_corners(made.content, RED, GREEN, BLUE, WHITE)


@pytest.mark.parametrize(
    ("recipe", "size"),
    [
        (images.cover(20, 20), (20, 20)),
        (images.cover(100, 100), (100, 100)),
        (images.fit(30, 30), (30, 20)),
        (images.fit(30), (30, 20)),
        (images.fit(height=10), (15, 10)),
        (images.fit(600), (60, 40)),
        (images.fit(120, enlarge=True), (120, 80)),
        (images.fill(50, 50), (50, 50)),
        (images.fill(100, 100), (100, 100)),
        (images.crop(10, 20), (10, 20)),
        (images.crop(100, 20), (60, 20)),
        (images.crop(10, 10, left=55, top=35), (10, 10)),
        (images.rotate(90), (40, 60)),
        (images.rotate(-180), (60, 40)),
        (images.rotate(270).fit(20), (20, 30)),
        (images.fit(30).crop(5, 5).fit(10, enlarge=True), (10, 10)),
        (images.fit(1), (1, 1)),
    ],
)
async def test_recipe_makes_size(
    processor: Processor, recipe: images.Recipe, size: tuple[int, int]
) -> None:
    made = await processor.transform(picture(60, 40), recipe)
    assert decoded(made.content).size == (made.width, made.height) == size
