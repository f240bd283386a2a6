"""The Django app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import AppConfig, apps
from django.core import checks
from django.db import connections, router
from django.db.models.signals import post_migrate

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        from jtc.storage.attachments.jobs import add_jobs  # noqa: PLC0415

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
        add_jobs(found)
        post_migrate.connect(_create_triggers)
        checks.register(_check_triggers, checks.Tags.database)


def _create_triggers(sender: AppConfig, using: str, **_: Any) -> None:
    """Create the triggers of an app's tables after ``migrate``, which may have made them anew."""
    from jtc.storage.attachments.django._registry import uses_triggers  # noqa: PLC0415 - settings
    from jtc.storage.attachments.django._triggers import create_triggers  # noqa: PLC0415 - models

    if uses_triggers():
        for model in sender.get_models():
            if router.allow_migrate_model(using, model) and not model._meta.proxy:
                create_triggers(connections[using], model)


def _check_triggers(databases: Sequence[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """Report tables without triggers, for ``check --database`` and ``migrate``."""
    from jtc.storage.attachments.django._registry import uses_triggers  # noqa: PLC0415 - settings
    from jtc.storage.attachments.django._triggers import missing_triggers  # noqa: PLC0415 - models

    if not uses_triggers():
        return []
    return [
        checks.Warning(
            f"The column {name} has no triggers, and outbox='trigger' relies on them",
            hint="Run migrate.",
            obj=name,
            id="jtc_attachments.W001",
        )
        for using in databases or ()
        for name in missing_triggers(connections[using])
    ]
