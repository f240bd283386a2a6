"""Taking over of files that belonged to another database, or to a newer state of this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jtc.storage.attachments._owner import (
    OwnerException,
    Run,
    connected,
    disk_names,
    marker_path,
    read_marker,
    write_marker,
)
from jtc.storage.exceptions import FileNotFoundException, PreconditionFailedException

if TYPE_CHECKING:
    from collections.abc import Collection

    from jtc.storage.attachments.registry import Registry

__all__ = ["OwnerException", "adopt"]

_MOST_CONFLICTS = 5


async def adopt(
    registry: Registry, *, disks: Collection[str] | None = None
) -> dict[str, str | None]:
    """Make this database the owner of the files of the registry's namespace.

    The database that had them before is refused from now on, also if it is a copy of this one.
    Files that no row of this database names are deleted by the next `purge`.

    Args:
        registry: The registry.
        disks: The names of the disks; None means all.

    Returns:
        The id of the database that each disk's marker named; None where there was no marker.

    Raises:
        StorageException: The storage failed.
    """
    records = connected(registry)
    before: dict[str, str | None] = {}
    for name in disk_names(registry) if disks is None else disks:
        disk = registry.disk(name)
        for attempt in range(_MOST_CONFLICTS):
            etag: str | None = None
            counter, recipes = 0, {}
            try:
                marker = await read_marker(registry, disk)
                before[name] = None if marker is None else marker.database
                if marker is not None:
                    etag, counter, recipes = marker.etag, marker.counter, dict(marker.recipes)
            except OwnerException:
                before[name] = None
                etag = (await disk.stat(marker_path(registry))).etag
            # The database first: it may then be ahead of the marker, and is never behind it.
            run = Run(await records.database_id(), await records.advance(counter))
            try:
                await write_marker(registry, disk, run, etag=etag, recipes=recipes)
                break
            except (PreconditionFailedException, FileNotFoundException):
                if attempt + 1 == _MOST_CONFLICTS:
                    raise
    return before
