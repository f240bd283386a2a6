"""The worker of the outbox: it deletes the files of replaced and deleted rows."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jtc.storage.attachments._bounded import each, mapped
from jtc.storage.attachments._listing import ATTACHMENT_ID
from jtc.storage.attachments._owner import (
    Run,
    begin_run,
    connected,
    disk_names,
    kept_for,
    read_marker,
)
from jtc.storage.exceptions import StorageException

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from jtc.storage.attachments.records import OutboxEntry
    from jtc.storage.attachments.registry import Registry

__all__ = ["OutboxRun", "run_outbox", "work"]

logger = logging.getLogger("jtc.storage.attachments")

_PAGE = 100
_AT_ONCE = 8
_LONGEST_PAUSE = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRun:
    """What one pass over the outbox did.

    Attributes:
        deleted: How many directories were deleted.
        named: How many remain because a row names them again.
        failed: How many could not be deleted; they are tried again later.
        refused: Why nothing of a disk was deleted, by its name.
    """

    deleted: int
    named: int
    failed: int
    refused: Mapping[str, str]


async def run_outbox(
    registry: Registry, *, lease: float = 600, stop: asyncio.Event | None = None
) -> OutboxRun:
    """Delete the files of rows that were replaced or deleted `registry.keep` seconds ago.

    Another hour is added, at most `keep` again, since an entry of the outbox is older than its
    commit. Before a file is deleted, all registered fields are searched for rows that name it.
    Several workers share the work. A failure is logged, and does not stop the others.

    Args:
        registry: The registry.
        lease: For how many seconds an entry belongs to the worker that took it; an entry that
            fails, or whose worker was killed, is tried again afterwards.
        stop: Ends the pass after the entries that are under way, once it is set.

    Raises:
        StorageConfigException: No database is connected.
    """
    outbox = _Pass(registry, await begin_run(registry, disk_names(registry)), lease)
    outbox.log_refusals(outbox.run.refused)
    records = connected(registry)
    while outbox.run.clocks and not (stop is not None and stop.is_set()):
        taken_at = time.monotonic()
        dropped_before = time.time() - kept_for(registry)
        entries = await records.take(dropped_before, _PAGE, lease)
        if not entries:
            break
        await outbox.handle(entries, taken_at, dropped_before)
    return OutboxRun(
        deleted=outbox.deleted,
        named=outbox.named,
        failed=outbox.failed,
        refused={name: str(error) for name, error in outbox.run.refused.items()},
    )


async def work(
    registry: Registry, *, interval: float = 60, stop: asyncio.Event | None = None
) -> None:
    """Run the outbox again and again, until the task is cancelled or `stop` is set.

    Failures are logged, and each doubles the pause until a pass succeeds, up to an hour.

    Args:
        registry: The registry.
        interval: Seconds between two passes.
        stop: Ends the work once it is set, after the entries that are under way.
    """
    stop = stop or asyncio.Event()
    failures = 0
    while not stop.is_set():
        try:
            done = await run_outbox(registry, stop=stop)
            failures = failures + 1 if done.failed or done.refused else 0
        except Exception:
            failures += 1
            logger.exception("The outbox of %r could not be read", registry.namespace)
        pause = min(interval * 2.0 ** min(failures, 16), max(interval, _LONGEST_PAUSE))
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)


@dataclass(slots=True)
class _Pass:
    """One pass over the outbox.

    Attributes:
        registry: The registry.
        run: Its maintenance run; disks that fail are refused from then on.
        lease: For how many seconds entries are taken.
        deleted: As in `OutboxRun`.
        named: As in `OutboxRun`.
        failed: As in `OutboxRun`.
    """

    registry: Registry
    run: Run
    lease: float
    deleted: int = field(default=0, init=False)
    named: int = field(default=0, init=False)
    failed: int = field(default=0, init=False)

    async def handle(
        self, entries: Sequence[OutboxEntry], taken_at: float, dropped_before: float
    ) -> None:
        """Delete the directories of entries that no row names, and remove the entries."""
        records = connected(self.registry)
        await self._check_disks({entry.disk for entry in entries})
        ids = {entry.attachment for entry in entries}
        rows = await records.referenced(ids)
        named = {(row.disk, row.own_directory) for row in rows}
        finished = [entry for entry in entries if (entry.disk, entry.directory) in named]
        self.named += len(finished)
        # A row that named the file after all may have dropped it since: a later entry says when.
        # It is looked for in this order, since a row that is gone has left its entry already.
        later = {
            (entry.disk, entry.directory)
            for entry in await records.waiting(ids)
            if entry.dropped_at > dropped_before
        } - named
        finished += [entry for entry in entries if (entry.disk, entry.directory) in later]

        async def delete(entry: OutboxEntry) -> tuple[OutboxEntry, bool]:
            # An entry whose lease has ended may be under way in another worker.
            is_late = time.monotonic() - taken_at > self.lease / 2 > 0
            return entry, not is_late and await self._delete(entry)

        kept = named | later
        rest = each([entry for entry in entries if (entry.disk, entry.directory) not in kept])
        async for entry, is_deleted in mapped(delete, rest, _AT_ONCE):
            self.deleted += is_deleted
            self.failed += not is_deleted
            if is_deleted:
                finished.append(entry)
        if finished:
            await records.done(finished)

    async def _delete(self, entry: OutboxEntry) -> bool:
        if entry.disk not in self.run.clocks:
            return False
        if not self._is_own(entry):
            logger.error("The outbox names %r, which is no attachment's directory", entry)
            return False
        disk = self.registry.disk(entry.disk)
        try:
            await disk.delete_directory(entry.directory)
            # A variant may have been stored after the directory was listed and before the original
            # was deleted. What stores one later finds no original, and removes the variant again.
            if await disk.directory_exists(entry.directory):
                await disk.delete_directory(entry.directory)
        except Exception as error:
            logger.warning("Files of a dropped row remain for now: %s", error)
            await self._probe(entry.disk)
            return False
        return True

    def _is_own(self, entry: OutboxEntry) -> bool:
        """Return whether an entry can be of this library: rows may be written by other means."""
        parent, _, name = entry.directory.rpartition("/")
        return (
            name == entry.attachment
            and ATTACHMENT_ID.fullmatch(name) is not None
            and parent.startswith(f"{self.registry.namespace}/")
        )

    async def _check_disks(self, names: Collection[str]) -> None:
        """Check the markers of disks that no field has any more."""
        unknown = set(names) - set(self.run.clocks) - set(self.run.refused)
        if unknown:
            more = await begin_run(self.registry, sorted(unknown))
            self.run.clocks.update(more.clocks)
            self.run.refused.update(more.refused)
            self.log_refusals(more.refused)

    async def _probe(self, name: str) -> None:
        """Leave out a disk that does not work at all; one entry that fails is no reason."""
        try:
            await read_marker(self.registry, self.registry.disk(name))
        except StorageException as error:
            if self.run.clocks.pop(name, None) is not None:
                self.run.refused[name] = error
                self.log_refusals({name: error})

    def log_refusals(self, refused: Mapping[str, StorageException]) -> None:
        """Log why nothing of some disks is deleted."""
        for name, error in refused.items():
            logger.error("Nothing is deleted from the disk %r: %s", name, error)
