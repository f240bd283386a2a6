"""Saving and deletion of objects: files before the row, and what a row drops into the outbox."""

from __future__ import annotations

import functools
import threading
import time
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, connections, models, router, transaction
from django.db.models import signals

from jtc.storage.attachments.django._pending import (
    AttachmentNotStagedException,
    Stored,
    is_pending,
)
from jtc.storage.attachments.django._registry import uses_triggers
from jtc.storage.attachments.django._rollbacks import keep_after_commit
from jtc.storage.attachments.django._rows import database, listed
from jtc.storage.attachments.django.fields import attachment_fields, own_fields, restore, writing
from jtc.storage.attachments.models import Attachment, AttachmentList
from jtc.storage.attachments.tokens import token_used
from jtc.storage.exceptions import StorageConfigException
from jtc.storage.sync import run

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from jtc.storage.attachments.django.fields import AttachmentField

__all__ = ["drop", "watch"]

_saving = threading.local()

_MOST_REPLACED = 10
"""How many transactions in a row may replace a row that is waited for."""


def watch(model: type[models.Model]) -> None:
    """Have the files of a model's objects follow its rows."""
    fields = own_fields(model)
    if not fields:
        return
    # Also of a proxy: Django sends the class of the objects. A receiver makes it load what it
    # deletes by cascade.
    signals.pre_delete.connect(_before_delete, sender=model)
    signals.pre_save.connect(_before_save, sender=model)
    signals.post_save.connect(_after_save, sender=model)
    if not model._meta.proxy and not hasattr(vars(model).get("save_base"), "__wrapped__"):
        model.save_base = _watched(model.save_base)  # type: ignore[method-assign]


def drop(attachments: Iterable[Attachment], using: str) -> None:
    """Write entries of the outbox, unless triggers do."""
    from jtc.storage.attachments.django.models import OutboxRow  # noqa: PLC0415 - after the apps

    if uses_triggers():
        return
    now = time.time()
    OutboxRow.objects.using(using).bulk_create(
        OutboxRow(disk=each.disk, directory=each.own_directory, attachment=each.id, dropped_at=now)
        for each in attachments
    )


