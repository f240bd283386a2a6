"""Attachments of Django models: saving, replacement, deletion, and transactions."""

from __future__ import annotations

import asyncio
import copy
import io
import threading
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.attachments import Attachment, AttachmentList
from jtc.storage.exceptions import RejectedException, StorageConfigException, StorageException

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Contents = Any


def upload(content: bytes = b"one", name: str = "me.txt") -> Any:
    from django.core.files.uploadedfile import SimpleUploadedFile

    return SimpleUploadedFile(name, content)


def member(club: Any, content: bytes = b"one", **values: Any) -> Any:
    return club.Member.objects.create(name="Ada", avatar=upload(content), **values)


class Interrupted(Exception):
    """Ends a transaction."""


# Saving


def test_save_stores_an_upload_before_the_row_names_it(club: Any, stored: Contents) -> None:
    me = club.Member(name="Ada", avatar=upload())
    assert stored() == []
    me.save()
    assert isinstance(me.avatar, Attachment)
    assert (me.avatar.name, me.avatar.size, me.avatar.content_type) == ("me.txt", 3, "text/plain")
    assert me.avatar.key.startswith("club/avatars/")
    assert stored() == [b"one"]
    again = club.Member.objects.get(pk=me.pk)
    assert again.avatar == me.avatar
    assert again.avatar.url().startswith("/attachments/club_member.avatar/")


@pytest.mark.parametrize(
    "content",
    [
        b"one",
        io.BytesIO(b"one"),
        iter([b"o", b"ne"]),
    ],
    ids=["bytes", "file", "chunks"],
)
def test_save_stores_any_content(club: Any, stored: Contents, content: Any) -> None:
    me = club.Member(name="Ada", avatar=content)
    me.save()
    assert me.avatar.size == 3
    assert stored() == [b"one"]


def test_save_stores_an_upload_that_django_keeps_in_a_temporary_file(
    club: Any, stored: Contents
) -> None:
    from django.core.files.uploadedfile import TemporaryUploadedFile

    large = TemporaryUploadedFile("me.txt", "text/plain", 3, None)
    large.write(b"one")
    large.seek(0)
    me = club.Member.objects.create(name="Ada", avatar=large)
    assert (me.avatar.name, stored()) == ("me.txt", [b"one"])
    large.close()


def test_save_without_an_upload_writes_null(club: Any, stored: Contents) -> None:
    me = club.Member.objects.create(name="Ada")
    assert (me.avatar, me.photos) == (None, AttachmentList())
    assert club.Member.objects.filter(avatar__isnull=True).count() == 1
    again = club.Member.objects.get()
    assert (again.avatar, again.photos, stored()) == (None, AttachmentList(), [])


def test_save_refuses_what_the_field_does_not_take(club: Any, stored: Contents) -> None:
    for content in (b"%PDF-1.7 ", b"x" * 100_001):
        me = club.Member(name="Ada", avatar=upload(content))
        with pytest.raises(RejectedException):
            me.save()
    assert club.Member.objects.count() == 0
    assert stored() == []


async def test_asave_and_acreate_store_an_upload(club: Any, tmp_path: Path) -> None:
    me = await club.Member.objects.acreate(name="Ada", avatar=upload())
    me.avatar = upload(b"two")
    await me.asave()
    again = await club.Member.objects.aget(pk=me.pk)
    assert again.avatar == me.avatar
    assert (tmp_path / "media" / me.avatar.key).read_bytes() == b"two"


@pytest.mark.parametrize("value", [{"v": 1, "id": "x"}, "club/avatars/x/original.txt"])
def test_assignment_refuses_what_a_client_may_have_sent(club: Any, value: Any) -> None:
    with pytest.raises(TypeError, match="what a client sent is no attachment"):
        club.Member(name="Ada", avatar=value)


def test_save_of_other_columns_leaves_a_pending_upload(club: Any, stored: Contents) -> None:
    me = club.Member.objects.create(name="Ada")
    me.avatar = upload()
    me.save(update_fields=["name"])
    assert stored() == []
    me.save()
    assert stored() == [b"one"]


def test_save_of_deferred_columns_leaves_them(club: Any, outbox: Contents) -> None:
    me = member(club)
    again = club.Member.objects.defer("avatar").get(pk=me.pk)
    again.name = "Bob"
    again.save()
    assert club.Member.objects.get().avatar == me.avatar
    assert outbox() == []


# Replacement and deletion


