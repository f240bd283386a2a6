"""The Django app."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import AppConfig, apps

if TYPE_CHECKING:
    from django.db.models import Model

__all__ = ["AttachmentsConfig"]


class AttachmentsConfig(AppConfig):
    """Adds the fields of all models to the registry, and watches their objects."""

    name = "jtc.storage.attachments.django"
    label = "jtc_attachments"
    verbose_name = "Attachments"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect the models of all apps."""
        from jtc.storage.attachments.django._records import DjangoRecords  # noqa: PLC0415 - models
        from jtc.storage.attachments.django._registry import registry  # noqa: PLC0415
        from jtc.storage.attachments.django._saving import watch  # noqa: PLC0415
        from jtc.storage.attachments.django.fields import own_fields  # noqa: PLC0415

        found = registry()
        models: list[type[Model]] = apps.get_models(include_auto_created=True)
        for model in models:
            for field in own_fields(model):
                if model._meta.proxy:
                    continue
                found.add(f"{model._meta.db_table}.{field.column}", field.settings)
                field.is_connected = True
            watch(model)
        found.records = DjangoRecords(found)
