"""Hostile content: each ends in a typed error or a correct picture, within the limits."""

from __future__ import annotations

import asyncio
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from jtc.storage import RejectedException, images
from jtc.storage.images import Processed, Processor
from pictures import animation, decoded, encoded, is_near, noise, picture

if TYPE_CHECKING:
    from collections.abc import Iterator

RECIPES = {"thumb": images.cover(50, 50), "whole": images.convert().png()}
REASONS = {"type", "image", "pixels", "memory", "time"}


@pytest.fixture(scope="module")
def processor() -> Iterator[Processor]:
    with Processor(workers=1, timeout=5) as processor:
        yield processor


async def outcome(processor: Processor, content: bytes) -> tuple[str, Processed | None]:
    """Return the reason of the refusal, or a picture; other errors are raised."""
    try:
        return "picture", await processor.process(content, RECIPES)
    except RejectedException as error:
        return error.reason, None


async def refused(processor: Processor, content: bytes) -> str:
    reason, _ = await outcome(processor, content)
    assert reason in REASONS
    return reason


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def gray_png(width: int, height: int, data: bytes) -> bytes:
    """Return a PNG of one bit a pixel whose compressed data is given."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def zeros(length: int) -> bytes:
    compressor = zlib.compressobj(9)
    block = bytes(1 << 20)
    parts = [compressor.compress(block) for _ in range(length >> 20)]
    return b"".join([*parts, compressor.compress(bytes(length & 0xFFFFF)), compressor.flush()])


async def test_png_of_50000_by_50000_pixels_is_refused_from_its_header(
    processor: Processor,
) -> None:
    bomb = gray_png(50_000, 50_000, zeros(50_000 * (50_000 // 8 + 1)))
    assert 200_000 < len(bomb) < 400_000
    assert await refused(processor, bomb) == "pixels"
    header_only = gray_png(50_000, 50_000, b"")
    assert await refused(processor, header_only) == "pixels"


async def test_pixels_are_counted_with_all_frames() -> None:
    with Processor(workers=1, max_pixels=40 * 30 * 3 - 1) as processor:
        for kind in ("GIF", "WEBP"):
            with pytest.raises(RejectedException, match="x 3 frames") as caught:
                await processor.inspect(animation(kind))
            assert caught.value.reason == "pixels"
    with Processor(workers=1, max_pixels=40 * 30 * 3) as processor:
        assert (await processor.inspect(animation("GIF"))).frames == 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "HEIF"])
async def test_pixels_are_checked_before_anything_is_decoded(kind: str) -> None:
    # The content ends in the header, or soon after it: decoding would call it broken.
    content = noise(300, 200, kind)
    with Processor(workers=1, max_pixels=300 * 200 - 1) as processor:
        with pytest.raises(RejectedException, match="300 x 200 = 60000 pixels") as caught:
            await processor.process(content, RECIPES)
        assert caught.value.reason == "pixels"


async def test_bomb_of_more_data_than_pixels_is_refused_or_cut(processor: Processor) -> None:
    # 100 x 100 pixels, and 128 MiB of data that belong to no pixel.
    reason, done = await outcome(processor, gray_png(100, 100, zeros(1 << 27)))
    if done is None:
        assert reason in REASONS
    else:
        assert decoded(done.rendered["whole"].content).size == (100, 100)


async def test_image_that_needs_more_memory_than_permitted_is_refused() -> None:
    large = gray_png(8_000, 6_000, zeros((8_000 // 8 + 1) * 6_000))
    with Processor(workers=1, memory=192 << 20) as processor:
        with pytest.raises(RejectedException) as caught:
            await processor.transform(large, images.convert().png())
        # libvips ends its process where some allocations fail.
        assert caught.value.reason in {"memory", "image"}
        assert "memory" in str(caught.value)
        assert (await processor.transform(large, images.fit(50))).width == 50
        assert (await processor.inspect(picture())).width == 60


SVG = b"""<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"
width="40" height="40"><script>fetch("http://127.0.0.1/")</script>
<rect width="40" height="40" fill="#1e1edc" onload="alert(1)"/>
<image xlink:href="file://%s" width="40" height="40"/></svg>"""


async def test_svg_is_refused_unless_it_is_asked_for(processor: Processor) -> None:
    assert await refused(processor, SVG % b"/etc/hostname") == "type"
    assert "image/svg+xml" not in images.WEB


async def test_svg_with_scripts_is_drawn_without_them_and_without_other_files(
    tmp_path: Path,
) -> None:
    (tmp_path / "secret.png").write_bytes(encoded(Image.new("RGB", (40, 40), (255, 0, 0)), "PNG"))
    svg = SVG % str(tmp_path / "secret.png").encode()
    with Processor(workers=1, svg=True) as processor:
        done = await processor.process(svg, {"a": images.convert().png()})
        assert done.info.content_type == "image/svg+xml"
        content = done.rendered["a"].content
        assert b"script" not in content
        assert decoded(content).convert("RGB").getextrema() == ((30, 30), (30, 30), (220, 220))
        nested = b'<!DOCTYPE s [<!ENTITY a "x">' + b"".join(
            b'<!ENTITY %c "%s">' % (b, b"&%c;" % (b - 1) * 50) for b in range(ord("b"), ord("j"))
        )
        bomb = nested + b']><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">&i;</svg>'
        with pytest.raises(RejectedException):
            await processor.process(bomb, RECIPES)
        vast = b'<svg xmlns="http://www.w3.org/2000/svg" width="90000" height="90000"/>'
        assert await refused(processor, vast) in {"pixels", "image"}


@pytest.mark.parametrize("kind", ["TIFF", "BMP", "PPM", "ICO", "TGA", "PCX", "JPEG2000", "PDF"])
async def test_other_formats_are_refused(processor: Processor, kind: str) -> None:
    assert await refused(processor, picture(64, 64, kind)) == "type"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF\x00\x00\x00\x00WEBP",
        b"\x00\x00\x00\x18ftypavif",
        b"\x00\x00\x00\x18ftypheicxxxxheicmif1",
        b"push graphic-context\nimage over 0,0 0,0 'https://127.0.0.1/'\npop graphic-context",
        b"%!PS\n(%pipe%id) (w) file",
        b"<html><script>alert(1)</script></html>",
        b"#!/bin/sh\nid\n",
        bytes(1000),
    ],
)
async def test_content_of_no_image_is_refused(processor: Processor, content: bytes) -> None:
    assert await refused(processor, content) in {"type", "image"}


async def test_polyglot_leaves_nothing_but_its_pixels(processor: Processor) -> None:
    script = b"/*<script>alert(1)</script>*/"
    archive = b"PK\x03\x04" + script
    for original in (
        picture(comment=script) + archive,
        picture(kind="GIF", comment=script) + archive,
        picture(kind="PNG") + archive,
        picture(kind="WEBP", xmp=script) + archive,
    ):
        reason, done = await outcome(processor, original)
        assert done is not None, reason
        for made in done.rendered.values():
            assert script not in made.content
            assert b"PK\x03\x04" not in made.content
            assert decoded(made.content).size == (made.width, made.height)


async def test_polyglot_is_what_its_first_bytes_say(processor: Processor) -> None:
    with_html = b"<html>" + picture()
    assert await refused(processor, with_html) == "type"
    pdf = b"%PDF-1.4\n" + picture(kind="PNG")
    assert await refused(processor, pdf) == "type"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "HEIF"])
async def test_truncated_image_is_refused_or_a_correct_picture(
    processor: Processor, kind: str
) -> None:
    whole = picture(120, 80, kind)
    expected = decoded((await processor.transform(whole, images.convert().png())).content)
    for part in (0.1, 0.5, 0.9, 0.99):
        reason, done = await outcome(processor, whole[: int(len(whole) * part)])
        if done is None:
            assert reason in REASONS
            continue
        made = decoded(done.rendered["whole"].content)
        assert made.size == expected.size
        for place in ((5, 5), (115, 5), (5, 75), (115, 75)):
            assert is_near(made.getpixel(place)[:3], expected.getpixel(place)[:3]), part


@pytest.mark.parametrize("box", [b"hvcC", b"iloc", b"infe", b"ipma", b"pitm"])
async def test_heic_that_lacks_a_box_is_refused(processor: Processor, box: bytes) -> None:
    assert await refused(processor, picture(kind="HEIF").replace(box, b"xxxx")) == "image"


async def test_hostile_image_does_not_delay_others_beyond_the_limits() -> None:
    bomb = gray_png(20_000, 2_400, zeros(20_000 // 8 * 2_400))
    with Processor(workers=2, timeout=1) as processor:
        hostile = asyncio.create_task(outcome(processor, bomb))
        assert (await processor.inspect(picture())).width == 60
        assert (await hostile)[0] in REASONS | {"picture"}
