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
    *,
    recursive: bool,
    start_after: str | None,
) -> Iterator[Entry]:
    """Yield what is below a directory, in the order of keys, which is sorted once.

    Strings compare by code points, and that is the order of their UTF-8 bytes.

    Args:
        files: A snapshot of the files, by path.
        directories: The keys of the directories that were made.
        prefix: The directory, "" for the root.
        recursive: Files at any depth and no directories, else what is directly below.
        start_after: Only keys after this one.
    """
    base = key_prefix(prefix)
    below: Iterable[str] = (path for path in files if path.startswith(base))
    if not recursive:
        made = (key for key in directories if key.startswith(base) and key != base)
        below = {_directly_below(key, len(base)) for keys in (below, made) for key in keys}
    ordered = sorted(below)
    first = 0 if start_after is None else bisect_right(ordered, start_after)
    for key in ordered[first:]:
        if key.endswith("/"):
            yield DirectoryInfo(path=key[:-1])
        else:
            yield file_info(key, files[key], infer=False)


def _directly_below(key: str, start: int) -> str:
    slash = key.find("/", start)
    return key if slash < 0 else key[: slash + 1]
