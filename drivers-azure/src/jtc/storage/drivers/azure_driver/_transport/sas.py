"""Shared access signatures: permissions for one blob that expire.

https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas
https://learn.microsoft.com/en-us/rest/api/storageservices/create-user-delegation-sas
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from jtc.storage.drivers.azure_driver._transport.shared_key import signature

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["VERSION", "DelegationKey", "signed_query", "utc"]

VERSION = "2023-11-03"
"""The version of the service that is spoken to: what a signature consists of depends on it."""

_ANSWERED = ("rscc", "rscd", "rsce", "rscl", "rsct")
"""Headers of the answer that a signature may set: Cache-Control, Content-Disposition,
-Encoding, -Language, -Type."""


class DelegationKey(NamedTuple):
    """A key that Entra ID's token was exchanged for.

    Attributes:
        key: Decoded.
        fields: What a signature says of it, by the names in a URL.
        ends: When it does, in seconds since 1970 UTC.
    """

    key: bytes
    fields: Mapping[str, str]
    ends: float


def utc(seconds: float) -> str:
    """Return a time as Azure writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def signed_query(
    key: bytes | DelegationKey,
    account: str,
    container: str,
    blob: str,
    *,
    permissions: str,
    ends: float,
    is_secure: bool,
    answered: Mapping[str, str] | None = None,
) -> str:
    """Return the query that permits something with one blob.

    Args:
        key: The account's, or one of a user.
        account: Its name.
        container: The container's name.
        blob: The blob's name.
        permissions: Letters in Azure's order, such as ``"r"`` or ``"cw"``.
        ends: When the permission does, in seconds since 1970 UTC.
        is_secure: Whether it is for https alone.
        answered: Headers that the answer is to have, by their names in the query.
    """
    answered = answered or {}
    end, protocol = utc(ends), "https" if is_secure else ""
    resource = f"/blob/{account}/{container}/{blob}"
    query = {"sp": permissions, "se": end, "spr": protocol, "sv": VERSION, "sr": "b", **answered}
    if isinstance(key, DelegationKey):
        said = [key.fields[name] for name in ("skoid", "sktid", "skt", "ske", "sks", "skv")]
        # Then the authorized and the unauthorized object id, and the correlation id.
        lines = [permissions, "", end, resource, *said, "", "", ""]
        query, secret = {**query, **key.fields}, key.key
    else:
        lines, secret = [permissions, "", end, resource, ""], key
    # Where from, the protocol, the version, the kind, a snapshot's time, the encryption scope.
    lines += ["", protocol, VERSION, "b", "", ""]
    lines += [answered.get(name, "") for name in _ANSWERED]
    query["sig"] = signature(secret, "\n".join(lines))
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items() if value)
