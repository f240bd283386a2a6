"""Widget of `AttachmentFormField`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms

from jtc.storage.attachments.models import Attachment

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AttachmentInput", "Kept"]


class AttachmentInput(forms.ClearableFileInput):
    """A file input with a preview, a box that clears the field, and the token of an upload.

    Attributes:
        variant: The variant that the preview shows; None shows the original of an image.
    """

    template_name = "jtc_attachments/input.html"
    variant: str | None = None

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Any:
        """Return the upload; else False to clear the field; else a token as text; else None."""
        value = super().value_from_datadict(data, files, name)
        return value if value is not None else data.get(self.token_name(name)) or None

    def value_omitted_from_data(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        """Return whether the client sent nothing of the field."""
        return super().value_omitted_from_data(data, files, name) and (
            self.token_name(name) not in data
        )

    def token_name(self, name: str) -> str:
        """Return the name of the hidden input."""
        return f"{name}-token"

    def is_initial(self, value: Any) -> bool:
        """Return whether there is a file already."""
        return isinstance(value, Attachment)

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """Return what the template shows."""
        kept = value if isinstance(value, Kept) else None
        shown = value if kept is None else kept.attachment
        context: dict[str, Any] = super().get_context(name, shown, attrs)
        context["widget"] |= {
            "attachment": shown,
            "preview": None if kept is not None else self._preview(shown),
            "token_name": self.token_name(name),
            "token": None if kept is None else kept.token,
        }
        return context

    def _preview(self, shown: Any) -> str | None:
        if not isinstance(shown, Attachment) or shown.field is None:
            return None
        if self.variant is None and not shown.content_type.startswith("image/"):
            return None
        return shown.url(self.variant)


class Kept:
    """An upload that was stored when a form was checked."""

    def __init__(self, attachment: Attachment, token: str) -> None:
        self.attachment = attachment
        self.token = token
