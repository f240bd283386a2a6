"""Copies of attachments for other records."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from jtc.storage.attachments._ingest import (
    discarded_on_failure,
    ingest,
    new_file_options,
    stored_info,
)

if TYPE_CHECKING:
    from jtc.storage.attachments.fields import Field
    from jtc.storage.attachments.models import Attachment

__all__ = ["duplicate"]


async def duplicate(attachment: Attachment, source: Field, target: Field) -> Attachment:
    """Copy an attachment's files to a new attachment, which no row names yet.

    Within a field the store copies by itself, the recorded variants included. For another field the
    original is read and stored anew, by the limits and the variants of that field.

    Args:
        attachment: The attachment.
        source: Its field.
        target: The field of the new one.

    Raises:
        FileNotFoundException: The files are gone.
        RejectedException: A limit or a type of the other field refuses the original.
        StorageException: The storage failed.
    """
    disk = source.registry.disk(attachment.disk)
    if target is not source:
        async with disk.stream(attachment.key) as stream:
            return await ingest(
                target, stream, name=attachment.name, properties=attachment.properties
            )
    new_id, directory = target.new_directory()
    new = attachment.changed(
        id=new_id,
        disk=target.disk_name,
        directory=directory,
        stored_at=time.time(),
        field=target,
    )
    async with discarded_on_failure(new, target.disk):
        for variant in attachment.variants.values():
            await disk.copy(
                f"{attachment.own_directory}/{variant.file}",
                f"{new.own_directory}/{variant.file}",
                to=target.disk,
                **new_file_options(target.disk, variant.content_type, copied_from=disk),
            )
        await disk.copy(
            attachment.key,
            new.key,
            to=target.disk,
            **new_file_options(target.disk, attachment.content_type, copied_from=disk),
        )
        info = await stored_info(target.disk, new.key, attachment.size)
        return new.changed(etag=info.etag)
