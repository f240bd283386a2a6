"""Owner markers: restored backups, copies of a database, runs that are killed, and adoption."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from attachment_database import HOUR, Database
from jtc.storage import Disk
from jtc.storage.attachments._owner import begin_run, disk_names
from jtc.storage.attachments.adopt import OwnerException, adopt
from jtc.storage.attachments.purge import purge
from jtc.storage.attachments.worker import OutboxRun, run_outbox
from plain_records import PlainRecords

MARKER = "media/app/.owner"


def marker(root: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((root / MARKER).read_text())
    return values


def opened(database: Database, file: str) -> Database:
    """Return another database with the same disks."""
    return Database(database.root, file=file)


async def dropped_in(database: Database) -> None:
    """Let a database have a file to delete."""
    await database.saved(1)
    await database.saved(1)
    database.records.age_outbox(2 * HOUR)


async def test_run_writes_marker_with_database_and_counter(tmp_path: Path) -> None:
    database = Database(tmp_path)
    await run_outbox(database.registry)
    assert marker(tmp_path)["database"] == await database.records.database_id()
    assert marker(tmp_path)["counter"] == 1 == await database.records.counter()
    await run_outbox(database.registry)
    assert marker(tmp_path)["counter"] == 2 == await database.records.counter()


async def test_worker_and_purge_refuse_disk_of_another_database_until_adopt(tmp_path: Path) -> None:
    theirs = Database(tmp_path, file="theirs.sqlite")
    kept = await theirs.saved(1)
    theirs.make_old(kept)
    await run_outbox(theirs.registry)
    ours = opened(theirs, "ours.sqlite")
    await dropped_in(ours)

    done = await run_outbox(ours.registry)
    assert (done.deleted, list(done.refused)) == (0, ["media"])
    assert "adopt" in done.refused["media"]
    with pytest.raises(OwnerException, match="belong to the database"):
        await purge(ours.registry)
    with pytest.raises(OwnerException, match="belong to the database"):
        await purge(ours.registry, dry_run=True)
    assert theirs.has(kept)

    assert await adopt(ours.registry) == {"media": await theirs.records.database_id()}
    assert (await run_outbox(ours.registry)).deleted == 1
    assert list((await run_outbox(theirs.registry)).refused) == ["media"]
    assert (await purge(ours.registry)).deleted == 1
    assert not theirs.has(kept)


async def test_purge_refuses_restored_backup_until_adopt(tmp_path: Path) -> None:
    database = Database(tmp_path)
    await run_outbox(database.registry)
    database.copied("backup.sqlite")
    newer = await database.saved(1)
    database.make_old(newer)
    await run_outbox(database.registry)

    restored = opened(database, "backup.sqlite")
    assert await restored.records.database_id() == await database.records.database_id()
    for _ in range(3):  # refused runs must not catch up with the marker
        assert list((await run_outbox(restored.registry)).refused) == ["media"]
        with pytest.raises(OwnerException, match="older than its files"):
            await purge(restored.registry)
    assert restored.has(newer)

    await adopt(restored.registry)
    assert (await purge(restored.registry)).deleted == 1
    assert not restored.has(newer)


async def test_clone_on_the_same_bucket_is_refused(tmp_path: Path) -> None:
    production = Database(tmp_path)
    await run_outbox(production.registry)
    production.copied("staging.sqlite")
    staging = opened(production, "staging.sqlite")
    await dropped_in(staging)
    await run_outbox(production.registry)

    assert list((await run_outbox(staging.registry)).refused) == ["media"]
    assert (await run_outbox(production.registry)).refused == {}


async def test_clone_that_runs_first_stops_the_original(tmp_path: Path) -> None:
    production = Database(tmp_path)
    await run_outbox(production.registry)
    production.copied("staging.sqlite")
    staging = opened(production, "staging.sqlite")

    assert (await run_outbox(staging.registry)).refused == {}
    assert list((await run_outbox(production.registry)).refused) == ["media"]
    await adopt(production.registry)
    assert (await run_outbox(production.registry)).refused == {}
    assert list((await run_outbox(staging.registry)).refused) == ["media"]


async def test_clone_that_adopts_stops_the_original(tmp_path: Path) -> None:
    production = Database(tmp_path)
    await run_outbox(production.registry)
    production.copied("staging.sqlite")
    await adopt(opened(production, "staging.sqlite").registry)
    assert list((await run_outbox(production.registry)).refused) == ["media"]


async def test_old_clone_that_adopts_stops_the_original_too(tmp_path: Path) -> None:
    production = Database(tmp_path)
    await run_outbox(production.registry)
    production.copied("staging.sqlite")
    for _ in range(5):
        await run_outbox(production.registry)
    staging = opened(production, "staging.sqlite")
    await adopt(staging.registry)
    assert list((await run_outbox(production.registry)).refused) == ["media"]
    assert (await run_outbox(staging.registry)).refused == {}


async def test_clone_with_bucket_of_its_own_runs(tmp_path: Path) -> None:
    production = Database(tmp_path / "production")
    kept = await production.saved(1)
    await run_outbox(production.registry)
    (tmp_path / "staging").mkdir()
    for file in (tmp_path / "production").glob("rows.sqlite*"):
        (tmp_path / "staging" / file.name).write_bytes(file.read_bytes())
    await run_outbox(production.registry)

    staging = Database(tmp_path / "staging")
    staging.records.delete(staging.avatar, 1)
    staging.records.age_outbox(2 * HOUR)
    done = await run_outbox(staging.registry)
    assert (done.deleted, done.refused) == (1, {})
    assert production.has(kept)


async def test_clone_that_runs_at_the_same_time_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    production = Database(tmp_path)
    await run_outbox(production.registry)
    production.copied("staging.sqlite")
    staging = opened(production, "staging.sqlite")
    put = Disk.put
    others: list[OutboxRun] = []

    async def put_after_the_other(disk: Disk, path: str, content: Any, **options: Any) -> str:
        monkeypatch.setattr(Disk, "put", put)
        others.append(await run_outbox(staging.registry))
        return await put(disk, path, content, **options)

    monkeypatch.setattr(Disk, "put", put_after_the_other)
    done = await run_outbox(production.registry)
    assert marker(tmp_path)["counter"] == 2 == await production.records.counter()
    assert (others[0].refused, list(done.refused)) == ({}, ["media"])


async def test_workers_of_one_database_never_refuse_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(tmp_path)
    put = Disk.put
    depth = 0

    async def put_after_others(disk: Disk, path: str, content: Any, **options: Any) -> str:
        nonlocal depth
        if depth < 3:
            depth += 1
            assert (await begin_run(database.registry, ["media"])).refused == {}
        return await put(disk, path, content, **options)

    monkeypatch.setattr(Disk, "put", put_after_others)
    assert (await run_outbox(database.registry)).refused == {}
    depth = 0
    assert (await run_outbox(database.registry)).refused == {}
    assert marker(tmp_path)["counter"] == 8 == await database.records.counter()


async def test_marker_that_was_written_though_the_answer_was_lost_is_taken_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(tmp_path)
    await run_outbox(database.registry)
    put = Disk.put

    async def put_twice(disk: Disk, path: str, content: Any, **options: Any) -> str:
        await put(disk, path, content, **options)
        return await put(disk, path, content, **options)

    monkeypatch.setattr(Disk, "put", put_twice)
    assert (await run_outbox(database.registry)).refused == {}


@pytest.mark.parametrize("content", [b"", b"{}", b'{"v": 2}', b"[]", b"\xff", b'{"v": 1}'])
async def test_damaged_marker_refuses_until_adopt(tmp_path: Path, content: bytes) -> None:
    database = Database(tmp_path)
    await dropped_in(database)
    (tmp_path / MARKER).write_bytes(content)
    done = await run_outbox(database.registry)
    assert (done.deleted, list(done.refused)) == (0, ["media"])
    assert await adopt(database.registry) == {"media": None}
    assert (await run_outbox(database.registry)).deleted == 1


async def test_adopt_of_other_disks_is_per_disk(tmp_path: Path) -> None:
    theirs = Database(tmp_path, file="theirs.sqlite", moved_from=["archive"])
    await run_outbox(theirs.registry)
    ours = Database(tmp_path, file="ours.sqlite", moved_from=["archive"])
    assert disk_names(ours.registry) == ["archive", "media"]
    await adopt(ours.registry, disks=["archive"])
    run = await begin_run(ours.registry, disk_names(ours.registry))
    assert (list(run.clocks), list(run.refused)) == (["archive"], ["media"])


class KilledError(BaseException):
    """As if the process was killed."""


class Steps:
    """Kills the process before or after one of its steps: calls of the database or the disk."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, last: int | None) -> None:
        self.steps = 0
        self._last = last
        self._patch = monkeypatch
        for cls, name in (
            (PlainRecords, "_run"),
            (Disk, "put"),
            (Disk, "last_modified"),
            (Disk, "delete_directory"),
        ):
            self._patch.setattr(cls, name, self._counted(getattr(cls, name)))

    def _counted(self, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **options: Any) -> Any:
            self._step()
            result = await method(*args, **options)
            self._step()
            return result

        return call

    def _step(self) -> None:
        if self.steps == self._last:
            raise KilledError
        self.steps += 1


