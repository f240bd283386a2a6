"""Removal of secrets from errors of aiohttp."""

from __future__ import annotations

import re

from jtc.storage.driver_support.traceback_scrubbing import scrub_error

__all__ = ["remove_request", "scrub"]

_QUERY = re.compile(r"\?[^\s'\"]+")


def scrub(error: BaseException) -> None:
    """Remove keys and signed requests from an error, in the ``except`` block that handles it.

    Args:
        error: The error; its causes and contexts are scrubbed too.
    """
    scrub_error(error, remove_request)


def remove_request(error: BaseException) -> None:
    """Remove signed headers and URLs, and a proxy's password, from one error of aiohttp."""
    if type(error).__module__.partition(".")[0] == "aiohttp":
        attributes = vars(error)
        attributes.update({name: _without_secrets(value) for name, value in attributes.items()})
        error.args = tuple(map(_without_secrets, error.args))
        if isinstance(error, OSError):  # which shows another text than its arguments
            error.strerror = _QUERY.sub("", error.strerror or "")


def _without_secrets(value: object) -> object:
    """Return a text without queries, or a named tuple without signed headers and passwords too."""
    if isinstance(value, str):
        return _QUERY.sub("", value)
    copy_with = getattr(value, "_replace", None)
    if copy_with is None:
        return value
    hidden: dict[str, object] = {"headers": {}, "proxy": None, "proxy_auth": None}
    fields = getattr(value, "_fields", ())
    # A signature may be a part of the query.
    urls = {name: getattr(value, name) for name in ("url", "real_url") if name in fields}
    hidden |= {name: url.with_query(None) for name, url in urls.items()}
    return copy_with(**{name: hidden[name] for name in hidden if name in fields})
