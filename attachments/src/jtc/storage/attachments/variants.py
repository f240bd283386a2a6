"""Making of lazy variants before their first request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jtc.storage.attachments._variants import make_variant
from jtc.storage.attachments.fields import Field
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from jtc.storage.attachments.models import Attachment

__all__ = ["make_variants"]


async def make_variants(attachment: Attachment, *names: str) -> None:
    """Make variants that are not there yet, as the first requests of their URLs would.

    `jtc.storage.attachments.jobs.enqueue_variants` does so in the background.

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
    field = attachment.field
    if not isinstance(field, Field):
        raise StorageConfigException(
            f"The attachment {attachment.id!r} was loaded without its field, which has the "
            "recipes: load it by 'field.load(value)'"
        )
    listed = {name: each.recipe for name, each in attachment.variants.items()}
    unlisted = [
        name for name, recipe in field.variants.items() if listed.get(name) != recipe.fingerprint
    ]
    for name in names or unlisted:
        await make_variant(field, attachment, name)
