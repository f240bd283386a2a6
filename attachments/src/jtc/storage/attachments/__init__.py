"""Attachments: files that belong to records of a database.

No commit names a file that is not stored, and no file that a committed row named is deleted before
the time that the registry keeps it.
"""

from jtc.storage.attachments.fields import Field
from jtc.storage.attachments.models import Attachment, AttachmentList, Variant
from jtc.storage.attachments.recipes import Recipe
from jtc.storage.attachments.records import OutboxEntry, Records
from jtc.storage.attachments.registry import Registry

__all__ = [
    "Attachment",
    "AttachmentList",
    "Field",
    "OutboxEntry",
    "Recipe",
    "Records",
    "Registry",
    "Variant",
]
