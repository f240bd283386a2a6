"""Changes of a flush: which files rows will name, and which of them are staged."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect, select, tuple_

from jtc.storage.attachments.models import Attachment, AttachmentList
from jtc.storage.attachments.sqlalchemy._columns import MappedField, listed, mapped_fields
from jtc.storage.exceptions import StorageException

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Connection
    from sqlalchemy.orm import InstanceState, Mapper, Session

    from jtc.storage.attachments.sqlalchemy._staging import Staging

__all__ = ["AttachmentNotStagedException", "Change", "changes_of", "check"]

_MOST = 500
"""How many rows are read by one statement."""

_MOST_REPLACED = 10
"""How many transactions in a row may replace a row that is waited for."""


class AttachmentNotStagedException(StorageException):
    """A row was given an attachment that is another row's, or of a transaction that has ended."""


@dataclasses.dataclass(slots=True)
class Change:
    """A row whose attachments of one column change.

    Attributes:
        state: The object.
        target: Its attribute.
        deletes: Whether the row is deleted.
        new: What the row will name.
        old: What the row names now, as read under a lock.
    """

    state: InstanceState[Any]
    target: MappedField
    deletes: bool
    new: tuple[Attachment, ...]
    old: tuple[Attachment, ...] = ()

    @property
    def place(self) -> tuple[InstanceState[Any], str]:
        """The object, and the name of its attribute."""
        return self.state, self.target.key

    def kept(self) -> dict[str, Attachment]:
        """Return what the row names now, by id."""
        return {each.id: each for each in self.old}

    def dropped(self) -> list[Attachment]:
        """Return the attachments that the row names no longer."""
        ids = {each.id for each in self.new}
        return [each for each in self.old if each.id not in ids]


def changes_of(instance: object, *, deletes: bool) -> list[Change]:
    """Return the changes of an object that the next flush makes, without the old values."""
    state: InstanceState[Any] = inspect(instance)
    changes = []
    for target in mapped_fields(state.mapper):
        if deletes:
            changes.append(Change(state, target, deletes=True, new=()))
            continue
        history = state.attrs[target.key].history
        if history.added:
            value = history.added[0]
            changes.append(Change(state, target, deletes=False, new=listed(value)))
    return changes


def check(session: Session, staging: Staging, changes: Sequence[Change]) -> None:
    """Read under a lock what the rows name now, and check what they will name.

    Where a row keeps an attachment, its place and variants are the row's: a background job may have
    moved them since the object was loaded.

    Raises:
        AttachmentNotStagedException: A new value is neither staged nor the row's own.
    """
    _read_old(session, changes)
    planned = {change.place: change for change in changes}
    holders: dict[str, Change] = {}
    for change in changes:
        kept = change.kept()
        for each in change.new:
            if each.id not in kept:
                _check_staged(session, staging, planned, change, each)
            other = holders.setdefault(each.id, change)
            if other is not change:
                raise _refused(change, each, "two rows, or two columns, would name it")
    for change in changes:
        _write_kept(change)
    _note(staging, changes)


def _check_staged(
    session: Session,
    staging: Staging,
    planned: Mapping[tuple[InstanceState[Any], str], Change],
    change: Change,
    each: Attachment,
) -> None:
    staged = staging.files.get(each.id)
    if staged is None or staged.attachment.own_directory != each.own_directory:
        raise _refused(
            change,
            each,
            "it is another row's, or was stored in a transaction that has ended, or in none: use "
            "duplicate(), or pass this session to store() and commit once",
        )
    if staged.target.field is not change.target.field:
        raise _refused(change, each, f"it was stored for {staged.target.field.name!r}")
    holder = staged.holder
    if holder is None or holder == change.place:
        return
    if each.id in {one.id for one in _held(session, planned, *holder)}:
        raise _refused(change, each, "a row that this transaction wrote names it: use duplicate()")


