"""Attachments in Pydantic models: out as `PublicAttachment`, in not at all.

`Attachment` and `AttachmentList` are types of fields by themselves, as in a ``response_model`` of
FastAPI. A model takes the attachment of a record (``from_attributes``), and refuses what a client
sent: that is no attachment, only a token is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError, core_schema

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

__all__ = ["ATTACHMENT", "attachment_schema", "list_schema"]

_INTEGER = {"anyOf": [{"type": "integer"}, {"type": "null"}]}
_TEXT = {"anyOf": [{"type": "string"}, {"type": "null"}]}

ATTACHMENT: dict[str, Any] = {
    "title": "Attachment",
    "type": "object",
    "readOnly": True,
    "properties": {
        "url": {"type": "string"},
        "name": {"type": "string"},
        "type": {"type": "string"},
        "size": {"type": "integer"},
        "width": _INTEGER,
        "height": _INTEGER,
        "placeholder": _TEXT,
        "variants": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": {
                    "url": {"type": "string"},
                    "type": {"type": "string"},
                    "width": _INTEGER,
                    "height": _INTEGER,
                },
                "required": ["url", "type", "width", "height"],
            },
        },
    },
    "required": ["url", "name", "type", "size", "width", "height", "placeholder", "variants"],
}
"""The JSON schema of `PublicAttachment`."""


def attachment_schema(cls: type[Any]) -> CoreSchema:
    """Return the schema of `Attachment`."""
    return _schema(cls, lambda value: value.to_public())


def list_schema(cls: type[Any]) -> CoreSchema:
    """Return the schema of `AttachmentList`."""
    return _schema(cls, lambda value: [each.to_public() for each in value])


def _schema(cls: type[Any], serialize: Any) -> CoreSchema:
    def validate(value: Any) -> Any:
        if isinstance(value, cls):
            return value
        raise PydanticCustomError(
            "attachment",
            "A file cannot be named by a client: send the token of an upload, a string, and claim "
            "it on the server",
        )

    return core_schema.no_info_plain_validator_function(
        validate, serialization=core_schema.plain_serializer_function_ser_schema(serialize)
    )
