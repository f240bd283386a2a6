"""`FileAnswer`: what the answer to a GET or a HEAD of a file says."""

from __future__ import annotations

import email.utils
import functools
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.http_support.requests import Answer, Body

__all__ = ["WHOLE", "FileAnswer", "quoted"]

WHOLE = 200
"""The status of an answer that has the whole file."""

_PARTIAL = 206
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,20})-[0-9]+/([0-9]{1,20})")


@dataclass(slots=True, eq=False, repr=False)
class FileAnswer:
    """What the answer to a GET or a HEAD says.

    Attributes:
        status: 206 for a range, else 200.
        headers: By names in any case.
        content: The whole body or where it is read from; nothing for a HEAD.
        length: The whole file's length in bytes, where another answer said it.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes | Body
    length: int | None = None

    @classmethod
    def of(cls, answer: Answer) -> Self:
        """Return what an answer says: the `result` of a request."""
        return cls(answer.status, answer.headers, answer.content)

    @property
    def etag(self) -> str | None:
        """The etag in quotes; None for a weak one, which meets no condition (RFC 9110, 13.1.1)."""
        return quoted(self.headers.get("etag"))

    @property
    def size(self) -> int | None:
        """The whole file's length in bytes, where an answer says it."""
        if self.length is not None:
            return self.length
        found = _CONTENT_RANGE.fullmatch(self.headers.get("content-range", ""))
        text = found[2] if found else self.headers.get("content-length", "")
        if self.status == _PARTIAL and not found:
            return None
        return int(text) if text.isascii() and text.isdecimal() else None

    @property
    def is_unplaced(self) -> bool:
        """Whether this is a range that does not say which one (RFC 9110, 15.3.7.1, wants it)."""
        said = self.headers.get("content-range", "")
        return self.status == _PARTIAL and not _CONTENT_RANGE.fullmatch(said)

    @property
    def first(self) -> int:
        """The position in the file of the first byte of this answer."""
        found = _CONTENT_RANGE.fullmatch(self.headers.get("content-range", ""))
        return int(found[1]) if found else 0

    @property
    def last_modified(self) -> float:
        """When the file was written, in seconds since 1970 UTC; now, where no answer says it."""
        for name in ("last-modified", "date"):
            try:
                return _seconds(self.headers[name])
            except (KeyError, ValueError, OverflowError):
                continue
        return float(int(time.time()))

    def close(self) -> None:
        """Release the connection where the content was left open."""
        if not isinstance(self.content, bytes):
            self.content.close()


@functools.lru_cache(maxsize=128)  # files that were stored together have one time
def _seconds(date: str) -> float:
    return email.utils.parsedate_to_datetime(date).timestamp()


def quoted(etag: str | None) -> str | None:
    """Return an etag in quotes, which some answers lack; None for a weak one."""
    if not etag or etag.startswith("W/"):
        return None
    return etag if etag[0] == '"' else f'"{etag}"'
