"""Storing of uploads as new attachments. No database takes part."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import json
import logging
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeAlias, cast

from jtc.storage.attachments._names import client_name, display_name
from jtc.storage.attachments._variants import make_eager
from jtc.storage.attachments.models import Attachment
from jtc.storage.driver_support.content import Spool, driver_content, in_thread, peek
from jtc.storage.driver_support.content_checks import watch_limits
from jtc.storage.driver_support.mime_types import (
    OCTET_STREAM,
    SNIFF_BYTES,
    guess_type,
    judge_type,
    safe_extension,
    sniff_type,
)
from jtc.storage.exceptions import IntegrityException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from jtc.storage import Disk
    from jtc.storage.attachments.fields import Field
    from jtc.storage.driver import DriverContent
    from jtc.storage.driver_support.content import Content
    from jtc.storage.models import FileInfo

__all__ = [
    "FileKind",
    "Source",
    "complete",
    "discard",
    "discarded_on_failure",
    "ingest",
    "kind_of",
    "needs_copy",
    "new_attachment",
    "new_file_options",
    "stored_info",
]

Source: TypeAlias = bytes | BinaryIO
"""A local copy of an original: bytes, or an open file, to be read from its beginning."""

logger = logging.getLogger("jtc.storage.attachments")

_ANYTHING = frozenset({OCTET_STREAM, "text/plain"})
"""Types that many extensions have: scripts among them, and such that are not known."""

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
    await field.registry.check_field(field)
    content = driver_content(upload)
    try:
        kind = kind_of(field, shown, await peek(content, SNIFF_BYTES))
        watch_limits(f"original{kind.extension}", content, _limits(field))
        new = new_attachment(field, kind, shown, known)
        if not needs_copy(field, kind.content_type):
            return await _store(field, new, content, None)
        async with Spool(content) as whole:
            return await _store(field, new, whole, whole)
    finally:
        if isinstance(content, io.RawIOBase) and content is not upload:
            content.close()  # which leaves the caller's file open


def new_attachment(
    field: Field, kind: FileKind, name: str, properties: Mapping[str, Any]
) -> Attachment:
    """Return an attachment with a new id, whose size is not known yet."""
    new_id, directory = field.new_directory()
    return Attachment(
        id=new_id,
        disk=field.disk_name,
        directory=directory,
        file=f"original{kind.extension}",
        name=name,
        content_type=kind.content_type,
        size=0,
        properties=properties,
        field=field,
    )


async def _store(
    field: Field, new: Attachment, content: DriverContent, copy: Source | None
) -> Attachment:
    async with discarded_on_failure(new, field.disk):
        info = await _put(field.disk, new, content)
        stored = new.changed(size=info.size, etag=info.etag)
        return stored if copy is None else await complete(field, stored, copy)


@contextlib.asynccontextmanager
async def discarded_on_failure(attachment: Attachment, disk: Disk) -> AsyncIterator[None]:
    """Delete the directory of a new attachment when the block fails or is cancelled."""
    try:
        yield
    except BaseException:
        await discard(disk, attachment.own_directory)
        raise


async def complete(field: Field, attachment: Attachment, copy: Source) -> Attachment:
    """Add to a new attachment what is made of a local copy of its original.

    Args:
        field: The field.
        attachment: The attachment, whose original is stored.
        copy: The original: bytes, or an open file.

    Raises:
        RejectedException: It is no valid image, where the field wants one.
        Exception: That of an analyzer, which refuses the file.
    """
    found: dict[str, Any] = {}
    for analyzer in field.analyzers:
        file = io.BytesIO(copy) if isinstance(copy, bytes) else copy
        file.seek(0)
        if inspect.iscoroutinefunction(analyzer):
            found.update(await analyzer(file))
        else:
            found.update(cast("Mapping[str, Any]", await in_thread(analyzer, file)))
    json.dumps(found)
    analyzed = attachment.changed(properties={**attachment.properties, **found})
    return await make_eager(field, analyzed, copy)


def needs_copy(field: Field, content_type: str) -> bool:
    """Return whether the field makes something of the content of such a file."""
    return bool(field.analyzers or field.eager) or content_type.startswith("image/")


async def _put(disk: Disk, new: Attachment, content: DriverContent) -> FileInfo:
    """Store an original, and return the metadata that its disk then has of it."""
    length = 0

    def count(done: int, _total: int | None) -> None:
        nonlocal length
        length = done

    options = new_file_options(disk, new.content_type)
    await disk.put(new.key, cast("Content", content), progress=count, **options)
    return await stored_info(disk, new.key, length)


def new_file_options(
    disk: Disk, content_type: str, *, copied_from: Disk | None = None
) -> dict[str, Any]:
    """Return the options that store a file which nothing may replace, as far as a disk has them.

    Args:
        disk: The disk of the new file.
        content_type: Its MIME type.
        copied_from: Of a copy, the disk of its source.
    """
    is_within = copied_from is not None and copied_from.name == disk.name
    supported = disk.capabilities.copy_options if is_within else disk.capabilities.put_options
    options = {"overwrite": False, "content_type": content_type}
    return {name: value for name, value in options.items() if name in supported}


async def stored_info(disk: Disk, key: str, size: int) -> FileInfo:
    """Return the metadata of a file that was just stored.

    Raises:
        IntegrityException: It has another length than it must have.
        FileNotFoundException: It is not there.
    """
    info = await disk.stat(key)
    if info.size != size:
        raise IntegrityException(
            f"{size} bytes were stored, and the disk says that there are {info.size}",
            path=key,
            disk=disk.name,
            operation="stat",
        )
    return info


def kind_of(field: Field, name: str, head: bytes) -> FileKind:
    """Return what a file is by its beginning.

    Args:
        field: The field. Text is of a type that is more than data (SVG, CSS, WebVTT) only where it
            names that in full.
        name: The client's name, which counts for text only.
        head: The content's beginning.
    """
    named = guess_type(name)
    is_wanted = field.types is not None and named in field.types and named not in _ANYTHING
    if is_wanted and sniff_type(head) is None and judge_type(name, head) == named:
        return FileKind(named, f".{name.rpartition('.')[2].lower()}")
    extension = safe_extension(name, head).lower()
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


def _limits(field: Field) -> dict[str, Any]:
    limits = {
        "max_size": field.max_size,
        "min_size": field.min_size,
        "allowed_types": field.types,
    }
    return {name: value for name, value in limits.items() if value is not None}
