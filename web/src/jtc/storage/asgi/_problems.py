"""Error responses as problem details (RFC 9457), without anything internal."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.responses import Response

from jtc.storage.asgi._conditions import CONDITIONS
from jtc.storage.asgi._errors import RETRY_AFTER, log_if_operators, phrase_of, status_of
from jtc.storage.exceptions import (
    InvalidPathException,
    PreconditionFailedException,
    RejectedException,
    StorageException,
)

if TYPE_CHECKING:
    from typing import Self

    from jtc.storage.asgi._requests import FrameworkRequest

__all__ = ["storage_problem"]

# One sentence for each status. The message of an exception is for the developer: it may name a
# bucket, a driver or a server. It is sent only where it is about the client's own request.
_DETAILS = {
    HTTPStatus.BAD_REQUEST: "The content does not have the announced length.",
    HTTPStatus.FORBIDDEN: "The storage is read-only.",
    HTTPStatus.NOT_FOUND: "There is no such file.",
    HTTPStatus.CONFLICT: "Another file or directory is there already.",
    HTTPStatus.PRECONDITION_FAILED: "The file is another version than the request names.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The server could not do it.",
    HTTPStatus.NOT_IMPLEMENTED: "The storage does not support this operation.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The storage is unavailable. Try again later.",
    HTTPStatus.INSUFFICIENT_STORAGE: "The storage is full.",
}


class FrameworkResponse(Response):
    """A response of Starlette that Litestar takes too."""

    def to_asgi_response(self, *_: Any, **__: Any) -> Self:
        """Return itself, since Litestar calls this for each response."""
        return self


class ProblemResponse(FrameworkResponse):
    """A response with the type ``application/problem+json``.

    Args:
        status: The HTTP status.
        detail: A sentence for the client.
        headers: Further headers.
        **members: Further members of the problem.
    """

    media_type = "application/problem+json"

    def __init__(
        self, status: int, detail: str, headers: dict[str, str] | None = None, **members: str
    ) -> None:
        # Without a type, the title is the name of the status (RFC 9457, section 4.2.1).
        problem = {"title": phrase_of(status), "status": int(status), "detail": detail}
        fields = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
        super().__init__(
            json.dumps(problem | members, ensure_ascii=False).encode("utf-8", "replace"),
            status_code=int(status),
            headers=fields | (headers or {}),
        )


# Any: each framework expects a response of its own class, and sends this one too.
def storage_problem(request: FrameworkRequest, error: Exception) -> Any:
    """Respond to a storage exception: an exception handler for any framework.

    ``app.add_exception_handler(StorageException, storage_problem)`` in Starlette and FastAPI, and
    in Litestar ``exception_handlers={StorageException: storage_problem}``.

    The status is that of `status_of`, but 409 instead of 412 where the request had no condition of
    its own. A 503 has a Retry-After. The detail says why content or a path was refused, since that
    is about what the client sent; otherwise it is one sentence for the status, without the path,
    the disk or the exception's message. A `RejectedException` of your own rules is sent with its
    message and its ``reason``. A `NotModifiedException` is a 304 without a body.

    Errors that only an operator can correct, such as wrong keys or a wrong configuration, are 5xx,
    and logged with their whole message, once a minute for each cause.

    Args:
        request: The request.
        error: The exception.

    Returns:
        A response with problem details (RFC 9457).

    Raises:
        Exception: The exception itself where it is no `StorageException`.
    """
    if not isinstance(error, StorageException):
        raise error
    status = status_of(error)
    log_if_operators(error, status, request.scope)
    if status == HTTPStatus.NOT_MODIFIED:
        # It has no body (RFC 9110, section 15.4.5).
        return FrameworkResponse(status_code=status)
    if isinstance(error, PreconditionFailedException):
        # RFC 9110, section 15.5.13: a 412 is about the conditions in the request's own headers.
        request_headers = Headers(scope=request.scope)
        if not any(name in request_headers for name in CONDITIONS):
            status = HTTPStatus.CONFLICT
    headers = {}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = RETRY_AFTER
    if isinstance(error, RejectedException):
        detail = _public_message(error, "The content is refused.")
        return ProblemResponse(status, detail, headers, reason=error.reason)
    if isinstance(error, InvalidPathException):
        return ProblemResponse(status, _public_message(error, "The name is not allowed."), headers)
    return ProblemResponse(status, _DETAILS[HTTPStatus(status)], headers)


def _public_message(error: StorageException, default: str) -> str:
    """Return an exception's message, unless a third party's driver wrote the path into it."""
    message = error.message
    return default if not message or (error.path and error.path in message) else message
