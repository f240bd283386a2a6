"""Requests to a store and its answers."""

from __future__ import annotations

import email.utils
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["TEMPORARY", "Answer", "Body", "Refusal", "Request"]

T = TypeVar("T")

# As botocore's standard mode, with what RFC 9110 (15.5.9), RFC 6585 (4) and Cloudflare add:
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
# https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/
TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504, *range(520, 531)})
"""The statuses after which the same request may succeed a moment later."""


class Body(Protocol):
    """A file's content that is still on its way. It holds one of the disk's connections."""

    async def read(self, size: int) -> bytes:
        """Return the next bytes, `size` at most; none at the end.

        Raises:
            StorageException: The connection broke off.
        """
        ...

    def close(self) -> None:
        """Release the connection: to the pool if all was read, else by closing it."""
        ...


@dataclass(slots=True, eq=False, repr=False)
class Answer:
    """An answer of the store that is no refusal.

    Attributes:
        status: The HTTP status.
        headers: By names in any case.
        content: The whole body; or what it is read from, where the request left it open.
        is_repeated: Whether the request was sent before, and may have had an effect then.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes | Body
    is_repeated: bool

    @property
    def document(self) -> bytes:
        """The body, which was read."""
        return cast("bytes", self.content)


@dataclass(slots=True, eq=False, repr=False)
class Request(Generic[T]):
    """A request without host and signature.

    Attributes:
        operation: The store's name of it.
        method: Of HTTP.
        path: Percent-encoded, from the host's root on, with the first slash.
        result: Reads the answer.
        headers: By names in lower case.
        query: Percent-encoded and sorted by name.
        body: What is sent.
        leave_open_from: An answer's body of more bytes is left open; None: none is.
        most: How many bytes of an open body are taken at once, and only when the reader of those
            before wants more; None: as many as make it fast.
        copies: How many bytes the store copies by itself meanwhile, silently; None: no copy.
        asks_first: Whether the store is asked before a large body is sent (RFC 9110, 10.1.1): not
            for a part of an upload that was just begun, which it hardly refuses. None: where the
            headers have If-Match or If-None-Match, or it accepted no such body lately.
        accepts: Statuses of 300 and more that are no refusal, such as that by which a store wants
            the next part of an upload.
        origin: Where it goes, such as ``"https://host:443"``; empty: to the endpoint. Of several
            hosts, `Service.signed` sets it.
    """

    operation: str
    method: str
    path: str
    result: Callable[[Answer], T]
    headers: dict[str, str] = field(default_factory=dict[str, str])
    query: str = ""
    body: bytes = b""
    leave_open_from: int | None = None
    most: int | None = None
    copies: int | None = None
    asks_first: bool | None = None
    accepts: frozenset[int] = frozenset()
    origin: str = ""


class Refusal(Exception):
    """What the store answered in place of a success: the ``__cause__`` of a `StorageException`.

    Never raised by a disk by itself, and pickled with its exception. An error without an answer (a
    timeout, a broken connection) has another cause.

    Args:
        status: The HTTP status.
        code: The store's own code, such as ``"ServerBusy"``; empty where it has none.
        message: The store's own words.
        request_id: What the store's operators find the request by; empty where it has none.
        headers: Those of the answer.

    Attributes:
        status: The HTTP status.
        code: The store's own code.
        message: The store's own words, which may name files and hosts: for a log, not for users.
        request_id: What the store's operators find the request by.
        is_repeated: Whether the request had been sent before, and may have had an effect then: its
            answer was lost.
        clock: Seconds by which the store's clock is ahead of this machine's.
        retry_after: Seconds after which the store wants the request again; 0 where it says none.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        request_id: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        headers = headers or {}
        self.status = status
        self.code, self.message = _printable(code), _printable(message)
        self.request_id = _printable(request_id)
        self.is_repeated = False
        self.clock = _seconds_until(headers.get("date", ""))
        # https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
        self.retry_after = max(_seconds_until(headers.get("retry-after", "")), 0.0)
        named = f", request {self.request_id}" if self.request_id else ""
        super().__init__(f"HTTP {status} {self.code}: {self.message}{named}")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (type(self), self.__dict__.copy(), self.args)


def _rebuilt(
    kind: type[Refusal], attributes: dict[str, object], args: tuple[object, ...]
) -> Refusal:
    refusal = kind.__new__(kind)
    refusal.args = args
    refusal.__dict__.update(attributes)
    return refusal


def _seconds_until(text: str) -> float:
    """Return a number of seconds, or how many there are until a date; 0 for anything else."""
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0


_LONGEST_TEXT = 500


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text[:_LONGEST_TEXT]).strip()
