"""What the maintenance of attachments needs of a database: `Records`, and its outbox.

SQLAlchemy and Django have an implementation each; an application that keeps its rows by other means
writes one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence

    from jtc.storage.attachments.fields import Field
    from jtc.storage.attachments.models import Attachment

__all__ = ["OutboxEntry", "Records"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxEntry:
    """A directory of files whose row was replaced or deleted by a committed transaction.

    Attributes:
        number: Identifies the entry, and grows with each.
        disk: The name of the disk.
        directory: The attachment's own directory on it.
        attachment: The attachment's id.
        dropped_at: When the transaction wrote the entry, in seconds since 1970 UTC.
    """

    number: int
    disk: str
    directory: str
    attachment: str
    dropped_at: float


class Records(Protocol):
    """The rows with attachments of one database, and its outbox.

    Each method is a transaction of its own, and sees what is committed.
    """

    async def database_id(self) -> str:
        """Return the id of this database: generated once, and copied with a restored backup."""
        ...

    async def advance(self) -> int:
        """Add 1 to the database's counter of maintenance runs, and return the new value."""
        ...

    async def counter(self) -> int:
        """Return the database's counter of maintenance runs."""
        ...

    def attachments(self, field: Field) -> AsyncIterator[Attachment]:
        """Return all attachments that rows name in a field, without holding them in memory."""
        ...

    async def referenced(self, ids: Collection[str]) -> set[str]:
        """Return those of the ids that any row names, in any registered field."""
        ...

    async def replace(self, field: Field, old: Attachment, new: Attachment) -> bool:
        """Write `new` in the place of `old`, only where a row still names the same version of it.

        The old files go into the outbox in the same transaction if `new` has another disk or
        directory.

        Returns:
            Whether a row was changed.
        """
        ...

    async def add_to_outbox(self, attachments: Collection[Attachment]) -> None:
        """Write entries for files that no transaction dropped."""
        ...

    async def due(self, dropped_before: float, limit: int) -> Sequence[OutboxEntry]:
        """Return the oldest entries that were written before a time, and are not taken."""
        ...

    async def done(self, entries: Collection[OutboxEntry]) -> None:
        """Remove entries whose files are deleted, or are named by a row again."""
        ...
