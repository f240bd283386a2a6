"""Listings in the order of keys, directory by directory.

A key is a file's path, or a directory's path and ``/``; keys are compared as Python compares texts,
by code points, which is the order of their UTF-8 bytes. A directory is read whole, with the status
of each entry, then sorted; no handle is open between two entries.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, NamedTuple

from jtc.storage.driver_support.left_out import LeftOut
from jtc.storage.driver_support.level_listing import first_key
from jtc.storage.driver_support.loop_budget import next_iteration, over_budget
from jtc.storage.drivers.sftp_driver._directories import has_directory, read_directory
from jtc.storage.drivers.sftp_driver._looks import is_below_directories
from jtc.storage.drivers.sftp_driver._sweeping import sweep_beside, sweep_soon
from jtc.storage.exceptions import InvalidPathException, StoragePermissionException
from jtc.storage.models import DirectoryInfo, listed_file
from jtc.storage.paths import TEMPORARY_PREFIX, check_listed_path, is_reserved

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from jtc.storage.drivers.sftp_driver._directories import Listed
    from jtc.storage.drivers.sftp_driver._looks import Root
    from jtc.storage.drivers.sftp_driver._sessions import Session, Sessions
    from jtc.storage.models import Entry
    from jtc.storage.options import ListOptions

__all__ = ["list_entries"]

_TEMPORARY = TEMPORARY_PREFIX.encode()


class _Level(NamedTuple):
    """A directory that a listing is in, and its entries that remain, by their keys."""

    above: str
    entries: Iterator[tuple[str, int, int]]


async def list_entries(
    get_client: Callable[[], Awaitable[Sessions]], root: Root, prefix: str, options: ListOptions
) -> AsyncIterator[Entry]:
    """Yield what is below a directory, but the reserved directory.

    One generator, and none within another: each takes its time for each entry.
    """
    client = await get_client()
    if options.itself:
        if await client.run(lambda session: has_directory(session, root, prefix)):
            yield DirectoryInfo(path=prefix)
        return
    listing = _Listing(client, root, prefix, options)
    try:
        await listing.enter(prefix)
        while listing.levels:
            above, entries = listing.levels[-1]
            for key, size, modified in entries:
                path = above + key
                if key[-1] != "/":
                    yield listed_file(path, size, float(modified), None)
                    continue
                if listing.has(path):
                    yield DirectoryInfo(path=path[:-1])
                if options.recursive:
                    await listing.enter(path[:-1])
                    break
            else:
                listing.levels.pop()
            if over_budget():
                await next_iteration()
    finally:
        listing.left_out.log()


class _Listing:
    """The state of a listing.

    Attributes:
        levels: The directories that it is in.
        left_out: What the listing does not have.
    """

    def __init__(self, client: Sessions, root: Root, prefix: str, options: ListOptions) -> None:
        self._client, self._root, self._prefix = client, root, prefix
        self._recursive = options.recursive
        self._with_directories = options.directories or not options.recursive
        self._start_after = options.start_after
        self.levels: list[_Level] = []
        self.left_out = LeftOut(prefix, options)

    def has(self, key: str) -> bool:
        """Return whether a directory itself is listed.

        One that holds the key to start after is entered, and not listed itself.
        """
        after = self._start_after
        return self._with_directories and (after is None or key > after)

    async def enter(self, path: str) -> None:
        """Read a directory, to list it next."""
        above = f"{path}/" if path else ""
        bound = first_key(above, self._start_after, recursive=self._recursive)
        if bound is None:
            return
        try:
            found = await self._client.run(lambda session: self._read(session, path))
        except FileNotFoundError:
            return  # it is gone
        except StoragePermissionException as error:
            if path == self._prefix:
                raise
            self.left_out.add_directory(path, error)
            return
        entries: list[tuple[str, int, int]] = []
        for name, mode, size, modified in found:
            key = self._key(name, mode, above)
            if key is not None and key >= bound:
                entries.append((key, size, modified))
        entries.sort()  # no two have one key
        self.levels.append(_Level(above, iter(entries)))

    async def _read(self, session: Session, path: str) -> list[Listed]:
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
            (place + b"/" + name, modified)
            for name, mode, _, modified in entries
            if name.startswith(_TEMPORARY) and stat.S_ISREG(mode)
        ]
        if stale:
            sweep_beside(session, self._root, stale)
        return entries

    def _key(self, found: bytes, mode: int, above: str) -> str | None:
        """Return an entry's key below its directory, or None if it is not to be listed."""
        name = found.decode(errors="surrogateescape")
        if name.startswith(TEMPORARY_PREFIX) or (not above and is_reserved(name)):
            return None
        if stat.S_ISREG(mode):
            key = name
        elif stat.S_ISDIR(mode):
            key = f"{name}/"
        else:
            return None
        try:
            check_listed_path(above + name)
        except InvalidPathException as error:
            self.left_out.add_name(above + key, error)
            return None
        return key
