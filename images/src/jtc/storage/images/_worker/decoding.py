"""Decoding: the header, which is checked first, and then the pixels."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyvips

from .refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Original", "allow_loaders", "broken", "decode", "decode_frames", "read_header"]

_LOADERS: Final = {
    "jpegload": "image/jpeg",
    "pngload": "image/png",
    "webpload": "image/webp",
    "gifload": "image/gif",
    "heifload": "image/avif",
    "svgload": "image/svg+xml",
}

_CLASSES: Final = ("Jpeg", "Png", "Webp", "Nsgif", "Heif")

_PROFILE: Final = "icc-profile-data"

_ANIMATED: Final = {"image/gif", "image/webp"}

# HEVC in a HEIF file, which libvips' own libheif has no decoder of.
_HEVC: Final = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AV1: Final = {b"avif", b"avis"}

_NO_MEMORY: Final = re.compile(
    r"(?:out of|insufficient) memory|memory error|allocat|creating thread", re.IGNORECASE
)

_TRANSPOSED: Final = 5
"""The first of EXIF's orientations that exchange width and height."""


@dataclass(frozen=True)
class Original:
    """The content to decode, and what its header states."""

    descriptor: int
    content_type: str
    width: int
    """As shown: after the orientation."""
    height: int
    frames: int
    has_profile: bool
    """Whether it states what its colors are, which are sRGB's otherwise."""


def allow_loaders(*, svg: bool) -> None:
    """Block what libvips reads, but for the formats of the web."""
    pyvips.cache_set_max(0)
    pyvips.block_untrusted_set(state=True)
    pyvips.operation_block_set("VipsForeignLoad", state=True)
    for name in [*_CLASSES, *(["Svg"] if svg else [])]:
        pyvips.operation_block_set(f"VipsForeignLoad{name}", state=False)


def read_header(descriptor: int, *, max_pixels: int) -> Original:
    """Return what the header states; nothing is decoded.

    Raises:
        RefusedError: The content is of no format that is read here, is broken, or has too many
            pixels.
    """
    original = _heic_header(descriptor) if _is_heic(descriptor) else _header(descriptor)
    pixels = original.width * original.height * original.frames
    if pixels <= 0:
        raise RefusedError("image", "The image is broken: it has no pixels")
    if pixels > max_pixels:
        of_frames = f" x {original.frames} frames" if original.frames > 1 else ""
        raise RefusedError(
            "pixels",
            f"The image has {original.width} x {original.height}{of_frames} = {pixels} pixels, "
            f"and at most {max_pixels} are decoded",
        )
    return original


def decode(original: Original, width: int, height: int) -> pyvips.Image:
    """Return the first frame in memory, scaled to a size, upright and in sRGB."""
    options: dict[str, Any] = {"height": height, "size": "force"}
    if original.has_profile:
        options["output_profile"] = "srgb"  # takes longer than all else
    if original.content_type == "image/heic":
        image = _heic_pixels(original.descriptor)
        return _in_srgb(image.thumbnail_image(width, **options)).copy_memory()
    source = _source(original.descriptor)
    if original.content_type == "image/avif":
        # thumbnail_source() would take the embedded thumbnail, which may show another picture.
        image = pyvips.Image.heifload_source(source, access="sequential", fail_on="error")
        return _in_srgb(image.thumbnail_image(width, **options)).copy_memory()
    # Its own `fail_on` has no effect on sources.
    options["option_string"] = "[fail_on=error]"
    return _in_srgb(pyvips.Image.thumbnail_source(source, width, **options)).copy_memory()


def decode_frames(original: Original) -> tuple[list[pyvips.Image], Sequence[int], int]:
    """Return all frames of an animation, their delays in ms, and how often it loops."""
    source = _source(original.descriptor)
    options = {"n": -1, "access": "sequential", "fail_on": "error"}
    whole = pyvips.Image.new_from_source(source, "", **options).copy_memory()
    if original.has_profile:
        whole = whole.icc_transform("srgb", embedded=True)
    # Each frame then has the size of the canvas, for WebP and GIF alike.
    height = whole.get_page_height()
    frames = [
        _in_srgb(whole.crop(0, top, whole.width, height).autorot())
        for top in range(0, whole.height, height)
    ]
    return frames, _field(whole, "delay", [100] * len(frames)), _field(whole, "loop", 0)


