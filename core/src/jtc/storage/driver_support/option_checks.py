"""Checks of options that several drivers have, made when a driver is made."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from jtc.storage.exceptions import StorageConfigException
from jtc.storage.models import Visibility

__all__ = ["checked_base_url", "checked_visibility"]

_NAMES = {"\n": "a newline", "\r": "a carriage return", "\t": "a tab", " ": "a space"}
# What would end an attribute in HTML, or is no part of a URL (RFC 3986).
_UNFIT = re.compile(r"""\s|[\x00-\x1f\x7f-\x9f\\\ud800-\udfff"<>^`{|}]""")


def checked_base_url(url: object, *schemes: str) -> str:
    """Return the option `base_url`: an absolute path, or a URL by http or https.

    Args:
        url: The option's value.
        *schemes: Further schemes that are allowed.

    Raises:
        StorageConfigException: It is something else, such as a ``javascript:`` URL; or has a line
            break or a space, a query, or credentials, which every URL would show.
    """
    if not isinstance(url, str):
        raise _refused(f"is a str, not {type(url).__name__}")
    if found := _UNFIT.search(url):
        where = "ends in" if found.end() == len(url) else "contains"
        raise _refused(f"{where} {_NAMES.get(found[0], ascii(found[0]))}")
    try:
        parts = urlsplit(url)
        is_complete = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise _refused("is no URL") from None
    if parts.username is not None or parts.password is not None:
        raise _refused("holds credentials, which every URL would show")
    if "?" in url or "#" in url:
        raise _refused("ends with its path: a file's path follows")
    if not (url.startswith("/") or parts.scheme in schemes):
        is_web = parts.scheme in ("http", "https")
        if not (is_web and is_complete):
            raise _refused("begins with '/', or with 'https://' and a host's name")
    return url


def checked_visibility(visibility: object) -> Visibility | None:
    """Return the option `visibility`; None where it is not set.

    Raises:
        StorageConfigException: It is neither ``"public"`` nor ``"private"``.
    """
    if visibility is None:
        return None
    for each in Visibility:
        if each == visibility:
            return each
    raise StorageConfigException(f"'visibility' is 'public' or 'private', not {visibility!r}")


def _refused(reason: str) -> StorageConfigException:
    return StorageConfigException(f"'base_url' {reason}")
