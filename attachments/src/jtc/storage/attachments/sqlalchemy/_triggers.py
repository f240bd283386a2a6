"""Triggers that write the outbox, also for raw SQL, bulk statements and cascades."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from jtc.storage.exceptions import UnsupportedOperationException

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Column, Connection
    from sqlalchemy.engine import Dialect

__all__ = ["Triggers", "missing_triggers"]

_LONGEST_NAME = 60
"""Characters of a trigger's name without its ending: PostgreSQL cuts names at 63, MySQL at 64."""

_INSTALLED = {
    "postgresql": "SELECT tgname FROM pg_catalog.pg_trigger WHERE NOT tgisinternal",
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
    "mysql": "SELECT trigger_name FROM information_schema.triggers "
    "WHERE trigger_schema = DATABASE()",
}

_POSTGRESQL_BODY = """
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO {outbox} (disk, directory, attachment, dropped_at)
    SELECT o->>'disk', (o->>'directory') || '/' || (o->>'id'), o->>'id',
      extract(epoch FROM clock_timestamp())
    FROM {table} AS t, jsonb_array_elements({t}) AS o;
    RETURN NULL;
  END IF;
  INSERT INTO {outbox} (disk, directory, attachment, dropped_at)
  SELECT o->>'disk', (o->>'directory') || '/' || (o->>'id'), o->>'id',
    extract(epoch FROM clock_timestamp())
  FROM jsonb_array_elements({old}) AS o
  WHERE TG_OP = 'DELETE' OR NOT EXISTS (
    SELECT 1 FROM jsonb_array_elements({new}) AS n
    WHERE n->>'id' = o->>'id' AND n->>'disk' = o->>'disk' AND n->>'directory' = o->>'directory');
  RETURN NULL;
END
"""

_SQLITE_INSERT = """
  INSERT INTO {outbox} (disk, directory, attachment, dropped_at)
  SELECT disk, directory || '/' || id, id, (julianday('now') - 2440587.5) * 86400.0
  FROM ({dropped});
"""

_SQLITE_EACH = (
    "SELECT json_extract(value, '$.disk') AS disk, json_extract(value, '$.directory') "
    "AS directory, json_extract(value, '$.id') AS id FROM json_each({array})"
)

_MYSQL_INSERT = """
INSERT INTO {outbox} (disk, directory, attachment, dropped_at)
SELECT o.disk, CONCAT(o.directory, '/', o.id), o.id, UNIX_TIMESTAMP(NOW(6))
FROM JSON_TABLE({old}, '$[*]' COLUMNS ({columns})) AS o{where}"""

_MYSQL_WHERE = """
WHERE NOT EXISTS (
  SELECT 1 FROM JSON_TABLE({new}, '$[*]' COLUMNS ({columns})) AS n
  WHERE n.id = o.id AND n.disk = o.disk AND n.directory = o.directory)"""

