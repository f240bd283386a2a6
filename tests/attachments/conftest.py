"""Fixtures: registries on each driver."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from attachment_fields import SECRET, avatar, expected_public, local_registry
from jtc.storage import StorageManager
from jtc.storage.attachments import Registry
from s3_fixtures import folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

__all__ = ["avatar", "expected_public", "folder", "registry"]

_numbers = itertools.count(1)


@pytest.fixture(params=["memory", "local", "s3"])
async def registry(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Registry]:
    """Give a registry whose disk `media` is of each driver."""
    if request.param == "local":
        yield local_registry(tmp_path)
        return
    options: dict[str, Any] = {"driver": "memory"}
    if request.param == "s3":
        store = request.getfixturevalue("seaweedfs")
        options = {"driver": "s3", "bucket": store.bucket, **store.options}
    storage = StorageManager.isolated({"default": "media", "disks": {"media": options}})
    yield Registry(namespace=f"app{next(_numbers)}", secret=SECRET, storage=storage)
    await storage.aclose()
