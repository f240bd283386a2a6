"""Search for dangling rows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from attachment_database import Database
from jtc.storage import Disk
from jtc.storage.attachments.derivations import derive
from jtc.storage.attachments.verify import Dangling, verify
from jtc.storage.exceptions import StorageUnavailableException

UPPER = derive(
    lambda content: content.upper(),
    version=1,
    content_type="text/plain",
    extension=".txt",
    takes="bytes",
)


async def found(database: Database, **options: Any) -> list[Dangling]:
    return [each async for each in verify(database.registry, **options)]


async def test_verify_lists_rows_without_original_or_eager_variant(tmp_path: Path) -> None:
    database = Database(tmp_path, variants={"upper": UPPER}, eager=["upper"])
    await database.saved(1)
    without_original = await database.saved(2)
    without_variant = await database.saved(3, database.photos)
    without_both = await database.saved(4, database.photos)
    disk = database.registry.disk("media")
    variant = f"{without_variant.own_directory}/{without_variant.variants['upper'].file}"
    await disk.delete(without_original.key)
    await disk.delete(variant)
    await disk.delete_directory(without_both.own_directory)

    dangling = await found(database)
    assert [(each.field, each.attachment.id, each.missing) for each in dangling] == [
        ("users.avatar", without_original.id, (without_original.key,)),
        ("albums.photos", without_variant.id, (variant,)),
        (
            "albums.photos",
            without_both.id,
            (
                without_both.key,
                f"{without_both.own_directory}/{without_both.variants['upper'].file}",
            ),
        ),
    ]
    assert len(await found(database, fields=["users.avatar"])) == 1


async def test_verify_leaves_out_row_that_was_replaced_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(tmp_path)
    attachment = await database.saved(1)
    new = await database.stored()
    exists = Disk.exists

    async def replaced(disk: Disk, path: str) -> bool:
        if database.has(attachment):
            database.records.save(database.avatar, 1, new)
            await disk.delete_directory(attachment.own_directory)
        return await exists(disk, path)

    monkeypatch.setattr(Disk, "exists", replaced)
    assert await found(database) == []


async def test_verify_raises_where_the_store_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(tmp_path)
    for key in range(20):
        await database.saved(key)

    async def dead(_disk: Disk, _path: str) -> bool:
        raise StorageUnavailableException("No answer")

    monkeypatch.setattr(Disk, "exists", dead)
    with pytest.raises(StorageUnavailableException):
        await found(database)


async def test_verify_reports_disk_that_is_not_configured(tmp_path: Path) -> None:
    database = Database(tmp_path)
    attachment = await database.stored()
    database.records.save(database.avatar, 1, attachment.changed(disk="gone"))
    (dangling,) = await found(database)
    assert dangling.missing == (attachment.key,)
    assert dangling.problem is not None
    assert "gone" in dangling.problem


async def test_verify_looks_for_a_bounded_number_at_once_and_ends_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(tmp_path)
    for key in range(30):
        attachment = await database.stored()
        database.records.save(database.avatar, key, attachment)
        await database.registry.disk("media").delete(attachment.key)
    now = most = asked = 0
    exists = Disk.exists

    async def counting(disk: Disk, path: str) -> bool:
        nonlocal now, most, asked
        now, asked = now + 1, asked + 1
        most = max(most, now)
        await asyncio.sleep(0)
        try:
            return await exists(disk, path)
        finally:
            now -= 1

    monkeypatch.setattr(Disk, "exists", counting)
    assert len(await found(database, at_once=4)) == 30
    assert most <= 4

    asked = 0
    rows = verify(database.registry, at_once=4)
    async for _ in rows:
        break
    await rows.aclose()
    assert asked <= 8
    assert len(asyncio.all_tasks()) == 1