_MYSQL_COLUMNS = (
    "id VARCHAR(64) PATH '$.id', disk VARCHAR(255) PATH '$.disk', "
    "directory VARCHAR(1024) PATH '$.directory'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggers:
    """The triggers of one column.

    Attributes:
        table: The name of its table.
        column: Its name.
        schema: The schema of the table.
        outbox_schema: The schema of the outbox.
    """

    table: str
    column: str
    schema: str | None = None
    outbox_schema: str | None = None

    @property
    def name(self) -> str:
        """What the names of the triggers begin with."""
        full = f"jtc_attachment_{self.table}_{self.column}"
        if len(full) > _LONGEST_NAME:
            digest = hashlib.sha256(full.encode()).hexdigest()[:10]
            full = f"{full[: _LONGEST_NAME - 11]}_{digest}"
        return full

    def names(self, dialect: Dialect) -> list[str]:
        """Return the names of the triggers."""
        return [f"{self.name}_{end}" for end in ("ud", "udt")[dialect.name == "postgresql"]]

    def create(self, dialect: Dialect) -> list[str]:
        """Return the statements that make the triggers, and replace those that there are.

        Raises:
            UnsupportedOperationException: There are none for this kind of database.
        """
        makers = {
            "postgresql": self._create_postgresql,
            "sqlite": self._create_sqlite,
            "mysql": self._create_mysql,
            "mariadb": self._create_mysql,
        }
        if dialect.name not in makers:
            raise UnsupportedOperationException(
                f"There are triggers for PostgreSQL, SQLite and MySQL, not for {dialect.name}: use "
                "outbox='session'"
            )
        return [*self.drop(dialect), *makers[dialect.name](dialect)]

    def drop(self, dialect: Dialect) -> list[str]:
        """Return the statements that remove the triggers, where they exist."""
        quoted = [self._quoted(dialect, name) for name in self.names(dialect)]
        if dialect.name == "postgresql":
            table = self._named(dialect, self.table, self.schema)
            function = self._named(dialect, self.name, self.schema)
            return [
                *(f"DROP TRIGGER IF EXISTS {name} ON {table}" for name in quoted),
                f"DROP FUNCTION IF EXISTS {function}()",
            ]
        return [f"DROP TRIGGER IF EXISTS {name}" for name in quoted]

    def _create_postgresql(self, dialect: Dialect) -> list[str]:
        column = self._quoted(dialect, self.column)
        table = self._named(dialect, self.table, self.schema)
        function = self._named(dialect, self.name, self.schema)

        def array(row: str) -> str:
            value = f"{row}.{column}::jsonb"
            return (
                f"CASE jsonb_typeof({value}) WHEN 'array' THEN {value} "
                f"WHEN 'object' THEN jsonb_build_array({value}) ELSE '[]'::jsonb END"
            )

        body = _POSTGRESQL_BODY.format(
            outbox=self._outbox(dialect),
            table=table,
            t=array("t"),
            old=array("OLD"),
            new=array("NEW"),
        )
        update, delete, truncate = (self._quoted(dialect, name) for name in self.names(dialect))
        call = f"EXECUTE FUNCTION {function}()"
        changed = f"OLD.{column}::jsonb IS DISTINCT FROM NEW.{column}::jsonb"
        return [
            f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $jtc${body}$jtc$",
            f"CREATE TRIGGER {update} AFTER UPDATE ON {table} FOR EACH ROW WHEN ({changed}) {call}",
            f"CREATE TRIGGER {delete} AFTER DELETE ON {table} FOR EACH ROW {call}",
            f"CREATE TRIGGER {truncate} BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {call}",
        ]

    def _create_sqlite(self, dialect: Dialect) -> list[str]:
        column = self._quoted(dialect, self.column)
        table = self._named(dialect, self.table, self.schema)

        def each(row: str) -> str:
            value = f"{row}.{column}"
            array = (
                f"CASE json_type({value}) WHEN 'array' THEN {value} "
                f"WHEN 'object' THEN json_array(json({value})) ELSE '[]' END"
            )
            return _SQLITE_EACH.format(array=array)

        def insert(dropped: str) -> str:
            return _SQLITE_INSERT.format(outbox=self._outbox(dialect), dropped=dropped)

        update, delete = (self._quoted(dialect, name) for name in self.names(dialect))
        changed = f"OLD.{column} IS NOT NEW.{column}"
        # EXCEPT and not NOT EXISTS, which would compare each of a long list with each other one.
        replaced = insert(f"{each('OLD')} EXCEPT {each('NEW')}")
        deleted = insert(each("OLD"))
        return [
            (
                f"CREATE TRIGGER {update} AFTER UPDATE ON {table} FOR EACH ROW WHEN {changed} "
                f"BEGIN{replaced}END"
            ),
            f"CREATE TRIGGER {delete} AFTER DELETE ON {table} FOR EACH ROW BEGIN{deleted}END",
        ]

    def _create_mysql(self, dialect: Dialect) -> list[str]:
        column = self._quoted(dialect, self.column)
        table = self._named(dialect, self.table, self.schema)

        def array(row: str) -> str:
            value = f"{row}.{column}"
            return (
                f"CASE JSON_TYPE({value}) WHEN 'ARRAY' THEN CONCAT({value}, '') "
                f"WHEN 'OBJECT' THEN CONCAT('[', {value}, ']') ELSE '[]' END"
            )

        def insert(where: str) -> str:
            return _MYSQL_INSERT.format(
                outbox=self._outbox(dialect), old=array("OLD"), columns=_MYSQL_COLUMNS, where=where
            )

        update, delete = (self._quoted(dialect, name) for name in self.names(dialect))
        kept = insert(_MYSQL_WHERE.format(new=array("NEW"), columns=_MYSQL_COLUMNS))
        return [
            f"CREATE TRIGGER {update} AFTER UPDATE ON {table} FOR EACH ROW{kept}",
            f"CREATE TRIGGER {delete} AFTER DELETE ON {table} FOR EACH ROW{insert('')}",
        ]

    def _outbox(self, dialect: Dialect) -> str:
        return self._named(dialect, "jtc_attachment_outbox", self.outbox_schema)

    def _quoted(self, dialect: Dialect, name: str) -> str:
        return dialect.identifier_preparer.quote(name)

    def _named(self, dialect: Dialect, name: str, schema: str | None) -> str:
        quoted = self._quoted(dialect, name)
        return quoted if schema is None else f"{self._quoted(dialect, schema)}.{quoted}"


def triggers_of(column: Column[Any]) -> Triggers:
    """Return the triggers of a column."""
    table = column.table
    return Triggers(
        table=table.name,
        column=column.name,
        schema=table.schema,
        outbox_schema=table.metadata.schema,
    )


def installed_triggers(connection: Connection) -> set[str]:
    """Return the names of the triggers that a database has."""
    kind = "mysql" if connection.dialect.name == "mariadb" else connection.dialect.name
    return set(connection.scalars(text(_INSTALLED[kind]))) if kind in _INSTALLED else set()


def missing_triggers(connection: Connection, columns: Iterable[Column[Any]]) -> list[str]:
    """Return the names of the fields whose triggers are missing."""
    installed = installed_triggers(connection)
    return [
        f"{column.table.fullname}.{column.name}"
        for column in columns
        if not installed.issuperset(triggers_of(column).names(connection.dialect))
    ]
