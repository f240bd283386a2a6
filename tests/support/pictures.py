"""Images for tests, made by Pillow."""

from __future__ import annotations

import io
from typing import Any

import pillow_heif
from PIL import Image, ImageDraw

pillow_heif.register_heif_opener()

Color = tuple[int, int, int]

RED, GREEN, BLUE, WHITE = (220, 30, 30), (30, 200, 30), (30, 30, 220), (255, 255, 255)


def quadrants(width: int, height: int) -> Image.Image:
    """Return red and green above blue and white, so that a turn and a cut can be seen."""
    image = Image.new("RGB", (width, height), RED)
    draw = ImageDraw.Draw(image)
    draw.rectangle((width // 2, 0, width, height // 2 - 1), fill=GREEN)
    draw.rectangle((0, height // 2, width // 2 - 1, height), fill=BLUE)
    draw.rectangle((width // 2, height // 2, width, height), fill=WHITE)
    return image


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """Return an image's file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def picture(width: int = 60, height: int = 40, kind: str = "JPEG", **options: Any) -> bytes:
    """Return the file of an image with four colors."""
    return encoded(quadrants(width, height), kind, **options)


def noise(width: int, height: int, kind: str = "JPEG", **options: Any) -> bytes:
    """Return the file of an image that compresses as a photograph does."""
    small = Image.effect_noise((max(1, width // 8), max(1, height // 8)), 80)
    return encoded(small.resize((width, height)).convert("RGB"), kind, **options)


def animation(
    kind: str, width: int = 40, height: int = 30, *, delays: tuple[int, ...] = (100, 200, 300)
) -> bytes:
    """Return the file of an animation with a frame of each delay in ms, which loops forever."""
    colors = [RED, GREEN, BLUE, WHITE]
    frames = [Image.new("RGB", (width, height), colors[at % 4]) for at in range(len(delays))]
    options = {"save_all": True, "append_images": frames[1:], "duration": list(delays), "loop": 0}
    return encoded(frames[0], kind, **options)


def decoded(content: bytes) -> Image.Image:
    """Return the image of a file, decoded."""
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def color_at(content: bytes, x: float, y: float) -> tuple[int, ...]:
    """Return the color at a place, given in fractions of width and height."""
    image = decoded(content).convert("RGB")
    color = image.getpixel((int(x * image.width), int(y * image.height)))
    assert isinstance(color, tuple)
    return color


def is_near(color: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Return whether two colors look alike."""
    return all(abs(a - b) < 30 for a, b in zip(color, other, strict=True))
