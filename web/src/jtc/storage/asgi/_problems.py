"""Errors as problem details (RFC 9457): what a client may know of them, and no more."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from starlette.datastructures import Headers
from starlette.responses import Response

from jtc.storage.asgi._conditions import CONDITIONS
from jtc.storage.asgi._errors import RETRY_AFTER, phrase_of, status_of
from jtc.storage.exceptions import (
    InvalidPathException,
    PreconditionFailedException,
    RejectedException,
    StorageException,
)

if TYPE_CHECKING:
    from typing import Self

__all__ = ["storage_problem"]

# What a status means here. The errors' own messages speak to the program: they may name a bucket,
# a driver, a server. Only what is about the client's own request is told in them.
_DETAILS = {
    HTTPStatus.BAD_REQUEST: "The content is not what was announced.",
    HTTPStatus.FORBIDDEN: "The storage refuses this.",
    HTTPStatus.NOT_FOUND: "There is no such file.",
    HTTPStatus.CONFLICT: "Something else is there already.",
    HTTPStatus.PRECONDITION_FAILED: "The file is not the version that the request names.",
    HTTPStatus.NOT_IMPLEMENTED: "The storage cannot do this.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The storage cannot be reached now. Try again later.",
    HTTPStatus.INSUFFICIENT_STORAGE: "The storage is full.",
}


class _Request(Protocol):
    """A request of Starlette, FastAPI or Litestar."""

    @property
    def scope(self) -> Any: ...


class ProblemResponse(Response):
    """An ``application/problem+json`` answer. Litestar takes it too.

    Args:
        status: The HTTP status.
        detail: A sentence for who sent the request.
        headers: Further headers.
        **members: Further members of the problem.
    """

    media_type = "application/problem+json"

    def __init__(
        self, status: int, detail: str, headers: dict[str, str] | None = None, **members: str
    ) -> None:
        # Without a type, the title is the status's own phrase (RFC 9457, section 4.2.1).
        problem = {"title": phrase_of(status), "status": int(status), "detail": detail}
        fields = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
        super().__init__(
            json.dumps(problem | members, ensure_ascii=False).encode("utf-8", "replace"),
            status_code=int(status),
            headers=fields | (headers or {}),
        )

    def to_asgi_response(self, *_: Any, **__: Any) -> Self:
        """Return itself: that is how Litestar asks for an answer."""
        return self


def storage_problem(request: _Request, error: Exception) -> Response:
    """Answer with a storage's error: an exception handler for any framework.

    ``app.add_exception_handler(StorageException, storage_problem)`` in Starlette and FastAPI, and
    in Litestar ``exception_handlers={StorageException: storage_problem}``.

    The statuses are those of `status_of`, with 409 in place of 412 where it was not the request
    that named a condition. A 503 says when to come back. The detail tells why content or a path
    was refused, since that is about what the client sent; of all else it says only what kind of
    thing it is, without the path, the disk or the storage's own words. What a rule of yours
    refuses (`RejectedException`) is told in the rule's words, with its ``reason``.

    Args:
        request: The request.
        error: What was raised.

    Returns:
        The answer, as problem details (RFC 9457).

    Raises:
        Exception: The error itself where the request is not to blame, such as for a configuration
            that is wrong: the framework logs it and answers 500.
    """
    if not isinstance(error, StorageException):
        raise error
    status = status_of(error)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        raise error
    if isinstance(error, PreconditionFailedException):
        # RFC 9110, section 15.5.13: a 412 is about the conditions in the request's own headers.
        asked = Headers(scope=request.scope)
        if not any(name in asked for name in CONDITIONS):
            status = HTTPStatus.CONFLICT
    headers = {}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = RETRY_AFTER
    if isinstance(error, RejectedException):
        return ProblemResponse(status, _told(error, "Refused."), headers, reason=error.reason)
    if isinstance(error, InvalidPathException):
        return ProblemResponse(status, _told(error, "The name is not allowed."), headers)
    return ProblemResponse(status, _DETAILS[HTTPStatus(status)], headers)


def _told(error: StorageException, instead: str) -> str:
    """Return an error's message, unless a driver of somebody else's wrote the path into it."""
    message = error.message
    return instead if not message or (error.path and error.path in message) else message
