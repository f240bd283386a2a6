"""Sizes of images after the steps of recipes. It imports no libvips: recipes compute them too."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["RESIZING", "size_after", "size_at_end"]

RESIZING: Final = {"cover", "fit", "fill"}
"""The steps that scale an image."""


def size_after(step: str, arguments: dict[str, Any], width: int, height: int) -> tuple[int, int]:
    """Return the size that a step scales an image to, before it cuts or fills."""
    if step not in RESIZING:
        return width, height
    scales = [
        wanted / side
        for wanted, side in ((arguments["width"], width), (arguments["height"], height))
        if wanted
    ]
    if step == "cover":
        scale = max(scales)
    else:
        scale = min(scales) if arguments["enlarge"] else min(*scales, 1)
    scaled = max(1, round(width * scale)), max(1, round(height * scale))
    if step != "cover":
        return scaled
    return max(scaled[0], arguments["width"]), max(scaled[1], arguments["height"])


def size_at_end(
    step: str, arguments: dict[str, Any], width: int, height: int
) -> tuple[int, int] | None:
    """Return the size that an image has after a step; None where the size does not tell it."""
    scaled = size_after(step, arguments, width, height)
    if step in {"cover", "fill"}:
        return arguments["width"], arguments["height"]
    if step == "crop":
        return min(width, arguments["width"]), min(height, arguments["height"])
    if step == "rotate" and arguments["degrees"] % 90:
        return None
    if step == "rotate" and arguments["degrees"] % 180:
        return height, width
    return scaled
