"""Transactions of SQLite: its one lock, and savepoints that are within a transaction."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from sqlalchemy import event, false
from sqlalchemy.orm import Session

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Table
    from sqlalchemy.orm import SessionTransaction

__all__ = ["lock_sqlite"]

_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
"""The engines whose savepoints are within transactions."""


def lock_sqlite(connection: Connection, outbox: Table) -> None:
    """Take the only write lock that SQLite has, before anything is read: it cannot lock rows.

    If another transaction has written since this one first read, this fails with "database is
    locked", and the caller begins again.
    """
    if connection.dialect.name == "sqlite":
        connection.execute(outbox.update().where(false()).values(taken_until=None))


@event.listens_for(Session, "after_begin")
def _after_begin(
    _session: Session, _transaction: SessionTransaction, connection: Connection
) -> None:
    """Have transactions begun before savepoints of SQLite.

    Python's sqlite3 begins a transaction before the first statement that writes, and not before
    SAVEPOINT: the release of such a savepoint commits, and a rollback afterwards changes nothing.
    """
    engine = connection.engine
    if connection.dialect.name == "sqlite" and engine not in _engines:
        _engines.add(engine)
        event.listen(engine, "savepoint", _begin)


def _begin(connection: Connection, _name: str | None) -> None:
    driver: Any = connection.connection.driver_connection
    if not driver.in_transaction:
        connection.exec_driver_sql("BEGIN")
