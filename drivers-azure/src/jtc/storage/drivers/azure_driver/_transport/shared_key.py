"""Signatures of requests by the account's key.

https://learn.microsoft.com/en-us/rest/api/storageservices/authorize-with-shared-key
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["authorization", "signature"]

_SIGNED = (
    *("content-encoding", "content-language", "content-length", "content-md5", "content-type"),
    *("date", "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"),
)


def authorization(
    account: str,
    key: bytes,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    length: int,
) -> str:
    """Return the value of the header Authorization.

    Args:
        account: The account's name.
        key: Its key, decoded.
        method: Of HTTP.
        path: As it is sent.
        query: As it is sent.
        headers: By names in lower case, with ``x-ms-date``.
        length: That of the body.
    """
    sent = dict(headers)
    if length:
        sent["content-length"] = str(length)
    lines = [method, *[sent.get(name, "") for name in _SIGNED]]
    ours = sorted((name for name in headers if name.startswith("x-ms-")), key=_order)
    lines += [f"{name}:{headers[name].strip()}" for name in ours]
    lines.append(f"/{account}{path}")
    if query:
        pairs = sorted(each.partition("=")[::2] for each in query.split("&"))
        lines += [f"{name.lower()}:{unquote_plus(value)}" for name, value in pairs]
    return f"SharedKey {account}:{signature(key, chr(10).join(lines))}"


def signature(key: bytes, text: str) -> str:
    """Return the signature of a text."""
    return b64encode(hmac.digest(key, text.encode(), "sha256")).decode()


def _order(name: str) -> tuple[str, bytes]:
    """Return by what the service sorts a header's name: as .NET compares words.

    Underscores come before digits, and hyphens count only where all else is equal. Microsoft's own
    clients sort so too; by plain ASCII, some pairs of metadata names would be refused.
    """
    return name.replace("-", "").replace("_", "!"), bytes(each == "-" for each in name)
