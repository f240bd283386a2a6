"""Rows and an outbox in SQLite without an object-relational mapper: `Records` written by hand."""

from __future__ import annotations

import asyncio
import json
import secrets
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from jtc.storage.attachments import Attachment, Field, OutboxEntry, Registry

T = TypeVar("T")

_PAGE = 500
_ENTRY = ("number", "disk", "directory", "attachment", "dropped_at")


class PlainRecords:
    """The rows of all fields of a registry, each field ``<table>.<column>`` in a table of its own.

    Args:
        file: The database.
        registry: Its fields; tables are made for them.
    """

    def __init__(self, file: Path, registry: Registry) -> None:
        self.file = file
        self.registry = registry
        registry.records = self
        with self._connection() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            for name in registry.fields:
                table, column = name.split(".")
                connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {table} (key INTEGER PRIMARY KEY, {column} JSON)"
                )
            connection.executescript(
                """
                CREATE TABLE IF NOT EXISTS outbox (number INTEGER PRIMARY KEY AUTOINCREMENT,
                    disk TEXT, directory TEXT, attachment TEXT, dropped_at REAL,
                    taken_until REAL DEFAULT 0);
                CREATE TABLE IF NOT EXISTS maintenance (id TEXT, counter INTEGER);
                """
            )
        with self._transaction() as connection:
            if connection.execute("SELECT 1 FROM maintenance").fetchone() is None:
                connection.execute(
                    "INSERT INTO maintenance VALUES (?, 0)", [f"db-{secrets.token_hex(8)}"]
                )

    # What an application does.

    def save(
        self, field: Field, key: int, *attachments: Attachment, commit: bool = True
    ) -> list[Attachment]:
        """Insert or replace a row; what it named before goes into the outbox."""
        table, column = field.name.split(".")
        values = [each.to_json() for each in attachments]
        value = json.dumps(values if field.many else values[0])
        with self._transaction() as connection:
            old = self._drop(connection, field, key, {each.id for each in attachments})
            connection.execute(
                f"INSERT INTO {table} (key, {column}) VALUES (?, ?) "
                f"ON CONFLICT (key) DO UPDATE SET {column} = excluded.{column}",
                [key, value],
            )
            if not commit:
                connection.rollback()
        return old

    def delete(self, field: Field, key: int) -> list[Attachment]:
        """Delete a row; what it named goes into the outbox."""
        table, _ = field.name.split(".")
        with self._transaction() as connection:
            old = self._drop(connection, field, key, set())
            connection.execute(f"DELETE FROM {table} WHERE key = ?", [key])
        return old

    def rows(self, field: Field) -> dict[int, list[Attachment]]:
        """Return the attachments of all rows of a field, by their keys."""
        table, column = field.name.split(".")
        with self._connection() as connection:
            found = connection.execute(f"SELECT key, {column} FROM {table}").fetchall()
        return {key: _loaded(field, value) for key, value in found}

    def outbox(self) -> list[str]:
        """Return the directories in the outbox."""
        with self._connection() as connection:
            return [row[0] for row in connection.execute("SELECT directory FROM outbox")]

    def age_outbox(self, seconds: float) -> None:
        """Make all entries older."""
        with self._connection() as connection:
            connection.execute("UPDATE outbox SET dropped_at = dropped_at - ?", [seconds])

    # The `Records` Protocol.

    async def database_id(self) -> str:
        def read(connection: sqlite3.Connection) -> str:
            return str(connection.execute("SELECT id FROM maintenance").fetchone()[0])

        return await self._run(read)

    async def counter(self) -> int:
        def read(connection: sqlite3.Connection) -> int:
            return int(connection.execute("SELECT counter FROM maintenance").fetchone()[0])

        return await self._run(read)

    async def advance(self, beyond: int = 0) -> int:
        def write(connection: sqlite3.Connection) -> int:
            statement = "UPDATE maintenance SET counter = max(counter, ?) + 1 RETURNING counter"
            return int(connection.execute(statement, [beyond]).fetchone()[0])

        return await self._run(write)

    async def attachments(self, field: Field) -> AsyncIterator[Attachment]:
        table, column = field.name.split(".")
        last = -1
        while True:

            def read(connection: sqlite3.Connection, last: int = last) -> list[tuple[int, str]]:
                return connection.execute(
                    f"SELECT key, {column} FROM {table} WHERE key > ? ORDER BY key LIMIT {_PAGE}",
                    [last],
                ).fetchall()

            rows = await self._run(read)
            if not rows:
                return
            last = rows[-1][0]
            for _, value in rows:
                for attachment in _loaded(field, value):
                    yield attachment

    async def referenced(self, ids: Collection[str]) -> Sequence[Attachment]:
        def read(connection: sqlite3.Connection) -> list[Attachment]:
            return [
                attachment
                for field in self.registry.fields.values()
                for _, value in self._naming(connection, field, ids)
                for attachment in _loaded(field, value)
                if attachment.id in ids
            ]

        return await self._run(read)

    async def waiting(self, ids: Collection[str]) -> Sequence[OutboxEntry]:
        def read(connection: sqlite3.Connection) -> list[OutboxEntry]:
            statement = (
                f"SELECT {', '.join(_ENTRY)} FROM outbox "
                "WHERE attachment IN (SELECT value FROM json_each(?))"
            )
            rows = connection.execute(statement, [json.dumps(list(ids))])
            return [OutboxEntry(**dict(zip(_ENTRY, row, strict=True))) for row in rows]

        return await self._run(read)

    async def replace(self, field: Field, old: Attachment, new: Attachment) -> bool:
        table, column = field.name.split(".")

        def write(connection: sqlite3.Connection) -> bool:
            for key, value in self._naming(connection, field, [old.id]):
                before = _loaded(field, value)
                if old not in before:
                    continue
                after = [new.to_json() if each == old else each.to_json() for each in before]
                connection.execute(
                    f"UPDATE {table} SET {column} = ? WHERE key = ?",
                    [json.dumps(after if field.many else after[0]), key],
                )
                if (old.disk, old.own_directory) != (new.disk, new.own_directory):
                    _add(connection, [old])
                return True
            return False

        return await self._run(write)

    async def add_to_outbox(self, attachments: Collection[Attachment]) -> None:
        await self._run(lambda connection: _add(connection, attachments))

    async def take(self, dropped_before: float, limit: int, lease: float) -> Sequence[OutboxEntry]:
        now = time.time()

        def write(connection: sqlite3.Connection) -> list[OutboxEntry]:
            rows = connection.execute(
                "UPDATE outbox SET taken_until = ? WHERE number IN (SELECT number FROM outbox "
                "WHERE dropped_at <= ? AND taken_until <= ? ORDER BY number LIMIT ?) "
                f"RETURNING {', '.join(_ENTRY)}",
                [now + lease, dropped_before, now, limit],
            )
            return [OutboxEntry(**dict(zip(_ENTRY, row, strict=True))) for row in rows]

        return await self._run(write)

    async def done(self, entries: Collection[OutboxEntry]) -> None:
        def write(connection: sqlite3.Connection) -> None:
            numbers = [(entry.number,) for entry in entries]
            connection.executemany("DELETE FROM outbox WHERE number = ?", numbers)

        await self._run(write)

    async def _run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        def call() -> T:
            with self._transaction() as connection:
                return function(connection)

        return await asyncio.to_thread(call)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.file, timeout=30, isolation_level=None)) as connection:
            # A test that kills processes, not machines, needs no fsync.
            connection.execute("PRAGMA synchronous=OFF")
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                yield connection

    def _naming(
        self, connection: sqlite3.Connection, field: Field, ids: Collection[str]
    ) -> list[tuple[int, str]]:
        """Return the rows that name one of the ids."""
        table, column = field.name.split(".")
        each = f"json_each({column})" if field.many else f"json_each(json_array(json({column})))"
        statement = (
            f"SELECT DISTINCT {table}.key, {column} FROM {table}, {each} AS attachment "
            "WHERE json_extract(attachment.value, '$.id') IN (SELECT value FROM json_each(?))"
        )
        return connection.execute(statement, [json.dumps(list(ids))]).fetchall()

    def _drop(
        self, connection: sqlite3.Connection, field: Field, key: int, kept: set[str]
    ) -> list[Attachment]:
        table, column = field.name.split(".")
        row = connection.execute(f"SELECT {column} FROM {table} WHERE key = ?", [key]).fetchone()
        old = [each for each in _loaded(field, row[0]) if each.id not in kept] if row else []
        _add(connection, old)
        return old


def _add(connection: sqlite3.Connection, attachments: Collection[Attachment]) -> None:
    connection.executemany(
        "INSERT INTO outbox (disk, directory, attachment, dropped_at) VALUES (?, ?, ?, ?)",
        [(each.disk, each.own_directory, each.id, time.time()) for each in attachments],
    )


def _loaded(field: Field, value: str) -> list[Attachment]:
    loaded: Any = json.loads(value)
    return [field.load(each) for each in (loaded if field.many else [loaded])]
