"""`AttachmentAdminMixin`: uploads in Django's admin that survive a form with errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jtc.storage.attachments.django.fields import AttachmentField

if TYPE_CHECKING:
    from django.forms import Field as FormField

__all__ = ["AttachmentAdminMixin"]


class AttachmentAdminMixin:
    """For a `ModelAdmin`: an upload belongs to the user, and a form with errors keeps it.

    Without it, the admin has the preview too; after an error the file has to be chosen again.
    """

    def formfield_for_dbfield(
        self, db_field: Any, request: Any, **options: Any
    ) -> FormField | None:
        """Return the form field, whose uploads belong to the user."""
        if isinstance(db_field, AttachmentField) and request is not None:
            options["owner"] = request.user.pk
        found: FormField | None = super().formfield_for_dbfield(db_field, request, **options)  # type: ignore[misc]
        return found
