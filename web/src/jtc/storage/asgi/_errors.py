"""Errors as answers: the status of each, and nothing of what it says."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

from jtc.storage.exceptions import (
    FileNotFoundException,
    IntegrityException,
    InvalidPathException,
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

__all__ = ["RETRY_AFTER", "answer_error", "answer_nobody", "phrase_of", "send_plain", "status_of"]

# The most derived comes first.
_STATUSES: tuple[tuple[type[StorageException], HTTPStatus], ...] = (
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
# RFC 9110, section 15.5, has another name for it than Python had before 3.13.
_RENAMED = {HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Content Too Large"}

RETRY_AFTER = "5"
"""Seconds: about what a driver itself waits and tries before it gives up once."""


def status_of(error: StorageException) -> int:
    """Return the HTTP status that says an error; 500 where a request is not to blame for it."""
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


async def answer_error(error: StorageException, method: str, send: Send) -> None:
    """Answer with an error's status.

    Raises:
        StorageException: The error, if it is no answer but a fault, such as in a configuration.
    """
    status = status_of(error)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        raise error
    headers = {}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = RETRY_AFTER
    await send_plain(status, method, send, headers)


async def answer_nobody(method: str, send: Send) -> None:
    """End a request whose client is gone: middleware takes it for a fault where no answer comes."""
    with suppress(OSError):  # as servers may say to who sends (ASGI 2.4)
        await send_plain(HTTPStatus.BAD_REQUEST, method, send)


async def send_plain(
    status: int, method: str, send: Send, headers: Mapping[str, str] | None = None
) -> None:
    """Answer with a status and its name. Of the error it says nothing: that may hold a path."""
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
    """Begin an answer."""
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": int(status), "headers": fields})
