"""Making of lazy variants before their first request, now or as a background job."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from jtc.storage.attachments._variants import find_original, make_variant
from jtc.storage.attachments.fields import Field
from jtc.storage.exceptions import (
    FileNotFoundException,
    RejectedException,
    StorageConfigException,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.attachments.models import Attachment
    from jtc.storage.attachments.registry import Registry

__all__ = ["MAKE_VARIANTS", "enqueue_variants", "make_variants", "run_make_variants"]

MAKE_VARIANTS = "jtc.make_variants"
"""The name of the background job."""

logger = logging.getLogger("jtc.storage.attachments")


async def make_variants(attachment: Attachment, *names: str) -> None:
    """Make variants that are not there yet, as the first requests of their URLs would.

    Args:
        attachment: The attachment.
        *names: The names of the variants; none means all of the field that the row does not list.

    Raises:
        ValueError: The field has no such variant.
        FileNotFoundException: The original is gone.
        RejectedException: A variant cannot be made of this original, or could not be lately.
        StorageConfigException: The attachment was loaded without its field.
        StorageException: The storage failed, or another process has been at work for too long.
    """
    field = _field_of(attachment)
    for name in names or _unlisted(field, attachment):
        await make_variant(field, attachment, name)


async def enqueue_variants(attachment: Attachment, *names: str) -> None:
    """Give the making of variants to the registry's queue, after the commit that names their row.

    Args:
        attachment: The attachment.
        *names: As for `make_variants`.

    Raises:
        ValueError: The field has no such variant.
        StorageConfigException: The attachment was loaded without its field.
    """
    field = _field_of(attachment)
    wanted = list(names or _unlisted(field, attachment))
    for name in wanted:
        field.variant_file(name)
    if wanted:
        payload = {"field": field.name, "id": attachment.id, "variants": wanted}
        await field.registry.enqueue(MAKE_VARIANTS, payload)


async def run_make_variants(registry: Registry, payload: Mapping[str, Any]) -> None:
    """Run a job of `enqueue_variants`; `Registry.run_job` calls it.

    An attachment that is gone, a variant that is no longer declared and one that cannot be made are
    no failures: the job would not succeed later.

    Raises:
        StorageException: The storage failed, or another process has been at work for too long.
    """
    field = registry.field(payload["field"])
    try:
        attachment = await find_original(field, payload["id"])
        for name in payload["variants"]:
            if name in field.variants:
                try:
                    await make_variant(field, attachment, name)
                except RejectedException as error:
                    logger.warning("A variant of %r cannot be made: %s", attachment.id, error)
    except FileNotFoundException:
        logger.info("The attachment %r is gone: no variants are made of it", payload["id"])


def _unlisted(field: Field, attachment: Attachment) -> list[str]:
    listed = {name: each.recipe for name, each in attachment.variants.items()}
    return [
        name for name, recipe in field.variants.items() if listed.get(name) != recipe.fingerprint
    ]


def _field_of(attachment: Attachment) -> Field:
    if not isinstance(attachment.field, Field):
        raise StorageConfigException(
            f"The attachment {attachment.id!r} was loaded without its field, which has the "
            "recipes: load it by 'field.load(value)'"
        )
    return attachment.field