def _held(
    session: Session,
    planned: Mapping[tuple[InstanceState[Any], str], Change],
    state: InstanceState[Any],
    key: str,
) -> tuple[Attachment, ...]:
    """Return what an object that was flushed before will name after this flush."""
    if (state, key) in planned:
        return planned[state, key].new
    if state.key is None:
        return ()
    target = next(each for each in mapped_fields(state.mapper) if each.key == key)
    before = Change(state, target, deletes=False, new=())
    _read_old(session, [before])
    return before.old


def _refused(change: Change, each: Attachment, why: str) -> AttachmentNotStagedException:
    return AttachmentNotStagedException(
        f"{change.target.field.name!r} cannot name the attachment {each.id!r} ({each}): {why}",
        disk=each.disk,
        path=each.key,
        operation="flush",
    )


def _write_kept(change: Change) -> None:
    """Give the object what its row says of the attachments that it keeps."""
    kept = change.kept()
    merged = [_merged(each, kept.get(each.id)) for each in change.new]
    if all(one is other for one, other in zip(merged, change.new, strict=True)):
        return
    change.new = tuple(merged)
    value = AttachmentList(merged) if change.target.field.many else merged[0]
    setattr(change.state.obj(), change.target.key, value)


def _merged(new: Attachment, row: Attachment | None) -> Attachment:
    if row is None:
        return new
    merged = row.changed(name=new.name, properties=new.properties)
    return new if merged == new else merged


def _note(staging: Staging, changes: Sequence[Change]) -> None:
    """Note which staged files rows name now."""
    gone = {each.id for change in changes for each in change.dropped()}
    staging.named -= gone
    staging.dropped |= gone
    for change in changes:
        for each in change.new:
            staging.named.add(each.id)
            staging.dropped.discard(each.id)
            if each.id in staging.files:
                staging.files[each.id].holder = change.place


def _read_old(session: Session, changes: Iterable[Change]) -> None:
    """Read what the rows name now, and lock them until the transaction ends.

    The history of an attribute is no source: it is empty after an attribute expired, and does not
    have what another transaction has committed since.
    """
    grouped: dict[tuple[Mapper[Any], bool], list[Change]] = defaultdict(list)
    for change in changes:
        if change.state.identity is not None:
            grouped[change.state.mapper, change.deletes].append(change)
    for mapper, deletes in sorted(grouped, key=lambda key: (str(key[0].local_table), key[1])):
        connection = session.connection(bind_arguments={"mapper": mapper})
        group = grouped[mapper, deletes]
        by_identity: dict[tuple[Any, ...], list[Change]] = defaultdict(list)
        for change in group:
            by_identity[change.state.identity or ()].append(change)
        keys = {change.target.key for change in group}
        fields = [each for each in mapped_fields(mapper) if each.key in keys]
        rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        # The transaction that was waited for may have deleted a row and inserted it again, and so
        # may the next: the statement that waited does not see the new one, and the flush does.
        for _ in range(_MOST_REPLACED):
            rest = [identity for identity in by_identity if identity not in rows]
            rows |= _locked(connection, mapper, fields, rest, deletes=deletes)
        for identity, values in rows.items():
            for change in by_identity.get(identity, ()):
                change.old = listed(values[change.target.key])


def _locked(
    connection: Connection,
    mapper: Mapper[Any],
    fields: Sequence[MappedField],
    identities: Sequence[tuple[Any, ...]],
    *,
    deletes: bool,
) -> dict[tuple[Any, ...], dict[str, Any]]:
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    primary_key = mapper.primary_key
    for start in range(0, len(identities), _MOST):
        some: Collection[Any] = identities[start : start + _MOST]
        one = primary_key[0].in_([each[0] for each in some])
        statement = (
            select(*primary_key, *(each.column for each in fields))
            .select_from(mapper.persist_selectable)
            .where(one if len(primary_key) == 1 else tuple_(*primary_key).in_(some))
            .order_by(*primary_key)
            .with_for_update(key_share=not deletes)
        )
        for row in connection.execute(statement):
            values = zip((each.key for each in fields), row[len(primary_key) :], strict=True)
            found[tuple(row[: len(primary_key)])] = dict(values)
    return found
