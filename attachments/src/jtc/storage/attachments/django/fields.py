"""`AttachmentField`: a column of a Django model with one attachment, or a list of them."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from django.core import checks
from django.db import models
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Cast
from django.db.models.query_utils import DeferredAttribute

from jtc.storage.attachments.django._pending import is_pending
from jtc.storage.attachments.django._registry import uses_triggers
from jtc.storage.attachments.fields import Field
from jtc.storage.attachments.models import Attachment, AttachmentList
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django import forms
    from django.db.models import Model

__all__ = ["AttachmentField", "attachment_fields", "own_fields", "restore", "writing"]

_local = threading.local()


@contextmanager
def writing() -> Iterator[None]:
    """Permit statements of this thread to write attachments to rows."""
    before = getattr(_local, "writing", False)
    _local.writing = True
    try:
        yield
    finally:
        _local.writing = before


def restore(*, is_restoring: bool) -> None:
    """Permit statements of this thread to write attachments as a fixture has them."""
    _local.restoring = is_restoring


class _Attribute(DeferredAttribute):
    """The attribute of an object: a list of attachments becomes an `AttachmentList`."""

    def __set__(self, instance: Model, value: Any) -> None:
        field = cast("AttachmentField", self.field)
        vars(instance)[field.attname] = field.assigned(value)


class AttachmentField(models.JSONField):
    """A column with one attachment or none, or with a list of them.

    An upload is assigned like any value, and stored when the object is saved: before the row is
    written. `claim` and `duplicate` return values for tokens and for copies.

    Args:
        disk: The name of the disk.
        directory: The directory below the registry's namespace.
        many: Whether it is a list.
        **options: The options of Django's fields, such as `blank`, and the settings of
            `jtc.storage.attachments.Field`.

    Attributes:
        settings: The field in the registry.
        is_connected: Whether it is of a model of the application, and not of a migration's state.

    Raises:
        StorageConfigException: A setting is invalid, or contradicts another.
        TypeError: There is no such option.
    """

    descriptor_class = _Attribute
    description = "An attached file"

    def __init__(self, disk: str, directory: str, *, many: bool = False, **options: Any) -> None:
        settings = {name: options.pop(name) for name in _SETTINGS & options.keys()}
        self.settings = Field(disk, directory, many=many, **settings)
        self._given = settings
        self.is_connected = False
        options.setdefault("null", not many)
        options.setdefault("blank", options["null"] or many)
        if many:
            options.setdefault("default", AttachmentList)
        super().__init__(**options)

    def __deepcopy__(self, memo: Any) -> Any:
        """Return the field of another model, which inherits it from an abstract one."""
        found = super().__deepcopy__(memo)
        old = self.settings
        found.settings = Field(old.disk_name, old.directory, many=old.many, **self._given)
        return found

    def deconstruct(self) -> Any:
        """Return what a migration needs: settings do not change the column."""
        name, path, args, options = super().deconstruct()
        place = (self.settings.disk_name, self.settings.directory)
        path = path.replace("attachments.django.fields", "attachments.django")
        if self.settings.many:
            options["many"] = True
        return name, path, [*place, *args], {**options, "null": self.null, "blank": self.blank}

    def check(self, **options: Any) -> list[checks.CheckMessage]:
        """Return problems of the declaration."""
        found = super().check(**options)
        if self.primary_key or self.unique:
            found.append(checks.Error("An attachment identifies no row", obj=self))
        return found

    def assigned(self, value: Any) -> Any:
        """Return the value that an object has after an assignment."""
        if isinstance(value, (dict, str)):
            raise TypeError(
                f"{self.name!r} takes an upload, claim(token, owner=…), duplicate(attachment) or "
                "None: what a client sent is no attachment"
            )
        if not self.settings.many or isinstance(value, AttachmentList):
            return value
        if not (value is None or isinstance(value, (list, tuple))):
            raise TypeError(f"{self.name!r} takes a list of attachments and uploads")
        values = tuple(value or ())
        return values if is_pending(values) else AttachmentList(values)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Return the attachments of a row."""
        value = super().from_db_value(value, expression, connection)
        return value if isinstance(expression, KeyTransform) else self._loaded(value)

    def to_python(self, value: Any) -> Any:
        """Return the attachments of a fixture, or the value itself."""
        return self._loaded(value) if isinstance(value, (dict, list)) else value

    def get_prep_value(self, value: Any) -> Any:
        """Return what JSON holds of attachments."""
        if isinstance(value, Attachment):
            return value.to_json()
        if isinstance(value, AttachmentList):
            return [each.to_json() for each in value]
        return super().get_prep_value(value)

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        """Return what the column gets.

        Raises:
            StorageConfigException: A statement would write it that does not keep the outbox.
        """
        is_known = getattr(_local, "writing", False) or getattr(_local, "restoring", False)
        if not is_known and self.is_connected and (_fills(value) or not uses_triggers()):
            raise StorageConfigException(
                f"update(), bulk_update() and bulk_create() see neither which files {self.name!r} "
                "named before nor whose a file is: save() each object. Where triggers keep the "
                "outbox, they can clear the column"
            )
        return super().get_db_prep_save(self.get_prep_value(value), connection)

    def value_to_string(self, obj: Model) -> Any:
        """Return what a fixture holds."""
        return self.get_prep_value(self.value_from_object(obj))

    def validate(self, value: Any, model_instance: Model | None) -> None:
        """Check a value before the object is saved: not as JSON, since it may be an upload."""
        models.Field.validate(self, value, model_instance)

    def formfield(self, **options: Any) -> forms.Field | None:
        """Return the form field: with the file that is there, a new one, and a way to clear it."""
        from jtc.storage.attachments.django.forms import AttachmentFormField  # noqa: PLC0415

        if self.settings.many:
            return None
        defaults = {"form_class": AttachmentFormField, "settings": self.settings}
        return models.Field.formfield(self, **{**defaults, **options})

    def _loaded(self, value: Any) -> Any:
        if self.settings.many:
            return AttachmentList([self.settings.load(each) for each in value or ()])
        return None if value is None else self.settings.load(value)


def _fills(value: Any) -> bool:
    """Return whether a statement writes a value, which then no other call checks."""
    while isinstance(value, Cast):
        (value,) = value.get_source_expressions()
    # The values of bulk_update()'s Case come here too.
    return bool(value) and not isinstance(value, models.Case)


_SETTINGS = {
    "max_size", "min_size", "types", "variants", "eager", "keep_latest", "serve", "while_missing",
    "default_url", "url_lifetime", "properties", "analyzers", "placeholder", "download_name",
    "moved_from",
}  # fmt: skip


def attachment_fields(model: type[Model]) -> list[AttachmentField]:
    """Return the fields with attachments of a model, inherited ones included."""
    return [each for each in model._meta.concrete_fields if isinstance(each, AttachmentField)]


def own_fields(model: type[Model]) -> list[AttachmentField]:
    """Return those whose columns are in the model's own table."""
    return [
        each
        for each in model._meta.concrete_model._meta.local_concrete_fields  # type: ignore[union-attr]
        if isinstance(each, AttachmentField)
    ]
