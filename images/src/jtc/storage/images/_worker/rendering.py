"""Rendering: all recipes of one image from one decoding."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pyvips

from .decoding import Original, broken, decode, decode_frames, read_header
from .encoding import Timing, encode
from .geometry import size_after
from .steps import apply, resized
from .thumbhash import LONGEST_SIDE, thumbhash

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["process"]

_Size = tuple[int, int]


def process(
    descriptor: int, job: dict[str, Any], blobs: Sequence[bytes]
) -> tuple[dict[str, Any], list[bytes]]:
    """Return an image's metadata and what the recipes of a job make of it.

    Args:
        descriptor: The content.
        job: ``max_pixels``; ``placeholder``, whether it is wanted; and ``recipes``, each with its
            ``steps``, ``output`` and ``blobs``, the number of its first blob.
        blobs: The images that recipes name.

    Raises:
        RefusedError: The content is refused, or a recipe cannot be followed.
    """
    original = read_header(descriptor, max_pixels=job["max_pixels"])
    info = {
        "content_type": original.content_type,
        "width": original.width,
        "height": original.height,
        "frames": original.frames,
        "placeholder": None,
    }
    try:
        made, placeholder = _render(original, job, blobs)
    except pyvips.Error as error:
        raise broken(error) from error
    info["placeholder"] = placeholder
    return {"info": info, "rendered": [size for size, _ in made]}, [content for _, content in made]


def _render(
    original: Original, job: dict[str, Any], blobs: Sequence[bytes]
) -> tuple[list[tuple[_Size, bytes]], str | None]:
    recipes = job["recipes"]
    sizes = [_first_size(recipe, original) for recipe in recipes]
    wanted = [*sizes, *([_placeholder_size(original)] if job["placeholder"] else [])]
    if not wanted:
        return [], None
    timing = None
    if original.frames > 1 and any(recipe["output"][1].get("animated") for recipe in recipes):
        frames, delays, loop = decode_frames(original)
        timing = Timing(delays, loop)
    else:
        frames = [decode(original, *_largest(wanted, original))]
    scales = _Scales(frames)
    made: dict[int, tuple[_Size, bytes]] = {}
    # The largest first, so that each is scaled from the next larger one.
    for number in sorted(range(len(recipes)), key=lambda number: sizes[number], reverse=True):
        made[number] = _make(scales, timing, recipes[number], sizes[number], blobs)
    placeholder = None
    if job["placeholder"]:
        placeholder = _placeholder(scales.first_frame(_placeholder_size(original)))
    return [made[number] for number in range(len(recipes))], placeholder


def _first_size(recipe: dict[str, Any], original: Original) -> _Size:
    """Return the size that a recipe's first step scales the whole image to."""
    size = original.width, original.height
    if not recipe["steps"]:
        return size
    step, arguments = recipe["steps"][0]
    return size_after(step, arguments, *size)


def _placeholder_size(original: Original) -> _Size:
    scale = min(1, LONGEST_SIDE / max(original.width, original.height))
    return max(1, round(original.width * scale)), max(1, round(original.height * scale))


def _largest(wanted: list[_Size], original: Original) -> _Size:
    """Return the size that an image is decoded to: enough for all, and never enlarged."""
    return (
        min(original.width, max(width for width, _ in wanted)),
        min(original.height, max(height for _, height in wanted)),
    )


class _Scales:
    """An image in the sizes that were needed so far, in memory."""

    def __init__(self, frames: list[pyvips.Image]) -> None:
        self._known = {(frames[0].width, frames[0].height): frames}
        self._largest = frames

    def frames(self, size: _Size) -> list[pyvips.Image]:
        """Return all frames scaled to a size, from the smallest that is not smaller."""
        if size not in self._known:
            frames = self._nearest(size)
            self._known[size] = [resized(frame, size).copy_memory() for frame in frames]
        return self._known[size]

    def first_frame(self, size: _Size) -> pyvips.Image:
        """Return the first frame scaled to a size."""
        return resized(self._nearest(size)[0], size)

    def _nearest(self, size: _Size) -> list[pyvips.Image]:
        larger = [known for known in self._known if known[0] >= size[0] and known[1] >= size[1]]
        return self._known[min(larger)] if larger else self._largest


def _make(
    scales: _Scales,
    timing: Timing | None,
    recipe: dict[str, Any],
    size: _Size,
    blobs: Sequence[bytes],
) -> tuple[_Size, bytes]:
    name, values = recipe["output"]
    animated = timing if values.get("animated") else None
    frames = [scales.first_frame(size)] if animated is None else scales.frames(size)
    if animated is None:
        frames = [frames[0].copy_memory()]
    of_recipe = blobs[recipe["blobs"] :]
    for step, arguments in recipe["steps"]:
        frames = [apply(frame, step, arguments, of_recipe) for frame in frames]
    return (frames[0].width, frames[0].height), encode(frames, animated, name, values)


def _placeholder(image: pyvips.Image) -> str:
    rgba = image if image.hasalpha() else image.addalpha()
    pixels = bytes(rgba.write_to_memory())
    return base64.b64encode(thumbhash(image.width, image.height, pixels)).decode()
