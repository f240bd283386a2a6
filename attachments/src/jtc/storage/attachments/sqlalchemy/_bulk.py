"""Refusal of statements that change rows with attachments and that no event sees."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from sqlalchemy import BindParameter, event
from sqlalchemy.orm import Session
from sqlalchemy.sql.visitors import iterate

from jtc.storage.attachments.sqlalchemy._columns import mapped_fields
from jtc.storage.attachments.sqlalchemy._homes import home_of
from jtc.storage.exceptions import UnsupportedOperationException

if TYPE_CHECKING:
    from sqlalchemy import UpdateBase
    from sqlalchemy.orm import ORMExecuteState

    from jtc.storage.attachments.sqlalchemy._columns import MappedField

__all__ = ["IGNORE"]

IGNORE = "ignore_attachments"
"""The execution option that lets a bulk statement pass."""


@event.listens_for(Session, "do_orm_execute")
def _refuse(state: ORMExecuteState) -> None:
    """Refuse a bulk statement that would drop files without an entry in the outbox."""
    if state.is_select or state.bind_mapper is None or state.execution_options.get(IGNORE):
        return
    fields = [
        each
        for each in mapped_fields(state.bind_mapper)
        if state.is_insert or not home_of(each.field).has_triggers
    ]
    if state.is_insert or state.is_update:
        fields = [each for each in fields if _sets(state, each)]
    if fields:
        kind = "INSERT" if state.is_insert else "UPDATE" if state.is_update else "DELETE"
        raise UnsupportedOperationException(
            f"A bulk {kind} does not keep the files of {fields[0].field.name!r} and its rows "
            "together: change objects and flush the session, use outbox='trigger' (UPDATE and "
            f"DELETE), or pass execution_options={{{IGNORE!r}: True}} where no file is concerned",
            operation="execute",
        )


def _sets(state: ORMExecuteState, target: MappedField) -> bool:
    """Return whether a statement may set a column: its name is a value's, or in its text."""
    given = state.parameters
    rows = [given] if isinstance(given, Mapping) else list(given or ())
    keys = {key for row in rows for key in row}
    if keys & {target.key, target.column.name, target.column.key}:
        return True
    statement = cast("UpdateBase", state.statement)
    try:
        written = str(statement.compile(column_keys=sorted(keys) or None))
    except KeyError:  # SQLAlchemy compiles an INSERT of many objects only as it runs it
        return any(isinstance(each, BindParameter) for each in iterate(statement))
    text = written.partition("RETURNING")[0]
    return re.search(rf"(?<!\w){re.escape(target.column.name)}(?!\w)", text) is not None
