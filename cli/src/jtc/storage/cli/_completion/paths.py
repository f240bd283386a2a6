"""Completion of disks and paths, on disks and on this machine."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["complete_disk", "complete_location"]

_SECONDS = 2.0
"""How long a listing of a disk may take: a person waits for it."""

_MOST = 200


def complete_location(incomplete: str) -> list[str]:
    """Return what a path may go on with: disks, and entries of a disk or of this machine."""
    from jtc.storage.cli._places.locations import split  # noqa: PLC0415 - imported when asked

    try:
        disk, path = split(incomplete) if incomplete else (None, "")
        if disk is None:
            disks = [] if "/" in incomplete or os.sep in incomplete else complete_disk(incomplete)
            return disks + _local_entries(incomplete)
        return [f"{disk}:{entry}" for entry in _entries(disk, path)]
    except Exception:
        return []  # a shell shows no error while a word is typed


def complete_disk(incomplete: str) -> list[str]:
    """Return the disks, as ``disk:``, whose names begin like this."""
    from jtc.storage.cli._places.locations import disk_names  # noqa: PLC0415 - imported when asked

    return [f"{name}:" for name in disk_names() if name.startswith(incomplete)]


def _local_entries(incomplete: str) -> list[str]:
    directory, name = os.path.split(incomplete)
    found = []
    with os.scandir(Path(directory or ".").expanduser()) as entries:
        for entry in entries:
            if entry.name.startswith(name) and (name or not entry.name.startswith(".")):
                text = directory + ("" if directory in {"", "/"} else "/") + entry.name
                found.append(f"{text}/" if entry.is_dir() else text)
    return sorted(found)


def _entries(disk: str, path: str) -> list[str]:
    """Return the entries of a disk's directory whose paths begin like this, if it answers soon."""
    import asyncio  # noqa: PLC0415 - imported when asked

    found: list[str] = []

    async def collect() -> None:
        from jtc.storage import DirectoryInfo, Storage  # noqa: PLC0415 - imported when asked

        try:
            async with asyncio.timeout(_SECONDS):
                async for entry in Storage.disk(disk).list(path.rpartition("/")[0]):
                    if entry.path.startswith(path):
                        is_directory = isinstance(entry, DirectoryInfo)
                        found.append(f"{entry.path}/" if is_directory else entry.path)
                    if len(found) >= _MOST:
                        break
        finally:
            await Storage.aclose()

    asyncio.run(collect())
    return found
