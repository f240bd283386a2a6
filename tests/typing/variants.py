"""Recipes, and the route of attachments, as an application's type checker sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import assert_type

from starlette.applications import Starlette
from starlette.types import ASGIApp

from jtc.storage import images
from jtc.storage.attachments import Field, Recipe, Registry
from jtc.storage.attachments.asgi import AttachmentRoute, route
from jtc.storage.attachments.derivations import Derivation, derive


def of_path(original: Path) -> Path:
    return original


async def of_bytes(original: bytes) -> str:
    return original.decode()


async def streamed(original: Path) -> AsyncIterator[bytes]:
    yield original.read_bytes()


def recipes() -> None:
    first = derive(of_path, version=1, content_type="text/plain", extension=".txt")
    second = derive(
        of_bytes, version="2", content_type="text/plain", extension=".txt", takes="bytes"
    )
    assert_type(first, Derivation)
    both: list[Recipe] = [first, second, images.cover(1, 1).webp()]
    derive(streamed, version=1, content_type="text/plain", extension=".txt")
    Field("media", "a", variants={"first": first, "thumb": images.cover(1, 1)}, eager=["first"])
    Field("media", "a", variants=dict(zip(("a", "b", "c"), both, strict=True)))
    derive(of_bytes, version=1, content_type="text/plain", extension=".txt")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def routes(registry: Registry) -> None:
    made = route(registry, delivery="stream", public=True)
    assert_type(made, AttachmentRoute)
    app: ASGIApp = made
    Starlette().mount("/attachments", app)
    route(registry, delivery="both")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
