"""Recipes and registries for tests of attachments."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import StorageManager
from jtc.storage.attachments import Attachment, Field, Registry, Variant

if TYPE_CHECKING:
    from pathlib import Path

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAC0lEQVR42mNgQAYAAA4AATo1BFYAAAAASUVORK5CYII="
)
"""A picture of two by two pixels."""

ID = "0123456789abcdef" * 2
SECRET = "attachments-" * 4


@dataclass(frozen=True)
class FixedRecipe:
    """A recipe whose output has one size, whatever the original's is."""

    fingerprint: str = "1a2b3c4d"
    content_type: str = "image/webp"
    extension: str = ".webp"
    width: int = 200

    def output_size(self, width: int, height: int) -> tuple[int, int]:
        return self.width, self.width * height // width


def local_registry(root: Path, **options: Any) -> Registry:
    """Return a registry with the disks `media` and `archive`, in two directories."""
    storage = StorageManager.isolated(
        {
            "default": "media",
            "disks": {
                name: {"driver": "local", "root": str(root / name)} for name in ("media", "archive")
            },
        }
    )
    return Registry(namespace="app", secret=SECRET, storage=storage, **options)


def added(registry: Registry, name: str = "users.avatar", **settings: Any) -> Field:
    """Return a field of the disk `media`, added to a registry."""
    field = Field("media", "avatars", **settings)
    registry.add(name, field)
    return field


@pytest.fixture
def avatar(tmp_path: Path) -> Attachment:
    field = added(
        local_registry(tmp_path),
        variants={"thumb": FixedRecipe(), "card": FixedRecipe("99999999", width=800)},
    )
    thumb = Variant(
        recipe="1a2b3c4d",
        file="thumb-1a2b3c4d.webp",
        content_type="image/webp",
        size=5,
        width=200,
        height=201,
    )
    return Attachment(
        id=ID,
        disk="media",
        directory="app/avatars",
        file="original.png",
        name="me.png",
        content_type="image/png",
        size=100,
        etag="etag",
        width=400,
        height=300,
        placeholder="cGxh",
        variants={"thumb": thumb},
        properties={"secret": "of the application"},
        field=field,
    )


@pytest.fixture
def expected_public(avatar: Attachment) -> dict[str, Any]:
    return {
        "url": avatar.url(),
        "name": "me.png",
        "type": "image/png",
        "size": 100,
        "width": 400,
        "height": 300,
        "placeholder": "cGxh",
        "variants": {
            "thumb": {
                "url": avatar.url("thumb"),
                "type": "image/webp",
                "width": 200,
                "height": 201,
            },
            "card": {"url": avatar.url("card"), "type": "image/webp", "width": 800, "height": 600},
        },
    }


def redeclared(registry: Registry, name: str = "users.avatar", **settings: Any) -> Field:
    """Return a field with other settings, as another process or the next deployment has it."""
    same = Registry(namespace=registry.namespace, secret=SECRET, storage=registry.storage)
    return added(same, name, **settings)
