"""Storing of uploads as new attachments. No database takes part."""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import logging
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from jtc.storage.attachments._names import client_name, display_name
from jtc.storage.attachments.models import Attachment
from jtc.storage.driver_support.content import Spool, driver_content, in_thread, peek
from jtc.storage.driver_support.content_checks import watch_limits
from jtc.storage.driver_support.mime_types import (
    SNIFF_BYTES,
    guess_type,
    is_active,
    judge_type,
    safe_extension,
)
from jtc.storage.exceptions import IntegrityException

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage import Disk
    from jtc.storage.attachments.fields import Field
    from jtc.storage.driver import DriverContent
    from jtc.storage.driver_support.content import Content
    from jtc.storage.models import FileInfo

__all__ = ["FileKind", "discard", "ingest", "kind_of"]

logger = logging.getLogger("jtc.storage.attachments")

_removals: set[asyncio.Task[None]] = set()
"""Keeps deletions alive whose caller was cancelled once more."""


class FileKind(NamedTuple):
    """What a file's beginning says of it.

    Attributes:
        content_type: The MIME type.
        extension: The extension that the original's name has, with its dot.
    """

    content_type: str
    extension: str


async def ingest(
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
        field: The field.
        upload: The content, such as FastAPI's ``UploadFile``.
        name: The file name for display; None is the upload's own.
        properties: More properties.

    Raises:
        RejectedException: A limit or a type of the field refuses the content.
        StorageException: The storage failed.
        TypeError: The content is of a wrong type, or JSON cannot hold a property.
    """
    shown = display_name(client_name(upload) if name is None else name)
    known = {**field.properties, **(properties or {})}
    json.dumps(known)
    content = driver_content(upload)
    try:
        kind = kind_of(field, shown, await peek(content, SNIFF_BYTES))
        watch_limits(f"original{kind.extension}", content, _limits(field))
        if not _needs_copy(field):
            return await _store(field, content, None, shown, kind, known)
        async with Spool(content) as whole:
            return await _store(field, whole, whole, shown, kind, known)
    finally:
        if isinstance(content, io.RawIOBase) and content is not upload:
            content.close()  # which leaves the caller's file open


async def _store(
    field: Field,
    content: DriverContent,
    copy: bytes | BinaryIO | None,
    name: str,
    kind: FileKind,
    properties: dict[str, Any],
) -> Attachment:
    """Store the original, and what is made of a local copy of it."""
    new_id, directory = field.new_directory()
    disk = field.disk
    file = f"original{kind.extension}"
    try:
        more = {} if copy is None else await _analyzed(field, copy)
        info = await _put(disk, f"{directory}/{new_id}/{file}", content, kind.content_type)
        return Attachment(
            id=new_id,
            disk=field.disk_name,
            directory=directory,
            file=file,
            name=name,
            content_type=kind.content_type,
            size=info.size,
            etag=info.etag,
            properties={**properties, **more},
            field=field,
        )
    except BaseException:
        await discard(disk, f"{directory}/{new_id}")
        raise


async def _put(disk: Disk, key: str, content: DriverContent, content_type: str) -> FileInfo:
    """Store a file that is new, and return the metadata that its disk then has of it."""
    length = 0

    def count(done: int, _total: int | None) -> None:
        nonlocal length
        length = done

    options: dict[str, Any] = {}
    if "content_type" in disk.capabilities.put_options:
        options["content_type"] = content_type
    if "overwrite" in disk.capabilities.put_options:
        options["overwrite"] = False
    await disk.put(key, cast("Content", content), progress=count, **options)
    info = await disk.stat(key)
    if info.size != length:
        raise IntegrityException(
            f"{length} bytes were stored, and the disk says that there are {info.size}",
            path=key,
            disk=disk.name,
        )
    return info


def kind_of(field: Field, name: str, head: bytes) -> FileKind:
    """Return what a file is by its beginning.

    Args:
        field: The field. Only a type that it names in full may be one that browsers run.
        name: The client's name, which counts for text only.
        head: The content's beginning.
    """
    types = field.types or frozenset()
    named = judge_type(name, head)
    if named in types and named == guess_type(name) and is_active(named):
        return FileKind(named, f".{name.rpartition('.')[2].lower()}")
    extension = safe_extension(name, head)
    return FileKind(judge_type(f"original{extension}", head), extension)


async def discard(disk: Disk, directory: str) -> None:
    """Delete the directory of an attachment that no row names, even if the task is cancelled.

    A failure is logged: `purge` deletes the directory later.
    """

    async def remove() -> None:
        try:
            await disk.delete_directory(directory)
        except Exception:
            logger.warning(
                "Files of an upload that failed remain in %r on the disk %r until the next purge",
                directory,
                disk.name,
                exc_info=True,
            )

    removal = asyncio.get_running_loop().create_task(remove())
    _removals.add(removal)
    removal.add_done_callback(_removals.discard)
    await asyncio.shield(removal)


async def _analyzed(field: Field, copy: bytes | BinaryIO) -> dict[str, Any]:
    """Return the properties that the field's analyzers find in the content."""
    found: dict[str, Any] = {}
    for analyzer in field.analyzers:
        file = io.BytesIO(copy) if isinstance(copy, bytes) else copy
        file.seek(0)
        if inspect.iscoroutinefunction(analyzer):
            result = await analyzer(file)
        else:
            result = await in_thread(analyzer, file)
        found.update(result)
    json.dumps(found)
    return found


def _needs_copy(field: Field) -> bool:
    return bool(field.analyzers)


def _limits(field: Field) -> dict[str, Any]:
    limits = {
        "max_size": field.max_size,
        "min_size": field.min_size,
        "allowed_types": field.types,
    }
    return {name: value for name, value in limits.items() if value is not None}
