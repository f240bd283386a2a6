"""Encoding: the output formats, without metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyvips

from .refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Timing", "encode"]

_NOTHING: Final = 0
"""The metadata to keep: neither EXIF with its places, nor XMP, nor a color profile."""


_LONGEST_SIDES: Final = {
    "webp": 16383,
    "avif": 16384,
    "jpeg": 65500,
    "png": 1_000_000,
    "gif": 65535,
}


@dataclass(frozen=True)
class Timing:
    """How the frames of an animation follow."""

    delays: Sequence[int]
    loop: int


def encode(
    frames: list[pyvips.Image], timing: Timing | None, name: str, values: dict[str, Any]
) -> bytes:
    """Return the file of an image, or of an animation where it has frames and a timing.

    Raises:
        RefusedError: The format permits no such size, or there is too little memory.
    """
    longest = max(frames[0].width, frames[0].height)
    if longest > _LONGEST_SIDES[name]:
        raise RefusedError(
            "pixels", f"A side of {longest} pixels is longer than {name.upper()} permits"
        )
    try:
        return _encoded(_joined(frames, timing), name, values)
    except pyvips.Error as error:
        # The pixels are known by now, so that no decoder fails.
        raise RefusedError(
            "memory",
            f"The image needs more memory than it may take, as {name.upper()} of "
            f"{frames[0].width} x {frames[0].height} pixels",
        ) from error


def _encoded(image: pyvips.Image, name: str, values: dict[str, Any]) -> bytes:
    if name == "webp":
        content = image.webpsave_buffer(Q=values["quality"], keep=_NOTHING)
    elif name == "avif":
        content = image.heifsave_buffer(
            Q=values["quality"],
            effort=values["effort"],
            compression="av1",
            bitdepth=8,
            keep=_NOTHING,
        )
    elif name == "jpeg":
        content = image.jpegsave_buffer(
            Q=values["quality"],
            background=values["background"][:3],
            optimize_coding=True,
            keep=_NOTHING,
        )
    elif name == "png":
        content = image.pngsave_buffer(compression=6, keep=_NOTHING)
    else:
        content = image.gifsave_buffer(keep=_NOTHING)
    return bytes(content)


def _joined(frames: list[pyvips.Image], timing: Timing | None) -> pyvips.Image:
    """Return one image: the frames are below each other, as libvips has animations."""
    if timing is None or len(frames) == 1:
        image = frames[0].copy()
        for name in ("page-height", "n-pages", "delay", "loop"):
            image.remove(name)
        return image
    image = pyvips.Image.arrayjoin(frames, across=1).copy()
    integer, integers = pyvips.GValue.gint_type, pyvips.GValue.array_int_type
    image.set_type(integer, "page-height", frames[0].height)
    image.set_type(integers, "delay", list(timing.delays[: len(frames)]))
    image.set_type(integer, "loop", timing.loop)
    return image
