"""Records of copied and moved files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jtc.storage.exceptions import FileNotFoundException, PreconditionFailedException

if TYPE_CHECKING:
    from jtc.storage.drivers.memory_driver._metadata import StoredFile
    from jtc.storage.options import WriteOptions

__all__ = ["changes", "checked_source", "copy_of", "moved"]

_FIELDS = ("content_type", "cache_control", "content_disposition", "content_encoding", "visibility")


def checked_source(path: str, file: StoredFile | None, options: WriteOptions) -> StoredFile:
    """Return the source of a copy, if it exists and is the version that the options name.

    Args:
        path: Its path as the caller wrote it, for errors: they may be about the target instead.
        file: What is there, or None.
        options: `if_source_match` counts.

    Raises:
        FileNotFoundException: There is no file.
        PreconditionFailedException: `if_source_match` names another version.
    """
    if file is None:
        raise FileNotFoundException("File not found", path=path)
    if options.if_source_match is not None and options.if_source_match != file.etag:
        raise PreconditionFailedException(
            "The file is not the version that if_source_match names", path=path
        )
    return file


def copy_of(
    source: StoredFile, options: WriteOptions, *, last_modified: float, version: int
) -> StoredFile:
    """Return a copy of a file: the same at another time, except what the options replace."""
    return moved(source, options, version=version)._replace(last_modified=last_modified)


def moved(source: StoredFile, options: WriteOptions, *, version: int) -> StoredFile:
    """Return a file as it is after a move: the same, except what the options replace."""
    metadata = source.metadata if options.metadata is None else dict(options.metadata)
    return source._replace(
        version=version,
        metadata=metadata,
        **{name: value for name in _FIELDS if (value := getattr(options, name)) is not None},
    )


def changes(options: WriteOptions) -> bool:
    """Return whether the new file is to be other than the source."""
    return any(getattr(options, name) is not None for name in (*_FIELDS, "metadata"))
