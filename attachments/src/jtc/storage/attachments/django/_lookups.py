"""Conditions on columns with attachments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import NotSupportedError
from django.db.models import BooleanField, Func

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["NamesAny"]


class NamesAny(Func):
    """The condition that a column names one of several attachments.

    Args:
        column: The column.
        ids: The ids of the attachments.
        many: Whether the column has a list.
    """

    def __init__(self, column: Any, ids: Collection[str], *, many: bool) -> None:
        super().__init__(column, output_field=BooleanField())
        self._ids = list(ids)
        self._many = many

    def as_sql(self, compiler: Any, connection: Any, *_: Any, **__: Any) -> Any:  # noqa: ARG002
        """Refuse a database whose functions are not known here."""
        raise NotSupportedError(
            f"Attachments need SQLite or PostgreSQL to look into JSON, not {connection.vendor}"
        )

    def as_sqlite(self, compiler: Any, connection: Any, **_: Any) -> Any:  # noqa: ARG002
        """Return the condition for SQLite."""
        one = "json_extract({column}, '$.id') IN ({ids})"
        of_list = (
            "EXISTS (SELECT 1 FROM json_each({column}) AS each_attachment "
            "WHERE json_extract(each_attachment.value, '$.id') IN ({ids}))"
        )
        return self._condition(compiler, one, of_list)

    def as_postgresql(self, compiler: Any, connection: Any, **_: Any) -> Any:  # noqa: ARG002
        """Return the condition for PostgreSQL."""
        one = "({column} ->> 'id') IN ({ids})"
        of_list = (
            "EXISTS (SELECT 1 FROM jsonb_array_elements({column}) AS each_attachment "
            "WHERE each_attachment ->> 'id' IN ({ids}))"
        )
        return self._condition(compiler, one, of_list)

    def _condition(self, compiler: Any, one: str, of_list: str) -> Any:
        (column,) = self.get_source_expressions()
        name, parameters = compiler.compile(column)
        ids = ", ".join(["%s"] * len(self._ids))
        sql = (of_list if self._many else one).format(column=name, ids=ids)
        return sql, [*parameters, *self._ids]
