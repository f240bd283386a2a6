"""Conditional requests and byte ranges: RFC 9110, sections 13 and 14."""

from __future__ import annotations

import re
import time
from email.utils import mktime_tz, parsedate_tz
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.datastructures import Headers

__all__ = [
    "CONDITIONS",
    "UnsatisfiableRangeError",
    "failed_condition",
    "range_bounds",
    "requested_range",
    "seconds_of",
]

CONDITIONS = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")

_NO_LENGTH = 2**62
"""No file is as long."""

_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
# One range. Players and downloads ask for one; many ranges make a server send a file many times
# over. RFC 9110, section 14.2, allows a server to send the whole file instead.
_RANGE = re.compile(
    r"bytes=[ \t]*(?:([0-9]{1,40})-([0-9]{1,40})?|-([0-9]{1,40}))[ \t]*", re.IGNORECASE
)
# The three formats of section 5.6.7. The parser accepts others too, and the first date of a list;
# sections 13.1.3 and 13.1.4 require that all of these are ignored.
_TIME = "[0-2][0-9]:[0-5][0-9]:[0-6][0-9]"
_DATE = re.compile(
    rf"[A-Z][a-z]{{2}}, [0-9]{{1,2}} [A-Z][a-z]{{2}} [0-9]{{4}} {_TIME} GMT"
    rf"|[A-Z][a-z]{{5,8}}, [0-9]{{2}}-[A-Z][a-z]{{2}}-[0-9]{{2}} {_TIME} GMT"
    rf"|[A-Z][a-z]{{2}} [A-Z][a-z]{{2}} [ 0-9][0-9] {_TIME} [0-9]{{4}}"
)


class UnsatisfiableRangeError(Exception):
    """The range begins after the file's end."""


def failed_condition(
    method: str, headers: Headers, etag: str | None, last_modified: float
) -> int | None:
    """Return the status of the first condition that fails, in the order of section 13.2.2.

    Args:
        method: GET and HEAD get 304 where the client has this version already; others get 412.
        headers: The request's headers.
        etag: The file's etag as an HTTP header has it.
        last_modified: When the file was written, in seconds since 1970 UTC.
    """
    reading = method in ("GET", "HEAD")
    if (tags := _field(headers, "if-match")) is not None:
        failed = not _matches(tags, etag, weakly=False)
    else:
        failed = _is_newer(last_modified, _field(headers, "if-unmodified-since")) is True
    if failed:
        return HTTPStatus.PRECONDITION_FAILED
    if (tags := _field(headers, "if-none-match")) is not None:
        known = _matches(tags, etag, weakly=True)
    else:
        since = _field(headers, "if-modified-since")
        known = reading and _is_newer(last_modified, since) is False
    if known:
        return HTTPStatus.NOT_MODIFIED if reading else HTTPStatus.PRECONDITION_FAILED
    return None


def requested_range(
    headers: Headers, etag: str | None, last_modified: float, size: int
) -> tuple[int, int] | None:
    """Return the range ``[start, end)`` that a GET requests, or None for the whole file.

    The whole file is also the response to an invalid range, to several ranges, and to an If-Range
    that names another version.

    Raises:
        UnsatisfiableRangeError: The range has no bytes of the file.
    """
    match = _RANGE.fullmatch(_field(headers, "range") or "")
    if match is None or not _is_version(_field(headers, "if-range"), etag, last_modified):
        return None
    first, last, suffix = (None if text is None else int(text) for text in match.groups())
    if suffix is not None:
        if suffix == 0:
            raise UnsatisfiableRangeError
        return (max(0, size - suffix), size) if size else None
    if first is None or (last is not None and last < first):
        return None
    if first >= size:
        raise UnsatisfiableRangeError
    return first, size if last is None else min(last + 1, size)


def range_bounds(headers: Headers) -> tuple[int, int | None] | None:
    """Return `start` and `end` of a stream of the range that a GET requests, whatever the length.

    None is for no range, and for one that no file has.
    """
    match = _RANGE.fullmatch(_field(headers, "range") or "")
    if match is None:
        return None
    first, last, suffix = (None if text is None else int(text) for text in match.groups())
    if suffix is not None:
        return (-suffix, None) if 0 < suffix < _NO_LENGTH else None
    if first is None or first >= _NO_LENGTH or (last is not None and last < first):
        return None
    return first, None if last is None or last >= _NO_LENGTH else last + 1


def _is_version(version: str | None, etag: str | None, last_modified: float) -> bool:
    """Return whether an If-Range (section 13.1.5) names this version; True without one."""
    if version is None:
        return True
    version = version.strip()
    if version.startswith(('"', "W/")):
        return version == etag and not version.startswith("W/")
    date = seconds_of(version)
    # A file may be written again within the same second, so a date of this second is no version.
    return date is not None and date == int(last_modified) < int(time.time())


def _matches(tags: str, etag: str | None, *, weakly: bool) -> bool:
    if tags.strip() == "*":
        return True
    if etag is None or (etag.startswith("W/") and not weakly):
        return False
    opaque = etag.removeprefix("W/")
    return any(tag == opaque and (weakly or not weak) for weak, tag in _TAG.findall(tags))


def _field(headers: Headers, name: str) -> str | None:
    lines = headers.getlist(name)
    return ", ".join(lines) if lines else None


def _is_newer(last_modified: float, date: str | None) -> bool | None:
    """Return whether a file was written after a date; None for an invalid date or none."""
    since = None if date is None else seconds_of(date.strip())
    return None if since is None else int(last_modified) > since


def seconds_of(date: str) -> int | None:
    """Return an HTTP date in seconds since 1970; None for an invalid date, which is ignored."""
    parsed = parsedate_tz(date) if _DATE.fullmatch(date) else None
    return None if parsed is None else int(mktime_tz(parsed))