async def steps_of_a_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    database = Database(root)
    await run_outbox(database.registry)
    await dropped_in(database)
    with monkeypatch.context() as patch:
        steps = Steps(patch, None)
        assert (await run_outbox(database.registry)).deleted == 1
    return steps.steps


async def test_run_killed_at_each_step_blocks_nothing_and_hides_no_restored_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = await steps_of_a_run(tmp_path / "counted", monkeypatch)
    assert steps > 12
    for last in range(steps):
        database = Database(tmp_path / str(last))
        await run_outbox(database.registry)
        database.copied("backup.sqlite")
        await dropped_in(database)
        with monkeypatch.context() as patch:
            Steps(patch, last)
            with pytest.raises((KilledError, BaseExceptionGroup)):
                await run_outbox(database.registry)

        # The state that the run left is not one that a later run refuses.
        done = await run_outbox(database.registry, lease=0)
        assert done.refused == {}, last
        with database.records._connection() as connection:
            connection.execute("UPDATE outbox SET taken_until = 0")
        await run_outbox(database.registry)
        assert database.records.outbox() == []
        assert len(list((database.root / "media/app/avatars").iterdir())) == 1

        # The backup is older than a run that ended, so it is found.
        restored = opened(database, "backup.sqlite")
        assert list((await run_outbox(restored.registry)).refused) == ["media"], last


async def test_adopt_killed_at_each_step_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for last in range(10):
        root = tmp_path / str(last)
        theirs = Database(root, file="theirs.sqlite")
        for _ in range(3):
            await run_outbox(theirs.registry)
        ours = opened(theirs, "ours.sqlite")
        with monkeypatch.context() as patch:
            steps = Steps(patch, last)
            try:
                await adopt(ours.registry)
            except KilledError:
                pass
            else:
                assert steps.steps < last + 1
        await adopt(ours.registry)
        assert (await run_outbox(ours.registry)).refused == {}
        assert list((await run_outbox(theirs.registry)).refused) == ["media"]