def _source(descriptor: int) -> pyvips.Source:
    return pyvips.Source.new_from_descriptor(descriptor)


def _header(descriptor: int) -> Original:
    try:
        image = pyvips.Image.new_from_source(_source(descriptor), "", access="sequential")
    except pyvips.Error as error:
        raise _refusal(error) from error
    content_type = _LOADERS[_field(image, "vips-loader", "").removesuffix("_source")]
    width, height = image.width, image.height
    if _field(image, "orientation", 1) >= _TRANSPOSED:
        width, height = height, width
    frames = _field(image, "n-pages", 1) if content_type in _ANIMATED else 1
    has_profile = bool(image.get_typeof(_PROFILE))
    return Original(descriptor, content_type, width, height, frames, has_profile)


def _field(image: pyvips.Image, name: str, default: Any) -> Any:
    return image.get(name) if image.get_typeof(name) else default


def _refusal(error: pyvips.Error) -> RefusedError:
    if "not in a known format" in str(error) or "blocked" in str(error):
        return RefusedError(
            "type", "The content is no JPEG, PNG, WebP, GIF or AVIF image, which are read here"
        )
    return broken(error)


def broken(error: Exception) -> RefusedError:
    """Return the refusal of content that a decoder fails on."""
    text = (getattr(error, "detail", "") or str(error)).strip()
    if _NO_MEMORY.search(text):
        return RefusedError("memory", "The image needs more memory than it may take")
    # The other lines repeat the first one.
    return RefusedError("image", f"The image is broken: {text.partition(chr(10))[0][:200]}")


def _in_srgb(image: pyvips.Image) -> pyvips.Image:
    """Return the image with three bands, or four with opacity, a byte each."""
    if image.interpretation != "srgb":
        image = image.colourspace("srgb")
    if image.format != "uchar":
        image = image.cast("uchar")
    return image


def _is_heic(descriptor: int) -> bool:
    head = os.pread(descriptor, 128, 0)
    if head[4:8] != b"ftyp":
        return False
    box = head[: int.from_bytes(head[:4], "big")]
    brands = {box[8:12], *(box[at : at + 4] for at in range(16, len(box) - 3, 4))}
    return bool(brands & _HEVC) and not brands & _AV1


def _heic(descriptor: int) -> Any:
    """Return what pillow-heif reads of a file; the pixels when they are asked for."""
    try:
        import pillow_heif  # noqa: PLC0415 - an extra, and only for such files
    except ImportError:
        raise RefusedError(
            "type", "The content is a HEIC image: install jtc-storage-images[heic] to read it"
        ) from None
    with open(descriptor, "rb", closefd=False) as file:
        file.seek(0)
        return pillow_heif.open_heif(file.read(), convert_hdr_to_8bit=True)


@contextmanager
def _heic_faults() -> Iterator[None]:
    """Turn all that pillow-heif raises for broken content into a refusal."""
    try:
        yield
    except (RefusedError, MemoryError):
        raise
    except Exception as error:
        raise broken(error) from error


def _heic_header(descriptor: int) -> Original:
    with _heic_faults():
        heif = _heic(descriptor)
        width, height = heif.size
        has_profile = bool(heif.info.get("icc_profile"))
    return Original(descriptor, "image/heic", width, height, 1, has_profile)


def _heic_pixels(descriptor: int) -> pyvips.Image:
    with _heic_faults():
        heif = _heic(descriptor)
        bands = {"RGB": 3, "RGBA": 4, "L": 1}[heif.mode]
        width, height = heif.size
        data, stride = memoryview(heif.data), heif.stride
        profile = heif.info.get("icc_profile")
    row = width * bands
    pixels = b"".join(data[top : top + row] for top in range(0, height * stride, stride))
    image = pyvips.Image.new_from_memory(pixels, width, height, bands, "uchar")
    image = image.copy(interpretation="b-w" if bands == 1 else "srgb")
    if profile:
        image.set_type(pyvips.GValue.blob_type, _PROFILE, profile)
    return image
