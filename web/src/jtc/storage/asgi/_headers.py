"""Response headers of a file.

Names and declared metadata come from users: no value may become another header, or another type.
"""

from __future__ import annotations

import hashlib
import re
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import quote

from jtc.storage.driver_support.mime_types import OCTET_STREAM, guess_type, is_active
from jtc.storage.paths import FORBIDDEN

if TYPE_CHECKING:
    from jtc.storage.models import FileInfo

__all__ = ["attachment", "file_headers", "http_etag"]

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# Without quoted parameters: for some browsers, a comma in them begins another type
# (https://fetch.spec.whatwg.org/#concept-header-extract-mime-type).
_TYPE = re.compile(rf"\s*({_WORD}/{_WORD})((?:\s*;\s*{_WORD}={_WORD})*)\s*(?:;.*)?")
_ETAG = re.compile(r'(W/)?"?([\x21\x23-\x7e]+)"?')
# Without a token before the ";", browsers see no disposition type, and show the file.
_SAVED = re.compile(r"\s*attachment\s*(;.*)?", re.IGNORECASE)
_FILE_NAME = re.compile(r'filename="([^"]*)"', re.IGNORECASE)
_NOT_IN_QUOTES = re.compile(r"[^ !#-$&-\[\]-~]")
_LATEST = 253_402_300_799
"""The last second of the year 9999, and of HTTP dates."""
_ATTR_CHARS = "!#$&+-.^_`|~"
"""RFC 8187, section 3.2.1: the characters of an extended value beyond letters and digits."""

_SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


def file_headers(
    info: FileInfo,
    *,
    content_type: str | None = None,
    content_disposition: str | None = None,
    cache_control: str | None = None,
    name: str | None = None,
    active: bool = False,
) -> dict[str, str]:
    """Return the headers that every response with a file has, except for its length.

    Args:
        info: The file's metadata.
        content_type: Replaces the file's own.
        content_disposition: Replaces the file's own.
        cache_control: The Cache-Control to send; not the file's own.
        name: A name to guess the type by, where the file's path says nothing.
        active: Let a browser run what it can run.
    """
    known = content_type or info.content_type or guess_type(info.path)
    if name is not None and known == OCTET_STREAM and content_type is None:
        known = guess_type(name)
    essence, parameters = _type_of(known)
    disposition = content_disposition or info.content_disposition
    saved_as = info.path.rpartition("/")[2]
    headers = {
        "content-type": essence + parameters,
        "last-modified": formatdate(min(max(0, int(info.last_modified)), _LATEST), usegmt=True),
        "accept-ranges": "bytes",
        "x-content-type-options": "nosniff",
    }
    if disposition is not None:
        disposition = _encodable(disposition, saved_as)
    if not active and is_active(essence):
        headers["content-security-policy"] = _SANDBOX
        if disposition is None or not _SAVED.fullmatch(disposition):
            disposition = attachment(saved_as)
    if disposition is not None:
        headers["content-disposition"] = disposition
    if info.content_encoding is not None and _is_plain(info.content_encoding):
        headers["content-encoding"] = info.content_encoding
    if (etag := http_etag(info)) is not None:
        headers["etag"] = etag
    if cache_control is not None and _is_plain(cache_control):
        headers["cache-control"] = cache_control
    return headers


def attachment(name: str, kind: str = "attachment") -> str:
    """Return a Content-Disposition for a name in any script (RFC 6266, RFC 8187).

    Current clients read ``filename*``, old ones ``filename``, where ``_`` replaces what they cannot
    read. Separators, control characters and text direction overrides become ``_`` in both.

    Args:
        name: The name to save the file under.
        kind: ``"attachment"`` or ``"inline"``.

    Raises:
        ValueError: The kind is another one.
    """
    if kind not in ("attachment", "inline"):
        raise ValueError(f"A disposition is 'attachment' or 'inline', not {kind!r}")
    name = FORBIDDEN.sub("_", name.replace("/", "_"))
    plain = _NOT_IN_QUOTES.sub("_", name)
    disposition = f'{kind}; filename="{plain}"'
    if plain == name:
        return disposition
    return f"{disposition}; filename*=UTF-8''{quote(name, safe=_ATTR_CHARS)}"


def http_etag(info: FileInfo) -> str | None:
    """Return a file's etag as an HTTP header has it: in quotes, and hashed if not printable."""
    if info.etag is None:
        return None
    if (match := _ETAG.fullmatch(info.etag)) is not None:
        return f'{match[1] or ""}"{match[2]}"'
    return f'"{hashlib.sha256(info.etag.encode("utf-8", "surrogatepass")).hexdigest()}"'


def _type_of(declared: str) -> tuple[str, str]:
    """Return a type and its parameters; ``application/octet-stream`` for an invalid type."""
    match = _TYPE.fullmatch(declared) if _is_plain(declared) else None
    if match is None:
        return OCTET_STREAM, ""
    essence, parameters = match[1].lower(), match[2]
    if essence.startswith("text/") and "charset" not in parameters.lower():
        parameters += "; charset=utf-8"
    return essence, parameters


def _is_plain(value: str) -> bool:
    return value.isascii() and value.isprintable()


def _encodable(disposition: str, name: str) -> str:
    """Return a declared disposition in the characters that a header may have."""
    if _is_plain(disposition):
        return disposition
    kind = "inline" if disposition.strip().lower().startswith("inline") else "attachment"
    match = _FILE_NAME.search(disposition)
    return attachment(match[1] if match else name, kind)
