"""The steps of recipes: what they do to the frames of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyvips

from .geometry import RESIZING, size_after
from .refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["apply", "resized"]


def resized(image: pyvips.Image, size: tuple[int, int]) -> pyvips.Image:
    """Return the image scaled to a size."""
    if (image.width, image.height) == size:
        return image
    return image.thumbnail_image(size[0], height=size[1], size="force")


def apply(
    image: pyvips.Image, step: str, arguments: dict[str, Any], blobs: Sequence[bytes]
) -> pyvips.Image:
    """Return the image after a step."""
    if step in RESIZING:
        image = resized(image, size_after(step, arguments, image.width, image.height))
    if step == "watermark":
        return _watermark(image, blobs[arguments["image"]], **_without(arguments, "image"))
    done = _STEPS.get(step)
    return image if done is None else done(image, **arguments)


def _without(arguments: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in arguments.items() if key != name}


def _offset(space: int, fraction: float) -> int:
    return round(max(0, space) * fraction)


def _cut(image: pyvips.Image, *, width: int, height: int, at: list[float]) -> pyvips.Image:
    width, height = min(width, image.width), min(height, image.height)
    left, top = _offset(image.width - width, at[0]), _offset(image.height - height, at[1])
    return image.crop(left, top, width, height)


def _crop(
    image: pyvips.Image,
    *,
    width: int,
    height: int,
    left: int | None,
    top: int | None,
    at: list[float],
) -> pyvips.Image:
    width, height = min(width, image.width), min(height, image.height)
    free = image.width - width, image.height - height
    x = _offset(free[0], at[0]) if left is None else min(left, free[0])
    y = _offset(free[1], at[1]) if top is None else min(top, free[1])
    return image.crop(x, y, width, height)


def _fill(
    image: pyvips.Image, *, width: int, height: int, background: list[float], enlarge: bool
) -> pyvips.Image:
    del enlarge  # it was done by the scaling
    left, top = (width - image.width) // 2, (height - image.height) // 2
    image, background = _with_background(image, background)
    return image.embed(left, top, width, height, extend="background", background=background)


def _with_background(
    image: pyvips.Image, background: list[float]
) -> tuple[pyvips.Image, list[float]]:
    """Return the image, with opacity if the background has some, and the background's bands."""
    if not image.hasalpha() and background[3] < 255:  # noqa: PLR2004 - it is transparent
        image = image.addalpha()
    return image, background[: image.bands]


def _rotate(image: pyvips.Image, *, degrees: float, background: list[float]) -> pyvips.Image:
    right = {0: None, 90: image.rot90, 180: image.rot180, 270: image.rot270}
    if degrees in right:
        turn = right[int(degrees)]
        return image if turn is None else turn()
    image, background = _with_background(image, background)
    return image.rotate(degrees, background=background)


def _grayscale(image: pyvips.Image) -> pyvips.Image:
    return image.colourspace("b-w").colourspace("srgb")


def _blur(image: pyvips.Image, *, sigma: float) -> pyvips.Image:
    if not image.hasalpha():
        return image.gaussblur(sigma)
    # Transparent pixels have a color, too, which would spread.
    return image.premultiply().gaussblur(sigma).unpremultiply().cast("uchar")


def _sharpen(image: pyvips.Image, *, sigma: float) -> pyvips.Image:
    return image.sharpen(sigma=sigma)


def _watermark(
    image: pyvips.Image,
    content: bytes,
    *,
    at: list[float],
    width: float,
    margin: float,
    opacity: float,
) -> pyvips.Image:
    space = round(image.width * margin)
    wide = max(1, min(round(image.width * width), image.width - 2 * space))
    high = max(1, image.height - 2 * space)
    try:
        mark = pyvips.Image.thumbnail_buffer(content, wide, height=high, output_profile="srgb")
        mark = mark.colourspace("srgb").copy_memory()
    except pyvips.Error as error:
        raise RefusedError("recipe", "The recipe's watermark is no image that is read") from error
    mark = mark if mark.hasalpha() else mark.addalpha()
    mark = (mark * [1, 1, 1, opacity]).cast("uchar")
    left = space + _offset(image.width - 2 * space - mark.width, at[0])
    top = space + _offset(image.height - 2 * space - mark.height, at[1])
    had_alpha = image.hasalpha()
    image = image.composite2(mark, "over", x=left, y=top).cast("uchar")
    return image if had_alpha else image[:3]


_STEPS: Final[dict[str, Callable[..., pyvips.Image]]] = {
    "cover": _cut,
    "crop": _crop,
    "fill": _fill,
    "rotate": _rotate,
    "grayscale": _grayscale,
    "blur": _blur,
    "sharpen": _sharpen,
}
