"""Listing by keys: a file's key is its path, a directory's is its path and ``/``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from jtc.storage.drivers.memory_driver._metadata import file_info
from jtc.storage.models import DirectoryInfo

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from jtc.storage.drivers.memory_driver._key_index import KeyIndex
    from jtc.storage.drivers.memory_driver._metadata import StoredFile
    from jtc.storage.models import Entry
    from jtc.storage.options import ListOptions

__all__ = ["Page", "beyond", "directory_keys", "key_prefix", "keys_below", "read_page"]


def key_prefix(directory: str) -> str:
    """Return what the keys of everything below a directory begin with."""
    return f"{directory}/" if directory else ""


def directory_keys(directory: str) -> list[str]:
    """Return the keys of a directory and of those above it."""
    parts = directory.split("/")
    return ["/".join(parts[:depth]) + "/" for depth in range(1, len(parts) + 1)]


def beyond(base: str) -> str:
    """Return the first text after all keys of a directory: ``0`` comes after ``/``."""
    return f"{base[:-1]}0"


def keys_below(keys: KeyIndex, base: str, start: str) -> Iterator[str]:
    """Yield the settled keys below a directory from a text on, without the directory's own."""
    for key in keys.settled_from(max(base, start)):
        if not key.startswith(base):
            return
        if key != base:
            yield key


class Page(NamedTuple):
    """A part of a listing.

    Attributes:
        entries: In the order of keys.
        last: The key of the last entry so far.
        start: Where to go on looking; None at the end.
    """

    entries: list[Entry]
    last: str
    start: str | None


def read_page(
    keys: KeyIndex,
    files: Mapping[str, StoredFile],
    directories: Container[str],
    page: Page,
    prefix: str,
    options: ListOptions,
    length: int,
) -> Page:
    """Look at some keys, and return the next page of a listing.

    Args:
        keys: The keys of all files and directories.
        files: The files, by path.
        directories: The keys of the directories that were made.
        page: The one before.
        prefix: The directory, "" for the root.
        options: Which entries.
        length: How many keys to look at.
    """
    base = key_prefix(prefix)
    entries: list[Entry] = []
    _, last, start = page
    found = keys_below(keys, base, start or "")
    for _ in range(length):
        key = next(found, None)
        if key is None:
            return Page(entries, last, None)
        start = f"{key}\0"
        if key not in files and key not in directories:
            continue  # deleted since
        for each in _entry_keys(key, len(base), options):
            if each <= last:
                continue
            last = each
            if each.endswith("/"):
                entries.append(DirectoryInfo(path=each[:-1]))
            else:
                entries.append(file_info(each, files[each], infer=False))
        if not options.recursive and (slash := key.find("/", len(base))) >= 0:
            start = beyond(key[: slash + 1])
            found = keys_below(keys, base, start)
    return Page(entries, last, start)


def _entry_keys(key: str, base: int, options: ListOptions) -> Iterator[str]:
    """Yield the keys of the entries that a key stands for: itself, and directories above it."""
    slash = key.find("/", base)
    if not options.recursive:
        yield key if slash < 0 else key[: slash + 1]
        return
    while options.directories and slash >= 0:
        yield key[: slash + 1]
        slash = key.find("/", slash + 1)
    if not key.endswith("/"):
        yield key