def test_save_puts_what_it_replaces_into_the_outbox(
    club: Any, outbox: Contents, stored: Contents
) -> None:
    me = member(club)
    old = me.avatar
    me.avatar = upload(b"two")
    me.save()
    assert outbox() == [old.id]
    assert stored() == [b"one", b"two"]  # the worker deletes it, after `keep`
    me.save()
    me.avatar = None
    me.save()
    assert len(outbox()) == 2


def test_save_finds_what_another_object_wrote_meanwhile(club: Any, outbox: Contents) -> None:
    me = member(club)
    first, other = club.Member.objects.get(), club.Member.objects.get()
    first.avatar, other.avatar = upload(b"two"), upload(b"three")
    first.save()
    other.save()
    assert outbox() == [me.avatar.id, first.avatar.id]


def test_save_of_an_outdated_object_is_refused(club: Any, outbox: Contents) -> None:
    from jtc.storage.attachments.django._pending import AttachmentNotStagedException

    me = member(club)
    outdated = club.Member.objects.get()
    me.avatar = upload(b"two")
    me.save()
    with pytest.raises(AttachmentNotStagedException, match="refresh_from_db"):
        outdated.save()
    outdated.refresh_from_db()
    outdated.save()
    assert club.Member.objects.get().avatar == me.avatar


def test_save_refuses_the_attachment_of_another_row(club: Any) -> None:
    from jtc.storage.attachments.django._pending import AttachmentNotStagedException

    me = member(club)
    other = club.Member.objects.create(name="Bob")
    other.avatar = me.avatar
    with pytest.raises(AttachmentNotStagedException, match="duplicate"):
        other.save()
    clone = copy.copy(me)
    clone.pk = None
    with pytest.raises(AttachmentNotStagedException, match="another row's"):
        clone.save()
    me.photos = [me.avatar]
    with pytest.raises(AttachmentNotStagedException):
        me.save()


def test_duplicate_copies_the_files_for_another_row(
    club: Any, outbox: Contents, stored: Contents
) -> None:
    from jtc.storage.attachments.django import duplicate

    me = member(club)
    other = club.Member.objects.create(
        name="Bob", avatar=duplicate(me.avatar), photos=[duplicate(me.avatar)]
    )
    assert len({me.avatar.id, other.avatar.id, other.photos[0].id}) == 3
    assert other.photos[0].key.startswith("club/photos/")
    assert stored() == [b"one"] * 3


@pytest.mark.parametrize("way", ["object", "queryset", "proxy", "cascade"])
def test_delete_puts_the_files_into_the_outbox(
    club: Any, outbox: Contents, stored: Contents, way: str
) -> None:
    me = member(club, photos=[upload(b"two")])
    badge = club.Badge.objects.create(member=me, icon=upload(b"three"))
    expected = {me.avatar.id, me.photos[0].id, badge.icon.id}
    if way == "object":
        me.delete()
    elif way == "queryset":
        club.Member.objects.all().delete()
    elif way == "proxy":
        club.Guest.objects.all().delete()
    else:
        club.Member.objects.filter(pk=me.pk).delete()
    assert set(outbox()) == expected
    assert len(outbox()) == 3
    assert len(stored()) == 3


def test_child_of_a_model_has_the_fields_of_both(club: Any, outbox: Contents) -> None:
    trainer = club.Trainer.objects.create(name="Eve", avatar=upload(b"one"), licence=upload(b"two"))
    old = trainer.avatar, trainer.licence
    trainer.avatar, trainer.licence = upload(b"three"), upload(b"four")
    trainer.save()
    assert outbox() == [each.id for each in old]
    trainer.delete()
    assert len(set(outbox())) == len(outbox()) == 4


def test_models_that_inherit_a_field_have_one_each(club: Any, outbox: Contents) -> None:
    minutes = club.Minutes.objects.create(file=b"one")
    statute = club.Statute.objects.create(file=b"two")
    assert minutes.file.url().startswith("/attachments/club_minutes.file/")
    assert statute.file.url().startswith("/attachments/club_statute.file/")
    minutes.delete()
    statute.delete()
    assert len(outbox()) == 2


def test_statements_that_do_not_keep_the_outbox_are_refused(club: Any) -> None:
    me = member(club)
    with pytest.raises(StorageConfigException, match="save"):
        club.Member.objects.update(avatar=None)
    with pytest.raises(StorageConfigException, match="save"):
        club.Member.objects.bulk_update([me], ["avatar"])
    with pytest.raises(StorageConfigException, match="save"):
        club.Member.objects.bulk_create([club.Member(name="Bob")])
    assert club.Member.objects.filter(pk=me.pk).update(name="Bob") == 1
    assert club.Member.objects.get().avatar == me.avatar


