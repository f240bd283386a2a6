"""Images: resize, convert and check them, on any disk or none.

Images are decoded by libvips, in processes of their own with limits of memory, pixels and time.
"""

from typing import Final

from jtc.storage.images.models import ImageInfo, Processed, Rendered
from jtc.storage.images.processor import (
    Processor,
    Source,
    StoredImage,
    configure,
    inspect,
    open,  # noqa: A004 - read as images.open
    process,
    transform,
)
from jtc.storage.images.recipes import (
    Position,
    Recipe,
    blur,
    convert,
    cover,
    crop,
    fill,
    fit,
    grayscale,
    rotate,
    sharpen,
    watermark,
)

__all__ = [
    "WEB",
    "ImageInfo",
    "Position",
    "Processed",
    "Processor",
    "Recipe",
    "Rendered",
    "Source",
    "StoredImage",
    "blur",
    "configure",
    "convert",
    "cover",
    "crop",
    "fill",
    "fit",
    "grayscale",
    "inspect",
    "open",
    "process",
    "rotate",
    "sharpen",
    "transform",
    "watermark",
]

WEB: Final = frozenset({"image/avif", "image/gif", "image/jpeg", "image/png", "image/webp"})
"""The types that browsers show and this package reads. SVG is not among them: it runs scripts."""
