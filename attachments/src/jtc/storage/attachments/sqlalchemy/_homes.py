"""The database of a registry: its tables, its columns with attachments, and its sessions."""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import Column, MetaData, Table
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Mapper, Session, sessionmaker

from jtc.storage.attachments.sqlalchemy._columns import MappedField, mapped_fields
from jtc.storage.attachments.sqlalchemy._tables import Tables
from jtc.storage.attachments.sqlalchemy._triggers import Triggers, missing_triggers, triggers_of
from jtc.storage.attachments.sqlalchemy.column_types import AttachmentListType, AttachmentType
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from jtc.storage.attachments.fields import Field
    from jtc.storage.attachments.registry import Registry

__all__ = ["Home", "Sessions", "home_of", "home_of_registry", "homes_of"]

logger = logging.getLogger("jtc.storage.attachments")

Sessions: TypeAlias = async_sessionmaker[AsyncSession] | sessionmaker[Session]
"""What makes sessions, synchronous or not."""

_homes: weakref.WeakKeyDictionary[Registry, Home] = weakref.WeakKeyDictionary()
_columns: weakref.WeakKeyDictionary[Field, Column[Any]] = weakref.WeakKeyDictionary()
"""The column of each field: one that a mixin declares is copied to each class, with its field."""


class Home:
    """The database of a registry.

    Args:
        registry: The registry.
        metadata: The application's tables.
        sessions: Makes the sessions of maintenance.
        has_triggers: Whether triggers of the database write the outbox.

    Attributes:
        metadata: The application's tables.
        tables: The tables of ours.
        columns: The columns with attachments, by the names of their fields.
        known_fields: The names of fields that a database is known to have in its list.
        mappers: The mappers of their tables, where these are mapped.
    """

    def __init__(
        self, registry: Registry, metadata: MetaData, sessions: Sessions, *, has_triggers: bool
    ) -> None:
        self.registry = registry
        self.sessions = sessions
        self.has_triggers = has_triggers
        self.metadata = metadata
        self.tables = Tables(metadata)
        self.columns: dict[str, Column[Any]] = {}
        self.mappers: dict[Table, Mapper[Any]] = {}
        self.known_fields: weakref.WeakKeyDictionary[Engine, set[str]] = weakref.WeakKeyDictionary()
        self._verified: weakref.WeakSet[Engine] = weakref.WeakSet()
        _homes[registry] = self
        for table in list(metadata.tables.values()):
            self.add_table(table)

    def add_mapper(self, mapper: Mapper[Any], _class: object = None) -> None:
        """Register the fields of a mapped class."""
        for table in mapper.tables:
            if isinstance(table, Table):
                self.mappers.setdefault(table, mapper)
                self.add_table(table)

    def add_table(self, table: Table) -> None:
        """Register the fields of a table."""
        for column in table.columns:
            kind = column.type
            if not isinstance(kind, (AttachmentType, AttachmentListType)) or kind.field is None:
                continue
            if not table.primary_key.columns:
                raise StorageConfigException(f"The table {table.fullname!r} has no primary key")
            if _columns.setdefault(kind.field, column) is not column:
                kind.field = kind.field.copy()
                _columns[kind.field] = column
            name = f"{table.fullname}.{column.name}"
            if self.columns.get(name) is not column:
                self.registry.add(name, kind.field)
                self.columns[name] = column
                self._warn_of_cascades(table)

    def column_of(self, field: Field) -> Column[Any]:
        """Return the column of a field.

        Raises:
            StorageConfigException: The field was added by hand.
        """
        if field.name not in self.columns:
            raise StorageConfigException(f"No column of the database is the field {field.name!r}")
        return self.columns[field.name]

    def target_of(self, field: Field) -> MappedField:
        """Return the attribute of a field.

        Raises:
            StorageConfigException: No class maps the field's table.
        """
        column = self.column_of(field)
        mapper = self.mappers.get(column.table) if isinstance(column.table, Table) else None
        for each in () if mapper is None else mapped_fields(mapper):
            if each.column is column:
                return each
        raise StorageConfigException(f"No class maps the column {field.name!r}")

    def _warn_of_cascades(self, table: Table) -> None:
        if self.has_triggers:
            return
        for key in table.foreign_keys:
            if (key.ondelete or "").upper() == "CASCADE":
                logger.warning(
                    "Where the database deletes rows of %r with their %r (ON DELETE CASCADE), "
                    "their files remain until the next purge: use outbox='trigger', or let the "
                    "session delete them (a relationship without passive_deletes)",
                    table.fullname,
                    key.target_fullname.rpartition(".")[0],
                )

    def triggers(self) -> list[Triggers]:
        """Return the triggers of all columns."""
        return [triggers_of(column) for column in self.columns.values()]

    def verify(self, connection: Connection) -> None:
        """Check once per engine that the triggers are there.

        Raises:
            StorageConfigException: One is missing.
        """
        if not self.has_triggers or connection.engine in self._verified:
            return
        missing = missing_triggers(connection, self.columns.values())
        if missing:
            raise StorageConfigException(
                f"The database has no triggers for {', '.join(missing)}, which outbox='trigger' "
                "needs: create them by a migration (op.create_attachment_triggers), or by "
                "create_triggers()"
            )
        self._verified.add(connection.engine)


def homes_of(metadata: object) -> list[Home]:
    """Return the databases that have these tables, of whichever registry."""
    return [home for home in _homes.values() if home.metadata is metadata]


def home_of_registry(registry: Registry) -> Home:
    """Return the database of a registry.

    Raises:
        StorageConfigException: `connect` did not make the registry.
    """
    home = _homes.get(registry)
    if home is None:
        raise StorageConfigException(f"{registry!r} has no database of SQLAlchemy: use connect()")
    return home


def home_of(field: Field) -> Home:
    """Return the database of a field.

    Raises:
        StorageConfigException: `connect` was not called.
    """
    return home_of_registry(field.registry)
