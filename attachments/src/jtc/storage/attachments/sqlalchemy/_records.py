"""The rows with attachments of a database that SQLAlchemy connects to, and its outbox."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Column, Table, and_, insert, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from jtc.storage.attachments.models import Attachment, AttachmentList
from jtc.storage.attachments.records import OutboxEntry
from jtc.storage.attachments.sqlalchemy._columns import listed
from jtc.storage.attachments.sqlalchemy._json import names_any
from jtc.storage.attachments.sqlalchemy._sqlite import lock_sqlite
from jtc.storage.attachments.sqlalchemy._tables import outbox_rows
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence

    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

    from jtc.storage.attachments.fields import Field
    from jtc.storage.attachments.sqlalchemy._homes import Home

__all__ = ["SqlalchemyRecords"]

R = TypeVar("R")

_PAGE = 500


class SqlalchemyRecords:
    """The `Records` of a registry, in the transactions of its own sessions.

    Args:
        home: The database.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._tables = home.tables

    async def _run(self, work: Callable[[Connection], R], table: Table | None = None) -> R:
        """Run statements in a transaction of the database of a table."""
        mapper = None if table is None else self._home.mappers.get(table)
        bind: dict[str, Any] = {} if mapper is None else {"mapper": mapper}
        sessions = self._home.sessions
        if isinstance(sessions, async_sessionmaker):
            session: AsyncSession
            async with sessions() as session, session.begin():
                return await session.run_sync(
                    lambda inner: work(inner.connection(bind_arguments=bind))
                )

        def in_thread() -> R:
            own: Session
            with sessions() as own, own.begin():
                return work(own.connection(bind_arguments=bind))

        return await asyncio.to_thread(in_thread)

    async def database_id(self) -> str:
        """Return the id of this database: generated once, and copied with a restored backup."""
        state = self._tables.state
        found: str | None = await self._run(
            lambda connection: connection.scalar(select(state.c.database_id))
        )
        if found is not None:
            return found
        new = {"number": 1, "database_id": secrets.token_hex(16), "counter": 0}
        with contextlib.suppress(IntegrityError):  # another process was first
            await self._run(lambda connection: connection.execute(insert(state), new))
        return await self.database_id()

    async def counter(self) -> int:
        """Return the database's counter of maintenance runs."""
        state = self._tables.state
        found: int | None = await self._run(
            lambda connection: connection.scalar(select(state.c.counter))
        )
        return found or 0

    async def advance(self, beyond: int = 0) -> int:
        """Raise the counter of maintenance runs by 1, and above `beyond`; return the new value."""
        state = self._tables.state
        await self.database_id()

        def work(connection: Connection) -> int:
            lock_sqlite(connection, self._tables.outbox)
            known: int = connection.execute(select(state.c.counter).with_for_update()).scalar_one()
            new = max(known, beyond) + 1
            connection.execute(update(state).values(counter=new))
            return new

        return await self._run(work)

    async def attachments(self, field: Field) -> AsyncIterator[Attachment]:
        """Return all attachments that rows name in a field, by pages of a transaction each."""
        column = self._home.column_of(field)
        after: tuple[Any, ...] | None = None
        while True:
            rows = await self._page(column, after)
            for row in rows:
                for attachment in listed(row[-1]):
                    yield attachment
            if len(rows) < _PAGE:
                return
            after = tuple(rows[-1][:-1])

    async def _page(self, column: Column[Any], after: tuple[Any, ...] | None) -> Sequence[Any]:
        table = _table_of(column)
        primary_key = list(table.primary_key.columns)
        query = select(*primary_key, column).where(column.is_not(None)).order_by(*primary_key)
        if after is not None:
            one = len(primary_key) == 1
            query = query.where(
                primary_key[0] > after[0] if one else tuple_(*primary_key) > tuple_(*after)
            )
        return await self._run(
            lambda connection: connection.execute(query.limit(_PAGE)).all(), table
        )

    async def referenced(self, ids: Collection[str]) -> Sequence[Attachment]:
        """Return the attachments of these ids that rows name, in any registered field."""
        found: list[Attachment] = []
        if not ids:
            return found
        await self._check_fields()
        for column in self._home.columns.values():

            def work(connection: Connection, column: Column[Any] = column) -> Sequence[Any]:
                where = names_any(connection.dialect, column, ids)
                return connection.execute(select(column).where(where)).scalars().all()

            for value in await self._run(work, _table_of(column)):
                found.extend(each for each in listed(value) if each.id in ids)
        return found

    async def _check_fields(self) -> None:
        """Refuse to work without all fields: a file that an unknown one names would be deleted.

        Raises:
            StorageConfigException: A field has rows, and its class is not imported.
        """
        names = select(self._tables.fields.c.name)
        known = set(await self._run(lambda connection: connection.scalars(names).all()))
        unknown = sorted(known - set(self._home.columns))
        if unknown:
            raise StorageConfigException(
                f"Rows were written for {', '.join(map(repr, unknown))}, which this process does "
                "not know: import the modules of all mapped classes where connect() is called. "
                "The migration that drops or renames a column deletes its name from the table "
                "'jtc_attachment_fields'"
            )

    async def waiting(self, ids: Collection[str]) -> Sequence[OutboxEntry]:
        """Return the entries that the outbox has of these ids, due and taken ones too."""
        outbox = self._tables.outbox
        query = select(outbox).where(outbox.c.attachment.in_(ids))
        rows = await self._run(lambda connection: connection.execute(query).all())
        return [_entry(row) for row in rows]

    async def replace(self, field: Field, old: Attachment, new: Attachment) -> bool:
        """Write `new` in the place of `old`, only where a row still names the same version of it.

        The values that `onupdate` would set remain as they are: the row is not the users' change.
        """
        column = self._home.column_of(field)
        table = _table_of(column)
        moves = (old.disk, old.own_directory) != (new.disk, new.own_directory)
        unchanged = {each: each for each in table.columns if each.onupdate is not None}

        def work(connection: Connection) -> bool:
            self._home.verify(connection)
            lock_sqlite(connection, self._tables.outbox)
            query = select(*table.primary_key.columns, column).where(
                names_any(connection.dialect, column, [old.id])
            )
            is_changed = False
            for row in connection.execute(query.with_for_update()).all():
                if old not in listed(row[-1]):
                    continue
                replaced = [new if each == old else each for each in listed(row[-1])]
                value = AttachmentList(replaced) if field.many else replaced[0]
                keys = zip(table.primary_key.columns, row[:-1], strict=True)
                statement = update(table).where(and_(*(key == is_ for key, is_ in keys)))
                connection.execute(statement.values({**unchanged, column: value}))
                is_changed = True
            if is_changed and moves and not self._home.has_triggers:
                rows = outbox_rows([old], time.time())
                connection.execute(insert(self._tables.outbox), rows)
            return is_changed

        return await self._run(work, table)

    async def add_to_outbox(self, attachments: Collection[Attachment]) -> None:
        """Write entries for files that no transaction dropped."""
        rows = outbox_rows(attachments, time.time())
        if rows:
            statement = insert(self._tables.outbox)
            await self._run(lambda connection: connection.execute(statement, rows))

    async def take(self, dropped_before: float, limit: int, lease: float) -> Sequence[OutboxEntry]:
        """Take the oldest entries that were written before a time, for `lease` seconds."""
        outbox = self._tables.outbox

        def work(connection: Connection) -> Sequence[OutboxEntry]:
            lock_sqlite(connection, outbox)
            now = time.time()
            query = (
                select(outbox)
                .where(outbox.c.dropped_at < dropped_before)
                .where(or_(outbox.c.taken_until.is_(None), outbox.c.taken_until < now))
                .order_by(outbox.c.dropped_at, outbox.c.number)
                .limit(limit)
                .with_for_update(skip_locked=True)
            )
            rows = connection.execute(query).all()
            numbers = [row.number for row in rows]
            if numbers:
                statement = update(outbox).where(outbox.c.number.in_(numbers))
                connection.execute(statement.values(taken_until=now + lease))
            return [_entry(row) for row in rows]

        return await self._run(work)

    async def done(self, entries: Collection[OutboxEntry]) -> None:
        """Remove entries whose files are deleted, or are named by a row again."""
        outbox = self._tables.outbox
        statement = outbox.delete().where(outbox.c.number.in_([each.number for each in entries]))
        await self._run(lambda connection: connection.execute(statement))


def _entry(row: Any) -> OutboxEntry:
    return OutboxEntry(
        number=row.number,
        disk=row.disk,
        directory=row.directory,
        attachment=row.attachment,
        dropped_at=row.dropped_at,
    )


def _table_of(column: Column[Any]) -> Table:
    return column.table
