"""Files that rows name by other means: Django's FileField, sqlalchemy-file, advanced-alchemy.

Each function reads a value of a column as the other library stored it. The file it names is stored
anew, by `store` and within a session, so that the limits and variants of the field apply and a
row that was not committed costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage import ByteStream
    from jtc.storage.attachments.registry import Registry

__all__ = ["FormerFile", "from_django", "from_file_object", "from_sqlalchemy_file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerFile:
    """A file that a row names by other means.

    Attributes:
        disk: The name of the disk that has the file.
        path: Its path there.
        name: The client's file name, as far as it is known.
        metadata: What the other library stored with it.
    """

    disk: str
    path: str
    name: str
    metadata: Mapping[str, Any]

    def open(self, registry: Registry) -> ByteStream:
        """Return the content, to be stored as an attachment."""
        return registry.disk(self.disk).stream(self.path)


def from_django(value: object, *, disk: str) -> FormerFile | None:
    """Return the file of a value of Django's FileField or ImageField.

    Args:
        value: The column's text, or the field's value.
        disk: The name of the disk whose root is the one of the field's storage.

    Returns:
        The file; None where the field is empty.
    """
    path = str(value) if value else ""
    if not path:
        return None
    return FormerFile(disk=disk, path=path, name=path.rpartition("/")[2], metadata={})


def from_sqlalchemy_file(
    value: Mapping[str, Any] | None, *, disks: Mapping[str, str]
) -> FormerFile | None:
    """Return the file of a value of sqlalchemy-file's FileField or ImageField.

    Args:
        value: The column's JSON object; of a field with ``multiple``, one of them.
        disks: The names of the disks, by those of the library's storages.

    Returns:
        The file; None where the field is empty.

    Raises:
        StorageConfigException: No disk is named for a storage.
        ValueError: The value is of another library.
    """
    if not value:
        return None
    try:
        storage, path = value["upload_storage"], value["file_id"]
        metadata = dict((value.get("extra") or {}).get("meta_data") or {})
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("The value is none of sqlalchemy-file") from error
    known = {"filename", "content_type"}
    return FormerFile(
        disk=_disk(disks, storage),
        path=path,
        name=value.get("filename") or "",
        metadata={name: each for name, each in metadata.items() if name not in known},
    )


def from_file_object(
    value: Mapping[str, Any] | None, *, disks: Mapping[str, str]
) -> FormerFile | None:
    """Return the file of a value of advanced-alchemy's StoredObject.

    Args:
        value: The column's JSON object; of a column with ``multiple``, one of them.
        disks: The names of the disks, by the keys of the library's backends.

    Returns:
        The file; None where the column is empty.

    Raises:
        StorageConfigException: No disk is named for a backend.
        ValueError: The value is of another library.
    """
    if not value:
        return None
    try:
        backend, path = value["backend"], value["filename"]
    except (KeyError, TypeError) as error:
        raise ValueError("The value is none of advanced-alchemy") from error
    return FormerFile(
        disk=_disk(disks, backend),
        path=path.lstrip("/"),
        name=path.rpartition("/")[2],
        metadata=dict(value.get("metadata") or {}),
    )


def _disk(disks: Mapping[str, str], name: str) -> str:
    if name not in disks:
        raise StorageConfigException(
            f"Say in 'disks' which disk has the files of {name!r}: {{{name!r}: 'the disk'}}"
        )
    return disks[name]
