"""Values that a field of an object has until the object is saved."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jtc.storage.attachments import _ingest, plain
from jtc.storage.attachments.fields import Field
from jtc.storage.attachments.models import Attachment, AttachmentList
from jtc.storage.attachments.uploads import claim_token
from jtc.storage.exceptions import StorageException

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["AttachmentNotStagedException", "Claim", "Duplicate", "Stored", "claim", "duplicate"]


class AttachmentNotStagedException(StorageException):
    """A row was given an attachment that is another row's, or that its row names no longer."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The file of a token, for the field of an object that is saved next."""

    token: str = field(repr=False)
    owner: object


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A copy of another object's attachment, for the field of an object that is saved next."""

    attachment: Attachment


def claim(token: str, *, owner: object) -> Any:
    """Return the value to assign for a token: the end of a form, or of a direct upload.

    Its file becomes an attachment when the object is saved. A token is used once.

    Args:
        token: The token that the client sent.
        owner: Whose it must be: the id of the user, or of an anonymous session.
    """
    return Claim(token, owner)


def duplicate(attachment: Attachment) -> Any:
    """Return the value to assign for a copy of another object's attachment.

    The files are copied when the object is saved.
    """
    return Duplicate(attachment)


@dataclass(slots=True)
class Stored:
    """Files that were stored for one save, and tokens that it uses.

    Attributes:
        attachments: The files, which are deleted if the transaction does not commit.
        tokens: The ids of the tokens.
        left: Disks and directories that are needed no longer after the commit.
    """

    attachments: list[Attachment] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    tokens: list[str] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)

    async def resolve_all(self, values: dict[Field, Any]) -> dict[Field, Any]:
        """Store all pending values of the fields of an object; return their new values.

        Raises:
            Exception: One cannot be stored; those that were stored are deleted.
        """
        try:
            return {
                each: await self._many(each, value) if each.many else await self._one(each, value)
                for each, value in values.items()
            }
        except BaseException:
            for attachment in self.attachments:
                known = next(each for each in values if each is attachment.field)
                disk = known.registry.disk(attachment.disk)
                await _ingest.discard(disk, attachment.own_directory)
            raise

    async def _many(self, settings: Field, values: Iterable[Any]) -> AttachmentList:
        found = [await self._one(settings, value) for value in values]
        if settings.keep_latest is not None and len(found) > settings.keep_latest:
            latest = sorted(found, key=lambda each: each.stored_at)[-settings.keep_latest :]
            found = [each for each in found if each in latest]
        return AttachmentList(found)

    async def _one(self, settings: Field, value: Any) -> Any:
        if value is None or isinstance(value, Attachment):
            return value
        if isinstance(value, Claim):
            claimed = await claim_token(settings, value.token, value.owner)
            self.tokens.append(claimed.token_id)
            self.left += [claimed.left] if claimed.left is not None else []
            new, is_own = claimed.attachment, claimed.is_new
        elif isinstance(value, Duplicate):
            source = value.attachment.field
            if not isinstance(source, Field):
                raise TypeError(
                    f"The attachment {value.attachment.id!r} was loaded without a field"
                )
            new, is_own = await plain.duplicate(value.attachment, source, to=settings), True
        else:
            new, is_own = await _ingest.ingest(settings, value, name=_name_of(value)), True
        self.ids.add(new.id)
        if is_own:
            self.attachments.append(new)
        return new


def is_pending(value: Any) -> bool:
    """Return whether a field's value has to be stored first."""
    if isinstance(value, (tuple, list)):
        return any(is_pending(each) for each in value)
    return not (value is None or isinstance(value, (Attachment, AttachmentList)))


def _name_of(upload: Any) -> str | None:
    # Not the path of an open file of the application's own.
    name = getattr(upload, "name", None)
    return os.path.basename(name) if isinstance(name, str) else None  # noqa: PTH119
