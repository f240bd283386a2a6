"""Attachments in msgspec: out as `PublicAttachment`, in not at all.

::

    msgspec.json.encode(user, enc_hook=enc_hook)
    msgspec.json.decode(body, type=Form, dec_hook=dec_hook)
"""

from __future__ import annotations

from typing import Any

from jtc.storage.attachments.models import Attachment, AttachmentList

__all__ = ["dec_hook", "enc_hook"]


def enc_hook(value: Any) -> Any:
    """Return what msgspec encodes in the place of an attachment, or of a list of them.

    Raises:
        NotImplementedError: It is neither, as msgspec expects of a hook.
    """
    if isinstance(value, Attachment):
        return value.to_public()
    if isinstance(value, AttachmentList):
        return [each.to_public() for each in value]
    raise NotImplementedError(f"Objects of type {type(value).__name__} are not supported")


def dec_hook(kind: type, value: Any) -> Any:  # noqa: ARG001 - msgspec passes the value
    """Refuse what a client sent in the place of an attachment.

    Raises:
        ValueError: An attachment is expected here; msgspec makes a ValidationError of it.
        NotImplementedError: It is another type, as msgspec expects of a hook.
    """
    if kind in {Attachment, AttachmentList}:
        raise ValueError(
            "A file cannot be named by a client: send the token of an upload, a string, and claim "
            "it on the server"
        )
    raise NotImplementedError(f"Objects of type {kind.__name__} are not supported")
