"""Entries of a place, and how they are shown."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from jtc.storage import DirectoryInfo, FileInfo, FileNotFoundException, PathConflictException
from jtc.storage.cli._terminal.output import (
    coloured,
    is_terminal,
    printable,
    size_text,
    time_text,
    write,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from jtc.storage import Entry
    from jtc.storage.cli._places.locations import Location

__all__ = [
    "entries_at",
    "entry_as_json",
    "file_as_json",
    "long_line",
    "namer",
    "size_column",
    "write_names",
]

_NO_DIRECTORY = (PathConflictException, FileNotFoundException, NotADirectoryError)
"""What listing a file, or nothing, raises on some disks."""

_BLOCK = 500

DIRECTORY_COLOUR = "1;34"


async def entries_at(
    location: Location, *, recursive: bool = False, directories: bool = False
) -> AsyncIterator[Entry]:
    """List a directory; a file is a listing of itself.

    Args:
        location: The directory, or a file.
        recursive: List the files at any depth.
        directories: With `recursive`, list the directories too.

    Raises:
        FileNotFoundException: There is neither a file nor a directory.
    """
    is_empty = True
    try:
        async for entry in location.disk.list(
            location.path, recursive=recursive, directories=directories
        ):
            is_empty = False
            yield entry
    except _NO_DIRECTORY:
        if not is_empty:
            raise
    if is_empty and (found := await _itself(location)) is not None:
        yield found


async def write_names(location: Location, *, recursive: bool) -> None:
    """Write the names of a listing, in blocks where that is no terminal: a line each takes longer.

    Raises:
        FileNotFoundException: There is neither a file nor a directory.
    """
    name = namer(location)
    start = len(location.path) + 1 if location.path else 0
    most = 1 if is_terminal(sys.stdout) else _BLOCK
    lines: list[str] = []
    is_empty = True
    try:
        async for entry in location.disk.list(location.path, recursive=recursive):
            lines.append(
                entry.path[start:] if type(entry) is FileInfo and most > 1 else name(entry)
            )
            if len(lines) >= most:
                is_empty = False
                write("\n".join(lines))
                lines.clear()
    except _NO_DIRECTORY:
        if lines or not is_empty:
            raise
    if lines:
        write("\n".join(lines))
    elif is_empty and (found := await _itself(location)) is not None:
        write(name(found))


async def _itself(location: Location) -> FileInfo | None:
    """Return the file where a listing found nothing; None for an empty directory.

    Raises:
        FileNotFoundException: There is neither a file nor a directory.
    """
    if not location.path:
        return None
    found = await location.disk.entry(location.path)
    if found is None:
        raise location.missing("list")
    return found if isinstance(found, FileInfo) else None


def namer(location: Location) -> Callable[[Entry], str]:
    """Return a function that returns the name of an entry below a place, for the output."""
    start = len(location.path) + 1 if location.path else 0

    def name(entry: Entry) -> str:
        text = printable(entry.path[start:] or entry.path.rpartition("/")[2])
        return coloured(text, DIRECTORY_COLOUR) + "/" if isinstance(entry, DirectoryInfo) else text

    return name


def size_column(size: int, *, human: bool) -> str:
    """Return a size for people or in bytes, as long as a column."""
    return f"{size_text(size):>6}" if human else f"{size:>12}"


def entry_as_json(location: Location, entry: Entry) -> dict[str, Any]:
    """Return an entry of a listing as an object of JSON."""
    if isinstance(entry, FileInfo):
        return file_as_json(entry, location.relative(entry.path) or location.name)
    return {"path": location.relative(entry.path), "type": "directory"}


def file_as_json(info: FileInfo, path: str) -> dict[str, Any]:
    """Return a file's metadata as an object of JSON, without what is not known."""
    found: dict[str, Any] = {
        "path": path,
        "type": "file",
        "size": info.size,
        "last_modified": info.last_modified,
        "etag": info.etag,
        "content_type": info.content_type,
        "cache_control": info.cache_control,
        "content_disposition": info.content_disposition,
        "content_encoding": info.content_encoding,
        "metadata": dict(info.metadata),
        "checksums": dict(info.checksums),
    }
    return {name: value for name, value in found.items() if value not in (None, {})}


def long_line(entry: Entry, name: str, *, human: bool) -> str:
    """Return a line of a long listing: the size, the time and the name."""
    if isinstance(entry, FileInfo):
        return f"{size_column(entry.size, human=human)}  {time_text(entry.last_modified)}  {name}"
    return f"{'-':>{6 if human else 12}}  {'-':<19}  {name}"
