"""Records of stored files: immutable, so that a reader keeps its version."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from jtc.storage.driver_support.mime_types import SNIFF_BYTES, guess_type, infer_type
from jtc.storage.models import FileInfo, Visibility

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.options import WriteOptions

__all__ = ["StoredFile", "file_info", "new_file"]


class StoredFile(NamedTuple):
    """One version of one file. A tuple: as quick to make as a slotted object, and it cannot change.

    Attributes:
        content: The bytes.
        last_modified: When it was written, in seconds since 1970 UTC.
        version: Unlike that of any other version of any file of the driver.
        content_type: What was declared, or None.
        cache_control: What was declared, or None.
        content_disposition: What was declared, or None.
        content_encoding: What was declared, or None.
        metadata: What was declared, or None.
        visibility: Who may read it by its URL.
    """

    content: bytes
    last_modified: float
    version: int
    content_type: str | None = None
    cache_control: str | None = None
    content_disposition: str | None = None
    content_encoding: str | None = None
    metadata: Mapping[str, str] | None = None
    visibility: Visibility = Visibility.PRIVATE

    @property
    def etag(self) -> str:
        """The version, in the form of `FileInfo.etag` and `if_match`."""
        return f"{self.version:x}"


def new_file(
    content: bytes,
    last_modified: float,
    version: int,
    options: WriteOptions,
    visibility: Visibility,
) -> StoredFile:
    """Return the record of a file that is written with options."""
    return StoredFile(
        content,
        last_modified,
        version,
        options.content_type,
        options.cache_control,
        options.content_disposition,
        options.content_encoding,
        None if options.metadata is None else dict(options.metadata),
        visibility,
    )


def file_info(path: str, file: StoredFile, *, infer: bool = True) -> FileInfo:
    """Return a file's metadata.

    Args:
        path: Its path.
        file: Its record.
        infer: Infer the content type where none was declared. Looking at the content costs
            microseconds, so listings do without.
    """
    content_type = file.content_type
    if content_type is None and infer:
        encoded = file.content_encoding is not None
        content_type = guess_type(path) if encoded else infer_type(path, file.content[:SNIFF_BYTES])
    return FileInfo(
        path=path,
        size=len(file.content),
        last_modified=file.last_modified,
        etag=file.etag,
        content_type=content_type,
        cache_control=file.cache_control,
        content_disposition=file.content_disposition,
        content_encoding=file.content_encoding,
        metadata=dict(file.metadata or {}),
    )
