"""Attachments of SQLAlchemy's mapped classes, in async and sync sessions.

What a transaction replaces or deletes goes into an outbox table within it; what it stores belongs
to its session, and is deleted if that ends without a commit.
"""

from jtc.storage.attachments.sqlalchemy._bulk import IGNORE
from jtc.storage.attachments.sqlalchemy._calls import claim, duplicate, hold, store
from jtc.storage.attachments.sqlalchemy._changes import AttachmentNotStagedException
from jtc.storage.attachments.sqlalchemy._columns import attachment, attachments
from jtc.storage.attachments.sqlalchemy._connect import connect, create_triggers, drop_triggers

__all__ = [
    "IGNORE",
    "AttachmentNotStagedException",
    "attachment",
    "attachments",
    "claim",
    "connect",
    "create_triggers",
    "drop_triggers",
    "duplicate",
    "hold",
    "store",
]
