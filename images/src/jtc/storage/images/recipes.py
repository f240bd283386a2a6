"""Recipes: what is done to an image, and the format of the result."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from jtc.storage.exceptions import StorageConfigException
from jtc.storage.images._worker.geometry import size_at_end

if TYPE_CHECKING:
    import os

__all__ = [
    "Position",
    "Recipe",
    "blur",
    "convert",
    "cover",
    "crop",
    "fill",
    "fit",
    "grayscale",
    "rotate",
    "sharpen",
    "watermark",
]

Position: TypeAlias = (
    Literal[
        "center",
        "top",
        "bottom",
        "left",
        "right",
        "top-left",
        "top-right",
        "bottom-left",
        "bottom-right",
    ]
    | tuple[float, float]
)
"""A place in an image: a name, or fractions of its width and height: ``(0.5, 0.2)``."""

_VERSION: Final = 1
"""Part of each fingerprint: raise it when the worker makes other pixels or files of a recipe."""

_LONGEST_SIDE: Final = 16383
"""The most that WebP can have."""

_FORMATS: Final = {
    "webp": ("image/webp", ".webp"),
    "avif": ("image/avif", ".avif"),
    "jpeg": ("image/jpeg", ".jpg"),
    "png": ("image/png", ".png"),
    "gif": ("image/gif", ".gif"),
}

_POSITIONS: Final = {
    "center": (0.5, 0.5),
    "top": (0.5, 0.0),
    "bottom": (0.5, 1.0),
    "left": (0.0, 0.5),
    "right": (1.0, 0.5),
    "top-left": (0.0, 0.0),
    "top-right": (1.0, 0.0),
    "bottom-left": (0.0, 1.0),
    "bottom-right": (1.0, 1.0),
}

_COLOR: Final = re.compile(r"#(?:[0-9a-fA-F]{6}|[0-9a-fA-F]{8})")

_Step: TypeAlias = tuple[str, tuple[tuple[str, Any], ...]]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is done to an image, in order, and the format of the result.

    A recipe is immutable: each method returns a new one. The functions of this module begin one::

        thumb = images.cover(200, 200)
        card = images.fit(800, 600).sharpen().avif()

    The result is a WebP image of quality 80 unless the recipe names another format. The
    orientation that EXIF states is applied first; colors become sRGB; all metadata is removed.
    """

    _steps: tuple[_Step, ...] = ()
    _output: _Step = ("webp", (("quality", 80), ("animated", True)))
    _blobs: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def fingerprint(self) -> str:
        """Eight characters of ``[0-9a-f]`` that change when the recipe does.

        They are the same in each process and on each Python.
        """
        canonical = json.dumps(
            {
                "version": _VERSION,
                "steps": self._steps,
                "output": self._output,
                "blobs": [hashlib.sha256(blob).hexdigest() for blob in self._blobs],
            },
            sort_keys=True,
            separators=(",", ":"),
        )
        return hashlib.sha256(canonical.encode()).hexdigest()[:8]

    @property
    def content_type(self) -> str:
        """The MIME type of the result."""
        return _FORMATS[self._output[0]][0]

    @property
    def extension(self) -> str:
        """The extension of the result, with its dot: ``.webp``."""
        return _FORMATS[self._output[0]][1]

    @property
    def description(self) -> tuple[dict[str, Any], tuple[bytes, ...]]:
        """The recipe as a JSON object, and the images that it names by their number."""
        name, values = self._output
        return {
            "steps": [[step, dict(arguments)] for step, arguments in self._steps],
            "output": [name, dict(values)],
        }, self._blobs

    def output_size(self, width: int, height: int) -> tuple[int, int] | None:
        """Return the size of the result for an image of a size; None where that does not tell it.

        Args:
            width: The width of the image in pixels, after its EXIF orientation was applied.
            height: The height of the image in pixels.
        """
        size: tuple[int, int] | None = width, height
        for step, arguments in self._steps:
            if size is not None:
                size = size_at_end(step, dict(arguments), *size)
        return size

    def cover(self, width: int, height: int, *, position: Position = "center") -> Recipe:
        """Return a recipe that scales to cover a box whole, and cuts off what is outside it.

        A smaller image is enlarged, so that the result has the size of the box.

        Args:
            width: The width of the box in pixels.
            height: The height of the box in pixels.
            position: Which part remains in the box.
        """
        return self._then("cover", width=_side(width), height=_side(height), at=_place(position))

    def fit(
        self, width: int | None = None, height: int | None = None, *, enlarge: bool = False
    ) -> Recipe:
        """Return a recipe that scales to fit in a box, and keeps the proportions.

        Args:
            width: The most pixels from left to right; None does not limit them.
            height: The most pixels from top to bottom; None does not limit them.
            enlarge: Whether a smaller image is enlarged.

        Raises:
            StorageConfigException: Neither width nor height is set.
        """
        if width is None and height is None:
            raise StorageConfigException("fit() needs a width, a height or both")
        box = {"width": width and _side(width), "height": height and _side(height)}
        return self._then("fit", **box, enlarge=enlarge)

    def fill(
        self, width: int, height: int, *, background: str = "#ffffff", enlarge: bool = False
    ) -> Recipe:
        """Return a recipe that scales to fit in a box, and fills the rest of it with a color.

        Args:
            width: The width of the box in pixels.
            height: The height of the box in pixels.
            background: ``#rrggbb``, or ``#rrggbbaa`` with the opacity.
            enlarge: Whether a smaller image is enlarged.
        """
        return self._then(
            "fill",
            width=_side(width),
            height=_side(height),
            background=_color(background),
            enlarge=enlarge,
        )

    def crop(
        self,
        width: int,
        height: int,
        *,
        left: int | None = None,
        top: int | None = None,
        position: Position = "center",
    ) -> Recipe:
        """Return a recipe that cuts a part out without scaling, at most the whole image.

        Args:
            width: The width of the part in pixels.
            height: The height of the part in pixels.
            left: The pixels cut off at the left; None leaves it to `position`.
            top: The pixels cut off at the top; None leaves it to `position`.
            position: Where the part lies.
        """
        return self._then(
            "crop",
            width=_side(width),
            height=_side(height),
            left=None if left is None else int(_number("left", left, 0, 10**6)),
            top=None if top is None else int(_number("top", top, 0, 10**6)),
            at=_place(position),
        )

    def rotate(self, degrees: float, *, background: str = "#ffffff") -> Recipe:
        """Return a recipe that rotates clockwise.

        Args:
            degrees: The angle. Multiples of 90 change no pixel.
            background: The color of the corners at other angles: ``#rrggbb`` or ``#rrggbbaa``.
        """
        turn = _number("degrees", degrees, -360, 360) % 360
        return self._then("rotate", degrees=float(turn), background=_color(background))

    def grayscale(self) -> Recipe:
        """Return a recipe that removes the colors."""
        return self._then("grayscale")

    def blur(self, sigma: float = 5) -> Recipe:
        """Return a recipe that blurs.

        Args:
            sigma: The standard deviation of the Gaussian in pixels, 0.3 to 100.
        """
        return self._then("blur", sigma=float(_number("sigma", sigma, 0.3, 100)))

    def sharpen(self, sigma: float = 0.5) -> Recipe:
        """Return a recipe that sharpens.

        Args:
            sigma: The standard deviation of the Gaussian in pixels, 0.3 to 10.
        """
        return self._then("sharpen", sigma=float(_number("sigma", sigma, 0.3, 10)))

    def watermark(
        self,
        image: bytes | str | os.PathLike[str],
        *,
        position: Position = "bottom-right",
        width: float = 0.25,
        margin: float = 0.02,
        opacity: float = 1.0,
    ) -> Recipe:
        """Return a recipe that lays another image over it.

        Args:
            image: The other image's content, or the path of its file, which is read at once.
            position: Where it lies.
            width: Its width, as a fraction of this image's.
            margin: Its least distance from the edges, as a fraction of this image's width.
            opacity: 0 to 1; multiplied by the other image's own.
        """
        content = image if isinstance(image, bytes) else Path(image).read_bytes()
        recipe = self._then(
            "watermark",
            image=len(self._blobs),
            at=_place(position),
            width=float(_number("width", width, 0.001, 1)),
            margin=float(_number("margin", margin, 0, 0.5)),
            opacity=float(_number("opacity", opacity, 0, 1)),
        )
        return replace(recipe, _blobs=(*self._blobs, content))

    def webp(self, quality: int = 80, *, animated: bool = True) -> Recipe:
        """Return a recipe that makes WebP.

        Args:
            quality: 1 to 100.
            animated: Whether an animation remains one, or its first frame is taken.
        """
        return self._into(
            "webp", quality=int(_number("quality", quality, 1, 100)), animated=animated
        )

    def avif(self, quality: int = 50, *, effort: int = 2) -> Recipe:
        """Return a recipe that makes AVIF, of the first frame.

        Args:
            quality: 1 to 100; 50 looks as WebP's 80 does.
            effort: 0 to 9: more takes longer for smaller files.
        """
        return self._into(
            "avif",
            quality=int(_number("quality", quality, 1, 100)),
            effort=int(_number("effort", effort, 0, 9)),
        )

    def jpeg(self, quality: int = 80, *, background: str = "#ffffff") -> Recipe:
        """Return a recipe that makes JPEG, of the first frame.

        Args:
            quality: 1 to 100.
            background: The color behind transparent pixels: ``#rrggbb``.
        """
        quality = int(_number("quality", quality, 1, 100))
        return self._into("jpeg", quality=quality, background=_color(background))

    def png(self) -> Recipe:
        """Return a recipe that makes PNG, without loss, of the first frame."""
        return self._into("png")

    def gif(self) -> Recipe:
        """Return a recipe that makes GIF; an animation remains one."""
        return self._into("gif", animated=True)

    def _then(self, step: str, **arguments: Any) -> Recipe:
        return replace(self, _steps=(*self._steps, (step, tuple(arguments.items()))))

    def _into(self, output: str, **values: Any) -> Recipe:
        return replace(self, _output=(output, tuple(values.items())))


