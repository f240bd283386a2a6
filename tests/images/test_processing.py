"""What recipes make of images, and what is read from them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from jtc.storage import RejectedException, StorageConfigException, images
from jtc.storage.images import Processor
from pictures import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    animation,
    color_at,
    decoded,
    encoded,
    is_near,
    noise,
    picture,
    quadrants,
)

CORNERS = {"top-left": RED, "top-right": GREEN, "bottom-left": BLUE, "bottom-right": WHITE}
PLACES = {
    "top-left": (0.1, 0.1),
    "top-right": (0.9, 0.1),
    "bottom-left": (0.1, 0.9),
    "bottom-right": (0.9, 0.9),
}


def corners(content: bytes) -> list[tuple[int, ...]]:
    return [color_at(content, *place) for place in PLACES.values()]


def assert_corners(content: bytes, *expected: tuple[int, ...]) -> None:
    found = corners(content)
    assert all(is_near(a, b) for a, b in zip(found, expected, strict=True)), found


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("WEBP", "image/webp"),
        ("GIF", "image/gif"),
        ("AVIF", "image/avif"),
        ("HEIF", "image/heic"),
    ],
)
async def test_process_reads_each_format(
    processor: Processor, kind: str, content_type: str
) -> None:
    done = await processor.process(picture(60, 40, kind), {"a": images.convert().png()})
    assert (done.info.content_type, done.info.width, done.info.height) == (content_type, 60, 40)
    assert done.info.frames == 1
    assert_corners(done.rendered["a"].content, RED, GREEN, BLUE, WHITE)


@pytest.mark.parametrize("output", ["webp", "avif", "jpeg", "png", "gif"])
async def test_transform_makes_each_format(processor: Processor, output: str) -> None:
    recipe = getattr(images.fit(30), output)()
    made = await processor.transform(picture(60, 40), recipe)
    image = decoded(made.content)
    assert (image.format, image.size) == (output.upper(), (30, 20))
    assert (made.content_type, made.width, made.height) == (recipe.content_type, 30, 20)
    assert_corners(made.content, RED, GREEN, BLUE, WHITE)


@pytest.mark.parametrize(
    ("recipe", "size"),
    [
        (images.cover(20, 20), (20, 20)),
        (images.cover(100, 100), (100, 100)),
        (images.fit(30, 30), (30, 20)),
        (images.fit(30), (30, 20)),
        (images.fit(height=10), (15, 10)),
        (images.fit(600), (60, 40)),
        (images.fit(120, enlarge=True), (120, 80)),
        (images.fill(50, 50), (50, 50)),
        (images.fill(100, 100), (100, 100)),
        (images.crop(10, 20), (10, 20)),
        (images.crop(100, 20), (60, 20)),
        (images.crop(10, 10, left=55, top=35), (10, 10)),
        (images.rotate(90), (40, 60)),
        (images.rotate(-180), (60, 40)),
        (images.rotate(270).fit(20), (20, 30)),
        (images.fit(30).crop(5, 5).fit(10, enlarge=True), (10, 10)),
        (images.fit(1), (1, 1)),
        (images.fit(7), (7, 5)),
        (images.fit(height=33), (50, 33)),
    ],
)
async def test_recipe_makes_size(
    processor: Processor, recipe: images.Recipe, size: tuple[int, int]
) -> None:
    made = await processor.transform(picture(60, 40), recipe)
    assert decoded(made.content).size == (made.width, made.height) == size
    assert recipe.output_size(60, 40) == size


@pytest.mark.parametrize("position", list(CORNERS))
async def test_cover_keeps_the_part_of_its_position(processor: Processor, position: str) -> None:
    recipe = images.crop(20, 10, position=position).png()
    made = await processor.transform(picture(60, 40), recipe)
    assert_corners(made.content, *[CORNERS[position]] * 4)


async def test_cover_takes_a_point_of_focus(processor: Processor) -> None:
    made = await processor.transform(
        picture(400, 40), images.cover(40, 40, position=(1.0, 0.5)).png()
    )
    assert_corners(made.content, GREEN, GREEN, WHITE, WHITE)


async def test_fill_puts_the_image_on_a_background(processor: Processor) -> None:
    recipe = images.fill(60, 60, background="#0000ff").png()
    content = (await processor.transform(picture(60, 30), recipe)).content
    assert color_at(content, 0.5, 0.1) == color_at(content, 0.5, 0.9) == (0, 0, 255)
    assert is_near(color_at(content, 0.2, 0.4), RED)


async def test_fill_with_a_transparent_background_has_opacity(processor: Processor) -> None:
    recipe = images.fill(60, 60, background="#00000000").png()
    image = decoded((await processor.transform(picture(60, 30), recipe)).content)
    assert image.mode == "RGBA"
    assert image.getpixel((30, 3))[3] == 0
    assert image.getpixel((30, 30))[3] == 255


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [
        (0, [RED, GREEN, BLUE, WHITE]),
        (90, [BLUE, RED, WHITE, GREEN]),
        (180, [WHITE, BLUE, GREEN, RED]),
        (-90, [GREEN, WHITE, RED, BLUE]),
    ],
)
async def test_rotate_turns_clockwise(processor: Processor, degrees: int, expected) -> None:
    made = await processor.transform(picture(60, 40), images.rotate(degrees).png())
    assert_corners(made.content, *expected)


async def test_rotate_by_another_angle_fills_the_corners(processor: Processor) -> None:
    recipe = images.rotate(45, background="#ff00ff").png()
    content = (await processor.transform(picture(60, 60), recipe)).content
    assert color_at(content, 0, 0) == (255, 0, 255)
    assert decoded(content).width > 80


async def test_grayscale_removes_the_colors(processor: Processor) -> None:
    made = await processor.transform(picture(), images.grayscale().png())
    assert all(r == g == b for r, g, b in corners(made.content))


async def test_blur_mixes_neighbours_and_sharpen_parts_them(processor: Processor) -> None:
    async def contrast(recipe: images.Recipe) -> int:
        made = await processor.transform(encoded(step, "PNG"), recipe.png())
        low, high = decoded(made.content).convert("L").getextrema()
        return high - low

    step = Image.linear_gradient("L").resize((64, 64))
    step.paste(200, (32, 0, 64, 64))
    plain = await contrast(images.convert())
    blurred = await contrast(images.blur(20))
    assert blurred < plain < await contrast(images.crop(64, 64).sharpen(2))


async def test_blur_of_opacity_spreads_no_color_of_transparent_pixels(
    processor: Processor,
) -> None:
    image = Image.new("RGBA", (40, 40), (0, 255, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 20, 40))
    made = await processor.transform(encoded(image, "PNG"), images.blur(3).png())
    red, green, _, opacity = decoded(made.content).getpixel((20, 20))
    assert 0 < opacity < 255
    assert red > 200
    assert green < 50


async def test_watermark_lies_where_it_is_asked_for(processor: Processor, tmp_path: Path) -> None:
    mark = tmp_path / "mark.png"
    mark.write_bytes(encoded(Image.new("RGB", (10, 10), (0, 0, 0)), "PNG"))
    recipe = images.watermark(mark, position="top-left", width=0.5, margin=0).png()
    made = await processor.transform(picture(40, 40), recipe)
    assert_corners(made.content, (0, 0, 0), GREEN, BLUE, WHITE)
    assert decoded(made.content).mode == "RGB"
    faint = images.watermark(mark, position="bottom-right", opacity=0.5, margin=0).png()
    content = (await processor.transform(picture(40, 40), faint)).content
    assert is_near(color_at(content, 0.9, 0.9), (128, 128, 128))


async def test_watermarks_of_two_recipes_do_not_mix(processor: Processor) -> None:
    def marked(color: tuple[int, int, int]) -> images.Recipe:
        mark = encoded(Image.new("RGB", (10, 10), color), "PNG")
        return images.watermark(mark, position="top-left", margin=0).png()

    twice = marked((0, 0, 0)).watermark(encoded(Image.new("RGB", (9, 9), BLUE), "PNG"), margin=0)
    recipes = {"black": marked((0, 0, 0)), "twice": twice.png(), "green": marked(GREEN)}
    made = (await processor.process(picture(40, 40), recipes)).rendered
    assert color_at(made["black"].content, 0.1, 0.1) == (0, 0, 0)
    assert color_at(made["twice"].content, 0.95, 0.95) == BLUE
    assert color_at(made["green"].content, 0.1, 0.1) == GREEN


async def test_watermark_that_is_no_image_is_a_fault_of_the_recipe(processor: Processor) -> None:
    with pytest.raises(StorageConfigException, match="watermark"):
        await processor.transform(picture(), images.watermark(b"no image"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_orientation_of_exif_is_applied_and_removed(
    processor: Processor, kind: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    shown = quadrants(60, 40)
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = shown.transpose(undo[orientation]) if orientation > 1 else shown
    done = await processor.process(
        encoded(stored, kind, exif=exif),
        {"whole": images.convert().jpeg(), "small": images.fit(30).jpeg()},
    )
    assert (done.info.width, done.info.height) == (60, 40)
    for name, size in (("whole", (60, 40)), ("small", (30, 20))):
        image = decoded(done.rendered[name].content)
        assert (image.size, 0x0112 in image.getexif()) == (size, False)
        assert_corners(done.rendered[name].content, RED, GREEN, BLUE, WHITE)


@pytest.mark.parametrize("output", ["webp", "avif", "jpeg", "png", "gif"])
async def test_output_has_no_metadata(processor: Processor, output: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "A camera of mine"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    original = picture(exif=exif, comment=b"a comment", icc_profile=profile, xmp=b"<x>xmp</x>")
    assert b"A camera of mine" in original
    content = (await processor.transform(original, getattr(images.fit(30), output)())).content
    image = Image.open(io.BytesIO(content))
    assert not image.getexif()
    assert not {"exif", "xmp", "comment", "icc_profile"} & set(image.info)
    assert not [word for word in (b"camera", b"comment", b"xmp", b"Exif") if word in content]


async def test_colors_of_a_profile_become_srgb(processor: Processor) -> None:
    # Linear light: a half is 188 of 255 in sRGB.
    linear = _linear_profile()
    gray = encoded(Image.new("RGB", (20, 20), (128, 128, 128)), "PNG", icc_profile=linear)
    made = await processor.transform(gray, images.convert().png())
    assert is_near(color_at(made.content, 0.5, 0.5), (188, 188, 188))


def _linear_profile() -> bytes:
    """Return sRGB's profile with curves of gamma 1."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for at in range(128 + 4, 128 + 4 + 12 * int.from_bytes(profile[128:132], "big"), 12):
        if bytes(profile[at : at + 4]) in {b"rTRC", b"gTRC", b"bTRC"}:
            start = int.from_bytes(profile[at + 4 : at + 8], "big")
            profile[start : start + 12] = b"curv" + bytes(8)  # of no points: linear
    return bytes(profile)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "I;16", "1"])
