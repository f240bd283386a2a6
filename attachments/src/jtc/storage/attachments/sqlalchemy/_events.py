"""Session events that keep rows and files together."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import event, inspect
from sqlalchemy.orm import InstanceState, Mapper, Session, SessionTransaction, object_session

from jtc.storage.attachments._ingest import discard
from jtc.storage.attachments._owner import kept_for
from jtc.storage.attachments.sqlalchemy._changes import Change, changes_of, check
from jtc.storage.attachments.sqlalchemy._columns import mapped_fields
from jtc.storage.attachments.sqlalchemy._homes import home_of, home_of_registry
from jtc.storage.attachments.sqlalchemy._sqlite import lock_sqlite
from jtc.storage.attachments.sqlalchemy._staging import (
    Staging,
    begin_staging,
    end_staging,
    staging_of,
)
from jtc.storage.attachments.sqlalchemy._tables import insert_once, outbox_rows
from jtc.storage.exceptions import StorageException

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from jtc.storage.attachments.models import Attachment
    from jtc.storage.attachments.sqlalchemy._homes import Home

__all__: list[str] = []

_CHECKED = "jtc.storage.attachments.checked"
"""Where a session has what its flush has checked: the value of each attribute, and deletions."""

_SHORT = 10.0
"""Seconds by which a file may be kept for less: its transaction took as long to commit."""


@event.listens_for(Session, "before_flush")
def _before_flush(session: Session, _context: object, _instances: object) -> None:
    """Check all rows that the flush is known to write, by few statements."""
    changes: list[Change] = []
    deleted = session.deleted
    for instance in deleted:
        if mapped_fields(_mapper(instance)):
            changes.extend(changes_of(instance, deletes=True))
    for instance in (*session.new, *session.dirty):
        if mapped_fields(_mapper(instance)) and instance not in deleted:
            changes.extend(changes_of(instance, deletes=False))
    session.info[_CHECKED] = set()
    if changes:
        _process(session, changes)


@event.listens_for(Session, "after_flush")
def _after_flush(session: Session, _context: object) -> None:
    session.info.pop(_CHECKED, None)


@event.listens_for(Mapper, "before_delete")
def _before_delete(_mapper: Mapper[Any], _connection: Connection, instance: object) -> None:
    """Check a row that only the flush itself found to be deleted: an orphan of its parent."""
    _check_late(instance, deletes=True)


@event.listens_for(Mapper, "before_insert")
@event.listens_for(Mapper, "before_update")
def _before_write(_mapper: Mapper[Any], _connection: Connection, instance: object) -> None:
    """Check an attribute that was set after the flush began, by another listener."""
    _check_late(instance, deletes=False)


def _check_late(instance: object, *, deletes: bool) -> None:
    session = object_session(instance)
    if session is None or not mapped_fields(_mapper(instance)):
        return
    checked: set[Any] = session.info.get(_CHECKED, set())
    changes = changes_of(instance, deletes=deletes)
    late = [change for change in changes if _name(change) not in checked]
    if late:
        _process(session, late)


def _name(change: Change) -> tuple[Any, ...]:
    """Return what identifies a change that was checked: its place and its new value."""
    return (*change.place, change.deletes, change.new)


def _mapper(instance: object) -> Mapper[Any]:
    state: InstanceState[Any] = inspect(instance)
    return state.mapper


def _process(session: Session, changes: Sequence[Change]) -> None:
    """Check changes, and write what they drop into the outbox."""
    by_home: dict[tuple[Home, Mapper[Any]], list[Change]] = defaultdict(list)
    for change in changes:
        by_home[home_of(change.target.field), change.state.mapper].append(change)
    connections = {
        (home, mapper): session.connection(bind_arguments={"mapper": mapper})
        for home, mapper in by_home
    }
    for (home, mapper), connection in connections.items():
        home.verify(connection)
        if any(change.state.identity is not None for change in by_home[home, mapper]):
            lock_sqlite(connection, home.tables.outbox)
    staging = begin_staging(session)
    before = set(staging.dropped)
    check(session, staging, changes)
    now = time.time()
    if staging.dropped and staging.dropped_since is None:
        staging.dropped_since = now
    for key, group in by_home.items():
        home, connection = key[0], connections[key]
        named = {each.id for change in group for each in change.new}
        dropped = [each for change in group for each in change.dropped() if each.id not in named]
        if again := named & before:
            outbox = home.tables.outbox
            connection.execute(outbox.delete().where(outbox.c.attachment.in_(again)))
        if dropped:
            staging.dropped_from.add((home.registry, key[1]))
        if not home.has_triggers:
            _write_outbox(connection, home, dropped, now)
        _write_fields(connection, home, staging, group)
    checked: set[Any] = session.info.setdefault(_CHECKED, set())
    checked.update(map(_name, changes))


def _write_outbox(
    connection: Connection, home: Home, dropped: Sequence[Attachment], now: float
) -> None:
    if dropped:
        connection.execute(home.tables.outbox.insert(), outbox_rows(dropped, now))


def _write_fields(
    connection: Connection, home: Home, staging: Staging, changes: Sequence[Change]
) -> None:
    """Write down which fields have rows: maintenance must know all of them."""
    named = {change.target.field.name for change in changes if change.new}
    engine = connection.engine
    for name in sorted(named - home.known_fields.get(engine, set())):
        if (home.registry, engine, name) not in staging.new_fields:
            insert_once(connection, home.tables.fields, {"name": name})
            staging.new_fields.add((home.registry, engine, name))


@event.listens_for(Session, "before_commit")
def _before_commit(session: Session) -> None:
    """Write staged files that no row names into the outbox, in the transaction."""
    if session.get_nested_transaction() is not None:
        return
    staging = staging_of(session)
    if staging is None:
        return
    session.flush()
    for staged in staging.orphans():
        mapper = staged.target.mapper
        connection = session.connection(bind_arguments={"mapper": mapper})
        home = home_of(staged.target.field)
        _write_outbox(connection, home, [staged.attachment], time.time())
    _refuse_old(staging)
    _restamp(session, staging)
    staging.is_committing = True


def _refuse_old(staging: Staging) -> None:
    """Refuse a file that `purge` may have deleted: no committed row has named it for so long.

    Raises:
        StorageException: There is one.
    """
    now = time.time()
    orphans = {staged.attachment.id for staged in staging.orphans()}
    for each, staged in staging.files.items():
        attachment, registry = staged.attachment, staged.target.field.registry
        is_named = staging.is_doubtful or each not in orphans
        if is_named and now - attachment.stored_at >= kept_for(registry) > 0:
            raise StorageException(
                f"The file was stored {now - attachment.stored_at:.0f} s ago, and 'purge' leaves "
                f"one that no row names for {kept_for(registry):g} s: commit sooner, or raise the "
                "registry's 'keep'",
                disk=attachment.disk,
                path=attachment.key,
                operation="commit",
            )


def _restamp(session: Session, staging: Staging) -> None:
    """Have files kept from the commit on, also those that a long transaction dropped before."""
    now = time.time()
    if staging.dropped_since is None or now - staging.dropped_since < _SHORT:
        return
    for registry, mapper in staging.dropped_from:
        connection = session.connection(bind_arguments={"mapper": mapper})
        outbox = home_of_registry(registry).tables.outbox
        statement = outbox.update().where(outbox.c.attachment.in_(staging.dropped))
        connection.execute(statement.values(dropped_at=now))


@event.listens_for(Session, "after_commit")
def _after_commit(session: Session) -> None:
    staging = staging_of(session)
    if staging is not None:
        staging.released = session.get_nested_transaction()
        if staging.released is None:
            end_staging(session)
            if not staging.is_doubtful:
                for registry, engine, name in staging.new_fields:
                    home_of_registry(registry).known_fields.setdefault(engine, set()).add(name)


@event.listens_for(Session, "after_soft_rollback")
def _after_soft_rollback(session: Session, _transaction: SessionTransaction) -> None:
    staging = staging_of(session)
    if staging is not None:
        staging.is_doubtful = True


@event.listens_for(Session, "after_transaction_end")
def _after_transaction_end(session: Session, transaction: SessionTransaction) -> None:
    """Delete the staged files of a transaction that was not committed.

    A session that is closed without a commit has no other event.
    """
    staging = staging_of(session)
    if staging is None:
        return
    if transaction.nested and transaction is not staging.released:
        staging.is_doubtful = True
    if transaction is staging.transaction:
        end_staging(session)
        _give_up(staging)


def _give_up(staging: Staging) -> None:
    for staged in staging.files.values():
        home = home_of(staged.target.field)
        attachment = staged.attachment
        if staging.is_committing:
            # The database may have committed although its answer was lost.
            home.registry.in_background(_add_to_outbox(home, attachment))
        elif not staged.is_claimed:
            home.registry.in_background(_delete(home, attachment))


async def _delete(home: Home, attachment: Attachment) -> None:
    await discard(home.registry.disk(attachment.disk), attachment.own_directory)


async def _add_to_outbox(home: Home, attachment: Attachment) -> None:
    if home.registry.records is not None:
        await home.registry.records.add_to_outbox([attachment])
