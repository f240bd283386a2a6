"""A Django project with models on SQLite. A process has one, since Django has one."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import sys
import tempfile
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import django
from django.conf import settings

__all__ = ["POSTGRESQL", "django_project", "documented"]

POSTGRESQL = "JTC_TESTS_DJANGO_POSTGRESQL"
"""The variable that names the directory of a PostgreSQL server's socket."""

STATIC = "jtc.storage.django.staticfiles.ManifestDiskStorage"

SHOP = """
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

CLUB = """
from django.db import models

from jtc.storage.attachments.django import AttachmentField


class Member(models.Model):
    name = models.CharField(max_length=20)
    avatar = AttachmentField("media", "avatars", max_size="100kB", types=["image/*", "text/plain"])
    photos = AttachmentField("media", "photos", many=True, keep_latest=3)

    def __str__(self):
        return self.name


class Guest(Member):
    class Meta:
        proxy = True


class Trainer(Member):
    licence = AttachmentField("media", "licences")


class Document(models.Model):
    file = AttachmentField("media", "documents")

    class Meta:
        abstract = True


class Minutes(Document):
    pass


class Statute(Document):
    pass


class Badge(models.Model):
    member = models.ForeignKey(Member, on_delete=models.CASCADE)
    icon = AttachmentField("media", "icons")
"""

URLS = """
from django.contrib import admin
from django.urls import include, path

from club.models import Member
from jtc.storage.attachments.django.admin import AttachmentAdminMixin


class MemberAdmin(AttachmentAdminMixin, admin.ModelAdmin):
    fields = ("name", "avatar")


admin.site.register(Member, MemberAdmin)
urlpatterns = [
    path("admin/", admin.site.urls),
    path("attachments/", include("jtc.storage.attachments.django.urls")),
]
"""


def documented() -> list[str]:
    """Return the examples in Python of the document on attachments of models."""
    text = (Path(__file__).parents[2] / "docs/django-attachments.md").read_text()
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def _database(folder: Path) -> dict[str, Any]:
    """Return the database: PostgreSQL where the environment names the folder of its socket."""
    if host := os.environ.get(POSTGRESQL):
        engine = "django.db.backends.postgresql"
        return {"ENGINE": engine, "HOST": host, "NAME": "postgres", "USER": "tester"}
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "db.sqlite3"}


@cache
def django_project() -> dict[str, Any]:
    """Set up Django; return the modules with the models of the apps `shop` and `club`."""
    folder = Path(tempfile.mkdtemp(prefix="jtc-django-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "assets/css").mkdir(parents=True)
    (folder / "assets/css/site.css").write_text("body { background: url(../dot.svg) }\n")
    (folder / "assets/dot.svg").write_text("<svg/>\n")
    for app, text in (("shop", SHOP), ("club", CLUB), ("shelf", documented()[1])):
        (folder / app).mkdir()
        (folder / app / "__init__.py").touch()
        (folder / app / "models.py").write_text(text)
    sys.path.append(str(folder))
    settings.configure(
        SECRET_KEY="not a secret, but as long as one has to be",
        USE_TZ=True,
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django.contrib.sessions",
            "django.contrib.messages",
            "django.contrib.admin",
            "django.contrib.staticfiles",
            "jtc.storage.attachments.django",
            "shop",
            "club",
            "shelf",
        ],
        DATABASES={"default": _database(folder)},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        ROOT_URLCONF="club.urls",
        STORAGE_ATTACHMENTS={"namespace": "club"},
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
    (folder / "club/urls.py").write_text(URLS)
    django.setup()
    from django.core.management import call_command

    call_command("makemigrations", "shop", "club", "shelf", verbosity=0)
    call_command("migrate", verbosity=0)
    return {app: import_module(f"{app}.models") for app in ("shop", "club")}
