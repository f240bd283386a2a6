"""Listing by keys: a file's key is its path, a directory's is its path and ``/``."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from jtc.storage.drivers.memory_driver._metadata import file_info
from jtc.storage.models import DirectoryInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from jtc.storage.drivers.memory_driver._metadata import StoredFile
    from jtc.storage.models import Entry
    from jtc.storage.options import ListOptions

__all__ = ["directory_keys", "entries_below", "key_prefix"]


def key_prefix(directory: str) -> str:
    """Return what the keys of everything below a directory begin with."""
    return f"{directory}/" if directory else ""


def directory_keys(directory: str) -> list[str]:
    """Return the keys of a directory and of those above it."""
    parts = directory.split("/")
    return ["/".join(parts[:depth]) + "/" for depth in range(1, len(parts) + 1)]


def entries_below(
    files: Mapping[str, StoredFile],
    directories: Iterable[str],
    prefix: str,
    options: ListOptions,
) -> Iterator[Entry]:
    """Yield what is below a directory, in the order of keys, which is sorted once.

    Strings compare by code points, and that is the order of their UTF-8 bytes.

    Args:
        files: A snapshot of the files, by path.
        directories: The keys of the directories that were made.
        prefix: The directory, "" for the root.
        options: Which entries, and after which key.
    """
    base = key_prefix(prefix)
    below: Iterable[str] = (path for path in files if path.startswith(base))
    if not options.recursive or options.directories:
        made = (key for key in directories if key.startswith(base) and key != base)
        keys = (key for each in (below, made) for key in each)
        if options.recursive:
            below = {key for each in keys for key in _with_parents(each, len(base))}
        else:
            below = {_directly_below(key, len(base)) for key in keys}
    ordered = sorted(below)
    first = 0 if options.start_after is None else bisect_right(ordered, options.start_after)
    for key in ordered[first:]:
        if key.endswith("/"):
            yield DirectoryInfo(path=key[:-1])
        else:
            yield file_info(key, files[key], infer=False)


def _with_parents(key: str, start: int) -> Iterator[str]:
    """Yield a key, and the keys of the directories above it down to a position."""
    yield key
    slash = key.find("/", start)
    while slash >= 0:
        yield key[: slash + 1]
        slash = key.find("/", slash + 1)


def _directly_below(key: str, start: int) -> str:
    slash = key.find("/", start)
    return key if slash < 0 else key[: slash + 1]
