"""Listings in the order of keys, directory by directory.

A key is a file's path, or a directory's path and ``/``; keys are compared as Python compares texts,
by code points, which is the order of their UTF-8 bytes. A directory is read whole, with the status
of each entry, then sorted; no handle is open between two entries.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from jtc.storage.driver_support.loop_budget import next_iteration, over_budget
from jtc.storage.drivers.sftp_driver._directories import has_directory, read_directory
from jtc.storage.drivers.sftp_driver._looks import is_below_directories, is_directory, is_file
from jtc.storage.drivers.sftp_driver._sweeping import sweep_beside, sweep_soon
from jtc.storage.exceptions import InvalidPathException, StoragePermissionException
from jtc.storage.models import DirectoryInfo, listed_file
from jtc.storage.paths import TEMPORARY_PREFIX, check_listed_path, is_reserved

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from jtc.storage.drivers.sftp_driver._looks import Root, Status
    from jtc.storage.drivers.sftp_driver._sessions import Session, Sessions
    from jtc.storage.models import Entry
    from jtc.storage.options import ListOptions

__all__ = ["list_entries"]

_logger = logging.getLogger("jtc.storage")

_EXAMPLES = 5
"""How many of the directories that cannot be read a warning names."""


class _Level(NamedTuple):
    """A directory that a listing is in, and its entries that remain, by their keys."""

    above: str
    entries: Iterator[tuple[str, Status]]


async def list_entries(
    client: Sessions, root: Root, prefix: str, options: ListOptions
) -> AsyncGenerator[Entry, None]:
    """Yield what is below a directory, but the reserved directory."""
    if options.itself:
        if await client.run(lambda session: has_directory(session, root, prefix)):
            yield DirectoryInfo(path=prefix)
        return
    listing = _Listing(client, root, prefix, options)
    try:
        async for entry in listing.entries():
            yield entry
    finally:
        listing.warn()


class _Listing:
    """The state of a listing: the directories that it is in."""

    def __init__(self, client: Sessions, root: Root, prefix: str, options: ListOptions) -> None:
        self._client, self._root, self._prefix = client, root, prefix
        self._recursive = options.recursive
        self._with_directories = options.directories or not options.recursive
        self._start_after = options.start_after
        self._levels: list[_Level] = []
        self._refused = 0
        self._unreadable: list[str] = []

    async def entries(self) -> AsyncIterator[Entry]:
        """Yield the entries, each directory before what is in it."""
        await self._enter(self._prefix)
        while self._levels:
            above, entries = self._levels[-1]
            for key, status in entries:
                path = above + key
                if key[-1] != "/":
                    size, modified = status.size or 0, float(status.mtime or 0)
                    yield listed_file(path, size, modified, None)
                    continue
                # One that holds the key to start after is entered, and not listed itself.
                if self._with_directories and (
                    self._start_after is None or path > self._start_after
                ):
                    yield DirectoryInfo(path=path[:-1])
                if self._recursive:
                    await self._enter(path[:-1])
                    break
            else:
                self._levels.pop()
            if over_budget():
                await next_iteration()

    async def _enter(self, path: str) -> None:
        above = f"{path}/" if path else ""
        bound = self._bound(above)
        if bound is None:
            return
        try:
            found = await self._client.run(lambda session: self._read(session, path))
        except FileNotFoundError:
            return  # it is gone
        except StoragePermissionException:
            if path == self._prefix:
                raise
            self._unreadable.append(path)
            return
        keys = {}
        for name, status in found:
            key = self._key(name, status, above)
            if key is not None and key >= bound:
                keys[key] = status
        self._levels.append(_Level(above, iter(sorted(keys.items(), key=lambda item: item[0]))))

    async def _read(self, session: Session, path: str) -> list[tuple[bytes, Status]]:
        """Return the entries of a directory, and have what killed processes left removed."""
        if path:
            found = await self._root.look(session, path)
            if not is_below_directories([*found, None]):
                raise FileNotFoundError(path)
        place = self._root.at(path)
        entries = await read_directory(session, place)
        if not path:
            sweep_soon(self._client, session, self._root)
        stale = [
            (place + b"/" + name, status.mtime or 0)
            for name, status in entries
            if name.startswith(TEMPORARY_PREFIX.encode()) and is_file(status)
        ]
        if stale:
            sweep_beside(session, self._root, stale)
        return entries

    def _key(self, found: bytes, status: Status, above: str) -> str | None:
        """Return an entry's key below its directory, or None if it is not to be listed."""
        try:
            name = found.decode()
        except UnicodeDecodeError:
            self._refused += 1
            return None
        if name.startswith(TEMPORARY_PREFIX) or (not above and is_reserved(name)):
            return None
        if is_file(status):
            key = name
        elif is_directory(status):
            key = f"{name}/"
        else:
            return None
        try:
            check_listed_path(above + name)
        except InvalidPathException:
            self._refused += 1
            return None
        return key

    def _bound(self, above: str) -> str | None:
        """Return what a directory's first key to list is not less than; None if there is none.

        Args:
            above: The directory's path and ``/``.
        """
        after = self._start_after
        if after is None:
            return ""
        if not after.startswith(above):
            return None if above < after else ""
        after = after[len(above) :]
        child, separator, _ = after.partition("/")
        if separator and self._recursive:
            return child + separator  # it is entered, and not listed itself
        return f"{after}\0"

    def warn(self) -> None:
        """Log what was left out."""
        if self._refused:
            _logger.warning(
                "Left out %d names below %r that break the path policy", self._refused, self._prefix
            )
        if self._unreadable:
            _logger.warning(
                "Left out %d directories below %r that the user may not read: %s",
                len(self._unreadable),
                self._prefix,
                ", ".join(map(repr, self._unreadable[:_EXAMPLES])),
            )
