"""Maintenance over the rows of a Django project: `DjangoRecords`."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import Storage
from jtc.storage.attachments import plain
from jtc.storage.attachments.adopt import adopt
from jtc.storage.attachments.purge import purge
from jtc.storage.attachments.worker import run_outbox

if TYPE_CHECKING:
    from jtc.storage.attachments import Attachment, Registry


@pytest.fixture
def registry(club: Any, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Give the project's registry, which keeps dropped files for a moment only."""
    from jtc.storage.attachments.django import registry

    monkeypatch.setattr(registry(), "keep", 0.01)
    return registry()


@pytest.fixture
def records(registry: Registry) -> Any:
    return registry.records


def member(club: Any, content: bytes = b"one", **values: Any) -> Any:
    return club.Member.objects.create(name="Ada", avatar=content, **values)


def field(club: Any, name: str = "avatar") -> Any:
    return club.Member._meta.get_field(name).settings


async def all_of(records: Any, settings: Any) -> list[Attachment]:
    return [each async for each in records.attachments(settings)]


def test_fields_of_all_models_are_in_the_registry(club: Any, registry: Registry) -> None:
    assert set(registry.fields) == {
        "club_badge.icon",
        "club_member.avatar",
        "club_member.photos",
        "club_minutes.file",
        "club_statute.file",
        "club_trainer.licence",
        "shelf_product.manual",
        "shelf_product.photos",
    }


def test_worker_deletes_what_rows_dropped(club: Any, registry: Registry, stored: Any) -> None:
    me = member(club)
    me.avatar = b"two"
    me.save()
    time.sleep(0.02)
    done = asyncio.run(run_outbox(registry))
    assert (done.deleted, done.named, done.failed) == (1, 0, 0)
    assert stored() == [b"two"]
    assert asyncio.run(run_outbox(registry)).deleted == 0


def test_worker_keeps_a_file_that_a_row_names(club: Any, registry: Registry, stored: Any) -> None:
    me = member(club, photos=[b"two"])
    asyncio.run(registry.records.add_to_outbox([me.avatar, *me.photos]))  # type: ignore[union-attr]
    time.sleep(0.02)
    done = asyncio.run(run_outbox(registry))
    assert (done.deleted, done.named) == (0, 2)
    assert stored() == [b"one", b"two"]


def test_purge_deletes_what_no_row_names(club: Any, registry: Registry, stored: Any) -> None:
    member(club, photos=[b"two"])
    asyncio.run(plain.store(field(club), b"orphan"))
    time.sleep(0.05)
    assert asyncio.run(purge(registry)).deleted == 1
    assert stored() == [b"one", b"two"]


def test_records_find_rows_by_ids(club: Any, records: Any) -> None:
    me = member(club, photos=[b"two", b"three"])
    asyncio.run(records.add_to_outbox([me.avatar]))
    found = asyncio.run(records.referenced([me.avatar.id, me.photos[1].id, "0" * 32]))
    assert {each.id for each in found} == {me.avatar.id, me.photos[1].id}
    assert {each.field for each in found} == {field(club), field(club, "photos")}
    (entry,) = asyncio.run(records.waiting([me.avatar.id, me.photos[0].id]))
    assert (entry.disk, entry.directory) == ("media", me.avatar.own_directory)
    assert asyncio.run(records.referenced([])) == []


def test_records_read_all_rows_by_pages(
    club: Any, records: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jtc.storage.attachments.django._records._PAGE", 2)
    expected = {member(club, b"%d" % n, photos=[b"x", b"y"]).avatar.id for n in range(5)}
    club.Member.objects.create(name="Bob")
    found = asyncio.run(all_of(records, field(club)))
    assert [each.id for each in found] == list(dict.fromkeys(each.id for each in found))
    assert {each.id for each in found} == expected
    assert len(asyncio.run(all_of(records, field(club, "photos")))) == 10


def test_replace_changes_the_version_that_it_was_given(club: Any, records: Any) -> None:
    me = member(club, photos=[b"two", b"three"])
    new = me.avatar.with_properties(seen=True)
    assert asyncio.run(records.replace(field(club), me.avatar, new))
    assert not asyncio.run(records.replace(field(club), me.avatar, new))
    assert club.Member.objects.get().avatar.properties == {"seen": True}
    assert asyncio.run(records.waiting([me.avatar.id])) == []
    moved = me.photos[1].changed(disk="archive")
    assert asyncio.run(records.replace(field(club, "photos"), me.photos[1], moved))
    assert [each.disk for each in club.Member.objects.get().photos] == ["media", "archive"]
    assert [each.disk for each in asyncio.run(records.waiting([moved.id]))] == ["media"]


def test_save_keeps_what_a_job_wrote_meanwhile(club: Any, records: Any) -> None:
    me = member(club)
    moved = me.avatar.changed(disk="archive")
    asyncio.run(records.replace(field(club), me.avatar, moved))
    me.avatar = me.avatar.with_properties(title="Me")
    me.save()
    again = club.Member.objects.get().avatar
    assert (again.disk, again.properties) == ("archive", {"title": "Me"})
    assert me.avatar == again


def test_take_gives_an_entry_to_one_until_its_lease_ends(club: Any, records: Any) -> None:
    me = member(club)
    me.delete()
    now = time.time() + 1
    (entry,) = asyncio.run(records.take(now, 10, 0.05))
    assert (entry.disk, entry.directory) == ("media", me.avatar.own_directory)
    time.sleep(0.06)
    assert asyncio.run(records.take(now, 10, 60)) == [entry]
    assert asyncio.run(records.take(now, 10, 60)) == []
    asyncio.run(records.done([entry]))
    assert asyncio.run(records.take(now, 10, 0)) == []


def test_counter_grows_and_the_id_stays(club: Any, registry: Registry, records: Any) -> None:
    first = asyncio.run(records.database_id())
    assert asyncio.run(records.counter()) == 0
    assert [asyncio.run(records.advance(beyond)) for beyond in (0, 0, 10, 3)] == [1, 2, 11, 12]
    assert asyncio.run(records.counter()) == 12
    assert asyncio.run(records.database_id()) == first
    member(club)
    assert asyncio.run(adopt(registry, disks=["media"])) == {"media": None}


def test_command_of_the_project_maintains_its_registry(
    club: Any, registry: Registry, capfd: pytest.CaptureFixture[str]
) -> None:
    from django.core.management import call_command

    me = member(club)
    call_command("attachments", "verify")
    (Path(Storage.sync.disk("media").path(me.avatar.key))).unlink()
    with pytest.raises(SystemExit) as ended:
        call_command("attachments", "verify")
    assert ended.value.code == 1
    assert me.avatar.id in capfd.readouterr().out
