"""Column types of attachments, which migrations name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import JSON
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator

from jtc.storage.attachments.models import Attachment, AttachmentList

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.sql.operators import OperatorType
    from sqlalchemy.types import TypeEngine

    from jtc.storage.attachments.fields import Field

__all__ = ["AttachmentListType", "AttachmentType"]

T = TypeVar("T")


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
