"""Form field of `AttachmentField`: the file that is there, a new one, and none.

With an owner, an upload is stored when the form is checked. A form that is shown again, since
another field was wrong, has its token: the client need not send the file again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy

from jtc.storage.attachments import _ingest
from jtc.storage.attachments.django._pending import Claim
from jtc.storage.attachments.django._widgets import AttachmentInput, Kept
from jtc.storage.attachments.tokens import TokenException
from jtc.storage.driver_support.content_checks import check_type, limits
from jtc.storage.driver_support.mime_types import SNIFF_BYTES, checked_types
from jtc.storage.exceptions import RejectedException
from jtc.storage.sync import run

if TYPE_CHECKING:
    from jtc.storage.attachments.fields import Field

__all__ = ["AttachmentFormField"]


class AttachmentFormField(forms.FileField):
    """The form field of an `AttachmentField`.

    Args:
        settings: The field's settings.
        owner: Whose uploads are kept for a form that is shown again: the id of the user, or of an
            anonymous session. None keeps none: a client has to choose the file again.
        **options: The options of Django's `FileField`.

    Attributes:
        kept: The uploads that this form stored, by their tokens.
    """

    widget = AttachmentInput
    default_error_messages = {  # noqa: RUF012 - as Django's fields have it
        "token": gettext_lazy("The upload is not available any more. Choose the file again.")
    }

    def __init__(self, *, settings: Field, owner: object = None, **options: Any) -> None:
        options.pop("max_length", None)
        self.settings = settings
        self.owner = owner
        self.kept: dict[str, Kept] = {}
        super().__init__(**options)

    def __deepcopy__(self, memo: Any) -> Any:
        found = super().__deepcopy__(memo)
        found.kept = {}
        return found

    def clean(self, data: Any, initial: Any = None) -> Any:
        """Return what the object's field is to have: an upload, None, or what it has.

        Raises:
            ValidationError: The upload is not one that the field takes, or a token is not valid.
        """
        if isinstance(data, str):
            return self._claimed(data)
        value = super().clean(data, initial)
        if not isinstance(value, UploadedFile):
            return None if value is False else value
        try:
            return self._checked(value) if self.owner is None else self._stored(value)
        except RejectedException as error:
            raise ValidationError(error.message, code=error.reason) from error

    def bound_data(self, data: Any, initial: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return what a form that is shown again has: the file that was stored, if there is one."""
        token = data if isinstance(data, str) else self._token_of(data)
        return self.kept.get(token, initial)

    def has_changed(self, initial: Any, data: Any) -> bool:  # noqa: ARG002 - as Django has it
        """Return whether the client sent a file, a token, or a wish to clear the field."""
        return not self.disabled and data is not None

    def _token_of(self, data: Any) -> str:
        return getattr(data, "attachment_token", "")

    def _stored(self, upload: UploadedFile[Any]) -> Claim:
        attachment = run(_ingest.ingest(self.settings, upload, name=upload.name))
        token = self.settings.registry.issue_token(self.settings, attachment, self.owner)
        upload.attachment_token = token  # type: ignore[attr-defined] # found again by bound_data
        self.kept[token] = Kept(attachment, token)
        return Claim(token, self.owner)

    def _claimed(self, token: str) -> Claim:
        try:
            if self.owner is None:
                raise TokenException("There is no owner", reason="token")
            attachment = self.settings.registry.read_token(self.settings, token, self.owner)
        except TokenException as error:
            raise ValidationError(self.error_messages["token"], code="token") from error
        self.kept[token] = Kept(attachment, token)
        return Claim(token, self.owner)

    def _checked(self, upload: UploadedFile[Any]) -> UploadedFile[Any]:
        """Check what the file says of itself; all of it is checked when the object is saved."""
        settings = self.settings
        limits(size=upload.size, min_size=settings.min_size, max_size=settings.max_size)
        if settings.types is not None:
            head = upload.read(SNIFF_BYTES)
            upload.seek(0)
            kind = _ingest.kind_of(settings, upload.name or "", head)
            check_type(kind.content_type, checked_types(settings.types))
        return upload
