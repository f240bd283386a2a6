"""Storing the body of a request: as it arrives, within limits, whole or not at all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol, Unpack

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect

from jtc.storage.asgi._conditions import CONDITIONS, failed_condition
from jtc.storage.asgi._headers import http_etag
from jtc.storage.exceptions import (
    FileNotFoundException,
    IntegrityException,
    PreconditionFailedException,
    RejectedException,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage import DiskOperations
    from jtc.storage.options import PutOptions

__all__ = [
    "FrameworkRequest",
    "announced_length",
    "check_whole",
    "put_conditions",
    "put_request",
    "put_request_file",
]

_LENGTH = re.compile("[0-9]{1,19}")  # a length that fits into 64 bits


class FrameworkRequest(Protocol):
    """A request of Starlette, FastAPI or Litestar."""

    @property
    def scope(self) -> Any: ...

    def stream(self) -> AsyncIterator[bytes]: ...


async def put_request(
    disk: DiskOperations, path: str, request: FrameworkRequest, **options: Unpack[PutOptions]
) -> str:
    """Store the body of a request under a path, as `Disk.put` does, in constant memory.

    When the client disconnects before the end, or a limit is exceeded, nothing is stored and an
    existing file stays. The request's own conditions are applied without a race:
    ``If-None-Match: *`` creates only, ``If-Match`` replaces the version that it names.

    The client's Content-Type is ignored: without the option `content_type`, the type follows from
    the content, or from the name.

    Args:
        disk: The disk.
        path: The file.
        request: A request of Starlette, FastAPI or Litestar whose body was not read yet. Litestar's
            own limit (`request_max_body_size`) applies too.
        **options: See `PutOptions`. Give `max_size`: without it, a client may fill the storage.
            `progress` gets the length that the client announced.

    Returns:
        The path of the stored file.

    Raises:
        RejectedException: The body is too long (refused before it is read where the client
            announced its length), too short, of a type that is not allowed, or compressed
            (``Content-Encoding``).
        IntegrityException: The client disconnected before the end.
        PreconditionFailedException: A condition of the request failed.
        StorageException: As for `Disk.put`.
    """
    headers = Headers(scope=request.scope)
    given = _with_length(headers, options)
    conditions = await put_conditions(disk, path, headers)
    if given.get("overwrite") is False or given.get("if_match") is not None:
        conditions = {}  # they held just now; the caller's own condition is the one for the write
    return await disk.put(path, _body(request), **{**given, **conditions})


async def put_request_file(
    disk: DiskOperations, directory: str, request: FrameworkRequest, **options: Unpack[PutOptions]
) -> str:
    """Store the body of a request under a generated name, as `Disk.put_file` does.

    Args:
        disk: The disk.
        directory: The directory of the file; ``""`` is the root.
        request: As for `put_request`.
        **options: As for `put_request`.

    Returns:
        The path of the stored file. Its extension follows from the content.

    Raises:
        StorageException: As for `put_request`.
    """
    given = _with_length(Headers(scope=request.scope), options)
    return await disk.put_file(directory, _body(request), **given)


def check_whole(headers: Headers) -> None:
    """Refuse a body that is not a file as it is.

    Raises:
        RejectedException: The body is a part of a file, or compressed.
    """
    if "content-range" in headers:
        # RFC 9110, section 14.5: stored as it is, a part would replace the whole file.
        raise RejectedException(
            "Send the whole file, without Content-Range: parts are not accepted", reason="range"
        )
    if "content-encoding" in headers:
        raise RejectedException(
            "Send the file uncompressed, without Content-Encoding", reason="encoding"
        )


def announced_length(headers: Headers) -> int | None:
    """Return the length of the body in bytes where the client announced it."""
    length = headers.get("content-length", "")
    return int(length) if _LENGTH.fullmatch(length) else None


async def put_conditions(disk: DiskOperations, path: str, headers: Headers) -> dict[str, Any]:
    """Return the options of a put that apply the request's conditions without a race.

    Raises:
        PreconditionFailedException: A condition fails already now.
        StorageException: The storage failed.
    """
    if not any(name in headers for name in CONDITIONS):
        return {}
    if headers.get("if-none-match", "").strip() == "*" and "if-match" not in headers:
        return {"overwrite": False}
    try:
        info = await disk.stat(path)
    except FileNotFoundException:
        if "if-match" in headers:
            raise PreconditionFailedException(
                "There is no file, which If-Match requires", path=path
            ) from None
        return {"overwrite": False}
    if failed_condition("PUT", headers, http_etag(info), info.last_modified) is not None:
        raise PreconditionFailedException(
            "The file is not the version that the request names", path=path
        )
    return {"if_match": info.etag}


def _with_length(headers: Headers, options: PutOptions) -> dict[str, Any]:
    check_whole(headers)
    given: dict[str, Any] = {**options}
    if given.get("size") is None:
        given["size"] = announced_length(headers)
    return given


async def _body(request: FrameworkRequest) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as error:
        raise IntegrityException("The client disconnected before the end of the file") from error
