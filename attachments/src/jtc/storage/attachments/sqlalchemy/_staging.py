"""Staged files of a session: stored, and named by no committed row yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
from sqlalchemy.orm import InstanceState, Mapper, Session, SessionTransaction, scoped_session

from jtc.storage.attachments._ingest import discard
from jtc.storage.exceptions import StorageException

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from jtc.storage.attachments.models import Attachment
    from jtc.storage.attachments.registry import Registry
    from jtc.storage.attachments.sqlalchemy._columns import MappedField

__all__ = [
    "AnySession",
    "Staged",
    "Staging",
    "begin_staging",
    "stage",
    "staging_of",
    "sync_session",
]

AnySession = AsyncSession | async_scoped_session[Any] | Session | scoped_session[Any]

_KEY = "jtc.storage.attachments"


@dataclass(slots=True)
class Staged:
    """A file that a transaction may name in a row.

    Attributes:
        attachment: The attachment.
        target: The attribute that it was stored for.
        is_claimed: Whether it came by a token: the client may bring that again after a rollback.
        holder: The object whose attribute the last flush gave it to, and the attribute's name.
    """

    attachment: Attachment
    target: MappedField
    is_claimed: bool = False
    holder: tuple[InstanceState[Any], str] | None = None


@dataclass(slots=True)
class Staging:
    """The staged files of one transaction.

    Attributes:
        transaction: The session's outermost transaction.
        files: The files, by the attachment's id.
        named: The ids that rows name, if no savepoint was rolled back.
        dropped: The ids that rows named earlier in the transaction, and the outbox names.
        dropped_since: When the first of those was dropped, in seconds since 1970 UTC.
        dropped_from: The registries and classes that they belong to.
        new_fields: The fields that rows are written for, maybe for the first time: the registry,
            the database and the name of each.
        is_doubtful: Whether a savepoint was rolled back: `named` may be wrong.
        is_committing: Whether COMMIT was sent: if that fails, it may have succeeded nevertheless.
        released: The savepoint that was released last.
        has_ended: Whether the transaction has ended.
    """

    transaction: SessionTransaction | None
    files: dict[str, Staged] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)
    dropped_since: float | None = None
    dropped_from: set[tuple[Registry, Mapper[Any]]] = field(default_factory=set)
    new_fields: set[tuple[Registry, Engine, str]] = field(default_factory=set)
    is_doubtful: bool = False
    is_committing: bool = False
    released: SessionTransaction | None = None
    has_ended: bool = False

    def orphans(self) -> list[Staged]:
        """Return the files that neither rows nor the outbox name; all, where that is in doubt."""
        known = set() if self.is_doubtful else self.named | self.dropped
        return [staged for each, staged in self.files.items() if each not in known]


def own_session(session: AnySession) -> AsyncSession | Session:
    """Return the session itself, of one that belongs to a scope."""
    return session() if isinstance(session, (async_scoped_session, scoped_session)) else session


def sync_session(session: AnySession) -> Session:
    """Return the session whose events happen: also below an asynchronous one."""
    own = own_session(session)
    return own.sync_session if isinstance(own, AsyncSession) else own


def staging_of(session: Session) -> Staging | None:
    """Return the staged files of a session's transaction, if it has any."""
    return session.info.get(_KEY)


def begin_staging(session: Session) -> Staging:
    """Return the staged files of a session's transaction, which begins if there is none."""
    found = staging_of(session)
    if found is None:
        if not session.in_transaction():
            # Without a transaction the end of the session would be no event.
            session.begin()
        found = session.info[_KEY] = Staging(session.get_transaction())
    return found


def end_staging(session: Session) -> Staging | None:
    """Take the staged files from a session whose transaction has ended."""
    found: Staging | None = session.info.pop(_KEY, None)
    if found is not None:
        found.has_ended = True
    return found


async def stage(
    staging: Staging, attachment: Attachment, target: MappedField, *, is_claimed: bool = False
) -> Attachment:
    """Make a file a transaction's own.

    Raises:
        StorageException: The transaction has ended meanwhile, and the file is deleted.
    """
    if staging.has_ended:
        if not is_claimed:
            disk = target.field.registry.disk(attachment.disk)
            await discard(disk, attachment.own_directory)
        raise StorageException(
            "The session's transaction ended while the file was being stored: store it again",
            disk=attachment.disk,
            path=attachment.key,
            operation="store",
        )
    staging.files[attachment.id] = Staged(attachment, target, is_claimed)
    return attachment
