"""Expiry of presigned URLs, as their query says it."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import parse_qsl, urlsplit

__all__ = ["expiry_of"]

_TIMES = ("expires", "exp", "se", "expiry")
"""A time: seconds since 1970, or ISO 8601."""
_SPANS = (("x-amz-expires", "x-amz-date"), ("x-goog-expires", "x-goog-date"))
"""A number of seconds, and the time from which they count."""


def expiry_of(url: str) -> float | None:
    """Return when a URL ends, in seconds since 1970 UTC; None where its query does not say it."""
    query = {name.lower(): value for name, value in parse_qsl(urlsplit(url).query)}
    for span, since in _SPANS:
        if span in query and since in query:
            return _time(query[since]) + float(query[span])
    return next((_time(query[name]) for name in _TIMES if name in query), None)


def _time(value: str) -> float:
    if value.replace(".", "", 1).isdigit():
        return float(value)
    return datetime.fromisoformat(value).timestamp()
