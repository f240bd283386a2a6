"""Fixtures: a Django project with models on SQLite, and its files on each kind of disk."""

from __future__ import annotations

import itertools
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
import pytest
from django.conf import settings

from attachment_fields import avatar, expected_public
from jtc.storage import Storage

if TYPE_CHECKING:
    from jtc.storage.django import DiskStorage

__all__ = ["avatar", "expected_public"]

_numbers = itertools.count(1)

STATIC = "jtc.storage.django.staticfiles.ManifestDiskStorage"


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Set up Django, once per process; return the module with the models."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "assets/css").mkdir(parents=True)
    (folder / "assets/css/site.css").write_text("body { background: url(../dot.svg) }\n")
    (folder / "assets/dot.svg").write_text("<svg/>\n")
    settings.configure(
        SECRET_KEY="not a secret",
        USE_TZ=True,
        INSTALLED_APPS=["django.contrib.staticfiles", "shop"],
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "db.sqlite3"}
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        STATIC_URL="/static/",
        STATICFILES_DIRS=[folder / "assets"],
        STORAGES={
            "default": {
                "BACKEND": "jtc.storage.django.DiskStorage",
                "OPTIONS": {"disk": "media"},
            },
            "replacing": {
                "BACKEND": "jtc.storage.django.DiskStorage",
                "OPTIONS": {"disk": "media", "allow_overwrite": True},
            },
            "staticfiles": {"BACKEND": STATIC, "OPTIONS": {"disk": "media"}},
        },
    )
    _make_modules(folder)
    sys.path.insert(0, str(folder))
    try:
        django.setup()
        from django.core.management import call_command

        call_command("makemigrations", "shop", verbosity=0)
        call_command("migrate", verbosity=0)
        import shop.models

        yield shop.models
    finally:
        from django.db import connections

        connections.close_all()
        sys.path.remove(str(folder))


def _make_modules(folder: Path) -> None:
    (folder / "shop").mkdir()
    (folder / "shop/__init__.py").touch()
    (folder / "shop/models.py").write_text(
        """
from django.core.files.storage import storages
from django.db import models

from jtc.storage.django import DiskStorage


def chosen():
    return storages["replacing"]


class Invoice(models.Model):
    document = models.FileField(upload_to="invoices/%Y", max_length=60)
    logo = models.FileField(storage=chosen, upload_to="logos", blank=True)
    scan = models.FileField(storage=DiskStorage("media", allow_overwrite=True), blank=True)
"""
    )


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
