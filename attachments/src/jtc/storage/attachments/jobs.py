"""The library's own background jobs: variants before their first request, and the outbox.

A job names an attachment by its id: a queue holds neither keys nor the names of disks.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

from jtc.storage.attachments._variants import find_original, make_variant
from jtc.storage.attachments.fields import Field
from jtc.storage.attachments.worker import run_outbox
from jtc.storage.exceptions import (
    FileNotFoundException,
    RejectedException,
    StorageConfigException,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.attachments.models import Attachment
    from jtc.storage.attachments.registry import Registry

__all__ = ["OUTBOX", "VARIANTS", "add_jobs", "enqueue_outbox", "enqueue_variants"]

VARIANTS = "attachments.variants"
"""The name of the job that makes variants."""

OUTBOX = "attachments.outbox"
"""The name of the job that runs the outbox once."""

logger = logging.getLogger("jtc.storage.attachments")


def add_jobs(registry: Registry) -> None:
    """Name the library's jobs in a registry, in each process that runs jobs of its queue.

    Args:
        registry: The registry; it may have them already.
    """
    if VARIANTS not in registry.jobs:
        registry.add_job(VARIANTS, functools.partial(_make_variants, registry))
        registry.add_job(OUTBOX, functools.partial(_run_outbox, registry))


async def enqueue_variants(attachment: Attachment, *variants: str) -> None:
    """Have variants made in the background, after the commit that named the attachment.

    Without it they are made at their first request.

    Args:
        attachment: The attachment.
        *variants: Their names; none means all that were not made before the commit.

    Raises:
        StorageConfigException: The attachment was loaded without its field.
        ValueError: The field has no such variant.
    """
    field = attachment.field
    if not isinstance(field, Field):
        raise StorageConfigException(
            f"The attachment {attachment.id!r} was loaded without its field: load it by "
            "'field.load(value)'"
        )
    names = variants or tuple(name for name in field.variants if name not in field.eager)
    for name in names:
        field.variant_file(name)
    if names:
        add_jobs(field.registry)
        payload = {"field": field.name, "id": attachment.id, "variants": list(names)}
        await field.registry.enqueue(VARIANTS, payload)


async def enqueue_outbox(registry: Registry) -> None:
    """Have the outbox run once in the background: from a schedule, where no worker runs always.

    Args:
        registry: The registry.
    """
    add_jobs(registry)
    await registry.enqueue(OUTBOX)


async def _make_variants(registry: Registry, payload: Mapping[str, Any]) -> None:
    """Make variants that are not there; those that cannot be made are no failure of the job.

    Raises:
        StorageException: The storage failed, or another process has been at work for too long.
    """
    field = registry.field(payload["field"])
    try:
        original = await find_original(field, payload["id"])
    except FileNotFoundException:
        return  # it was deleted meanwhile
    for name in payload["variants"]:
        if name not in field.variants:
            continue  # of a declaration before the last deployment
        try:
            await make_variant(field, original, name)
        except RejectedException as error:
            logger.warning("The variant %r of %r is not made: %s", name, original.id, error)
        except FileNotFoundException:
            return


async def _run_outbox(registry: Registry, _payload: Mapping[str, Any]) -> None:
    await run_outbox(registry)
