"""Search for dangling rows: those that name files which are not stored."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jtc.storage.attachments._bounded import mapped
from jtc.storage.attachments._owner import connected
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection

    from jtc.storage.attachments.fields import Field
    from jtc.storage.attachments.models import Attachment
    from jtc.storage.attachments.registry import Registry

__all__ = ["Dangling", "verify"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dangling:
    """An attachment that a row names and that is not stored whole.

    Attributes:
        field: The name of the field.
        attachment: The attachment.
        missing: The paths that are missing on its disk.
        problem: Why the disk could not be asked; None where it was.
    """

    field: str
    attachment: Attachment
    missing: tuple[str, ...]
    problem: str | None = None


async def verify(
    registry: Registry, *, fields: Collection[str] | None = None, at_once: int = 16
) -> AsyncGenerator[Dangling, None]:
    """Yield the attachments whose original, or a variant that the row names, is missing.

    Args:
        registry: The registry.
        fields: The names of the fields; None means all.
        at_once: How many attachments are looked for at the same time.

    Raises:
        StorageException: The storage failed: whether a file is there is not known then.
    """
    records = connected(registry)
    for name in registry.fields if fields is None else fields:
        field = registry.field(name)

        async def check(attachment: Attachment, field: Field = field) -> Dangling | None:
            return await _check(field, attachment)

        async with aclosing(mapped(check, records.attachments(field), at_once)) as results:
            async for found in results:
                if found is not None:
                    yield found


async def _check(field: Field, attachment: Attachment) -> Dangling | None:
    disk = field.registry.disk(attachment.disk)
    files = [attachment.file, *(each.file for each in attachment.variants.values())]
    paths = [f"{attachment.own_directory}/{file}" for file in files]
    problem = None
    try:
        missing = [path for path in paths if not await disk.exists(path)]
    except StorageConfigException as error:
        missing, problem = paths, str(error)
    if not missing:
        return None
    # The row may have been changed, and the files deleted, since it was read.
    if attachment not in await connected(field.registry).referenced([attachment.id]):
        return None
    return Dangling(
        field=field.name, attachment=attachment, missing=tuple(missing), problem=problem
    )
