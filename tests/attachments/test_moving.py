"""Moving of a field's files to another disk while the application runs."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest

from attachment_database import HOUR, Database
from jtc.storage import Disk
from jtc.storage.attachments import Attachment
from jtc.storage.attachments.derivations import derive
from jtc.storage.attachments.moving import move
from jtc.storage.attachments.verify import verify
from jtc.storage.attachments.worker import run_outbox
from jtc.storage.exceptions import StoragePermissionException, StorageUnavailableException
from plain_records import PlainRecords

UPPER = derive(
    lambda content: content.upper(),
    version=1,
    content_type="text/plain",
    extension=".txt",
    takes="bytes",
)


class Moving(Database):
    """A database whose field `users.avatar` can be declared on another disk."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, variants={"upper": UPPER}, eager=["upper"])

    def declare(self, disk: str, *moved_from: str | tuple[str, str]) -> None:
        """Declare another disk, as the next release of an application does."""
        self.avatar.disk_name = disk
        self.avatar.moved_from = moved_from

    async def check(self, *disks: str) -> None:
        """Check that no row is dangling, and that all rows name one of the disks."""
        assert [each async for each in verify(self.registry)] == []
        rows = [each for row in self.records.rows(self.avatar).values() for each in row]
        assert {each.disk for each in rows} <= set(disks)


async def test_move_copies_files_changes_rows_and_drops_the_old_files(tmp_path: Path) -> None:
    database = Moving(tmp_path)
    old = [await database.saved(key) for key in range(5)]
    photo = await database.saved(1, database.photos)
    database.declare("archive", "media")

    done = await move(database.registry)
    assert (done.moved, done.missing, done.waiting, done.failed) == (5, 0, 0, 0)
    await database.check("archive")
    for attachment, (new,) in zip(
        old, database.records.rows(database.avatar).values(), strict=True
    ):
        assert new.changed(disk="media", etag=attachment.etag) == attachment
        assert new.etag == (await database.registry.disk("archive").stat(new.key)).etag
        assert await database.registry.disk("archive").get(new.key) == b"text"
        variant = f"{new.own_directory}/{new.variants['upper'].file}"
        assert await database.registry.disk("archive").get(variant) == b"TEXT"
        assert database.has(attachment), "URLs of the old place work for a while"
    assert database.has(photo)
    assert (await move(database.registry)).moved == 0

    database.records.age_outbox(2 * HOUR)
    assert (await run_outbox(database.registry)).deleted == 5
    assert not any(database.has(each) for each in old)
    await database.check("archive")


async def test_move_to_another_directory(tmp_path: Path) -> None:
    database = Moving(tmp_path)
    old = await database.saved(1)
    database.declare("media", ("media", "avatars"))
    database.avatar.directory = "faces"
    assert (await move(database.registry)).moved == 1
    ((new,),) = database.records.rows(database.avatar).values()
    assert new.key == f"app/faces/{old.id}/{old.file}"
    await database.check("media")


async def test_move_back_waits_for_the_outbox(tmp_path: Path) -> None:
    database = Moving(tmp_path)
    old = await database.saved(1)
    database.declare("archive", "media")
    assert (await move(database.registry)).moved == 1

    database.declare("media", "archive")
    done = await move(database.registry)
    assert (done.moved, done.waiting) == (0, 1)
    database.records.age_outbox(2 * HOUR)
    assert (await run_outbox(database.registry)).deleted == 1
    assert (await move(database.registry)).moved == 1
    assert database.has(old)
    await database.check("media")


class KilledError(BaseException):
    """As if the process was killed."""


