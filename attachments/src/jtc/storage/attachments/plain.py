"""Attachments of records that no integration keeps: an application stores their JSON by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jtc.storage.attachments import _copies, _ingest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.attachments.fields import Field
    from jtc.storage.attachments.models import Attachment
    from jtc.storage.driver_support.content import Content

__all__ = ["delete", "duplicate", "store"]


async def store(
    field: Field,
    upload: Content,
    *,
    name: str | None = None,
    properties: Mapping[str, Any] | None = None,
) -> Attachment:
    """Store an upload as a new attachment of a field, which no row names yet.

    The original is stored under a new key, which is never overwritten. When anything fails, or the
    task is cancelled, all that was stored is deleted again.

    Args:
        field: The field, which is in a registry.
        upload: The content, such as FastAPI's ``UploadFile``.
        name: The file name for display; None is the upload's own.
        properties: More properties than the field's.

    Raises:
        RejectedException: A limit or a type of the field refuses the content.
        StorageException: The storage failed.
        TypeError: The content is of a wrong type, or JSON cannot hold a property.
    """
    return await _ingest.ingest(field, upload, name=name, properties=properties)


async def duplicate(attachment: Attachment, field: Field, *, to: Field | None = None) -> Attachment:
    """Copy an attachment's files to a new attachment, which no row names yet.

    Within a field the store copies by itself, the recorded variants included. For another field the
    original is read and stored anew, by the limits and the variants of that field.

    Args:
        attachment: The attachment.
        field: Its field.
        to: The field of the new one; None is the same.

    Raises:
        FileNotFoundException: The files are gone.
        RejectedException: A limit or a type of the other field refuses the original.
        StorageException: The storage failed.
    """
    return await _copies.duplicate(attachment, field, field if to is None else to)


async def delete(field: Field, attachment: Attachment) -> None:
    """Delete the files of an attachment, once the row that named it is gone.

    Raises:
        StorageException: The storage failed; some files may be gone.
    """
    await field.registry.disk(attachment.disk).delete_directory(attachment.own_directory)
