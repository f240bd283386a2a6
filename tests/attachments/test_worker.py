"""The worker of the outbox."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from attachment_database import HOUR, Database
from jtc.storage import Disk
from jtc.storage.attachments import worker
from jtc.storage.attachments.worker import run_outbox, work
from jtc.storage.exceptions import StorageUnavailableException


async def test_run_outbox_deletes_dropped_files_after_keep(tmp_path: Path) -> None:
    database = Database(tmp_path)
    replaced = await database.saved(1)
    current = await database.saved(1)
    deleted = await database.saved(2)
    database.records.delete(database.avatar, 2)

    early = await run_outbox(database.registry)
    assert (early.deleted, database.has(replaced), database.has(deleted)) == (0, True, True)
    database.records.age_outbox(1.9 * HOUR)  # the commit may have come that much later
    assert (await run_outbox(database.registry)).deleted == 0

    database.records.age_outbox(0.2 * HOUR)
    late = await run_outbox(database.registry)
    assert (late.deleted, late.named, late.failed, late.refused) == (2, 0, 0, {})
    assert (database.has(replaced), database.has(deleted)) == (False, False)
    assert database.has(current)
    assert database.records.outbox() == []
    assert not (tmp_path / "media" / replaced.own_directory).exists()


async def test_run_outbox_keeps_file_that_any_field_names(tmp_path: Path) -> None:
    database = Database(tmp_path)
    photo = await database.stored(database.photos)
    other = await database.stored(database.photos)
    await database.records.add_to_outbox([photo])
    database.records.save(database.photos, 1, other, photo)
    database.records.age_outbox(2 * HOUR)

    done = await run_outbox(database.registry)
    assert (done.deleted, done.named) == (0, 1)
    assert database.has(photo)
    assert database.records.outbox() == []


async def test_run_outbox_deletes_old_place_of_file_that_is_named_elsewhere(tmp_path: Path) -> None:
    database = Database(tmp_path)
    old = await database.saved(1)
    place = "archive/" + old.own_directory
    shutil.copytree(tmp_path / "media" / old.own_directory, tmp_path / place)
    moved = old.changed(disk="archive")
    assert await database.records.replace(database.avatar, old, moved)
    database.records.age_outbox(2 * HOUR)

    done = await run_outbox(database.registry)
    assert done.deleted == 1
    assert (database.has(old), database.has(moved)) == (False, True)


async def test_run_outbox_continues_after_entries_that_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(tmp_path)
    monkeypatch.setattr(worker, "_PAGE", 2)
    dropped = [await database.saved(1) for _ in range(7)][:-1]
    database.records.age_outbox(2 * HOUR)
    stuck = {each.own_directory for each in dropped[:4]}
    delete_directory = Disk.delete_directory

    async def failing(disk: Disk, path: str) -> None:
        if path in stuck:
            raise StorageUnavailableException("It is broken", path=path)
        await delete_directory(disk, path)

    monkeypatch.setattr(Disk, "delete_directory", failing)
    done = await run_outbox(database.registry)
    assert (done.deleted, done.failed, done.refused) == (2, 4, {})
    assert [database.has(each) for each in dropped] == [True] * 4 + [False] * 2
    assert len([each for each in caplog.records if each.levelno == logging.WARNING]) == 4

    monkeypatch.undo()
    assert (await run_outbox(database.registry)).deleted == 0, "their lease has not ended"
    assert (await run_outbox(database.registry, lease=0)).deleted == 0
    with database.records._connection() as connection:
        connection.execute("UPDATE outbox SET taken_until = 0")
    assert (await run_outbox(database.registry)).deleted == 4
    assert database.records.outbox() == []


async def test_run_outbox_leaves_out_dead_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(tmp_path)
    dropped = [await database.saved(1) for _ in range(30)][:-1]
    database.records.age_outbox(2 * HOUR)
    asked = []

    async def dead(_disk: Disk, path: str) -> None:
        asked.append(path)
        monkeypatch.setattr(Disk, "stream", unreachable)
        raise StorageUnavailableException("No answer", path=path)

    def unreachable(_disk: Disk, path: str) -> None:
        raise StorageUnavailableException("No answer", path=path)

    monkeypatch.setattr(Disk, "delete_directory", dead)
    done = await run_outbox(database.registry)
    assert done.deleted == 0
    assert list(done.refused) == ["media"]
    assert len(asked) <= worker._AT_ONCE
    assert all(database.has(each) for each in dropped)
    assert "Nothing is deleted from the disk 'media'" in caplog.text


@pytest.mark.parametrize(
    ("directory", "attachment"),
    [
        ("app", "app"),
        ("app/avatars", "avatars"),
        ("other/avatars/" + "a" * 32, "a" * 32),
        ("a" * 32, "a" * 32),
        ("app/avatars/" + "a" * 32, "b" * 32),
    ],
)
async def test_run_outbox_refuses_entry_that_is_no_attachment(
    tmp_path: Path, directory: str, attachment: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(tmp_path)
    current = await database.saved(1)
    await database.registry.disk("media").put(f"other/avatars/{'a' * 32}/original", b"theirs")
    with database.records._connection() as connection:
        connection.execute(
            "INSERT INTO outbox (disk, directory, attachment, dropped_at) VALUES (?, ?, ?, 0)",
            ["media", directory, attachment],
        )
    done = await run_outbox(database.registry)
    assert (done.deleted, done.failed) == (0, 1)
    assert database.has(current)
    assert (tmp_path / "media/other/avatars" / ("a" * 32) / "original").exists()
    assert "no attachment's directory" in caplog.text


async def test_run_outbox_logs_disk_that_is_not_configured(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(tmp_path)
    dropped = await database.saved(1)
    await database.records.add_to_outbox([dropped.changed(disk="gone")])
    await database.saved(1)
    database.records.age_outbox(2 * HOUR)

    done = await run_outbox(database.registry)
    assert (done.deleted, done.failed, list(done.refused)) == (1, 1, ["gone"])
    assert "gone" in caplog.text


async def test_two_workers_share_the_outbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(tmp_path)
    monkeypatch.setattr(worker, "_PAGE", 5)
    for _ in range(41):
        await database.saved(1)
    database.records.age_outbox(2 * HOUR)
    deleted: list[str] = []
    delete_directory = Disk.delete_directory

    async def counting(disk: Disk, path: str) -> None:
        deleted.append(path)
        await delete_directory(disk, path)

    monkeypatch.setattr(Disk, "delete_directory", counting)
    both = await asyncio.gather(run_outbox(database.registry), run_outbox(database.registry))
    assert sum(each.deleted for each in both) == 40
    assert len(set(deleted)) == len(deleted) == 40
    assert not any(each.refused for each in both)


async def test_run_outbox_leaves_entries_whose_lease_may_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(tmp_path)
    dropped = [await database.saved(1) for _ in range(3)][:-1]
    database.records.age_outbox(2 * HOUR)
    referenced = database.records.referenced
    later = time.monotonic() + 301

    async def slow(ids: Any) -> Any:
        monkeypatch.setattr(time, "monotonic", lambda: later)
        return await referenced(ids)

    monkeypatch.setattr(database.records, "referenced", slow)
    done = await run_outbox(database.registry, lease=600)
    assert (done.deleted, done.failed) == (0, 2)
    assert all(database.has(each) for each in dropped)


async def test_work_continues_after_failure_and_stops_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(tmp_path)
    dropped = await database.saved(1)
    await database.saved(1)
    database.records.age_outbox(2 * HOUR)
    counter = database.records.counter
    calls = 0

    async def failing_once() -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError("The database is restarting")
        return await counter()

    monkeypatch.setattr(database.records, "counter", failing_once)
    stop = asyncio.Event()
    task = asyncio.create_task(work(database.registry, interval=0.001, stop=stop))
    while database.has(dropped):
        await asyncio.sleep(0.001)
    stop.set()
    await task
    assert "The database is restarting" in caplog.text
    assert database.records.outbox() == []


async def test_work_pauses_longer_after_each_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(tmp_path)
    pauses: list[float] = []
    stop = asyncio.Event()

    async def failing() -> int:
        raise OSError("No database")

    async def wait_for(awaitable: Any, timeout: float) -> None:
        awaitable.close()
        pauses.append(timeout)
        if len(pauses) == 9:
            stop.set()

    monkeypatch.setattr(database.records, "counter", failing)
    monkeypatch.setattr(asyncio, "wait_for", wait_for)
    await work(database.registry, interval=60, stop=stop)
    assert pauses == [120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]


async def test_run_outbox_deletes_variant_that_is_stored_during_deletion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(tmp_path)
    dropped = await database.saved(1)
    database.records.delete(database.avatar, 1)
    database.records.age_outbox(2 * HOUR)
    late = [f"{dropped.own_directory}/back-1a2b3c4d.txt"]
    delete_directory = Disk.delete_directory

    async def with_late_variant(disk: Disk, path: str) -> None:
        await delete_directory(disk, path)
        if late:  # it was not listed yet, and its maker has seen the original
            await disk.put(late.pop(), b"variant")

    monkeypatch.setattr(Disk, "delete_directory", with_late_variant)
    assert (await run_outbox(database.registry)).deleted == 1
    assert await database.avatar.disk.all_files() == ["app/.owner"]