async def test_process_reads_each_kind_of_pixels(processor: Processor, mode: str) -> None:
    if mode == "I;16":
        image = Image.new("I;16", (60, 40), 65535)
    else:
        image = Image.new("RGB", (60, 40), WHITE).convert(mode)
    kind = "JPEG" if mode == "CMYK" else "PNG"
    done = await processor.process(
        encoded(image, kind), {"a": images.fit(30).webp(), "b": images.fill(40, 40).jpeg()}
    )
    assert all(is_near(color, WHITE) for color in corners(done.rendered["a"].content))
    assert all(is_near(color, WHITE) for color in corners(done.rendered["b"].content))


async def test_jpeg_has_a_background_behind_transparent_pixels(processor: Processor) -> None:
    clear = encoded(Image.new("RGBA", (20, 20), (0, 0, 0, 0)), "PNG")
    recipes = {"white": images.fit(10).jpeg(), "red": images.fit(10).jpeg(background="#ff0000")}
    made = (await processor.process(clear, recipes)).rendered
    assert is_near(color_at(made["white"].content, 0.5, 0.5), WHITE)
    assert is_near(color_at(made["red"].content, 0.5, 0.5), (255, 0, 0))


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
@pytest.mark.parametrize("output", ["gif", "webp"])
async def test_animation_remains_one_after_each_step(
    processor: Processor, kind: str, output: str
) -> None:
    recipe = images.cover(20, 20).rotate(90).blur(1).fill(20, 30)
    done = await processor.process(animation(kind), {"a": getattr(recipe, output)()})
    assert (done.info.width, done.info.height, done.info.frames) == (40, 30, 3)
    assert (done.rendered["a"].width, done.rendered["a"].height) == (20, 30)
    image = Image.open(io.BytesIO(done.rendered["a"].content))
    assert (image.n_frames, image.size, image.info["loop"]) == (3, (20, 30), 0)
    for frame, (color, delay) in enumerate(zip((RED, GREEN, BLUE), (100, 200, 300), strict=True)):
        image.seek(frame)
        image.load()
        assert is_near(image.convert("RGB").getpixel((10, 15)), color)
        assert image.info["duration"] == delay


