"""Triggers that write the outbox, also for raw SQL, bulk statements and cascades."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import NotSupportedError, router

from jtc.storage.attachments.django.fields import own_fields

if TYPE_CHECKING:
    from django.db.models import Model

    from jtc.storage.attachments.django.fields import AttachmentField

__all__ = ["create_triggers", "drop_triggers", "missing_triggers"]

_OUTBOX = "jtc_attachment_outbox"
_FUNCTION = "jtc_attachment_dropped"

_SQLITE_EACH = (
    "SELECT json_extract(value, '$.disk') AS disk, "
    "json_extract(value, '$.directory') AS directory, json_extract(value, '$.id') AS id "
    "FROM json_each(CASE json_type({value}) WHEN 'array' THEN {value} "
    "WHEN 'object' THEN json_array(json({value})) ELSE '[]' END)"
)
_SQLITE = f"""
CREATE TRIGGER IF NOT EXISTS {{name}} AFTER {{event}} ON {{table}} BEGIN
    INSERT INTO {_OUTBOX} (disk, directory, attachment, dropped_at)
    SELECT disk, directory || '/' || id, id, (julianday('now') - 2440587.5) * 86400.0
    FROM ({{dropped}});
END
"""  # noqa: S608 - of constants

_POSTGRESQL_LIST = (
    "jsonb_array_elements(CASE jsonb_typeof({value}) WHEN 'array' THEN {value} "
    "WHEN 'object' THEN jsonb_build_array({value}) ELSE '[]'::jsonb END)"
)
_POSTGRESQL_FUNCTION = f"""
CREATE OR REPLACE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before jsonb := to_jsonb(OLD) -> TG_ARGV[0];
    after jsonb;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        after := to_jsonb(NEW) -> TG_ARGV[0];
    END IF;
    INSERT INTO {_OUTBOX} (disk, directory, attachment, dropped_at)
    SELECT o ->> 'disk', (o ->> 'directory') || '/' || (o ->> 'id'), o ->> 'id',
        extract(epoch FROM clock_timestamp())
    FROM {_POSTGRESQL_LIST.format(value="before")} AS o
    WHERE NOT EXISTS (
        SELECT 1 FROM {_POSTGRESQL_LIST.format(value="after")} AS n
        WHERE n ->> 'id' = o ->> 'id' AND n ->> 'disk' = o ->> 'disk'
        AND n ->> 'directory' = o ->> 'directory');
    RETURN NULL;
END
$$
"""  # noqa: S608 - of constants
_POSTGRESQL = (
    "CREATE OR REPLACE TRIGGER {name} AFTER UPDATE OF {column} OR DELETE ON {table} "
    f"FOR EACH ROW EXECUTE FUNCTION {_FUNCTION}({{argument}})"
)


def create_triggers(connection: Any, model: type[Model]) -> None:
    """Create the triggers of a model's table, or replace them.

    Raises:
        NotSupportedError: The database is neither SQLite nor PostgreSQL.
    """
    fields = own_fields(model)
    with connection.cursor() as cursor:
        if fields and connection.vendor == "postgresql":
            cursor.execute(_POSTGRESQL_FUNCTION)
        for field in fields:
            for statement in _statements(connection, model, field):
                cursor.execute(statement)


def drop_triggers(connection: Any, model: type[Model]) -> None:
    """Drop the triggers of a model's table."""
    quote = connection.ops.quote_name
    of_table = f" ON {quote(model._meta.db_table)}" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        for field in own_fields(model):
            for event in ("", "_update", "_delete"):
                cursor.execute(
                    f"DROP TRIGGER IF EXISTS {quote(_name(model, field) + event)}{of_table}"
                )


def missing_triggers(connection: Any) -> list[str]:
    """Return the columns of a database, as ``<table>.<column>``, that have no triggers."""
    query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    if connection.vendor == "postgresql":
        query = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
    with connection.cursor() as cursor:
        cursor.execute(query)
        there = {name.removesuffix("_update") for (name,) in cursor.fetchall()}
    return [
        f"{model._meta.db_table}.{field.column}"
        for model in apps.get_models(include_auto_created=True)
        if router.allow_migrate_model(connection.alias, model) and not model._meta.proxy
        for field in own_fields(model)
        if _name(model, field) not in there
    ]


def _statements(connection: Any, model: type[Model], field: AttachmentField) -> list[str]:
    quote = connection.ops.quote_name
    table, column = quote(model._meta.db_table), quote(field.column)
    name = _name(model, field)
    if connection.vendor == "postgresql":
        argument = "'" + str(field.column).replace("'", "''") + "'"
        return [_POSTGRESQL.format(name=quote(name), column=column, table=table, argument=argument)]
    if connection.vendor != "sqlite":
        raise NotSupportedError(
            f"There are triggers for SQLite and PostgreSQL, and none for {connection.vendor}: use "
            "outbox='save'"
        )
    before, after = (_SQLITE_EACH.format(value=f"{row}.{column}") for row in ("OLD", "NEW"))
    return [
        _SQLITE.format(name=quote(name + suffix), event=event, table=table, dropped=dropped)
        for suffix, event, dropped in (
            # Not NOT EXISTS, which would compare each of a long list with each other one.
            ("_update", f"UPDATE OF {column}", f"{before} EXCEPT {after}"),
            ("_delete", "DELETE", before),
        )
    ]


def _name(model: type[Model], field: AttachmentField) -> str:
    place = f"{model._meta.db_table}.{field.column}"
    return f"jtc_attachment_{hashlib.sha256(place.encode()).hexdigest()[:16]}"
