"""The rows with attachments of a Django project's database, and its outbox."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections, connections, transaction
from django.db.models import F, Q

from jtc.storage.attachments.django._rows import columns, database, listed, named, naming
from jtc.storage.attachments.django._saving import drop
from jtc.storage.attachments.django.fields import writing
from jtc.storage.attachments.models import Attachment, AttachmentList
from jtc.storage.attachments.records import OutboxEntry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence

    from jtc.storage.attachments.fields import Field
    from jtc.storage.attachments.registry import Registry

__all__ = ["DjangoRecords"]

R = TypeVar("R")

_PAGE = 500


class DjangoRecords:
    """The `Records` of the project's registry, by Django's models.

    Args:
        registry: The registry.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def database_id(self) -> str:
        """Return the id of this database: generated once, and copied with a restored backup."""
        found: str = (await _run(_state)).database_id
        return found

    async def counter(self) -> int:
        """Return the database's counter of maintenance runs."""
        found: int = (await _run(_state)).counter
        return found

    async def advance(self, beyond: int = 0) -> int:
        """Raise the counter of maintenance runs by 1, and above `beyond`; return the new value."""

        def work() -> int:
            _state()
            rows = _state_rows()
            rows.update(counter=F("counter") + 1)  # first, since it locks the row
            counter: int = max(rows.get().counter, beyond + 1)
            rows.update(counter=counter)
            return counter

        return await _run(work)

    async def attachments(self, field: Field) -> AsyncIterator[Attachment]:
        """Return all attachments that rows name in a field, by pages of a transaction each."""
        model, column = next(each for each in columns() if each[1].settings is field)
        after: Any = None

        def page() -> list[tuple[Any, Any]]:
            rows = model._base_manager.using(database()).order_by("pk")
            rows = rows.filter(**{f"{column.attname}__isnull": False})
            rows = rows if after is None else rows.filter(pk__gt=after)
            return list(rows.values_list("pk", column.attname)[:_PAGE])

        while rows := await _run(page):
            for _, value in rows:
                for attachment in listed(value):
                    yield attachment
            after = rows[-1][0]

    async def referenced(self, ids: Collection[str]) -> Sequence[Attachment]:
        """Return the attachments of these ids that rows name, in any registered field."""
        return await _run(lambda: named(ids)) if ids else []

    async def waiting(self, ids: Collection[str]) -> Sequence[OutboxEntry]:
        """Return the entries that the outbox has of these ids, due and taken ones too."""
        rows = _outbox().filter(attachment__in=ids)
        return await _run(lambda: [_entry(each) for each in rows])

    async def replace(self, field: Field, old: Attachment, new: Attachment) -> bool:
        """Write `new` in the place of `old`, only where a row names the same version of it."""
        model, column = next(each for each in columns() if each[1].settings is field)
        moves = (old.disk, old.own_directory) != (new.disk, new.own_directory)

        def work() -> bool:
            rows = _locking(model._base_manager.using(database()))
            is_changed = False
            rows = rows.filter(naming(column, [old.id])).values_list("pk", column.attname)
            for pk, value in list(rows):
                if old not in listed(value):
                    continue
                kept = [new if each == old else each for each in listed(value)]
                written = AttachmentList(kept) if field.many else kept[0]
                with writing():
                    model._base_manager.using(database()).filter(pk=pk).update(
                        **{column.attname: written}
                    )
                is_changed = True
            if is_changed and moves:
                drop([old], database())
            return is_changed

        return await _run(work)

    async def add_to_outbox(self, attachments: Collection[Attachment]) -> None:
        """Write entries for files that no transaction dropped."""
        await _run(lambda: _add(attachments))

    async def take(self, dropped_before: float, limit: int, lease: float) -> Sequence[OutboxEntry]:
        """Take the oldest entries that were written before a time, for `lease` seconds."""

        def work() -> list[OutboxEntry]:
            now = time.time()
            free = Q(taken_until=None) | Q(taken_until__lt=now)
            rows = _locking(_outbox(), skip_locked=True).filter(free, dropped_at__lt=dropped_before)
            taken = list(rows.order_by("dropped_at", "number")[:limit])
            _outbox().filter(pk__in=[each.number for each in taken]).update(taken_until=now + lease)
            return [_entry(each) for each in taken]

        return await _run(work)

    async def done(self, entries: Collection[OutboxEntry]) -> None:
        """Remove entries whose files are deleted, or are named by a row again."""
        rows = _outbox().filter(pk__in=[each.number for each in entries])
        await _run(rows.delete)


async def _run(work: Callable[[], R]) -> R:
    """Run statements in a transaction, in Django's thread for the database."""

    def in_transaction() -> R:
        close_old_connections()
        try:
            with transaction.atomic(using=database()):
                # SQLite has one writer: it waits for it here, where nothing was read yet.
                if connections[database()].vendor == "sqlite":
                    _outbox().filter(pk=0).update(taken_until=None)
                return work()
        finally:
            close_old_connections()

    return await sync_to_async(in_transaction)()


def _entry(row: Any) -> OutboxEntry:
    return OutboxEntry(
        number=row.number,
        disk=row.disk,
        directory=row.directory,
        attachment=row.attachment,
        dropped_at=row.dropped_at,
    )


def _locking(rows: Any, **options: bool) -> Any:
    features = connections[database()].features
    if not features.has_select_for_update:
        return rows
    return rows.select_for_update(
        skip_locked=options.get("skip_locked", False) and features.has_select_for_update_skip_locked
    )


def _outbox() -> Any:
    from jtc.storage.attachments.django.models import OutboxRow  # noqa: PLC0415 - after the apps

    return OutboxRow.objects.using(database())


def _state_rows() -> Any:
    from jtc.storage.attachments.django.models import StateRow  # noqa: PLC0415 - after the apps

    return StateRow.objects.using(database())


def _state() -> Any:
    new = {"database_id": secrets.token_hex(16), "counter": 0}
    return _state_rows().get_or_create(number=1, defaults=new)[0]


def _add(attachments: Collection[Attachment]) -> None:
    from jtc.storage.attachments.django.models import OutboxRow  # noqa: PLC0415 - after the apps

    now = time.time()
    _outbox().bulk_create(
        OutboxRow(disk=each.disk, directory=each.own_directory, attachment=each.id, dropped_at=now)
        for each in attachments
    )
