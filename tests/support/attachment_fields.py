"""Recipes and registries for tests of attachments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jtc.storage import StorageManager
from jtc.storage.attachments import Field, Registry

if TYPE_CHECKING:
    from pathlib import Path

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
