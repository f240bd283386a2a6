"""Listings of a namespace: directories of attachments, and what is not ours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jtc.storage.models import DirectoryInfo, FileInfo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage import Disk
    from jtc.storage.attachments.registry import Registry
    from jtc.storage.models import Entry

__all__ = ["ATTACHMENT_ID", "Listed", "files_of", "listed", "own_file"]

ATTACHMENT_ID = re.compile(r"[0-9a-f]{32}")
"""The name of an attachment's own directory."""

_OWN_FILE = re.compile(
    r"original(\.[\w.-]+)?|upload"  # what was uploaded, in the second case straight to the store
    r"|[a-z][a-z0-9_]*-[0-9a-f]{8}(\.[\w.-]+)?"  # a variant
    r"|\..*"  # a marker
)


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry of a namespace.

    Attributes:
        path: Its path.
        id: The id of the attachment whose directory it is; None if it is nothing of ours.
    """

    path: str
    id: str | None


async def listed(registry: Registry, disk: Disk) -> AsyncIterator[Listed]:
    """Yield the directories of attachments in a namespace on a disk, and all that is not ours.

    Directories that no field of the registry has are not ours: they may be of a part of the
    application that is not loaded.
    """
    directories = {
        directory
        for field in registry.fields.values()
        for name, directory in field.places
        if name == disk.name
    }
    parents = {
        directory[:end]
        for directory in directories
        for end, character in enumerate(directory)
        if character == "/"
    }
    for directory in sorted({registry.namespace} | directories | parents):
        async for entry in disk.list(directory):
            name = entry.path.rpartition("/")[2]
            if isinstance(entry, DirectoryInfo):
                if entry.path in directories or entry.path in parents:
                    continue
                is_own = directory in directories and ATTACHMENT_ID.fullmatch(name)
                yield Listed(entry.path, name if is_own else None)
            elif directory != registry.namespace or not name.startswith("."):
                yield Listed(entry.path, None)


async def files_of(disk: Disk, directory: str) -> list[FileInfo]:
    """Return the files in an attachment's directory, at any depth."""
    entries: AsyncIterator[Entry] = disk.list(directory, recursive=True)
    return [entry async for entry in entries if isinstance(entry, FileInfo)]


def own_file(name: str) -> bool:
    """Return whether a file in an attachment's directory has a name that we give."""
    return _OWN_FILE.fullmatch(name) is not None
