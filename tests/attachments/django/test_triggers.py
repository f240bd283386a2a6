"""Triggers of the outbox, and the operation, the check and the signal that create them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def triggers(club: Any, outbox: Any) -> Iterator[Any]:
    """Let triggers keep the outbox, as `migrate` creates them; give the outbox."""
    from django.apps import apps
    from django.core.management import call_command
    from django.db import connection
    from django.test.utils import override_settings

    from jtc.storage.attachments.django._triggers import drop_triggers

    with override_settings(STORAGE_ATTACHMENTS={"namespace": "club", "outbox": "trigger"}):
        for _ in range(2):  # `migrate` runs again and again
            call_command("migrate", verbosity=0)
        yield outbox
    for model in apps.get_app_config("club").get_models():
        drop_triggers(connection, model)


def member(club: Any, content: bytes = b"one", **values: Any) -> Any:
    return club.Member.objects.create(name="Ada", avatar=content, **values)


def test_triggers_write_what_save_and_delete_drop_once(club: Any, triggers: Any) -> None:
    me = member(club, photos=[b"1", b"2"])
    old, (first, second) = me.avatar, me.photos
    me.avatar, me.photos = b"two", me.photos.without(first.id)
    me.save()
    assert sorted(triggers()) == sorted([old.id, first.id])
    me.save()
    assert len(triggers()) == 2
    new = me.avatar
    me.delete()
    assert sorted(triggers()) == sorted([old.id, first.id, new.id, second.id])


def test_triggers_write_entries_as_the_worker_reads_them(club: Any, triggers: Any) -> None:
    import time

    from jtc.storage.attachments.django.models import OutboxRow

    me = member(club)
    club.Member.objects.update(avatar=None)
    row = OutboxRow.objects.get()
    assert (row.disk, row.directory, row.attachment) == (
        "media",
        me.avatar.own_directory,
        me.avatar.id,
    )
    assert abs(row.dropped_at - time.time()) < 60
    assert row.taken_until is None


def test_triggers_see_bulk_statements_and_raw_sql(club: Any, triggers: Any) -> None:
    from django.db import connection

    mine, other, third = (member(club, b"%d" % n) for n in range(3))
    ids = [each.avatar.id for each in (mine, other, third)]
    club.Member.objects.filter(pk=mine.pk).update(avatar=None)
    other.avatar = None
    club.Member.objects.bulk_update([other], ["avatar"])
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM club_member WHERE id = %s", [third.pk])
    assert triggers() == ids


def test_statement_beside_triggers_cannot_fill_the_column(club: Any, triggers: Any) -> None:
    from django.db.models import F

    from jtc.storage.exceptions import StorageConfigException

    me, other = member(club), club.Member.objects.create(name="Bob")
    with pytest.raises(StorageConfigException, match="clear the column"):
        club.Member.objects.filter(pk=other.pk).update(avatar=me.avatar)
    with pytest.raises(StorageConfigException, match="clear the column"):
        club.Badge.objects.update(icon=F("icon"))
    other.avatar = me.avatar
    with pytest.raises(StorageConfigException, match="clear the column"):
        club.Member.objects.bulk_update([other], ["avatar"])
    club.Member.objects.bulk_create([club.Member(name="Eve"), club.Member(name="Mia")])
    assert triggers() == []


def test_triggers_see_files_that_were_moved(club: Any, triggers: Any) -> None:
    import asyncio

    from jtc.storage.attachments.django import registry

    me = member(club)
    moved = me.avatar.changed(disk="archive")
    field = club.Member._meta.get_field("avatar").settings
    assert asyncio.run(registry().records.replace(field, me.avatar, moved))  # type: ignore[union-attr]
    assert triggers() == [me.avatar.id]


def test_triggers_of_a_transaction_that_is_rolled_back_write_nothing(
    club: Any, triggers: Any
) -> None:
    from django.db import transaction

    me = member(club)
    with pytest.raises(LookupError), transaction.atomic():
        me.delete()
        raise LookupError
    assert triggers() == []


def test_check_names_columns_without_triggers(club: Any, triggers: Any) -> None:
    from django.core import checks
    from django.db import connection

    from jtc.storage.attachments.django._triggers import drop_triggers

    def found() -> list[Any]:
        messages = checks.run_checks(databases=["default"], include_deployment_checks=False)
        return [each.obj for each in messages if each.id == "jtc_attachments.W001"]

    assert found() == []
    drop_triggers(connection, club.Badge)
    assert found() == ["club_badge.icon"]


def test_operation_creates_and_drops_triggers(club: Any, outbox: Any) -> None:
    from django.apps import apps
    from django.db import connection
    from django.db.migrations.state import ProjectState
    from django.test.utils import override_settings

    from jtc.storage.attachments.django.operations import AttachmentTriggers

    state = ProjectState.from_apps(apps)
    operation = AttachmentTriggers("member")
    for step in (operation.database_forwards, operation.database_backwards):
        with connection.schema_editor() as editor:
            step("club", editor, state, state)
        with override_settings(STORAGE_ATTACHMENTS={"namespace": "club", "outbox": "trigger"}):
            member(club).delete()
        assert len(outbox()) == 1
    assert "member" in operation.describe()