@pytest.mark.parametrize(
    "recipe", [images.fit(20).avif(), images.fit(20).jpeg(), images.fit(20).webp(animated=False)]
)
async def test_animation_gives_its_first_frame_to_a_still_image(
    processor: Processor, recipe: images.Recipe
) -> None:
    moving = images.fit(20).webp()
    done = await processor.process(animation("GIF"), {"still": recipe, "moving": moving})
    image = decoded(done.rendered["still"].content)
    assert getattr(image, "n_frames", 1) == 1
    assert image.size == (20, 15)
    assert is_near(color_at(done.rendered["still"].content, 0.5, 0.5), RED)
    alone = await processor.transform(animation("GIF"), recipe)
    assert alone.content == done.rendered["still"].content


async def test_animation_is_turned_as_exif_says(processor: Processor) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [quadrants(60, 40), quadrants(60, 40).transpose(Image.Transpose.ROTATE_180)]
    original = encoded(
        frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=50, exif=exif
    )
    done = await processor.process(original, {"a": images.convert().webp()})
    assert (done.info.width, done.info.height) == (40, 60)
    image = Image.open(io.BytesIO(done.rendered["a"].content))
    assert (image.size, image.n_frames) == ((40, 60), 2)
    for frame, expected in enumerate((BLUE, GREEN)):
        image.seek(frame)
        assert is_near(image.convert("RGB").getpixel((5, 5)), expected)


