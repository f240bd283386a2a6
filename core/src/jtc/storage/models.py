"""What one is told about files, directories and signed addresses: plain records, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NoReturn, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DirectoryInfo",
    "Entry",
    "FileInfo",
    "PresignedForm",
    "PresignedRequest",
    "Visibility",
    "listed_file",
]


class Visibility(StrEnum):
    """Who may read a file by its `url`."""

    PUBLIC = "public"
    PRIVATE = "private"

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        raise ValueError(f"A visibility is 'public' or 'private', not {value!r}")


# Not frozen: that makes one four times as dear (1.3 µs against 0.3), and a listing makes thousands.
@dataclass(slots=True, kw_only=True)
class FileInfo:
    """Facts about one file, all from one request to the backend.

    Attributes:
        path: The file's path on the disk.
        size: Its length in bytes.
        last_modified: When it was written, in seconds since 1970 UTC.
        etag: Names this version of the content, for `if_match`; only its driver understands it.
        content_type: The MIME type that was declared or inferred. None where a listing omits it.
        cache_control: The header of that name to serve the file with.
        content_disposition: The header of that name to serve the file with.
        metadata: What the user gave, by names of ``[a-z0-9-]``.
        checksums: Checksums that the backend keeps of the whole content, in lower-case
            hexadecimal, by algorithm (``"sha256"``, ``"crc32"``).
    """

    path: str
    size: int
    last_modified: float
    etag: str | None = None
    content_type: str | None = None
    cache_control: str | None = None
    content_disposition: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)


def listed_file(path: str, size: int, last_modified: float, etag: str | None) -> FileInfo:
    """Return a `FileInfo` of what a listing tells; for listings, which make thousands.

    The constructor takes twice as long, since it is called by keywords (`python -m timeit`).
    """
    info: FileInfo = object.__new__(FileInfo)
    info.path = path
    info.size = size
    info.last_modified = last_modified
    info.etag = etag
    info.content_type = info.cache_control = info.content_disposition = None
    info.metadata = {}
    info.checksums = {}
    return info


@dataclass(slots=True, kw_only=True)
class DirectoryInfo:
    """A directory in a listing.

    Attributes:
        path: Its path on the disk, without a ``/`` at the end.
    """

    path: str


Entry: TypeAlias = FileInfo | DirectoryInfo
"""What a listing yields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PresignedRequest:
    """A request that anybody may send, once, until it expires.

    Attributes:
        method: The HTTP method.
        url: Where to send it. It holds the signature: treat it like a password.
        headers: The headers that are signed, to be sent exactly so.
        expires_at: When it stops working, in seconds since 1970 UTC.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str]
    expires_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PresignedForm:
    """An HTML form (``multipart/form-data``) that uploads one file straight to the backend.

    Attributes:
        url: The form's action.
        fields: Hidden fields, to be sent before the field ``file``. They hold the signature.
        expires_at: When it stops working, in seconds since 1970 UTC.
    """

    url: str
    fields: Mapping[str, str] = field(repr=False)
    expires_at: float