def _number(name: str, value: float, least: float, most: float) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise StorageConfigException(f"{name} is a number from {least} to {most}, not {value!r}")
    return value


def _side(value: int) -> int:
    return int(_number("A side in pixels", value, 1, _LONGEST_SIDE))


def _place(position: Position) -> tuple[float, float]:
    place = _POSITIONS.get(position) if isinstance(position, str) else position
    if place is None:
        raise StorageConfigException(
            f"position is a pair of fractions or one of {', '.join(_POSITIONS)}, not {position!r}"
        )
    x, y = place
    return float(_number("position", x, 0, 1)), float(_number("position", y, 0, 1))


def _color(color: str) -> tuple[int, ...]:
    if _COLOR.fullmatch(color) is None:
        raise StorageConfigException(f"A color is '#rrggbb' or '#rrggbbaa', not {color!r}")
    return tuple(bytes.fromhex(color[1:].ljust(8, "f")))


def convert() -> Recipe:
    """Begin a recipe that only converts: ``images.convert().avif()``."""
    return Recipe()


def cover(width: int, height: int, *, position: Position = "center") -> Recipe:
    """Begin a recipe with `Recipe.cover`."""
    return Recipe().cover(width, height, position=position)


def fit(width: int | None = None, height: int | None = None, *, enlarge: bool = False) -> Recipe:
    """Begin a recipe with `Recipe.fit`."""
    return Recipe().fit(width, height, enlarge=enlarge)


