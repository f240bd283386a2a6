"""Deletion of files that no row names."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

import pytest

from attachment_database import HOUR, Database
from jtc.storage import Disk
from jtc.storage.attachments import Attachment
from jtc.storage.attachments import purge as purging
from jtc.storage.attachments.purge import PurgeRefusedException, purge
from jtc.storage.attachments.worker import run_outbox
from jtc.storage.exceptions import StoragePermissionException


async def orphans(database: Database, count: int = 1, *, old: bool = True) -> list[Attachment]:
    """Store files that no row names."""
    stored = [await database.stored() for _ in range(count)]
    if old:
        database.make_old(*stored)
    return stored


async def test_purge_deletes_old_files_that_no_row_names(tmp_path: Path) -> None:
    database = Database(tmp_path)
    named = await database.saved(1)
    photo = await database.saved(1, database.photos)
    dropped = await database.saved(2)
    database.records.delete(database.avatar, 2)
    database.make_old(named, photo, dropped)
    (young,) = await orphans(database, old=False)
    old = await orphans(database, 3)
    old += [await database.stored(database.photos)]
    database.make_old(old[-1])

    counted = await purge(database.registry, dry_run=True)
    assert (counted.found, counted.young, counted.deleted) == (4, 1, 0)
    assert all(database.has(each) for each in old)
    assert not (tmp_path / "media/app/.owner").exists()

    done = await purge(database.registry)
    assert (done.found, done.young, done.deleted, done.failed) == (4, 1, 4, 0)
    assert not any(database.has(each) for each in old)
    assert all(database.has(each) for each in (named, photo, dropped, young))
    assert (done.unknown, done.unknown_count) == ((), 0)

    database.records.age_outbox(2 * HOUR)
    await purge(database.registry)
    assert not database.has(dropped), "a purge runs the outbox too"


async def test_purge_leaves_files_for_keep_and_the_time_of_a_transaction(tmp_path: Path) -> None:
    database = Database(tmp_path)
    (attachment,) = await orphans(database, old=False)
    database.make_old(attachment, seconds=1.9 * HOUR)
    assert (await purge(database.registry)).young == 1
    database.make_old(attachment, seconds=2.1 * HOUR)
    assert (await purge(database.registry)).deleted == 1


async def test_purge_judges_directory_by_its_newest_file(tmp_path: Path) -> None:
    database = Database(tmp_path)
    (attachment,) = await orphans(database)
    path = f"{attachment.own_directory}/thumb-1a2b3c4d.webp"
    await database.registry.disk("media").put(path, b"made just now")
    assert (await purge(database.registry)).young == 1
    assert database.has(attachment)


async def test_purge_refuses_more_than_max_delete_before_the_first_deletion(tmp_path: Path) -> None:
    database = Database(tmp_path)
    old = await orphans(database, 4)
    with pytest.raises(PurgeRefusedException, match="4 directories, and 'max_delete' is 3"):
        await purge(database.registry, max_delete=3)
    assert all(database.has(each) for each in old)
    assert (await purge(database.registry, max_delete=4)).deleted == 4


async def test_purge_without_max_delete_deletes_any_number(tmp_path: Path) -> None:
    database = Database(tmp_path)
    (attachment,) = await orphans(database)
    original = tmp_path / "media" / attachment.own_directory
    for _ in range(150):
        shutil.copytree(original, original.with_name(secrets.token_hex(16)))
    with pytest.raises(PurgeRefusedException):
        await purge(database.registry)
    done = await purge(database.registry, max_delete=None)
    assert done.deleted == done.found >= 150


async def test_purge_deletes_no_more_than_it_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(tmp_path)
    old = await orphans(database, 2)

    async def more(*args: Any, **options: Any) -> Any:
        old.extend(await orphans(database, 3))
        return await run_outbox(*args, **options)

    monkeypatch.setattr(purging, "run_outbox", more)
    done = await purge(database.registry)
    assert (done.found, done.deleted) == (2, 2)
    assert sum(database.has(each) for each in old) == 3


@pytest.mark.parametrize(
    "path",
    [
        "notes.txt",
        "avatars/readme.txt",
        "avatars/by-hand/original.png",
        "former/0123456789abcdef0123456789abcdef/original.png",
        "albums/cover.png",
        "avatars/0123456789abcdef0123456789abcdef/by hand.png",
        "avatars/0123456789ABCDEF0123456789ABCDEF/original.png",
    ],
)
async def test_purge_reports_what_is_not_ours_and_leaves_it(tmp_path: Path, path: str) -> None:
    database = Database(tmp_path)
    await database.registry.disk("media").put(f"app/{path}", b"not ours")
    await database.registry.disk("media").put("elsewhere/file", b"not in the namespace")
    for file in (tmp_path / "media").rglob("*"):
        if file.is_file():
            os.utime(file, (0, 0))
    done = await purge(database.registry)
    assert (done.found, done.deleted, done.unknown_count) == (0, 0, 1)
    assert f"app/{path}".startswith(done.unknown[0])
    assert (tmp_path / "media/app" / path).exists()


@pytest.mark.parametrize(
    "name",
    ["upload", "original", "original.tar.gz", "thumb-1a2b3c4d.webp", ".making-thumb-1a2b3c4d"],
)
async def test_purge_deletes_files_of_each_name_that_we_give(tmp_path: Path, name: str) -> None:
    database = Database(tmp_path)
    path = f"app/avatars/{'0a' * 16}/{name}"
    await database.registry.disk("media").put(path, b"ours")
    os.utime(tmp_path / "media" / path, (0, 0))
    done = await purge(database.registry)
    assert (done.deleted, done.unknown_count) == (1, 0)


async def test_purge_reports_a_bounded_number_of_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "_MOST_NAMES", 3)
    database = Database(tmp_path)
    for number in range(5):
        await database.registry.disk("media").put(f"app/{number}.txt", b"not ours")
    done = await purge(database.registry)
    assert (len(done.unknown), done.unknown_count) == (3, 5)


async def test_purge_checks_rows_again_before_each_deletion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(tmp_path)
    old = await orphans(database, 3)

    async def meanwhile(*args: Any, **options: Any) -> Any:
        database.records.save(database.avatar, 1, old[0])
        await database.records.add_to_outbox([old[1]])
        return await run_outbox(*args, **options)

    monkeypatch.setattr(purging, "run_outbox", meanwhile)
    done = await purge(database.registry)
    assert (done.found, done.deleted) == (3, 1)
    assert [database.has(each) for each in old] == [True, True, False]


async def test_purge_counts_deletions_that_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(tmp_path)
    old = await orphans(database, 3)
    delete_directory = Disk.delete_directory

    async def failing(disk: Disk, path: str) -> None:
        if path == old[1].own_directory:
            raise StoragePermissionException("Locked", path=path)
        await delete_directory(disk, path)

    monkeypatch.setattr(Disk, "delete_directory", failing)
    done = await purge(database.registry)
    assert (done.deleted, done.failed) == (2, 1)
    assert old[1].own_directory in caplog.text


async def test_purges_and_workers_at_once_delete_what_no_row_names_and_nothing_else(
    tmp_path: Path,
) -> None:
    database = Database(tmp_path)
    named = [await database.saved(key) for key in range(20)]
    dropped = [await database.saved(20) for _ in range(10)][:-1]
    old = await orphans(database, 30)
    database.make_old(*named)
    database.records.age_outbox(2 * HOUR)
    await asyncio.gather(
        *(purge(database.registry) for _ in range(3)), run_outbox(database.registry)
    )
    assert all(database.has(each) for each in named)
    assert not any(database.has(each) for each in [*old, *dropped])


async def test_purge_asks_for_rows_in_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "_BATCH", 10)
    database = Database(tmp_path)
    for key in range(25):
        await database.saved(key)
    sizes = []
    referenced = database.records.referenced

    async def counting(ids: Any) -> Any:
        sizes.append(len(ids))
        return await referenced(ids)

    monkeypatch.setattr(database.records, "referenced", counting)
    await purge(database.registry, dry_run=True)
    assert sizes == [10, 10, 5]


async def test_purge_keeps_copy_of_file_that_is_being_moved(tmp_path: Path) -> None:
    database = Database(tmp_path, moved_from=["archive"])
    attachment = await database.saved(1)
    for place in ("media", "archive"):
        target = tmp_path / place / attachment.own_directory
        if not target.exists():
            shutil.copytree(tmp_path / "media" / attachment.own_directory, target)
        for file in target.iterdir():
            os.utime(file, (0, 0))
    done = await purge(database.registry)
    assert (done.found, done.young) == (0, 0)
    assert (tmp_path / "archive" / attachment.key).exists()
