"""Alembic operations that make the triggers of ``outbox="trigger"``, found by autogenerate too.

`connect` imports this module where Alembic is imported already, as it is in ``env.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alembic.autogenerate import comparators, renderers
from alembic.operations import MigrateOperation, Operations
from alembic.operations.ops import AddColumnOp, CreateTableOp, OpContainer
from alembic.util import DispatchPriority
from sqlalchemy import Column

from jtc.storage.attachments.sqlalchemy._homes import homes_of
from jtc.storage.attachments.sqlalchemy._triggers import Triggers, installed_triggers
from jtc.storage.attachments.sqlalchemy.column_types import AttachmentListType, AttachmentType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from alembic.autogenerate.api import AutogenContext
    from alembic.operations.ops import UpgradeOps

__all__ = ["CreateAttachmentTriggers", "DropAttachmentTriggers"]

_IMPORT = "import jtc.storage.attachments.sqlalchemy.migrations"


class _TriggersOperation(MigrateOperation):
    """An operation on the triggers of one column."""

    name = ""

    def __init__(self, triggers: Triggers) -> None:
        self.triggers = triggers

    def rendered(self) -> str:
        """Return the call that a migration has."""
        schemas = {"schema": self.triggers.schema, "outbox_schema": self.triggers.outbox_schema}
        more = [f"{key}={value!r}" for key, value in schemas.items() if value is not None]
        return ", ".join([f"{self.triggers.table!r}, {self.triggers.column!r}", *more])


@Operations.register_operation("create_attachment_triggers")
class CreateAttachmentTriggers(_TriggersOperation):
    """Makes the triggers of one column, in the place of former ones.

    Args:
        triggers: The triggers.
    """

    @classmethod
    def create_attachment_triggers(
        cls,
        operations: Operations,
        table_name: str,
        column_name: str,
        *,
        schema: str | None = None,
        outbox_schema: str | None = None,
    ) -> None:
        """Make the triggers of a column, after its table and ``jtc_attachment_outbox`` are made.

        SQLite drops them with the table that `batch_alter_table` replaces: make them again then.

        Args:
            operations: Alembic's ``op``.
            table_name: The table.
            column_name: The column.
            schema: The schema of the table.
            outbox_schema: The schema of the outbox.
        """
        triggers = Triggers(
            table=table_name, column=column_name, schema=schema, outbox_schema=outbox_schema
        )
        operations.invoke(cls(triggers))

    def reverse(self) -> DropAttachmentTriggers:
        """Return the operation that removes them."""
        return DropAttachmentTriggers(self.triggers)


@Operations.register_operation("drop_attachment_triggers")
class DropAttachmentTriggers(_TriggersOperation):
    """Removes the triggers of one column, where they exist.

    Args:
        triggers: The triggers.
    """

    @classmethod
    def drop_attachment_triggers(
        cls,
        operations: Operations,
        table_name: str,
        column_name: str,
        *,
        schema: str | None = None,
        outbox_schema: str | None = None,
    ) -> None:
        """Remove the triggers of a column, before its table is dropped.

        Args:
            operations: Alembic's ``op``.
            table_name: The table.
            column_name: The column.
            schema: The schema of the table.
            outbox_schema: The schema of the outbox.
        """
        triggers = Triggers(
            table=table_name, column=column_name, schema=schema, outbox_schema=outbox_schema
        )
        operations.invoke(cls(triggers))

    def reverse(self) -> CreateAttachmentTriggers:
        """Return the operation that makes them."""
        return CreateAttachmentTriggers(self.triggers)


@Operations.implementation_for(CreateAttachmentTriggers)
def _create(operations: Operations, operation: CreateAttachmentTriggers) -> None:
    for statement in operation.triggers.create(operations.get_context().dialect):
        operations.execute(statement)


@Operations.implementation_for(DropAttachmentTriggers)
def _drop(operations: Operations, operation: DropAttachmentTriggers) -> None:
    for statement in operation.triggers.drop(operations.get_context().dialect):
        operations.execute(statement)


@renderers.dispatch_for(CreateAttachmentTriggers)
def _render_create(context: AutogenContext, operation: CreateAttachmentTriggers) -> str:
    context.imports.add(_IMPORT)
    return f"op.create_attachment_triggers({operation.rendered()})"


@renderers.dispatch_for(DropAttachmentTriggers)
def _render_drop(context: AutogenContext, operation: DropAttachmentTriggers) -> str:
    context.imports.add(_IMPORT)
    return f"op.drop_attachment_triggers({operation.rendered()})"


@comparators.dispatch_for("autogenerate", priority=DispatchPriority.LAST)
def _compare(context: AutogenContext, upgrade_ops: UpgradeOps) -> None:
    """Find triggers that are missing; and have the types imported that are rendered."""
    if _uses_types(upgrade_ops.ops):
        context.imports.add(_IMPORT)
    for home in homes_of(context.metadata):
        if home.has_triggers and context.connection is not None:
            installed = installed_triggers(context.connection)
            for triggers in home.triggers():
                if not installed.issuperset(triggers.names(context.connection.dialect)):
                    upgrade_ops.ops.append(CreateAttachmentTriggers(triggers))


def _uses_types(operations: Sequence[MigrateOperation]) -> bool:
    types = (AttachmentType, AttachmentListType)
    return any(isinstance(column.type, types) for column in _new_columns(operations))


def _new_columns(operations: Sequence[MigrateOperation]) -> Iterator[Column[Any]]:
    for operation in operations:
        if isinstance(operation, CreateTableOp):
            yield from (each for each in operation.columns if isinstance(each, Column))
        elif isinstance(operation, AddColumnOp):
            yield operation.column
        elif isinstance(operation, OpContainer):
            yield from _new_columns(operation.ops)
