"""Metadata of images, and their rendered variants."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ImageInfo", "Processed", "Rendered"]


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Metadata of an image, read from its content.

    Attributes:
        content_type: The MIME type.
        width: The pixels from left to right, as shown: after the orientation that EXIF states.
        height: The pixels from top to bottom, as shown.
        frames: How many pictures an animation has; 1 otherwise.
        placeholder: The thumbhash in base64, about 32 characters; None if it was not asked for.
    """

    content_type: str
    width: int
    height: int
    frames: int = 1
    placeholder: str | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    """An image that a recipe made.

    Attributes:
        content: The file's bytes.
        content_type: The MIME type.
        width: The pixels from left to right.
        height: The pixels from top to bottom.
    """

    content: bytes = field(repr=False)
    content_type: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Processed:
    """What one decoding of an image gave.

    Attributes:
        info: The metadata of the original.
        rendered: What each recipe made, by the name that it was passed with.
    """

    info: ImageInfo
    rendered: Mapping[str, Rendered]
