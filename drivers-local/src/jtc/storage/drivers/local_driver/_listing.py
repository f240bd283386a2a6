"""Listings in the order of keys, page by page, without stalling the event loop.

A key is a file's path, or a directory's path and ``/``; keys are compared as Python compares
texts, by code points, which is the order of their UTF-8 bytes. A directory's names are read and
sorted in a worker; the status of its files is read page by page. No descriptor is open between two
pages.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from bisect import bisect_right
from itertools import chain, repeat
from typing import TYPE_CHECKING, NamedTuple

from jtc.storage.driver_support.left_out import LeftOut
from jtc.storage.driver_support.level_listing import first_key
from jtc.storage.driver_support.loop_budget import next_iteration, over_budget
from jtc.storage.drivers.local_driver._directories import is_directory
from jtc.storage.drivers.local_driver._metadata import etag_of
from jtc.storage.drivers.local_driver._safe_open import reraise_at
from jtc.storage.drivers.local_driver._sorted_keys import SortedKeys
from jtc.storage.drivers.local_driver._staged_file import sweep, sweep_staging
from jtc.storage.drivers.local_driver._worker_calls import run
from jtc.storage.exceptions import InvalidPathException
from jtc.storage.models import DirectoryInfo, listed_file
from jtc.storage.paths import MAX_PATH_BYTES, TEMPORARY_PREFIX, check_path, is_reserved

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from jtc.storage.drivers.local_driver._directories import Directory
    from jtc.storage.drivers.local_driver._safe_open import Root
    from jtc.storage.drivers.local_driver._worker_calls import CancelToken
    from jtc.storage.models import Entry
    from jtc.storage.options import ListOptions

__all__ = ["list_entries"]

# Callers that list in pages mostly take 100, 500 or 1,000 entries: then none is read in vain. Who
# goes on takes all, in few hops to a worker.
_PAGES = (100, 400, 500, 1000, 2000, 4000)
# list.sort() holds the interpreter's lock: 500,000 names at once stall the loop for 195-299 ms.
_RUN = 20_000
_STEP = 1000
# Names that break no rule of `check_path` (1.2 µs) whatever the rest of the path is (0.2 µs).
_PLAIN = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z_. -]*").fullmatch


async def list_entries(root: Root, prefix: str, options: ListOptions) -> AsyncIterator[Entry]:
    """Yield what is below a directory, but the reserved directory."""
    if options.itself:
        if await _has_directory(root, prefix):
            yield DirectoryInfo(path=prefix)
        return
    listing = _Listing(root, prefix, options)
    try:
        while not listing.has_ended:
            for entry in await run(listing.page, root):
                yield entry
    finally:
        root.known_keys.drop_later()
        listing.left_out.log()


async def _has_directory(root: Root, path: str) -> bool:
    there = None
    if path and root.page_cache is not None:
        if over_budget():
            await next_iteration()
        there = root.page_cache.is_directory(path)
    return await run(_is_directory, root, path) if there is None else there


def _is_directory(_token: CancelToken, root: Root, path: str) -> bool:
    root.find_page_cache()
    return root.is_directory(path)


class _Level(NamedTuple):
    """A directory that a listing is in, and its keys that remain."""

    path: str
    keys: Iterator[str]


class _Listing:
    """The state of a listing: the directories that it is in.

    Attributes:
        has_ended: Whether there are no more entries.
        left_out: What the listing does not have.
    """

    def __init__(self, root: Root, prefix: str, options: ListOptions) -> None:
        self._root = root
        self._recursive = options.recursive
        self._with_directories = options.directories or not options.recursive
        self._start_after = options.start_after
        self._prefix = prefix
        self._begun = self.has_ended = False
        self._levels: list[_Level] = []
        self._sizes = chain(_PAGES, repeat(_PAGES[-1]))
        self._size = 0
        self._reports = options.left_out is not None
        self.left_out = LeftOut(prefix, options)

    def page(self, token: CancelToken, _root: Root) -> list[Entry]:
        """Return the next entries. Blocks."""
        if not self._begun:
            self._begun = True
            self._root.find_page_cache()
            self._enter(token, self._prefix)
        self._size = next(self._sizes)
        entries: list[Entry] = []
        while self._levels and len(entries) < self._size:
            token.check()
            child = self._take(*self._levels[-1], entries)
            if child is not None:
                self._enter(token, child)
            elif len(entries) < self._size:
                self._levels.pop()
        self.has_ended = not self._levels
        return entries

    def _take(self, path: str, keys: Iterator[str], entries: list[Entry]) -> str | None:
        """Take a directory's next entries; return the path of a directory to descend into.

        None means that the page is full, or that there are no more.
        """
        directory = self._open(path)
        if directory is None:
            return None
        above = f"{path}/" if path else ""
        try:
            for key in keys:
                if key[-1] == "/":
                    child = above + key[:-1]
                    # One that holds the key to start after is entered, and not listed itself.
                    if self._with_directories and (
                        self._start_after is None or above + key > self._start_after
                    ):
                        entries.append(DirectoryInfo(path=child))
                    if self._recursive:
                        return child
                else:
                    try:
                        status = os.stat(
                            directory.at(key), dir_fd=directory.descriptor, follow_symlinks=False
                        )
                    except FileNotFoundError:
                        continue
                    except PermissionError as error:
                        self._leave_out(path, error)  # its names may be read, and not its files
                        return None
                    if stat.S_ISREG(status.st_mode):  # otherwise it became something else
                        size, modified = status.st_size, status.st_mtime
                        entries.append(listed_file(above + key, size, modified, etag_of(status)))
                if len(entries) >= self._size:
                    return None
        finally:
            directory.close()
        return None

    def _open(self, path: str) -> Directory | None:
        """Open a directory; None if it is gone, or no directory any more."""
        try:
            return self._root.open_directory(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.ELOOP and path != self._prefix:
                return None  # it became a link, and links are not listed
            self._leave_out(path, error)
            return None

    def _enter(self, token: CancelToken, path: str) -> None:
        above = f"{path}/" if path else ""
        bound = first_key(above, self._start_after, recursive=self._recursive)
        if bound is None:
            return
        directory = self._open(path)
        if directory is None:
            return
        known = self._root.known_keys
        try:
            stamp = self._root.stamp_of(directory)
            # Keys that are known do not say what was left out.
            keys = None if self._reports else known.find(path, stamp)
            if keys is None:
                runs = self._sorted_runs(token, directory, above)
                keys = SortedKeys(runs if len(runs) == 1 else _merged(token, runs))
                known.keep(path, stamp, keys)
        except OSError as error:
            self._leave_out(path, error)
            return
        finally:
            directory.close()
        self._levels.append(_Level(path, keys.since(bound)))

    def _leave_out(self, path: str, error: OSError) -> None:
        """Leave out a directory that this process may not read, such as ``lost+found``.

        Raises:
            StorageException: It is the directory that is listed, or it fails otherwise.
        """
        if path == self._prefix or not isinstance(error, PermissionError):
            reraise_at(path, error)
        self.left_out.add_directory(path, error)

    def _sorted_runs(self, token: CancelToken, directory: Directory, above: str) -> list[list[str]]:
        """Read a directory's names as keys, in sorted runs."""
        runs: list[list[str]] = []
        keys: list[str] = []
        all_fit = len(above) <= MAX_PATH_BYTES // 4 and self._root.name_error is None
        with directory.entries() as found:
            for entry in found:
                # Nearly all are such files: calling `_key` takes as long as the rest of the loop.
                if all_fit and _PLAIN(entry.name) and entry.is_file(follow_symlinks=False):
                    key: str | None = entry.name
                else:
                    key = self._key(entry, directory, above)
                if key is None:
                    continue
                keys.append(key)
                if len(keys) == _RUN:
                    token.check()
                    keys.sort()
                    runs.append(keys)
                    keys = []
        keys.sort()
        runs.append(keys)
        return runs

    def _key(self, entry: os.DirEntry[str], directory: Directory, above: str) -> str | None:
        """Return an entry's key below its directory, or None if it is not to be listed."""
        name = entry.name
        is_plain = _PLAIN(name) is not None
        if not is_plain and name.startswith(TEMPORARY_PREFIX):
            sweep(directory, name)
            return None
        if not is_plain and not above and is_reserved(name):
            sweep_staging(self._root)
            return None
        if entry.is_file(follow_symlinks=False):
            key = name
        elif is_directory(entry):
            key = name + "/"
        else:
            return None
        try:
            judge = self._root.name_error
            if judge is not None and (reason := judge(name)) is not None:
                raise InvalidPathException(reason)
            if not is_plain or len(above) + len(name) > MAX_PATH_BYTES // 4:
                check_path(above + name)
        except InvalidPathException as error:
            self.left_out.add_name(above + key, error)
            return None
        return key


def _merged(token: CancelToken, runs: list[list[str]]) -> Iterator[list[str]]:
    """Yield the keys of sorted runs in order, as heapq.merge() does in four times as long."""
    places = [0] * len(runs)
    while left := [number for number, run in enumerate(runs) if places[number] < len(run)]:
        token.check()
        # All keys up to this one are among the next of each run.
        bound = min(runs[number][places[number] : places[number] + _STEP][-1] for number in left)
        piece: list[str] = []
        for number in left:
            end = bisect_right(runs[number], bound, places[number])
            piece += runs[number][places[number] : end]
            places[number] = end
        piece.sort()
        yield piece
