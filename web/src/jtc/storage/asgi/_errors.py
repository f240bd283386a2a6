"""Error responses: the HTTP status of each exception, and nothing of its message."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from jtc.storage.asgi._operator_log import log_error
from jtc.storage.asgi._sending import send_head
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
    from collections.abc import Iterator, Mapping

    from starlette.types import Scope, Send

__all__ = [
    "RETRY_AFTER",
    "EarlyError",
    "StatusError",
    "log_if_operators",
    "phrase_of",
    "refused_signatures",
    "send_disconnected",
    "send_error",
    "send_status",
    "status_of",
]

# The most derived class comes first.
_STATUSES: tuple[tuple[type[StorageException], HTTPStatus], ...] = (
    (NotModifiedException, HTTPStatus.NOT_MODIFIED),
    (FileNotFoundException, HTTPStatus.NOT_FOUND),
    (InvalidPathException, HTTPStatus.BAD_REQUEST),
    (ReadOnlyException, HTTPStatus.FORBIDDEN),
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
# Operations that read one file; `visibility` and `stat` are asked before a file is sent.
_READING = frozenset(
    {
        "checksum",
        "exists",
        "get",
        "get_range",
        "get_ranges",
        "last_modified",
        "mime_type",
        "open",
        "size",
        "stat",
        "stream",
        "visibility",
    }
)
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


class EarlyError(Exception):
    """An exception before the response began, which can still become a status.

    Args:
        error: The exception.
    """

    def __init__(self, error: StorageException) -> None:
        super().__init__()
        self.error = error


@contextmanager
def refused_signatures() -> Iterator[None]:
    """Respond with 403 to a signature that is not valid: the client's error, which is not logged.

    Raises:
        StatusError: The signature is not valid, or has expired.
    """
    try:
        yield
    except StoragePermissionException:
        raise StatusError(HTTPStatus.FORBIDDEN) from None


def status_of(error: StorageException) -> int:
    """Return the HTTP status for an exception; 500 for what only an operator can correct.

    A file that this process may not read is a 404, as a missing one is: 403 would say that it
    exists. Keys that the store refuses, and a directory that cannot be written, are 500.
    """
    if isinstance(error, RejectedException):
        return _REJECTED.get(error.reason, HTTPStatus.BAD_REQUEST)
    if _is_unreadable(error):
        return HTTPStatus.NOT_FOUND
    if error.operation in _READING:
        if isinstance(error, IntegrityException):
            return HTTPStatus.INTERNAL_SERVER_ERROR  # the storage's fault, and not the client's
        if isinstance(error, PathConflictException):
            # A number is that of a path, where a directory is no file. Else the root is at fault.
            is_of_path = error.errno is not None
            return HTTPStatus.NOT_FOUND if is_of_path else HTTPStatus.INTERNAL_SERVER_ERROR
    for cls, status in _STATUSES:
        if isinstance(error, cls):
            return status
    return HTTPStatus.INTERNAL_SERVER_ERROR


def log_if_operators(error: StorageException, status: int, scope: Mapping[str, Any]) -> None:
    """Log an error that only an operator can correct, once a minute for each cause.

    Args:
        error: The error.
        status: The result of `status_of`.
        scope: The ASGI scope of the request.
    """
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or _is_unreadable(error):
        log_error(error, status, scope)


def _is_unreadable(error: StorageException) -> bool:
    """Return whether it is about one file: a mode or a link, and not the keys of a whole store."""
    return (
        isinstance(error, StoragePermissionException)
        and isinstance(error.__cause__, OSError)
        and error.operation in _READING
    )


def phrase_of(status: int) -> str:
    """Return a status's name."""
    known = HTTPStatus(status)
    return _RENAMED.get(known, known.phrase)


async def send_error(error: StorageException, scope: Scope, send: Send) -> None:
    """Send the status of an exception, and log it if only an operator can correct it."""
    status = status_of(error)
    log_if_operators(error, status, scope)
    headers = {}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = RETRY_AFTER
    await send_status(status, scope["method"], send, headers)


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
