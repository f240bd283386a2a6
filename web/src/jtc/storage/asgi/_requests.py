"""A request's body, straight to a disk: as it comes, within limits, whole or not at all."""

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

__all__ = ["announced_length", "check_whole", "put_conditions", "put_request", "put_request_file"]

_LENGTH = re.compile("[0-9]{1,19}")  # one that fits into 64 bits: more is no length


class _Request(Protocol):
    """A request of Starlette, FastAPI or Litestar."""

    @property
    def scope(self) -> Any: ...

    def stream(self) -> AsyncIterator[bytes]: ...


async def put_request(
    disk: DiskOperations, path: str, request: _Request, **options: Unpack[PutOptions]
) -> str:
    """Store a request's body under a path, as `Disk.put` does, in constant memory.

    When the client leaves half-way, or a limit is passed, nothing stays and the old file is still
    there. The request's own conditions hold, free of races: ``If-None-Match: *`` creates only,
    ``If-Match`` replaces the version that it names.

    The client's Content-Type is not believed: without the option `content_type`, the type is the
    content's own, or the name's.

    Args:
        disk: The disk.
        path: Where to.
        request: Of Starlette, FastAPI or Litestar, its body not read yet. Litestar's own limit
            (`request_max_body_size`) holds too.
        **options: See `PutOptions`. Give `max_size`: without it only the storage's end is one.
            `progress` is told the length that the client announced.

    Returns:
        The path under which the file can be had.

    Raises:
        RejectedException: It is too long, which is known at once where the client announced it, of
            a type that is not allowed, or compressed (``Content-Encoding``).
        IntegrityException: The client left half-way.
        PreconditionFailedException: A condition of the request does not hold.
        StorageException: As for `Disk.put`.
    """
    headers = Headers(scope=request.scope)
    given = _with_length(headers, options)
    wanted = await put_conditions(disk, path, headers)
    if given.get("overwrite") is False or given.get("if_match") is not None:
        wanted = {}  # it held a moment ago; what is to hold at the end, the caller says
    return await disk.put(path, _body(request), **{**given, **wanted})


async def put_request_file(
    disk: DiskOperations, directory: str, request: _Request, **options: Unpack[PutOptions]
) -> str:
    """Store a request's body under a generated name, as `Disk.put_file` does.

    Args:
        disk: The disk.
        directory: Where to; ``""`` is the root.
        request: As for `put_request`.
        **options: As for `put_request`.

    Returns:
        The path under which the file can be had. Its extension says what the content proves.

    Raises:
        StorageException: As for `put_request`.
    """
    given = _with_length(Headers(scope=request.scope), options)
    return await disk.put_file(directory, _body(request), **given)


def check_whole(headers: Headers) -> None:
    """Refuse what is no file as it stands.

    Raises:
        RejectedException: It is a part of one, or compressed.
    """
    if "content-range" in headers:
        # RFC 9110, section 14.5: stored as a whole, a part would replace the file.
        raise RejectedException("A part of a file is no file", reason="range")
    if "content-encoding" in headers:
        raise RejectedException("Send the file as it is, without an encoding", reason="encoding")


def announced_length(headers: Headers) -> int | None:
    """Return how many bytes the client says it will send."""
    length = headers.get("content-length", "")
    return int(length) if _LENGTH.fullmatch(length) else None


async def put_conditions(disk: DiskOperations, path: str, headers: Headers) -> dict[str, Any]:
    """Return the options of a put that stand for the request's conditions, free of races.

    Raises:
        PreconditionFailedException: One does not hold even now.
        StorageException: The storage could not say.
    """
    if not any(name in headers for name in CONDITIONS):
        return {}
    if headers.get("if-none-match", "").strip() == "*" and "if-match" not in headers:
        return {"overwrite": False}
    try:
        info = await disk.stat(path)
    except FileNotFoundException:
        if "if-match" in headers:
            raise PreconditionFailedException("There is no file to match", path=path) from None
        return {"overwrite": False}
    if failed_condition("PUT", headers, http_etag(info), info.last_modified) is not None:
        raise PreconditionFailedException("The file is another version", path=path)
    return {"if_match": info.etag}


def _with_length(headers: Headers, options: PutOptions) -> dict[str, Any]:
    check_whole(headers)
    given: dict[str, Any] = {**options}
    if given.get("size") is None:
        given["size"] = announced_length(headers)
    return given


async def _body(request: _Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as error:
        raise IntegrityException("The client left half-way") from error
