"""Rendering of variants from a local original, by image recipes and by functions."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from jtc.storage.attachments.derivations import Derivation
from jtc.storage.exceptions import RejectedException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from jtc.storage.attachments.fields import Field
    from jtc.storage.attachments.recipes import Recipe
    from jtc.storage.driver_support.content import Content

__all__ = ["Rendered", "Source", "inspected", "local_file", "readable", "render"]

Source: TypeAlias = "bytes | Path | BinaryIO"
"""An original that is not stored yet: its bytes, a local file, or an open one."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """The content of a variant.

    Attributes:
        content: The content.
        content_type: Its MIME type.
        width: Its width in pixels, of an image.
        height: Its height in pixels, of an image.
    """

    content: Content
    content_type: str
    width: int | None = None
    height: int | None = None


async def render(
    recipes: Mapping[str, Recipe], original: Source, *, placeholder: bool
) -> tuple[dict[str, Rendered], Any | None]:
    """Make variants of an original, all images from one decode.

    Args:
        recipes: Their recipes, by name.
        original: The original; a local file where a function makes one of them.
        placeholder: Whether the thumbhash of an image is wanted.

    Returns:
        The variants by name, and an `ImageInfo` of the original where one of them is an image.

    Raises:
        RejectedException: A variant cannot be made of this original.
        Exception: The exception of a function that was given to `derive`.
    """
    made: dict[str, Rendered] = {}
    info = None
    pictures = {name: each for name, each in recipes.items() if not isinstance(each, Derivation)}
    if pictures:
        # An extra, which made these recipes.
        images: Any = import_module("jtc.storage.images")
        processed = await images.process(original, pictures, placeholder=placeholder)
        info = processed.info
        for name, each in processed.rendered.items():
            made[name] = Rendered(each.content, each.content_type, each.width, each.height)
    for name, recipe in recipes.items():
        if isinstance(recipe, Derivation):
            if not isinstance(original, Path):
                raise TypeError("A function takes a local file")
            made[name] = Rendered(await recipe.apply(original), recipe.content_type)
    return made, info


async def inspected(field: Field, content_type: str, original: Source) -> Any | None:
    """Return the `ImageInfo` of an original; None of what is no image.

    Raises:
        RejectedException: The field wants images, and this is no valid one.
    """
    if not content_type.startswith("image/"):
        return None
    try:
        images: Any = import_module("jtc.storage.images")
    except ImportError:  # an extra
        return None
    if content_type not in images.WEB:
        return None
    try:
        return await images.inspect(original, placeholder=field.placeholder)
    except RejectedException:
        if field.types is None and not field.variants:
            return None  # a document like any other
        raise


@asynccontextmanager
async def readable(
    recipes: Mapping[str, Recipe], source: Source, name: str
) -> AsyncIterator[Source]:
    """Give a source in the form that recipes take, from its beginning: a local file for functions.

    Args:
        recipes: The recipes.
        source: The content.
        name: The name of the file.
    """
    if not any(isinstance(each, Derivation) for each in recipes.values()):
        if not isinstance(source, bytes | Path):
            source.seek(0)  # it was stored from, and read by analyzers
        yield source
        return
    async with local_file(source, name) as path:
        yield path


@asynccontextmanager
async def local_file(source: Source | None, name: str) -> AsyncIterator[Path]:
    """Give a local file with the content of a source, in a directory that is removed afterwards.

    Args:
        source: The content; None for a file that is still to be written.
        name: The name of the file.
    """
    directory = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="jtc-"))
    path = directory / name
    try:
        if source is not None:
            await asyncio.to_thread(_place, source, path)
        yield path
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


def _place(source: Source, path: Path) -> None:
    if isinstance(source, Path):
        path.symlink_to(source.absolute())
    elif isinstance(source, bytes):
        path.write_bytes(source)
    else:
        position = source.tell()
        source.seek(0)
        with path.open("wb") as file:
            shutil.copyfileobj(source, file)
        source.seek(position)