def _watched(save_base: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(save_base)
    def saved(
        self: models.Model,
        raw: bool = False,
        force_insert: Any = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Collection[str] | None = None,
    ) -> None:
        using = using or router.db_for_write(type(self), instance=self)
        write = functools.partial(
            save_base,
            self,
            raw=raw,
            force_insert=force_insert,
            force_update=force_update,
            using=using,
            update_fields=update_fields,
        )
        fields = [
            each
            for each in attachment_fields(type(self))
            if each.attname in vars(self) and (update_fields is None or each.name in update_fields)
        ]
        # `getattr`: a child's table and its parent's are saved by one call.
        if raw or not fields or getattr(_saving, "instance", None) is self:
            with writing():
                write()
            return
        before, _saving.instance = getattr(_saving, "instance", None), self
        try:
            _save(self, fields, using, write)
        finally:
            _saving.instance = before

    saved.alters_data = True  # type: ignore[attr-defined] # templates must not call it
    return saved


def _save(
    instance: models.Model,
    fields: list[AttachmentField],
    using: str,
    write: Callable[[], None],
) -> None:
    given = {each: vars(instance)[each.attname] for each in fields}
    pending = {each.settings: value for each, value in given.items() if is_pending(value)}
    stored = Stored()
    if pending:
        resolved = run(stored.resolve_all(pending))
        for each in fields:
            if each.settings in resolved:
                vars(instance)[each.attname] = resolved[each.settings]
    owned = keep_after_commit(stored, using)
    try:
        with transaction.atomic(using=using, savepoint=False):
            _check_database(using)
            _replace(instance, fields, stored, using)
            with writing():
                write()
            transaction.on_commit(owned, using=using)
    except BaseException:
        vars(instance).update({each.attname: value for each, value in given.items()})
        raise
    finally:
        del owned  # the transaction alone keeps it now, or nothing does


def _replace(
    instance: models.Model, fields: list[AttachmentField], stored: Stored, using: str
) -> None:
    """Compare what a row names with what it will name, and write what it drops to the outbox."""
    old = _locked(type(instance), instance, fields, using)
    named: set[str] = set()
    for field in fields:
        rows = {each.id: each for each in listed(old.get(field.attname))}
        value = vars(instance)[field.attname]
        kept = [_kept(field, each, rows, stored) for each in listed(value)]
        ids = [each.id for each in kept]
        if len({*ids}) < len(ids) or named & {*ids}:
            raise _refused(field, kept[0], "two columns, or two places of a list, would name it")
        named |= {*ids}
        if value is not None:
            vars(instance)[field.attname] = AttachmentList(kept) if field.settings.many else kept[0]
        drop([each for id_, each in rows.items() if id_ not in ids], using)
    _use(stored.tokens, using)


def _kept(
    field: AttachmentField, new: Attachment, rows: dict[str, Attachment], stored: Stored
) -> Attachment:
    """Return an attachment with the place and the variants that its row has by now."""
    row = rows.get(new.id)
    if row is not None:
        return row.changed(name=new.name, properties=new.properties)
    if new.id in stored.ids:
        return new
    raise _refused(
        field,
        new,
        "its row does not name it: it is another row's, which duplicate() copies; or the row was "
        "changed meanwhile, which refresh_from_db() shows; or the transaction that stored it was "
        "rolled back",
    )


def _refused(
    field: AttachmentField, attachment: Attachment, why: str
) -> AttachmentNotStagedException:
    return AttachmentNotStagedException(
        f"{field.settings.name!r} cannot name the attachment {attachment.id!r} ({attachment}): "
        f"{why}",
        disk=attachment.disk,
        path=attachment.key,
        operation="save",
    )


def _locked(
    model: type[models.Model], instance: models.Model, fields: list[AttachmentField], using: str
) -> dict[str, Any]:
    """Read what a row names, and lock it until the transaction ends."""
    if instance.pk is None:
        return {}
    rows = model._base_manager.using(using).filter(pk=instance.pk)
    if connections[using].features.has_select_for_update:
        rows = rows.select_for_update()
    values = rows.values(*(each.attname for each in fields))
    # The transaction that was waited for may have deleted the row and inserted it again, and so may
    # the next: the statement that waited does not see the new one.
    for _ in range(1 if instance._state.adding else _MOST_REPLACED):
        if (found := values.first()) is not None:
            return dict(found)
    return {}


def _use(tokens: Collection[str], using: str) -> None:
    """Write the tokens that a transaction uses.

    Raises:
        TokenException: One was used before.
    """
    from jtc.storage.attachments.django.models import TokenRow  # noqa: PLC0415 - after the apps

    now = time.time()
    try:
        with transaction.atomic(using=using):
            for token in tokens:
                TokenRow.objects.using(using).create(attachment=token, used_at=now)
    except IntegrityError as error:
        raise token_used() from error


def _check_database(using: str) -> None:
    outbox = database()
    if using != outbox:
        raise StorageConfigException(
            f"The outbox is in the database {outbox!r}, and an object with attachments is saved in "
            f"{using!r}: one transaction must hold both"
        )


def _before_save(raw: bool, **_: Any) -> None:
    """Permit the statement of a fixture, which calls no method of the model."""
    restore(is_restoring=raw)


def _after_save(raw: bool, **_: Any) -> None:
    if raw:
        restore(is_restoring=False)


def _before_delete(
    sender: type[models.Model], instance: models.Model, using: str, **_: Any
) -> None:
    """Write the files of a row to the outbox, in the transaction that deletes it."""
    fields = own_fields(sender)
    for value in _locked(sender, instance, fields, using).values():
        drop(listed(value), using)
