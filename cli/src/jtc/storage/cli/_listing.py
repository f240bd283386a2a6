"""Entries of a place, and how they are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jtc.storage import DirectoryInfo, FileInfo, FileNotFoundException, PathConflictException
from jtc.storage.cli._output import coloured, printable, size_text, time_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from jtc.storage import Entry
    from jtc.storage.cli._locations import Location

__all__ = ["entries_at", "entry_as_json", "file_as_json", "long_line", "namer", "size_column"]

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
    disk, path = location.disk, location.path
    is_empty = True
    try:
        async for entry in disk.list(path, recursive=recursive, directories=directories):
            is_empty = False
            yield entry
    except (PathConflictException, FileNotFoundException, NotADirectoryError):
        if not is_empty:
            raise
    if is_empty and path:
        found = await disk.entry(path)
        if isinstance(found, FileInfo):
            yield found
        elif found is None:
            raise FileNotFoundException(
                "There is no file or directory", path=path, disk=disk.name, operation="list"
            )


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
