"""Tokens: signed texts by which a client hands back what it uploaded before.

A token contains the attachment without its disk and directory, and a signature over the field, the
owner, the expiry, the disk and the directory. So reading one asks no storage, and a client learns
of no key. It is signed and not encrypted: a client can read the rest, the properties among it.

That a token is used once is for the database to enforce, in the transaction that commits the claim:
all claims of one token have the same `Claimed.token_id`.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import time
from typing import TYPE_CHECKING, Any

from jtc.storage.exceptions import RejectedException, StorageConfigException

if TYPE_CHECKING:
    from jtc.storage.attachments.fields import Field
    from jtc.storage.attachments.models import Attachment
    from jtc.storage.attachments.registry import Registry

__all__ = ["TokenException", "token_used"]

_KIND = "attachment-token-1"
UPLOAD_KIND = "attachment-upload-1"
_LONGEST = 65_536


class TokenException(RejectedException):
    """A token is not valid, has expired or was used.

    Attributes:
        reason: ``"token"``, ``"token_expired"`` or ``"token_used"``.
    """


def token_used() -> TokenException:
    """Return the exception that a token was used before; the database finds that out."""
    return TokenException("The token was used before: upload the file again", reason="token_used")


def issue_token(
    registry: Registry, field: Field, attachment: Attachment, owner: object, expires_in: float
) -> str:
    """Return a token; see `Registry.issue_token`."""
    place = (attachment.disk, attachment.directory)
    if place not in field.places:
        raise StorageConfigException(
            f"The attachment {attachment.id!r} is not in a directory of the field {field.name!r}"
        )
    values = attachment.to_json()
    del values["disk"], values["directory"]
    return sign_payload(registry, _KIND, field, owner, place, values, expires_in)


def read_token(registry: Registry, field: Field, token: str, owner: object) -> Attachment:
    """Return the attachment of a token; see `Registry.read_token`."""
    values, (disk, directory) = read_payload(registry, _KIND, field, token, owner)
    attachment = field.load({**values, "disk": disk, "directory": directory})
    # `purge` deletes it then: a later token, of a form that was shown again, must not outlive it.
    if time.time() >= attachment.stored_at + registry.keep:
        raise _expired()
    return attachment


def sign_payload(
    registry: Registry,
    kind: str,
    field: Field,
    owner: object,
    place: tuple[str, str],
    values: dict[str, Any],
    expires_in: float,
) -> str:
    """Return a token with values that a client may read, and a signature over all arguments."""
    if not (expires_in > 0 and math.isfinite(expires_in)):
        raise ValueError(f"expires_in is a number of seconds above 0, not {expires_in!r}")
    content = json.dumps([math.ceil(time.time() + expires_in), values], separators=(",", ":"))
    payload = base64.urlsafe_b64encode(content.encode()).rstrip(b"=").decode()
    signed = registry.signatures.sign(
        kind, registry.namespace, field.name, _owner(owner), *place, payload
    )
    return f"{payload}.{signed}"


def read_payload(
    registry: Registry, kind: str, field: Field, token: str, owner: object
) -> tuple[dict[str, Any], tuple[str, str]]:
    """Return the values and the place of a token that `sign_payload` made.

    Raises:
        TokenException: It is not valid for this field and owner, or has expired.
    """
    payload, _, signature = token.partition(".") if len(token) <= _LONGEST else ("", "", "")
    signed = (kind, registry.namespace, field.name, _owner(owner))
    # The place is not in the token: it is the one that makes the signature fit.
    fitting = [
        place
        for place in field.places
        if registry.signatures.fits(signature, *signed, *place, payload)
    ]
    if not fitting:
        raise _invalid()
    try:
        content = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        expires, values = json.loads(content)
    except (binascii.Error, ValueError) as error:  # pragma: no cover - we signed it
        raise _invalid() from error
    if time.time() >= expires:
        raise _expired()
    return values, fitting[0]


def _owner(owner: object) -> str:
    if owner is None or owner == "":
        raise ValueError(
            "A token belongs to an owner: pass the user's id, or that of an anonymous session"
        )
    return str(owner)


def _expired() -> TokenException:
    return TokenException("The token has expired: upload the file again", reason="token_expired")


def _invalid() -> TokenException:
    # Without the reason, which would help an attacker.
    return TokenException("The token is not valid here: upload the file again", reason="token")