# Lists


def test_list_changes_by_assignment(club: Any, outbox: Contents, stored: Contents) -> None:
    me = club.Member.objects.create(name="Ada", photos=[upload(b"1"), upload(b"2")])
    first, second = me.photos
    me.photos = [*me.photos, upload(b"3")]
    me.save()
    me.photos = me.photos.moved(second.id, to=0).without(first.id)
    me.save()
    again = club.Member.objects.get()
    assert again.photos == me.photos
    assert again.photos[0] == second
    assert outbox() == [first.id]


def test_list_keeps_the_latest(club: Any, outbox: Contents) -> None:
    me = club.Member.objects.create(name="Ada", photos=[upload(b"1"), upload(b"2"), upload(b"3")])
    first, second, third = me.photos
    me.photos = [upload(b"4"), *me.photos]
    me.save()
    assert list(me.photos)[1:] == [second, third]
    assert outbox() == [first.id]


def test_list_refuses_one_upload(club: Any) -> None:
    with pytest.raises(TypeError, match="takes a list"):
        club.Member(name="Ada", photos=upload())


# Transactions


def test_rollback_deletes_the_files_and_keeps_the_old_ones(
    club: Any, outbox: Contents, stored: Contents
) -> None:
    from django.db import transaction

    me = member(club)
    with pytest.raises(Interrupted), transaction.atomic():
        me.avatar = upload(b"two")
        me.save()
        raise Interrupted
    assert outbox() == []
    assert stored() == [b"one"]


def test_rollback_of_a_savepoint_deletes_its_files_alone(
    club: Any, outbox: Contents, stored: Contents
) -> None:
    from django.db import transaction

    from jtc.storage.attachments.django._pending import AttachmentNotStagedException

    with transaction.atomic():
        me = member(club)
        with pytest.raises(Interrupted), transaction.atomic():
            me.avatar = upload(b"two")
            me.save()
            raise Interrupted
        with (
            pytest.raises(AttachmentNotStagedException, match="rolled back"),
            transaction.atomic(),
        ):
            me.save()
        me.refresh_from_db()
        me.save()
    assert outbox() == []
    assert stored() == [b"one"]


def test_statement_that_fails_leaves_the_upload_for_the_next_save(
    club: Any, stored: Contents
) -> None:
    from django.db import IntegrityError

    other = club.Member.objects.create(name="Bob")
    me = club.Member(name="Ada", avatar=upload(b"two"), pk=other.pk)
    with pytest.raises(IntegrityError):
        me.save(force_insert=True)
    assert stored() == []
    me.pk = None
    me.save()
    assert stored() == [b"two"]


