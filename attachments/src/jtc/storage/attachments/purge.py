"""Deletion of files that no row names: of uploads that no transaction committed."""

from __future__ import annotations

import logging
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from jtc.storage.attachments._bounded import batches, each, mapped
from jtc.storage.attachments._listing import files_of, listed, own_file
from jtc.storage.attachments._owner import (
    Run,
    begin_run,
    connected,
    disk_names,
    inspect_run,
    kept_for,
)
from jtc.storage.attachments.worker import run_outbox
from jtc.storage.exceptions import StorageException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage import Disk
    from jtc.storage.attachments._listing import Listed
    from jtc.storage.attachments.registry import Registry

__all__ = ["PurgeRefusedException", "Purged", "purge"]

logger = logging.getLogger("jtc.storage.attachments")

_BATCH = 1000
_CHECKED_AT_ONCE = 50
_AT_ONCE = 8
_MOST_NAMES = 1000


class PurgeRefusedException(StorageException):
    """More would be deleted than `max_delete` permits; nothing was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """What a purge did, or what it would do.

    Attributes:
        found: How many directories no row names, and no upload that is under way can have.
        young: How many more no row names, and which are too young to be deleted.
        deleted: How many were deleted; 0 in a dry run.
        failed: How many could not be deleted.
        unknown: Paths in the namespace that are nothing of ours, at most 1,000 of them. They are
            never deleted.
        unknown_count: How many there are.
    """

    found: int = 0
    young: int = 0
    deleted: int = 0
    failed: int = 0
    unknown: tuple[str, ...] = ()
    unknown_count: int = 0


async def purge(
    registry: Registry, *, max_delete: int | None = 100, dry_run: bool = False
) -> Purged:
    """Delete the files that no row names, and first those of the outbox that are due.

    A file is left for `registry.keep` seconds and the time of a transaction after it was written,
    by the store's clock: so long a row may still come to name it. Several purges and workers may
    run at once.

    Args:
        registry: The registry.
        max_delete: With more directories to delete, nothing is deleted; None is any number.
        dry_run: Only count.

    Raises:
        OwnerException: The files belong to another database, or to a newer state of this one.
        PurgeRefusedException: There is more to delete than `max_delete`.
        StorageException: The storage failed.
    """
    names = disk_names(registry)
    run = (await inspect_run(registry, names))[0] if dry_run else await begin_run(registry, names)
    for error in run.refused.values():
        raise error
    search = _Search(registry, run)
    for name in names:
        async for _ in search.orphans(registry.disk(name)):
            pass
    found = search.counted()
    if dry_run:
        return found
    if max_delete is not None and found.found > max_delete:
        raise PurgeRefusedException(
            f"No row names {found.found} directories, and 'max_delete' is {max_delete}: look at "
            "some of them, then raise it (--max-delete)"
        )
    await run_outbox(registry)
    return await _delete(_Search(registry, run), names, found)


async def _delete(search: _Search, names: list[str], found: Purged) -> Purged:
    """Search again, and delete what is found, at most as much as was counted."""
    deleted = failed = 0
    for name in names:
        disk = search.registry.disk(name)

        async def delete(path: str, disk: Disk = disk) -> bool:
            try:
                await disk.delete_directory(path)
            except StorageException as error:
                logger.warning("Files without a row remain: %s", error)
                return False
            return True

        async with aclosing(batches(search.orphans(disk), _CHECKED_AT_ONCE)) as orphans:
            async for some in orphans:
                still = await search.unnamed({path.rpartition("/")[2]: path for path in some})
                allowed = found.found - deleted - failed
                async for is_deleted in mapped(delete, each(still[:allowed]), _AT_ONCE):
                    deleted += is_deleted
                    failed += not is_deleted
    return replace(found, deleted=deleted, failed=failed)


@dataclass(slots=True)
class _Search:
    """A search for directories without a row.

    Attributes:
        registry: The registry.
        run: The maintenance run.
    """

    registry: Registry
    run: Run
    _found: int = field(default=0, init=False)
    _young: int = field(default=0, init=False)
    _unknown: list[str] = field(default_factory=list, init=False)
    _unknown_count: int = field(default=0, init=False)

    def counted(self) -> Purged:
        """Return what was found until now."""
        return Purged(
            found=self._found,
            young=self._young,
            unknown=tuple(self._unknown),
            unknown_count=self._unknown_count,
        )

    async def orphans(self, disk: Disk) -> AsyncIterator[str]:
        """Yield the directories on a disk that no row names and that are old enough."""

        async def judge(path: str) -> tuple[str, bool]:
            return path, await self._is_old(disk, path)

        async with aclosing(batches(self._ids(disk), _BATCH)) as listed_batches:
            async for batch in listed_batches:
                unnamed = await self.unnamed({str(entry.id): entry.path for entry in batch})
                async with aclosing(mapped(judge, each(unnamed), _AT_ONCE)) as judged:
                    async for path, is_old in judged:
                        self._found += is_old
                        if is_old:
                            yield path

    async def unnamed(self, paths: dict[str, str]) -> list[str]:
        """Return those of the paths, by id, that neither rows nor the outbox name.

        An attachment whose row names it on another disk is being moved, and counts as named.
        """
        records = connected(self.registry)
        # In this order: what is dropped between the two is found in the outbox.
        rows = {row.id for row in await records.referenced(paths)}
        rest = paths.keys() - rows
        entries = await records.waiting(rest) if rest else ()
        waiting = {entry.attachment for entry in entries}
        return [paths[id_] for id_ in paths if id_ in rest and id_ not in waiting]

    async def _ids(self, disk: Disk) -> AsyncIterator[Listed]:
        async for entry in listed(self.registry, disk):
            if entry.id is not None:
                yield entry
            else:
                self._report(entry.path)

    async def _is_old(self, disk: Disk, path: str) -> bool:
        files = await files_of(disk, path)
        unknown = [file.path for file in files if not own_file(file.path[len(path) + 1 :])]
        if unknown or not files:
            for each_path in unknown:
                self._report(each_path)
            return False
        latest = self.run.clocks.get(disk.name, 0) - kept_for(self.registry)
        is_old = max(file.last_modified for file in files) <= latest
        self._young += not is_old
        return is_old

    def _report(self, path: str) -> None:
        self._unknown_count += 1
        if len(self._unknown) < _MOST_NAMES:
            self._unknown.append(path)
