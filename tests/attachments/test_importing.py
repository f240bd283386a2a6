"""Files that rows name by other means."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attachment_database import Database
from jtc.storage.attachments._ingest import ingest
from jtc.storage.attachments.importing import (
    from_django,
    from_file_object,
    from_sqlalchemy_file,
)
from jtc.storage.exceptions import StorageConfigException

# As the libraries wrote them: sqlalchemy-file 0.7.0 and advanced-alchemy 1.12.0.
SQLALCHEMY_FILE = json.loads(
    """{"content_path": null, "filename": "my report.txt", "content_type": "text/plain", "size": 5,
    "files": ["default/cc397840-d772-4aa1-938f-cda6bbf9b2da"], "extra": {"content_type":
    "text/plain", "meta_data": {"filename": "my report.txt", "content_type": "text/plain",
    "author": "me"}}, "file_id": "cc397840-d772-4aa1-938f-cda6bbf9b2da", "upload_storage":
    "default", "uploaded_at": "2026-11-26T23:40:10.489230+00:00", "path":
    "default/cc397840-d772-4aa1-938f-cda6bbf9b2da", "url":
    "up/attachment/cc397840-d772-4aa1-938f-cda6bbf9b2da", "saved": true}"""
)
FILE_OBJECT = json.loads(
    """{"filename": "reports/abc.txt", "content_type": "text/plain", "size": null, "last_modified":
    null, "checksum": null, "etag": null, "version_id": null, "metadata": {"k": "v"}, "backend":
    "media"}"""
)


def test_from_django_reads_path() -> None:
    former = from_django("avatars/2024/me.png", disk="old")
    assert former is not None
    assert (former.disk, former.path, former.name) == ("old", "avatars/2024/me.png", "me.png")
    assert from_django("", disk="old") is None
    assert from_django(None, disk="old") is None


def test_from_sqlalchemy_file_reads_value() -> None:
    former = from_sqlalchemy_file(SQLALCHEMY_FILE, disks={"default": "old"})
    assert former is not None
    assert former.path == "cc397840-d772-4aa1-938f-cda6bbf9b2da"
    assert (former.disk, former.name) == ("old", "my report.txt")
    assert former.metadata == {"author": "me"}
    assert from_sqlalchemy_file(None, disks={}) is None


def test_from_file_object_reads_value() -> None:
    former = from_file_object(FILE_OBJECT, disks={"media": "old"})
    assert former is not None
    assert (former.disk, former.path, former.name) == ("old", "reports/abc.txt", "abc.txt")
    assert former.metadata == {"k": "v"}
    assert from_file_object(None, disks={}) is None


def test_unknown_storage_or_value_is_refused() -> None:
    with pytest.raises(StorageConfigException, match="'default'"):
        from_sqlalchemy_file(SQLALCHEMY_FILE, disks={"other": "old"})
    with pytest.raises(StorageConfigException, match="'media'"):
        from_file_object(FILE_OBJECT, disks={})
    with pytest.raises(ValueError, match="sqlalchemy-file"):
        from_sqlalchemy_file(FILE_OBJECT, disks={"media": "old"})
    with pytest.raises(ValueError, match="advanced-alchemy"):
        from_file_object(SQLALCHEMY_FILE, disks={"default": "old"})


async def test_former_file_is_stored_as_attachment(tmp_path: Path) -> None:
    database = Database(tmp_path)
    await database.registry.disk("archive").put("reports/abc.txt", b"hello")
    former = from_file_object(FILE_OBJECT, disks={"media": "archive"})
    assert former is not None
    attachment = await ingest(
        database.avatar,
        former.open(database.registry),
        name=former.name,
        properties=former.metadata,
    )
    assert await database.registry.disk("media").get(attachment.key) == b"hello"
    assert (attachment.name, attachment.properties) == ("abc.txt", {"k": "v"})
    assert await database.registry.disk("archive").exists("reports/abc.txt")