def test_commit_that_succeeded_without_an_answer_loses_no_file(
    club: Any, stored: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError, connection, connections

    connected = type(connections["default"])
    commit = connected._commit

    def unanswered(self: Any) -> None:
        commit(self)
        raise OperationalError("the connection was lost")

    with monkeypatch.context() as patch:
        patch.setattr(connected, "_commit", unanswered)
        with pytest.raises(OperationalError):
            member(club)
    connection.close()
    assert club.Member.objects.get().avatar.size == 3
    assert stored() == [b"one"]


def test_objects_saved_by_threads_drop_each_file_once(club: Any, outbox: Contents) -> None:
    from django.db import OperationalError, connection

    me = member(club)
    errors: list[Exception] = []

    def replace(number: int) -> None:
        try:
            for _ in range(20):
                own = club.Member.objects.get(pk=me.pk)
                own.avatar = upload(b"%d" % number)
                try:
                    own.save()
                except OperationalError:
                    continue  # SQLite has one writer
                return
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=replace, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    last = club.Member.objects.get().avatar
    assert len(set(outbox())) == len(outbox())
    assert me.avatar.id in outbox()
    assert last.id not in outbox()


def test_save_of_row_that_a_transaction_replaces_meanwhile_drops_the_new_file(
    club: Any, outbox: Contents
) -> None:
    from django.db import connection, transaction

    if not connection.features.has_select_for_update:
        pytest.skip("SQLite has one writer")
    me = member(club)
    inserted = threading.Event()
    between: list[str] = []

    def delete_and_insert() -> None:
        with transaction.atomic():
            club.Member.objects.get(pk=me.pk).delete()
            between.append(member(club, b"two", pk=me.pk).avatar.id)
            inserted.set()
            with connection.cursor() as cursor:
                for _ in range(2000):  # until the other one waits for the row
                    cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                    if cursor.fetchone()[0]:
                        break
        connection.close()

    thread = threading.Thread(target=delete_and_insert)
    thread.start()
    inserted.wait(30)
    me.avatar = upload(b"three")
    me.save()
    thread.join()
    assert between[0] in outbox()
    assert club.Member.objects.get().avatar.id not in outbox()


# Tokens


def issue(club: Any, owner: object = 7) -> str:
    from jtc.storage.attachments import plain
    from jtc.storage.attachments.django import registry
    from jtc.storage.sync import run

    field = club.Member._meta.get_field("avatar").settings
    return registry().issue_token(field, run(plain.store(field, b"one")), owner)


def test_claim_is_used_once(club: Any, stored: Contents) -> None:
    from jtc.storage.attachments.django import claim
    from jtc.storage.attachments.tokens import TokenException

    token = issue(club)
    me = club.Member.objects.create(name="Ada", avatar=claim(token, owner=7))
    assert me.avatar.size == 3
    with pytest.raises(TokenException, match="used before"):
        club.Member.objects.create(name="Bob", avatar=claim(token, owner=7))
    assert club.Member.objects.count() == 1
    assert stored() == [b"one"]


def test_claim_of_a_transaction_that_was_rolled_back_can_be_repeated(
    club: Any, stored: Contents
) -> None:
    from django.db import transaction

    from jtc.storage.attachments.django import claim

    token = issue(club)
    with pytest.raises(Interrupted), transaction.atomic():
        club.Member.objects.create(name="Ada", avatar=claim(token, owner=7))
        raise Interrupted
    assert stored() == [b"one"]
    club.Member.objects.create(name="Ada", avatar=claim(token, owner=7))
    assert stored() == [b"one"]


def test_claim_of_another_owner_is_refused(club: Any) -> None:
    from jtc.storage.attachments.django import claim
    from jtc.storage.attachments.tokens import TokenException

    with pytest.raises(TokenException):
        club.Member.objects.create(name="Ada", avatar=claim(issue(club), owner=8))


def test_claim_of_direct_upload_deletes_what_the_client_sent(
    club: Any, stored: Contents, tmp_path: Path
) -> None:
    from jtc.storage import Storage
    from jtc.storage.attachments import uploads
    from jtc.storage.attachments.django import claim

    field = club.Member._meta.get_field("avatar").settings
    begun = asyncio.run(uploads.begin_upload(field, 7, name="me.txt", presigned=False))
    Storage.sync.disk(begun.disk).put(begun.path, b"one")
    me = club.Member.objects.create(name="Ada", avatar=claim(begun.token, owner=7))
    assert (me.avatar.name, stored()) == ("me.txt", [b"one"])
    assert list((tmp_path / "media").rglob("upload")) == []


# Other parts of Django


def test_fixture_restores_rows(club: Any, outbox: Callable[[], list[str]]) -> None:
    from django.core import serializers

    me = member(club, photos=[upload(b"two")])
    text = serializers.serialize("json", [me])
    club.Member.objects.all().delete()
    for restored in serializers.deserialize("json", text):
        restored.save()
    again = club.Member.objects.get()
    assert (again.avatar, again.photos) == (me.avatar, me.photos)


def test_queries_reach_into_the_column(club: Any) -> None:
    me = member(club)
    assert club.Member.objects.filter(avatar__type="text/plain").count() == 1
    assert list(club.Member.objects.values_list("avatar__size", flat=True)) == [3]
    assert list(club.Member.objects.values_list("avatar", flat=True)) == [me.avatar]


def test_migration_has_the_column_and_no_settings(club: Any) -> None:
    field = club.Member._meta.get_field("photos")
    _, path, arguments, options = field.deconstruct()
    assert path == "jtc.storage.attachments.django.AttachmentField"
    assert arguments == ["media", "photos"]
    assert set(options) == {"many", "null", "blank", "default"}
    again = type(field)(*arguments, **options)
    assert again.deconstruct()[1:] == field.deconstruct()[1:]


def test_errors_of_attachments_are_storage_exceptions() -> None:
    from jtc.storage.attachments.django._pending import AttachmentNotStagedException

    assert issubclass(AttachmentNotStagedException, StorageException)
