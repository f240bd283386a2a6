"""Connection of a registry with the tables of an application."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from sqlalchemy import event

from jtc.storage import Storage
from jtc.storage.attachments.jobs import add_jobs
from jtc.storage.attachments.registry import Registry
from jtc.storage.attachments.sqlalchemy import _bulk, _events  # noqa: F401 - they listen
from jtc.storage.attachments.sqlalchemy._homes import Home, home_of_registry
from jtc.storage.attachments.sqlalchemy._records import SqlalchemyRecords
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from jtc.storage import StorageManager
    from jtc.storage.attachments.sqlalchemy._homes import Sessions
    from jtc.storage.driver_support.url_signing import Secrets

__all__ = ["Outbox", "connect", "create_triggers", "drop_triggers"]

Outbox: TypeAlias = Literal["session", "trigger"]
"""What writes the outbox: the events of the session, or triggers of the database."""


def connect(
    base: Any,
    sessions: Sessions,
    *,
    namespace: str,
    secret: Secrets,
    base_url: str = "/attachments",
    keep: float = 86_400,
    storage: StorageManager = Storage,
    outbox: Outbox = "session",
) -> Registry:
    """Return a registry with all columns of attachments in the tables of a base class.

    Classes that are mapped later are added as they are mapped. Maintenance must have imported all
    of them, and refuses to work where it has not.

    Args:
        base: The base class of the mapped classes. Its metadata gets four more tables, whose
            names begin with ``jtc_attachment_``.
        sessions: Makes the sessions of maintenance: an `async_sessionmaker`, or a `sessionmaker`.
        namespace: See `Registry`.
        secret: See `Registry`.
        base_url: See `Registry`.
        keep: See `Registry`.
        storage: See `Registry`.
        outbox: What writes the outbox. With ``"trigger"``, raw SQL, bulk statements and cascades
            are seen too.

    Raises:
        StorageConfigException: A setting is invalid, or a field is in another registry.
    """
    if outbox not in get_args(Outbox):
        raise StorageConfigException(f"'outbox' is 'session' or 'trigger', not {outbox!r}")
    registry = Registry(
        namespace=namespace, secret=secret, base_url=base_url, keep=keep, storage=storage
    )
    home = Home(registry, base.metadata, sessions, has_triggers=outbox == "trigger")
    registry.records = SqlalchemyRecords(home)
    add_jobs(registry)
    for mapper in base.registry.mappers:
        home.add_mapper(mapper)
    if "alembic" in sys.modules:
        importlib.import_module(f"{__package__}.migrations")
    event.listen(base, "after_mapper_constructed", home.add_mapper, propagate=True)
    return registry


def create_triggers(connection: Connection, registry: Registry) -> None:
    """Make the triggers that ``outbox="trigger"`` needs, of all columns of a registry.

    For databases that `MetaData.create_all` makes; migrations have
    `op.create_attachment_triggers`. The tables must exist.

    Args:
        connection: A connection; of an async engine ``await connection.run_sync(create_triggers,
            registry)``.
        registry: The registry.

    Raises:
        UnsupportedOperationException: There are none for this kind of database.
    """
    for triggers in home_of_registry(registry).triggers():
        for statement in triggers.create(connection.dialect):
            connection.exec_driver_sql(statement)


def drop_triggers(connection: Connection, registry: Registry) -> None:
    """Remove the triggers of all columns of a registry, where they exist.

    Args:
        connection: A connection.
        registry: The registry.
    """
    for triggers in home_of_registry(registry).triggers():
        for statement in triggers.drop(connection.dialect):
            connection.exec_driver_sql(statement)