async def killed_at(step: int, database: Moving, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Move until a step, a call of the database or the disk; return whether it was reached."""
    steps = 0

    def count() -> None:
        nonlocal steps
        if steps == step:
            raise KilledError
        steps += 1

    def counted(method: Any) -> Any:
        async def call(*args: Any, **options: Any) -> Any:
            count()
            result = await method(*args, **options)
            count()
            return result

        return call

    with monkeypatch.context() as patch:
        for cls, name in ((PlainRecords, "_run"), (Disk, "copy"), (Disk, "stat")):
            patch.setattr(cls, name, counted(getattr(cls, name)))
        try:
            await move(database.registry, at_once=1)
        except KilledError:
            return True
    return False


async def test_move_killed_at_each_step_loses_nothing_and_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in itertools.count():
        database = Moving(tmp_path / str(step))
        await database.saved(1)
        database.declare("archive", "media")
        if not await killed_at(step, database, monkeypatch):
            break
        await database.check("archive", "media")
        assert (await move(database.registry)).failed == 0
        await database.check("archive")
        assert len(database.records.outbox()) == 1
        database.records.age_outbox(2 * HOUR)
        await run_outbox(database.registry)
        await database.check("archive")
        assert not any((database.root / "media/app/avatars").iterdir())
    assert step > 20


async def test_movers_and_application_at_once_lose_nothing(tmp_path: Path) -> None:
    database = Moving(tmp_path)
    for key in range(30):
        await database.saved(key)
    database.declare("archive", "media")
    kept: list[Attachment] = []

    async def use() -> None:
        for key in range(0, 30, 3):
            database.records.delete(database.avatar, key)
            kept.append(await database.saved(key + 1))
            ((current, *_), *_) = [database.records.rows(database.avatar)[key + 2]]
            await database.records.replace(
                database.avatar, current, current.with_properties(seen=True)
            )
            await asyncio.sleep(0)

    await asyncio.gather(move(database.registry), move(database.registry), use())
    await move(database.registry)
    await database.check("archive")
    assert len(database.records.rows(database.avatar)) == 20
    database.records.age_outbox(2 * HOUR)
    await run_outbox(database.registry)
    await database.check("archive")
    assert all(database.has(each) for each in kept)
    assert not any((tmp_path / "media/app/avatars").iterdir())
    stored = {each.name for each in (tmp_path / "archive/app/avatars").iterdir()}
    rows = database.records.rows(database.avatar)
    assert stored == {each.id for row in rows.values() for each in row}


async def test_move_drops_its_copy_where_the_row_was_deleted_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Moving(tmp_path)
    old = await database.saved(1)
    database.declare("archive", "media")
    copy = Disk.copy

    async def late(*args: Any, **options: Any) -> str:
        path = await copy(*args, **options)
        database.records.delete(database.avatar, 1)
        return path

    monkeypatch.setattr(Disk, "copy", late)
    assert (await move(database.registry)).moved == 0
    assert database.has(old.changed(disk="archive"))
    database.records.age_outbox(2 * HOUR)
    assert (await run_outbox(database.registry)).deleted == 2
    assert not database.has(old.changed(disk="archive"))


async def test_move_reports_what_it_cannot_move_and_moves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    database = Moving(tmp_path)
    missing = await database.saved(1)
    locked = await database.saved(2)
    await database.saved(3)
    await database.registry.disk("media").delete(missing.key)
    database.declare("archive", "media")
    copy = Disk.copy

    async def failing(disk: Disk, src: str, *args: Any, **options: Any) -> str:
        if src == locked.key:
            raise StoragePermissionException("Locked", path=src)
        return await copy(disk, src, *args, **options)

    monkeypatch.setattr(Disk, "copy", failing)
    done = await move(database.registry)
    assert (done.moved, done.missing, done.waiting, done.failed) == (1, 1, 0, 1)
    assert missing.id in caplog.text
    assert locked.id in caplog.text


async def test_move_gives_up_where_a_row_changes_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Moving(tmp_path)
    await database.saved(1)
    database.declare("archive", "media")

    async def changed(*_args: Any) -> bool:
        return False

    monkeypatch.setattr(database.records, "replace", changed)
    done = await move(database.registry)
    assert (done.moved, done.failed) == (0, 1)
    assert database.records.outbox() == []


async def test_move_raises_where_a_disk_does_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Moving(tmp_path)
    await database.saved(1)
    database.declare("archive", "media")

    async def dead(*_args: Any, **_options: Any) -> str:
        raise StorageUnavailableException("No answer")

    monkeypatch.setattr(Disk, "copy", dead)
    with pytest.raises(StorageUnavailableException):
        await move(database.registry)
    await database.check("media")
