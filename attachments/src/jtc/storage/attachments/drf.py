"""Attachments in serializers of Django REST framework: out as `PublicAttachment`, in not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from rest_framework.exceptions import ValidationError
from rest_framework.fields import Field as SerializerField

if TYPE_CHECKING:
    from jtc.storage.attachments.models import Attachment, AttachmentList, PublicAttachment

__all__ = ["AttachmentListSerializerField", "AttachmentSerializerField"]


class AttachmentSerializerField(SerializerField):
    """A field with one attachment.

    Without ``read_only=True`` it refuses each value of a request, so that a client learns that it
    sent something in vain.
    """

    def to_representation(self, value: Attachment) -> PublicAttachment:
        """Return what a client may see of an attachment."""
        return value.to_public()

    def to_internal_value(self, data: Any) -> NoReturn:  # noqa: ARG002 - of the base class
        """Refuse what a client sent.

        Raises:
            ValidationError: Always.
        """
        raise ValidationError(  # type: ignore[no-untyped-call] # it has no types
            "A file cannot be named by a client: send the token of an upload, a string, and claim "
            "it on the server",
            code="attachment",
        )


class AttachmentListSerializerField(AttachmentSerializerField):
    """A field with a list of attachments."""

    def to_representation(  # type: ignore[override] # a list in place of one
        self, value: AttachmentList
    ) -> list[PublicAttachment]:
        """Return what a client may see of each attachment."""
        return [each.to_public() for each in value]
