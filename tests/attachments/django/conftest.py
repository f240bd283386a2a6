"""Fixtures: the models of the app `club`, and the disk `media` of their files."""

from __future__ import annotations

import os
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from django_project import POSTGRESQL, django_project
from jtc.storage import Storage


@pytest.fixture(scope="session")
def models() -> Iterator[types.ModuleType]:
    """Set up Django, once per process; give the module with the models."""
    project = django_project()
    from django.db import connection, connections

    assert connection.vendor == ("postgresql" if POSTGRESQL in os.environ else "sqlite")
    yield project["club"]
    connections.close_all()


@pytest.fixture
def club(models: Any, tmp_path: Path) -> Iterator[Any]:
    """Give the models without any object, and an empty disk `media` in `tmp_path`."""
    from jtc.storage.attachments.django._rollbacks import wait_for_deletions
    from jtc.storage.attachments.django.models import OutboxRow, StateRow, TokenRow

    Storage.configure(
        {
            "disks": {
                name: {"driver": "local", "root": str(tmp_path / name)}
                for name in ("media", "archive")
            }
        }
    )
    yield models
    wait_for_deletions()
    for model in (models.Badge, models.Trainer, models.Member, OutboxRow, StateRow, TokenRow):
        model.objects.all().delete()
    OutboxRow.objects.all().delete()
    Storage.sync.close()
    for name in ("media", "archive"):
        Storage.forget(name)
    Storage._config = None


@pytest.fixture
def outbox(club: Any) -> Callable[[], list[str]]:
    """Return the ids of the attachments in the outbox."""
    from jtc.storage.attachments.django.models import OutboxRow

    return lambda: list(OutboxRow.objects.order_by("number").values_list("attachment", flat=True))


@pytest.fixture
def stored(club: Any, tmp_path: Path) -> Callable[[], list[bytes]]:
    """Return the contents of all files of the disk `media`, in their order."""
    from jtc.storage.attachments.django._rollbacks import wait_for_deletions

    def contents() -> list[bytes]:
        wait_for_deletions()
        files = (tmp_path / "media").rglob("original*")
        return sorted(file.read_bytes() for file in files)

    return contents
