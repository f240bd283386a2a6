"""What a request asks on condition, and which part of a file: RFC 9110, sections 13 and 14."""

from __future__ import annotations

import re
import time
from email.utils import mktime_tz, parsedate_tz
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.datastructures import Headers

__all__ = ["CONDITIONS", "UnsatisfiableRangeError", "failed_condition", "wanted_range"]

CONDITIONS = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")

_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
# One range. Several are not asked for by players or downloads, but to make a server send a file
# many times over; RFC 9110, section 14.2, allows to answer them whole.
_RANGE = re.compile(
    r"bytes=[ \t]*(?:([0-9]{1,40})-([0-9]{1,40})?|-([0-9]{1,40}))[ \t]*", re.IGNORECASE
)
# Section 5.6.7: three ways to write a date. The parser takes others too, and a list for its first
# one, all of which are to be ignored (sections 13.1.3 and 13.1.4).
_TIME = "[0-2][0-9]:[0-5][0-9]:[0-6][0-9]"
_DATE = re.compile(
    rf"[A-Z][a-z]{{2}}, [0-9]{{1,2}} [A-Z][a-z]{{2}} [0-9]{{4}} {_TIME} GMT"
    rf"|[A-Z][a-z]{{5,8}}, [0-9]{{2}}-[A-Z][a-z]{{2}}-[0-9]{{2}} {_TIME} GMT"
    rf"|[A-Z][a-z]{{2}} [A-Z][a-z]{{2}} [ 0-9][0-9] {_TIME} [0-9]{{4}}"
)


class UnsatisfiableRangeError(Exception):
    """The range begins behind the file's end."""


def failed_condition(
    method: str, headers: Headers, etag: str | None, last_modified: float
) -> int | None:
    """Return the status of the condition that does not hold, in the order of section 13.2.2.

    Args:
        method: For GET and HEAD, what the client has already is a 304; else it is a 412.
        headers: The request's.
        etag: The file's, as HTTP writes it.
        last_modified: When it was written, in seconds since 1970 UTC.
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


def wanted_range(
    headers: Headers, etag: str | None, last_modified: float, size: int
) -> tuple[int, int] | None:
    """Return the part that a GET asks for, ``[start, end)``, or None for the whole file.

    Whole is also the answer to what is no range, to several, and where If-Range names another
    version.

    Raises:
        UnsatisfiableRangeError: There is nothing to send of such a part.
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


def _is_version(wanted: str | None, etag: str | None, last_modified: float) -> bool:
    """Tell whether If-Range holds (section 13.1.5); without one it does."""
    if wanted is None:
        return True
    wanted = wanted.strip()
    if wanted.startswith(('"', "W/")):
        return wanted == etag and not wanted.startswith("W/")
    date = _seconds(wanted)
    # Within its second a file may be written again: until that is over, its date names no version.
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
    """Tell whether a file was written after a date; None where there is no date."""
    since = None if date is None else _seconds(date.strip())
    return None if since is None else int(last_modified) > since


def _seconds(date: str) -> int | None:
    """Return an HTTP date in seconds since 1970; None for what is none, which is to be ignored."""
    parsed = parsedate_tz(date) if _DATE.fullmatch(date) else None
    return None if parsed is None else int(mktime_tz(parsed))
