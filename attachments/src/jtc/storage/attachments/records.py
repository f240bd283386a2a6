"""The `Records` of a database that maintenance reads and writes, and its outbox.

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

    Each method is a transaction of its own, and sees what is committed. `registry.keep` seconds
    after a file was dropped the worker takes its entry, looks for rows that name the file, deletes
    it, and removes the entry. So a transaction that names a dropped file again must remove its
    entry, and fail if there is none or it is taken; refusing such an assignment is simpler.
    """

    async def database_id(self) -> str:
        """Return the id of this database: generated once, and copied with a restored backup."""
        ...

    async def counter(self) -> int:
        """Return the database's counter of maintenance runs."""
        ...

    async def advance(self, beyond: int = 0) -> int:
        """Raise the counter of maintenance runs by 1, and above `beyond`; return the new value."""
        ...

    def attachments(self, field: Field) -> AsyncIterator[Attachment]:
        """Return all attachments that rows name in a field, without holding them in memory.

        Rows are read in pages of a transaction each, so that the caller can write between two, and
        a slow caller holds no transaction open. A row that is there all the time is not missed.
        """
        ...

    async def referenced(self, ids: Collection[str]) -> Sequence[Attachment]:
        """Return the attachments of these ids that rows name, in any registered field.

        Each has its `field`. There are up to 1,000 ids in a call.
        """
        ...

    async def waiting(self, ids: Collection[str]) -> Sequence[OutboxEntry]:
        """Return the entries that the outbox has of these ids, due and taken ones too."""
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

    async def take(self, dropped_before: float, limit: int, lease: float) -> Sequence[OutboxEntry]:
        """Take the oldest entries that were written before a time.

        No other call returns them within `lease` seconds, in this process or another one.
        """
        ...

    async def done(self, entries: Collection[OutboxEntry]) -> None:
        """Remove entries whose files are deleted, or are named by a row again."""
        ...
