"""A registry on local disks with rows in SQLite, for tests of the maintenance of attachments."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

from attachment_fields import local_registry
from jtc.storage.attachments import Attachment, Field, Registry
from jtc.storage.attachments._ingest import ingest
from jtc.storage.attachments._variants import make_eager
from plain_records import PlainRecords

HOUR = 3600.0


class Database:
    """A registry with two fields, `users.avatar` and `albums.photos`, and its rows.

    Args:
        root: The directory of the disks `media` and `archive`.
        file: The database; below the root by default.
        settings: Those of both fields.
    """

    def __init__(self, root: Path, *, file: str = "rows.sqlite", **settings: Any) -> None:
        self.root = root
        self.registry: Registry = local_registry(root, keep=HOUR)
        self.avatar = Field("media", "avatars", **settings)
        self.photos = Field("media", "albums/photos", many=True, **settings)
        self.registry.add("users.avatar", self.avatar)
        self.registry.add("albums.photos", self.photos)
        root.mkdir(parents=True, exist_ok=True)
        self.records = PlainRecords(root / file, self.registry)

    async def stored(self, field: Field | None = None, content: bytes = b"text") -> Attachment:
        """Return an attachment that is stored, and that no row names."""
        field = field or self.avatar
        attachment = await ingest(field, content)
        if field.eager and not attachment.variants:
            attachment = await make_eager(field, attachment, content)
        return attachment

    async def saved(self, key: int, field: Field | None = None) -> Attachment:
        """Return an attachment that is stored and named by the row of a key."""
        attachment = await self.stored(field)
        self.records.save(field or self.avatar, key, attachment)
        return attachment

    def copied(self, file: str) -> None:
        """Copy the database, as a backup does."""
        for suffix in ("", "-wal", "-shm"):
            if (source := Path(f"{self.records.file}{suffix}")).exists():
                shutil.copy(source, f"{self.root / file}{suffix}")

    def has(self, attachment: Attachment) -> bool:
        """Return whether the original is on its disk."""
        return (self.root / attachment.disk / attachment.key).exists()

    def make_old(self, *attachments: Attachment, seconds: float = 3 * HOUR) -> None:
        """Make the files of attachments older, on their disks."""
        for attachment in attachments:
            for file in (self.root / attachment.disk / attachment.own_directory).rglob("*"):
                past = time.time() - seconds
                os.utime(file, (past, past))
