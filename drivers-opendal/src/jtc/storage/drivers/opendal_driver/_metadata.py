"""Metadata of files, from OpenDAL's."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from jtc.storage.driver_support.mime_types import guess_type
from jtc.storage.drivers.opendal_driver._services import MAY_SERVE_INDEXES, TRIMS_LISTED_NAMES
from jtc.storage.exceptions import FileNotFoundException, InvalidPathException
from jtc.storage.models import FileInfo

if TYPE_CHECKING:
    from opendal.types import Metadata

    from jtc.storage.drivers.opendal_driver._calls import Calls

__all__ = [
    "file_info",
    "is_directory",
    "is_value",
    "key",
    "look",
    "may_be_index",
    "modified",
    "stat",
    "value_info",
]

_INDEXES = (b"<", b"[", b"{", b"This is the WebDAV interface")
"""How a page begins that a server sends in place of a directory, as HTML, JSON or text."""


def key(calls: Calls, path: str) -> str:
    """Return a path that OpenDAL keeps as it is.

    Raises:
        InvalidPathException: It begins or ends with a space, which OpenDAL removes; or a part of it
            begins with one, which OpenDAL removes from a listing of FTP.
    """
    trims_names = calls.settings.scheme in TRIMS_LISTED_NAMES
    if trims_names and any(part != part.lstrip() for part in path.split("/")):
        raise InvalidPathException("OpenDAL lists no name that begins with a space as it is")
    if path != path.strip():
        raise InvalidPathException("OpenDAL keeps no path that begins or ends with a space")
    return path


async def stat(calls: Calls, path: str) -> FileInfo:
    """Return a file's metadata.

    Raises:
        FileNotFoundException: There is no file; a directory is none.
    """
    found = await look(calls, path)
    if is_value(calls, found):
        content = await calls.send(lambda operator: operator.read(key(calls, path)))
        return value_info(calls, path, found, content)
    return file_info(calls, path, found)


async def look(calls: Calls, path: str) -> Metadata:
    """Return OpenDAL's metadata of a file.

    Raises:
        FileNotFoundException: There is no file; a directory is none.
    """
    found = await calls.send(lambda operator: operator.stat(key(calls, path)))
    if found.is_dir:
        raise FileNotFoundException("File not found")
    return found


async def is_directory(calls: Calls, path: str) -> bool:
    """Return whether there is a directory."""
    try:
        found = await calls.send(lambda operator: operator.stat(key(calls, f"{path}/")))
    except FileNotFoundError:
        return False
    return found.is_dir


def modified(calls: Calls, found: Metadata) -> float:
    """Return when a file was written; when the driver was made where the service keeps no times."""
    at = found.last_modified
    return calls.made_at if at is None else at.timestamp()


def is_value(calls: Calls, found: Metadata) -> bool:
    """Return whether a service, such as a database, keeps a content and nothing beside it."""
    return found.last_modified is None and not (calls.has_etags and found.etag)


def value_info(calls: Calls, path: str, found: Metadata, content: bytes) -> FileInfo:
    """Return the metadata of a value, whose etag is a hash of it."""
    info = file_info(calls, path, found)
    info.size = len(content)
    info.etag = hashlib.blake2b(content, digest_size=16).hexdigest()
    return info


def file_info(calls: Calls, path: str, found: Metadata) -> FileInfo:
    """Return a file's metadata in our form."""
    # A server that takes no type has one by its own tables.
    content_type = found.content_type if "write_with_content_type" in calls.claims else None
    return FileInfo(
        path=path,
        size=found.content_length,
        last_modified=modified(calls, found),
        etag=found.etag if calls.has_etags else None,
        content_type=content_type or guess_type(path),
        content_disposition=found.content_disposition,
        content_encoding=found.content_encoding,
        metadata=found.user_metadata or {},
    )


def may_be_index(calls: Calls, content: bytes) -> bool:
    """Return whether content may be a page that lists a directory, and not a file's."""
    return calls.settings.scheme in MAY_SERVE_INDEXES and content.lstrip().startswith(_INDEXES)
