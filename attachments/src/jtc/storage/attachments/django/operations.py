"""Migration operation `AttachmentTriggers`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.migrations.operations.base import Operation

from jtc.storage.attachments.django._triggers import create_triggers, drop_triggers

if TYPE_CHECKING:
    from django.db.migrations.state import ProjectState

__all__ = ["AttachmentTriggers"]


class AttachmentTriggers(Operation):
    """Creates the triggers that write the outbox of a model's table.

    ``migrate`` does so after each run, for all models, where the option ``outbox`` of
    ``STORAGE_ATTACHMENTS`` is ``"trigger"``; SQLite loses triggers when a migration makes a table
    anew. A project that runs its migrations as SQL has this operation in a migration instead.

    Args:
        model: The model's name.
    """

    reversible = True
    reduces_to_sql = True

    def __init__(self, model: str) -> None:
        self.model = model

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Change no model."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: Any,
        from_state: ProjectState,  # noqa: ARG002 - as Django passes it
        to_state: ProjectState,
    ) -> None:
        """Create the triggers.

        Raises:
            NotSupportedError: The database is neither SQLite nor PostgreSQL.
        """
        model = to_state.apps.get_model(app_label, self.model)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            create_triggers(schema_editor.connection, model)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: Any,
        from_state: ProjectState,  # noqa: ARG002 - as Django passes it
        to_state: ProjectState,
    ) -> None:
        """Drop the triggers."""
        model = to_state.apps.get_model(app_label, self.model)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            drop_triggers(schema_editor.connection, model)

    def describe(self) -> str:
        """Return what ``migrate --plan`` shows."""
        return f"Create triggers for the attachments of {self.model}"