async def test_variants_of_one_decoding_look_like_those_of_one_each(processor: Processor) -> None:
    original = noise(640, 480)
    recipes = {
        "large": images.fit(600).png(),
        "square": images.cover(100, 100).png(),
        "tiny": images.fit(20).png(),
        "gray": images.cover(300, 100).grayscale().png(),
    }
    together = (await processor.process(original, recipes)).rendered
    for name, recipe in recipes.items():
        alone = decoded((await processor.transform(original, recipe)).content).convert("L")
        other = decoded(together[name].content).convert("L")
        differences = [abs(a - b) for a, b in zip(alone.tobytes(), other.tobytes(), strict=True)]
        assert alone.size == other.size
        assert sum(differences) / len(differences) < 4, name


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
async def test_default_memory_suffices_for_24_megapixels(processor: Processor, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    original = encoded(quadrants(6000, 4000), kind, exif=exif, compress_level=1)
    recipes = {"large": images.fit(2000).jpeg(), "thumb": images.cover(200, 200)}
    done = await processor.process(original, recipes)
    assert (done.rendered["large"].width, done.rendered["large"].height) == (2000, 3000)


async def test_process_without_placeholder_has_none(processor: Processor) -> None:
    assert (await processor.inspect(picture(), placeholder=False)).placeholder is None
    done = await processor.process(picture(), {"a": images.fit(5)}, placeholder=False)
    assert done.info.placeholder is None


async def test_process_refuses_a_side_that_the_format_cannot_have(processor: Processor) -> None:
    long = encoded(Image.new("L", (17_000, 2)), "PNG")
    with pytest.raises(RejectedException, match="WEBP") as caught:
        await processor.transform(long, images.convert())
    assert caught.value.reason == "pixels"
    assert (await processor.transform(long, images.convert().png())).width == 17_000


async def test_functions_use_the_configured_processor() -> None:
    images.configure(workers=1, max_pixels=100)
    try:
        with pytest.raises(RejectedException, match="at most 100"):
            await images.inspect(picture())
    finally:
        images.configure()
    assert (await images.inspect(picture())).placeholder
    done = await images.process(picture(), {"a": images.fit(5)}, placeholder=False)
    assert done.info == await images.inspect(picture(), placeholder=False)
    assert done.rendered["a"] == await images.transform(picture(), images.fit(5))
    images.configure()  # which ends the processes


@pytest.mark.parametrize(
    "settings", [{"workers": 0}, {"memory": 1 << 20}, {"timeout": -1}, {"max_pixels": 0}]
)
def test_processor_refuses_what_makes_no_sense(settings) -> None:
    with pytest.raises(StorageConfigException):
        Processor(**settings)
