"""Maintenance of attachments on each driver."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from attachment_fields import SECRET
from jtc.storage.attachments import Field, Registry
from jtc.storage.attachments._ingest import ingest
from jtc.storage.attachments.moving import move
from jtc.storage.attachments.purge import purge
from jtc.storage.attachments.verify import verify
from jtc.storage.attachments.worker import OutboxRun, run_outbox
from plain_records import PlainRecords


async def test_worker_and_purge_delete_what_no_row_names(
    registry: Registry, tmp_path: Path
) -> None:
    registry.keep = 0
    field = Field("media", "avatars")
    registry.add("users.avatar", field)
    records = PlainRecords(tmp_path / "rows.sqlite", registry)
    disk = registry.disk("media")
    named = [await ingest(field, b"named") for _ in range(4)]
    dropped = [await ingest(field, b"dropped") for _ in range(3)]
    orphans = [await ingest(field, b"orphan") for _ in range(5)]
    for key, attachment in enumerate([*dropped, *named]):
        records.save(field, key % 4, attachment)
    assert len(records.outbox()) == 3

    assert sum(each.deleted for each in await twice(registry)) == 3
    done = await purge(registry)
    assert (done.found, done.deleted, done.unknown_count) == (5, 5, 0)
    left = {path.rpartition("/")[0] for path in await disk.all_files(registry.namespace)}
    assert left == {registry.namespace, *(each.own_directory for each in named)}
    assert not any([await disk.exists(each.key) for each in [*dropped, *orphans]])
    assert [each async for each in verify(registry)] == []

    marker = json.loads(await disk.get(f"{registry.namespace}/.owner"))
    assert marker["database"] == await records.database_id()
    assert marker["counter"] == await records.counter()


async def twice(registry: Registry) -> list[OutboxRun]:
    """Run two workers at once, which write the marker at once."""
    both = await asyncio.gather(run_outbox(registry), run_outbox(registry))
    assert not any(each.refused or each.failed for each in both)
    return both


async def test_other_database_is_refused(registry: Registry, tmp_path: Path) -> None:
    registry.add("users.avatar", Field("media", "avatars"))
    PlainRecords(tmp_path / "rows.sqlite", registry)
    assert (await run_outbox(registry)).refused == {}
    other = Registry(namespace=registry.namespace, secret=SECRET, storage=registry.storage)
    other.add("users.avatar", Field("media", "avatars"))
    PlainRecords(tmp_path / "other.sqlite", other)
    assert list((await run_outbox(other)).refused) == ["media"]


async def test_move_copies_within_a_disk(registry: Registry, tmp_path: Path) -> None:
    registry.keep = 0
    field = Field("media", "avatars")
    registry.add("users.avatar", field)
    records = PlainRecords(tmp_path / "rows.sqlite", registry)
    for key in range(3):
        records.save(field, key, await ingest(field, b"text"))
    field.directory, field.moved_from = "faces", (("media", "avatars"),)

    assert (await move(registry)).moved == 3
    assert [each async for each in verify(registry)] == []
    assert (await run_outbox(registry)).deleted == 3
    files = await registry.disk("media").all_files(registry.namespace)
    assert len([path for path in files if "/faces/" in path]) == 3
    assert len(files) == 4
    assert [each async for each in verify(registry)] == []
