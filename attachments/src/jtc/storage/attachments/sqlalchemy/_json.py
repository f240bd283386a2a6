"""Conditions on the JSON of attachments, in each database's own way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, String, case, cast, exists, func, literal, select, type_coerce
from sqlalchemy.dialects.postgresql import JSONB

from jtc.storage.attachments.sqlalchemy.column_types import AttachmentListType

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Column, ColumnElement
    from sqlalchemy.engine import Dialect

__all__ = ["names_any"]


def names_any(dialect: Dialect, column: Column[Any], ids: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that a row names one of these ids in a column."""
    if not isinstance(column.type, AttachmentListType):
        kind = JSONB() if dialect.name == "postgresql" else JSON()
        one: ColumnElement[bool] = type_coerce(column, kind)["id"].as_string().in_(ids)
        return one
    if dialect.name == "postgresql":
        value = type_coerce(column, JSONB())
        array = case((func.jsonb_typeof(value) == "array", value), else_=cast("[]", JSONB()))
        items = func.jsonb_array_elements(array).table_valued("value")
        each = type_coerce(items.c.value, JSONB())["id"].as_string()
        return exists(select(literal(1)).select_from(items).where(each.in_(ids)))
    if dialect.name == "sqlite":
        items = func.json_each(column).table_valued("value")
        each = func.json_extract(items.c.value, "$.id", type_=String)
        return exists(select(literal(1)).select_from(items).where(each.in_(ids)))
    # MySQL 8.0.17, MariaDB 10.9
    found = func.json_extract(column, "$[*].id")
    return func.json_overlaps(found, func.json_array(*ids)) == literal(1)
