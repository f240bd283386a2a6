"""The tables that attachments need in the application's database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Column, Double, Index, Integer, MetaData, String, Table, insert
from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from jtc.storage.attachments.models import Attachment

__all__ = ["Tables", "insert_once", "outbox_rows"]


class Tables:
    """The outbox, the used tokens, the fields in use, and the state of a database.

    Args:
        metadata: The application's, so that `create_all` and Alembic create them.

    Attributes:
        outbox: An entry for each file that a transaction dropped.
        tokens: The tokens that were used.
        fields: The names of the fields that rows were written for.
        state: One row: the database's id, and the counter of maintenance runs.
    """

    def __init__(self, metadata: MetaData) -> None:
        self.outbox = _table(
            metadata,
            "jtc_attachment_outbox",
            Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
            Column("disk", String(255), nullable=False),
            Column("directory", String(1024), nullable=False),
            Column("attachment", String(64), nullable=False),
            Column("dropped_at", Double, nullable=False),
            Column("taken_until", Double),
            Index("jtc_attachment_outbox_dropped_at", "dropped_at"),
            Index("jtc_attachment_outbox_attachment", "attachment"),
        )
        self.tokens = _table(
            metadata,
            "jtc_attachment_tokens",
            Column("token", String(64), primary_key=True),
            Column("used_at", Double, nullable=False),
        )
        self.fields = _table(
            metadata, "jtc_attachment_fields", Column("name", String(128), primary_key=True)
        )
        self.state = _table(
            metadata,
            "jtc_attachment_state",
            Column("number", Integer, primary_key=True, autoincrement=False),
            Column("database_id", String(64), nullable=False),
            Column("counter", BigInteger, nullable=False),
        )


def _table(metadata: MetaData, name: str, *items: Column[object] | Index) -> Table:
    known = metadata.tables.get(name if metadata.schema is None else f"{metadata.schema}.{name}")
    return Table(name, metadata, *items) if known is None else known


def outbox_rows(attachments: Iterable[Attachment], dropped_at: float) -> list[dict[str, object]]:
    """Return the rows of the outbox for dropped attachments."""
    return [
        {
            "disk": each.disk,
            "directory": each.own_directory,
            "attachment": each.id,
            "dropped_at": dropped_at,
        }
        for each in attachments
    ]


def insert_once(connection: Connection, table: Table, values: dict[str, Any]) -> bool:
    """Insert a row if its key is new; an error would end the whole transaction on PostgreSQL."""
    if connection.dialect.name == "postgresql":
        done = connection.execute(postgresql.insert(table).on_conflict_do_nothing(), values)
    elif connection.dialect.name == "sqlite":
        done = connection.execute(sqlite.insert(table).on_conflict_do_nothing(), values)
    else:
        done = connection.execute(insert(table).prefix_with("IGNORE"), values)
    return done.rowcount == 1