def fill(width: int, height: int, *, background: str = "#ffffff", enlarge: bool = False) -> Recipe:
    """Begin a recipe with `Recipe.fill`."""
    return Recipe().fill(width, height, background=background, enlarge=enlarge)


def crop(
    width: int,
    height: int,
    *,
    left: int | None = None,
    top: int | None = None,
    position: Position = "center",
) -> Recipe:
    """Begin a recipe with `Recipe.crop`."""
    return Recipe().crop(width, height, left=left, top=top, position=position)


def rotate(degrees: float, *, background: str = "#ffffff") -> Recipe:
    """Begin a recipe with `Recipe.rotate`."""
    return Recipe().rotate(degrees, background=background)


def grayscale() -> Recipe:
    """Begin a recipe with `Recipe.grayscale`."""
    return Recipe().grayscale()


def blur(sigma: float = 5) -> Recipe:
    """Begin a recipe with `Recipe.blur`."""
    return Recipe().blur(sigma)


def sharpen(sigma: float = 0.5) -> Recipe:
    """Begin a recipe with `Recipe.sharpen`."""
    return Recipe().sharpen(sigma)


def watermark(
    image: bytes | str | os.PathLike[str],
    *,
    position: Position = "bottom-right",
    width: float = 0.25,
    margin: float = 0.02,
    opacity: float = 1.0,
) -> Recipe:
    """Begin a recipe with `Recipe.watermark`."""
    return Recipe().watermark(image, position=position, width=width, margin=margin, opacity=opacity)
