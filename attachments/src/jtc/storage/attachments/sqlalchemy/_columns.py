"""Column types, and the attributes of mapped classes that have them."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack, cast

from sqlalchemy import JSON, Column, Table, event
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import MappedColumn, Mapper, QueryableAttribute, mapped_column
from sqlalchemy.types import TypeDecorator

from jtc.storage.attachments.fields import Field
from jtc.storage.attachments.models import Attachment, AttachmentList

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from sqlalchemy.engine import Dialect
    from sqlalchemy.sql.operators import OperatorType
    from sqlalchemy.types import TypeEngine

    from jtc.storage.attachments.fields import Analyzer, Serve, WhileMissing
    from jtc.storage.attachments.recipes import Recipe

__all__ = [
    "AttachmentListType",
    "AttachmentType",
    "MappedField",
    "attachment",
    "attachments",
    "field_of",
    "listed",
    "mapped_fields",
]

T = TypeVar("T")
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


class _AttachmentJson(TypeDecorator[T]):
    """JSON of the attachments of a field: JSONB on PostgreSQL."""

    impl = JSON
    cache_ok = True

    def __init__(self, field: Field | None = None) -> None:
        super().__init__(none_as_null=True)
        self.field = field

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type that the database has."""
        is_postgresql = dialect.name == "postgresql"
        return dialect.type_descriptor(
            JSONB(none_as_null=True) if is_postgresql else JSON(none_as_null=True)
        )

    def coerce_compared_value(self, op: OperatorType | None, value: object) -> Any:
        """Return the type of a value that the JSON, or a part of it, is compared with."""
        return self.impl_instance.coerce_compared_value(op, value)

    def load(self, value: Any) -> Attachment:
        """Return the attachment of a JSON object."""
        return Attachment.from_json(value) if self.field is None else self.field.load(value)


class AttachmentType(_AttachmentJson[Attachment]):
    """The type of a column with one attachment or none; `attachment` makes such a column.

    Args:
        field: The field's settings; None in a migration, which needs none.
    """

    cache_ok = True

    def coerce(self, value: object) -> Attachment | None:
        """Check a value that is assigned.

        Raises:
            TypeError: It is no attachment.
        """
        if value is None or isinstance(value, Attachment):
            return value
        raise _wrong(value)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 - its name
        """Return the JSON of an attachment."""
        coerced = self.coerce(value)
        return None if coerced is None else coerced.to_json()

    def process_result_value(self, value: Any, dialect: Dialect) -> Attachment | None:  # noqa: ARG002
        """Return the attachment of a row."""
        return None if value is None else self.load(value)


class AttachmentListType(_AttachmentJson[AttachmentList]):
    """The type of a column with a list of attachments; `attachments` makes such a column.

    NULL is an empty list, so that a column can be added to a table that has rows.

    Args:
        field: The field's settings; None in a migration, which needs none.
    """

    cache_ok = True

    def coerce(self, value: object) -> AttachmentList:
        """Return an immutable list of the value that is assigned, of the latest ones at most.

        Raises:
            TypeError: It is no list of attachments.
            ValueError: An attachment is in it twice.
        """
        if value is None:
            return AttachmentList()
        if not isinstance(value, Iterable) or isinstance(value, (str, bytes, dict)):
            raise _wrong(value)
        each = list(value)
        for item in each:
            if not isinstance(item, Attachment):
                raise _wrong(item)
        if len({item.id for item in each}) < len(each):
            raise ValueError("An attachment is twice in the list: use duplicate()")
        most = None if self.field is None else self.field.keep_latest
        if most is not None and len(each) > most:
            latest = sorted(range(len(each)), key=lambda index: (each[index].stored_at, index))
            kept = set(latest[-most:]) if most else set()
            each = [item for index, item in enumerate(each) if index in kept]
        return AttachmentList(each)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 - its name
        """Return the JSON of a list."""
        return [item.to_json() for item in self.coerce(value)]

    def process_result_value(self, value: Any, dialect: Dialect) -> AttachmentList:  # noqa: ARG002
        """Return the list of a row."""
        return AttachmentList(self.load(item) for item in value or ())


def _wrong(value: object) -> TypeError:
    return TypeError(
        f"A column of attachments takes what store(), claim() or duplicate() returned, not "
        f"{type(value).__name__}"
    )


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
