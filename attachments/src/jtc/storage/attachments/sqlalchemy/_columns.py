"""Declared columns, and the attributes of mapped classes that have them."""

from __future__ import annotations

import functools
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack, cast

from sqlalchemy import Column, Table, event
from sqlalchemy.orm import MappedColumn, Mapper, QueryableAttribute, mapped_column

from jtc.storage.attachments.fields import Field
from jtc.storage.attachments.models import Attachment, AttachmentList
from jtc.storage.attachments.sqlalchemy.column_types import AttachmentListType, AttachmentType

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from jtc.storage.attachments.fields import Analyzer, Serve, WhileMissing
    from jtc.storage.attachments.recipes import Recipe

__all__ = [
    "MappedField",
    "attachment",
    "attachments",
    "field_of",
    "listed",
    "mapped_fields",
]

A = TypeVar("A", Attachment, "Attachment | None")
L = TypeVar("L", AttachmentList, "Sequence[Attachment]")


class FieldOptions(TypedDict, total=False):
    """The settings of a field that a column is declared with; `Field` describes them."""

    max_size: int | str | None
    min_size: int | str | None
    types: Collection[str] | None
    variants: Mapping[str, Recipe] | None
    eager: Collection[str]
    serve: Serve
    while_missing: WhileMissing
    default_url: str | None
    url_lifetime: float | None
    properties: Mapping[str, Any] | None
    analyzers: Collection[Analyzer]
    placeholder: bool
    download_name: Callable[[Attachment], str] | None
    moved_from: Collection[str | tuple[str, str]]


class ListOptions(FieldOptions, total=False):
    """The settings of a field with many attachments."""

    keep_latest: int | None


def attachment(
    disk: str,
    directory: str,
    *,
    column_name: str | None = None,
    deferred: bool = False,
    **options: Unpack[FieldOptions],
) -> MappedColumn[A]:
    """Declare a column with one attachment, or none: ``avatar: Mapped[Attachment | None]``.

    Args:
        disk: The name of the disk.
        directory: The directory below the registry's namespace.
        column_name: The name of the column; None is that of the attribute.
        deferred: Whether the column is loaded when the attribute is first read.
        **options: The settings of a `jtc.storage.attachments.Field`, such as `max_size`.

    Raises:
        StorageConfigException: A setting is invalid, or contradicts another.
    """
    kind = AttachmentType(Field(disk, directory, **options))
    return cast(
        "MappedColumn[A]", mapped_column(kind, name=column_name, default=None, deferred=deferred)
    )


def attachments(
    disk: str,
    directory: str,
    *,
    column_name: str | None = None,
    deferred: bool = False,
    **options: Unpack[ListOptions],
) -> MappedColumn[L]:
    """Declare a column with a list of attachments, of the type ``Mapped[AttachmentList]``.

    Args:
        disk: The name of the disk.
        directory: The directory below the registry's namespace.
        column_name: The name of the column; None is that of the attribute.
        deferred: Whether the column is loaded when the attribute is first read.
        **options: The settings of a `jtc.storage.attachments.Field`, such as `keep_latest`.

    Raises:
        StorageConfigException: A setting is invalid, or contradicts another.
    """
    kind = AttachmentListType(Field(disk, directory, many=True, **options))
    column = mapped_column(
        kind, name=column_name, default=AttachmentList(), nullable=True, deferred=deferred
    )
    return cast("MappedColumn[L]", column)


@dataclass(frozen=True, slots=True)
class MappedField:
    """An attribute of a mapped class that has attachments.

    Attributes:
        mapper: The mapper of the class.
        key: The name of the attribute.
        column: Its column.
    """

    mapper: Mapper[Any]
    key: str
    column: Column[Any]

    @property
    def kind(self) -> AttachmentType | AttachmentListType:
        """The type of the column."""
        return cast("AttachmentType | AttachmentListType", self.column.type)

    @property
    def field(self) -> Field:
        """The field."""
        return cast("Field", self.kind.field)


_mapped: weakref.WeakKeyDictionary[Mapper[Any], tuple[MappedField, ...]] = (
    weakref.WeakKeyDictionary()
)


def mapped_fields(mapper: Mapper[Any]) -> tuple[MappedField, ...]:
    """Return the attributes of a mapped class, and of its bases, that have attachments."""
    found = _mapped.get(mapper)
    if found is None:
        columns = [(prop.key, prop.columns[0]) for prop in mapper.column_attrs]
        found = _mapped[mapper] = tuple(
            MappedField(mapper, key, column)
            for key, column in columns
            if isinstance(column, Column)
            and isinstance(column.table, Table)
            and isinstance(column.type, (AttachmentType, AttachmentListType))
            and column.type.field is not None
        )
    return found


def field_of(attribute: object) -> MappedField:
    """Return the field of an attribute such as ``User.avatar``.

    Raises:
        TypeError: It is no attribute with attachments.
    """
    if isinstance(attribute, QueryableAttribute) and isinstance(attribute.parent, Mapper):
        for each in mapped_fields(attribute.parent):
            if each.key == attribute.key:
                return each
    raise TypeError(f"{attribute} was not declared by attachment() or attachments()")


def listed(value: Attachment | AttachmentList | None) -> tuple[Attachment, ...]:
    """Return the attachments in the value of a column, of either type."""
    if value is None:
        return ()
    return (value,) if isinstance(value, Attachment) else tuple(value)


def _coerced(kind: AttachmentType | AttachmentListType, *event_arguments: Any) -> Any:
    return kind.coerce(event_arguments[1])


def _empty(_target: object, _value: object, _dict: dict[str, Any]) -> AttachmentList:
    return AttachmentList()


@event.listens_for(Mapper, "mapper_configured")
def _listen(mapper: Mapper[Any], cls: type) -> None:
    """Check what is assigned to the attributes of a class; a list has no other way to change."""
    inherited = set() if mapper.inherits is None else set(mapper.inherits.column_attrs.keys())
    for each in mapped_fields(mapper):
        if each.key not in inherited or mapper.concrete:
            attribute = getattr(cls, each.key)
            check = functools.partial(_coerced, each.kind)
            event.listen(attribute, "set", check, retval=True, propagate=True)
            if isinstance(each.kind, AttachmentListType):
                event.listen(attribute, "init_scalar", _empty, retval=True, propagate=True)
