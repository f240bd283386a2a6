"""Recipes, and their fingerprints, which are in the names of files that were stored long ago."""

from __future__ import annotations

import pytest

from jtc.storage import StorageConfigException, images

PINNED = {
    "2aa0bbfa": images.cover(200, 200),
    "d58a4286": images.cover(200, 200).webp(quality=70),
    "bd3451dd": images.fit(800, 600),
    "1096ad63": images.fit(800).avif(),
    "e05b6c3a": images.fill(300, 200, background="#00000000").png(),
    "f2c5cf4c": images.crop(10, 20, left=3, position="top").jpeg(90),
    "dfc467c4": images.rotate(90).grayscale().blur().sharpen(),
    "ecf644c7": images.convert().gif(),
    "8728f126": images.watermark(b"a mark", position=(0.5, 0.25)),
}


@pytest.mark.parametrize(("fingerprint", "recipe"), PINNED.items())
def test_fingerprint_is_the_same_as_ever(fingerprint: str, recipe: images.Recipe) -> None:
    assert recipe.fingerprint == fingerprint


def test_fingerprint_differs_with_each_argument() -> None:
    recipes = [
        *PINNED.values(),
        images.cover(200, 201),
        images.cover(200, 200, position="top"),
        images.fit(800, 600, enlarge=True),
        images.fit(800, 600).webp(animated=False),
        images.fit(800).avif(effort=3),
        images.watermark(b"another", position=(0.5, 0.25)),
    ]
    assert len({recipe.fingerprint for recipe in recipes}) == len(recipes)


def test_output_size_is_unknown_after_rotation_by_other_angles() -> None:
    assert images.rotate(45).output_size(60, 40) is None
    assert images.rotate(45).fit(10).output_size(60, 40) is None
    assert images.convert().output_size(60, 40) == (60, 40)


def test_recipe_is_immutable_and_equal_to_one_of_the_same_steps() -> None:
    begun = images.cover(200, 200)
    assert begun.grayscale() != begun == images.cover(200, 200)
    assert hash(begun) == hash(images.cover(200, 200))


@pytest.mark.parametrize(
    ("recipe", "content_type", "extension"),
    [
        (images.fit(5), "image/webp", ".webp"),
        (images.fit(5).avif(), "image/avif", ".avif"),
        (images.fit(5).jpeg(), "image/jpeg", ".jpg"),
        (images.fit(5).png(), "image/png", ".png"),
        (images.fit(5).gif(), "image/gif", ".gif"),
        (images.fit(5).gif().webp(), "image/webp", ".webp"),
    ],
)
def test_content_type_and_extension_follow_from_the_format(
    recipe: images.Recipe, content_type: str, extension: str
) -> None:
    assert (recipe.content_type, recipe.extension) == (content_type, extension)


@pytest.mark.parametrize(
    "make",
    [
        lambda: images.cover(0, 5),
        lambda: images.cover(5, 20_000),
        lambda: images.cover(5, 5, position="middle"),
        lambda: images.cover(5, 5, position=(2, 0)),
        images.fit,
        lambda: images.fit(True),  # noqa: FBT003 - no number
        lambda: images.fill(5, 5, background="white"),
        lambda: images.crop(5, 5, left=-1),
        lambda: images.rotate(720),
        lambda: images.blur(0),
        lambda: images.sharpen(11),
        lambda: images.watermark(b"", opacity=2),
        lambda: images.fit(5).webp(quality=0),
        lambda: images.fit(5).avif(effort=10),
        lambda: images.fit(5).jpeg(background="#fff"),
    ],
)
def test_recipe_refuses_what_makes_no_sense(make) -> None:
    with pytest.raises(StorageConfigException):
        make()
