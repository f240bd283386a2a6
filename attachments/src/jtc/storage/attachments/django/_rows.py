"""The columns with attachments of a project's models, and what their rows name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import models, router
from django.db.models import F

from jtc.storage.attachments.django._lookups import NamesAny
from jtc.storage.attachments.django.fields import AttachmentField, own_fields
from jtc.storage.attachments.models import Attachment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["columns", "database", "listed", "named", "naming"]


def listed(value: Any) -> tuple[Attachment, ...]:
    """Return the attachments of a field's value."""
    if value is None:
        return ()
    return (value,) if isinstance(value, Attachment) else tuple(value)


def database() -> str:
    """Return the alias of the database of the outbox."""
    from jtc.storage.attachments.django.models import OutboxRow  # noqa: PLC0415 - after the apps

    return router.db_for_write(OutboxRow)


def columns() -> Iterator[tuple[type[models.Model], AttachmentField]]:
    """Yield the models and their own fields."""
    for model in apps.get_models(include_auto_created=True):
        if not model._meta.proxy:
            yield from ((model, field) for field in own_fields(model) if field.is_connected)


def naming(field: AttachmentField, ids: Collection[str]) -> NamesAny:
    """Return the condition that a row names one of the attachments of these ids."""
    return NamesAny(F(field.attname), ids, many=field.settings.many)


def named(ids: Collection[str]) -> list[Attachment]:
    """Return the attachments of these ids that rows name, in any field."""
    found: list[Attachment] = []
    for model, field in columns():
        rows = model._base_manager.using(database()).filter(naming(field, ids))
        for value in rows.values_list(field.attname, flat=True):
            found.extend(each for each in listed(value) if each.id in ids)
    return found
