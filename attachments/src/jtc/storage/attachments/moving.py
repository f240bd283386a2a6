"""Moving of a field's files to another disk or directory while the application runs."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jtc.storage.attachments._bounded import mapped
from jtc.storage.attachments._ingest import new_file_options, stored_info
from jtc.storage.attachments._listing import files_of
from jtc.storage.attachments._owner import begin_run, connected, disk_names
from jtc.storage.driver_support.mime_types import guess_type
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    StorageException,
    StorageUnavailableException,
)

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Literal

    from jtc.storage.attachments.fields import Field
    from jtc.storage.attachments.models import Attachment
    from jtc.storage.attachments.registry import Registry

__all__ = ["Moved", "move"]

_MOST_IDLE = 5
"""How often rows may be changed meanwhile, and none be moved, until a move gives up."""

logger = logging.getLogger("jtc.storage.attachments")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What a move did.

    Attributes:
        moved: How many attachments were moved.
        missing: How many could not be, since their original is missing; `verify` lists them.
        waiting: How many could not be yet, since the outbox has an entry of them: they were moved
            before, in the other direction perhaps. They can once that entry was due.
        failed: How many could not be for another reason, which is logged.
    """

    moved: int
    missing: int
    waiting: int
    failed: int


async def move(
    registry: Registry, *, fields: Collection[str] | None = None, at_once: int = 4
) -> Moved:
    """Move the files of fields to the place that is declared now, until no row names another one.

    Declare the new disk, and the former one in `moved_from`; URLs work all the time. Of each
    attachment the files are copied, then its row is changed if it is still the same, and the old
    files go into the outbox in the same transaction. A move that was killed is run again.

    Args:
        registry: The registry.
        fields: The names of the fields; None means all.
        at_once: How many attachments are copied at the same time.

    Raises:
        OwnerException: The files belong to another database, or to a newer state of this one.
        StorageException: A disk does not work. What was moved by then is moved.
    """
    run = await begin_run(registry, disk_names(registry))
    for error in run.refused.values():
        raise error
    moved = idle = 0
    while True:
        done: Counter[str] = Counter()
        for name in registry.fields if fields is None else fields:
            done += await _pass(registry.field(name), at_once)
        moved += done["moved"]
        idle = 0 if done["moved"] else idle + 1
        if not done["moved"] and (not done["changed"] or idle == _MOST_IDLE):
            return Moved(
                moved=moved,
                missing=done["missing"],
                waiting=done["waiting"],
                failed=done["failed"] + done["changed"],
            )


async def _pass(field: Field, at_once: int) -> Counter[str]:
    async def one(attachment: Attachment) -> str:
        if (attachment.disk, attachment.directory) == field.places[0]:
            return "there"
        try:
            return await _move(field, attachment)
        except StorageUnavailableException:
            raise
        except StorageException as error:
            logger.warning("The attachment %r was not moved: %s", attachment.id, error)
            return "failed"

    records = connected(field.registry)
    results = mapped(one, records.attachments(field), at_once)
    return Counter([result async for result in results if result != "there"])


async def _move(
    field: Field, attachment: Attachment
) -> Literal["moved", "missing", "waiting", "changed"]:
    records = connected(field.registry)
    # A worker may be about to delete the very directory that would be copied to.
    if await records.waiting([attachment.id]):
        return "waiting"
    try:
        new = await _copy(field, attachment)
    except FileNotFoundException as error:
        logger.warning("The attachment %r was not moved: %s", attachment.id, error)
        return "missing"
    if await records.replace(field, attachment, new):
        return "moved"
    # Another process may have moved it, or is about to: only without a row the copy has no use.
    if not await records.referenced([attachment.id]):
        await records.add_to_outbox([new])
    return "changed"


async def _copy(field: Field, attachment: Attachment) -> Attachment:
    """Copy an attachment's files, the original last: by that the route finds the others."""
    disk_name, directory = field.places[0]
    source, target = field.registry.disk(attachment.disk), field.disk
    new = attachment.changed(disk=disk_name, directory=directory)
    start = len(attachment.own_directory) + 1
    files = {each.path[start:]: each for each in await files_of(source, attachment.own_directory)}
    if attachment.file not in files:
        raise FileNotFoundException("The original is missing", path=attachment.key)
    types = {each.file: each.content_type for each in attachment.variants.values()}
    types[attachment.file] = attachment.content_type
    info = None
    for name in sorted(files, key=lambda name: (name == attachment.file, name)):
        if name.startswith("."):
            continue  # a marker of a variant that is being made
        options = new_file_options(target, types.get(name, guess_type(name)), copied_from=source)
        path = f"{new.own_directory}/{name}"
        # What a move that was killed has copied is the same: keys are never written twice.
        with suppress(FileExistsException):
            await source.copy(files[name].path, path, to=target, **options)
        info = await stored_info(target, path, files[name].size)
    return new.changed(etag=None if info is None else info.etag)
