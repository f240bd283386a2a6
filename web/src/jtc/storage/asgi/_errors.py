"""Error responses: the HTTP status of each exception, and nothing of its message."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

from jtc.storage.exceptions import (
    FileNotFoundException,
    IntegrityException,
    InvalidPathException,
    NotModifiedException,
    PathConflictException,
    PreconditionFailedException,
    ReadOnlyException,
    RejectedException,
    StorageException,
    StorageFullException,
    StoragePermissionException,
    StorageUnavailableException,
    UnsupportedOperationException,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Send

__all__ = [
    "RETRY_AFTER",
    "StatusError",
    "phrase_of",
    "send_disconnected",
    "send_error",
    "send_head",
    "send_status",
    "status_of",
]

# The most derived class comes first.
_STATUSES: tuple[tuple[type[StorageException], HTTPStatus], ...] = (
    (NotModifiedException, HTTPStatus.NOT_MODIFIED),
    (FileNotFoundException, HTTPStatus.NOT_FOUND),
    (InvalidPathException, HTTPStatus.BAD_REQUEST),
    (ReadOnlyException, HTTPStatus.FORBIDDEN),
    (StoragePermissionException, HTTPStatus.FORBIDDEN),
    (PathConflictException, HTTPStatus.CONFLICT),
    (PreconditionFailedException, HTTPStatus.PRECONDITION_FAILED),
    (IntegrityException, HTTPStatus.BAD_REQUEST),
    (UnsupportedOperationException, HTTPStatus.NOT_IMPLEMENTED),
    (StorageUnavailableException, HTTPStatus.SERVICE_UNAVAILABLE),
    (StorageFullException, HTTPStatus.INSUFFICIENT_STORAGE),
)
_REJECTED = {
    "size": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "encoding": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
}
# The name in RFC 9110, section 15.5, which Python has since 3.13.
_RENAMED = {HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Content Too Large"}

RETRY_AFTER = "5"
"""Seconds: about as long as a driver itself retries before it raises."""


class StatusError(Exception):
    """A request whose response is a status and its name.

    Args:
        status: The HTTP status.
        headers: Further headers of the response.
    """

    def __init__(self, status: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers


def status_of(error: StorageException) -> int:
    """Return the HTTP status for an exception; 500 for a fault of the program."""
    if isinstance(error, RejectedException):
        return _REJECTED.get(error.reason, HTTPStatus.BAD_REQUEST)
    for cls, status in _STATUSES:
        if isinstance(error, cls):
            return status
    return HTTPStatus.INTERNAL_SERVER_ERROR


def phrase_of(status: int) -> str:
    """Return a status's name."""
    known = HTTPStatus(status)
    return _RENAMED.get(known, known.phrase)


async def send_error(error: StorageException, method: str, send: Send) -> None:
    """Send the status of an exception.

    Raises:
        StorageException: The exception itself where it is a fault of the program, such as a wrong
            configuration.
    """
    status = status_of(error)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        raise error
    headers = {}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = RETRY_AFTER
    await send_status(status, method, send, headers)


async def send_disconnected(method: str, send: Send) -> None:
    """End a request whose client disconnected: some middleware fails without a response."""
    with suppress(OSError):  # which servers may raise here (ASGI 2.4)
        await send_status(HTTPStatus.BAD_REQUEST, method, send)


async def send_status(
    status: int, method: str, send: Send, headers: Mapping[str, str] | None = None
) -> None:
    """Send a status and its name: the message of an exception may hold a path."""
    body = f"{phrase_of(status)}\n".encode()
    fields = {
        "content-type": "text/plain; charset=utf-8",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        **(headers or {}),
    }
    await send_head(status, fields, send)
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


async def send_head(status: int, headers: Mapping[str, str], send: Send) -> None:
    """Send the status and the headers of a response."""
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": int(status), "headers": fields})
