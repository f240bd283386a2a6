"""Fixtures: a Django project with models on SQLite, and its files on each kind of disk."""

from __future__ import annotations

import itertools
import types
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from attachment_fields import avatar, expected_public
from django_project import django_project
from jtc.storage import Storage

if TYPE_CHECKING:
    from jtc.storage.django import DiskStorage

__all__ = ["avatar", "expected_public"]

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def project() -> Any:
    """Set up Django, once per process; return the module with the models."""
    yield django_project()["shop"]
    from django.db import connections

    connections.close_all()


@pytest.fixture(params=["memory", "local", "s3"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def media(
    project: types.ModuleType, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[DiskStorage]:
    """Give the default file storage, whose disk ``media`` is of each kind."""
    from django.core.files.storage import default_storage

    config: dict[str, Any] = {"driver": kind}
    if kind == "local":
        config |= {"root": str(tmp_path / "media"), "base_url": "/media"}
    elif kind == "s3":
        store = request.getfixturevalue("seaweedfs")
        layers = [{"name": "scoped", "prefix": f"django-{next(_numbers)}"}]
        config |= {"bucket": store.bucket, "layers": layers, **store.options}
    Storage.configure({"disks": {"media": config}})
    yield default_storage
    project.Invoice.objects.all().delete()
    Storage.sync.close()
    Storage.forget("media")
    Storage._config = None
