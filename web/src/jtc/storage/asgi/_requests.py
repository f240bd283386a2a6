"""Storing the body of a request: as it arrives, within limits, whole or not at all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol, Unpack

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect

from jtc.storage.asgi._conditions import CONDITIONS, failed_condition
from jtc.storage.asgi._forms import FormError, FormReader, boundary_of
from jtc.storage.asgi._headers import http_etag
from jtc.storage.exceptions import (
    FileNotFoundException,
    IntegrityException,
    PreconditionFailedException,
    RejectedException,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

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

_WITHOUT_FILES = b"application/x-www-form-urlencoded"
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

    Of a form (``multipart/form-data``) the one file in it is stored, and its fields are skipped.
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
            `progress` gets the length that the client announced; a form announces none.

    Returns:
        The path of the stored file.

    Raises:
        RejectedException: The body is too long (refused before it is read where the client
            announced its length), too short, of a type that is not allowed, compressed
            (``Content-Encoding``), a form without a file or with several, one without `enctype`,
            or of another ``multipart`` type.
        IntegrityException: The client disconnected before the end, or the body was read before.
        PreconditionFailedException: A condition of the request failed.
        StorageException: As for `Disk.put`.
    """
    headers = Headers(scope=request.scope)
    given = _with_length(headers, options)
    content = await _content(headers, request)
    conditions = await put_conditions(disk, path, headers)
    if given.get("overwrite") is False or given.get("if_match") is not None:
        conditions = {}  # they held just now; the caller's own condition is the one for the write
    return await disk.put(path, content, **{**given, **conditions})


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
        The path of the stored file. Its extension follows from the content; text in a form keeps
        the client's extension as in `Disk.put_file`.

    Raises:
        StorageException: As for `put_request`.
    """
    headers = Headers(scope=request.scope)
    given = _with_length(headers, options)
    return await disk.put_file(directory, await _content(headers, request), **given)


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
    # The length of a form is not that of its file.
    if given.get("size") is None and not _is_multipart(headers):
        given["size"] = announced_length(headers)
    return given


def _is_multipart(headers: Headers) -> bool:
    return headers.get("content-type", "").lstrip().lower().startswith("multipart/")


async def _content(headers: Headers, request: FrameworkRequest) -> AsyncIterable[bytes]:
    """Return the file in a request: its body, or the one file of a form."""
    if parse_options_header(headers.get("content-type"))[0] == _WITHOUT_FILES:
        raise RejectedException(
            'This is a form without its files: give it enctype="multipart/form-data"; or send the '
            "file alone, with its own Content-Type",
            reason="type",
        )
    if not _is_multipart(headers):
        return _body(request)
    boundary = boundary_of(headers["content-type"])
    if boundary is None:
        raise RejectedException(
            "Send the file alone, or in a form (multipart/form-data with a boundary)", reason="type"
        )
    try:
        form = FormReader(_body(request), boundary)
        return _FormFile(form, await form.first_file())
    except FormError as error:
        raise RejectedException(str(error), reason="form") from error


class _FormFile:
    """The file of a form, with the name that the client gave it."""

    def __init__(self, form: FormReader, filename: str) -> None:
        self._form = form
        self.filename = filename

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._form.only_file():
                yield chunk
        except FormError as error:
            raise RejectedException(str(error), reason="form") from error


async def _body(request: FrameworkRequest) -> AsyncIterator[bytes]:
    begun = False
    try:
        async for chunk in request.stream():
            begun = True
            yield chunk
    except ClientDisconnect as error:
        raise IntegrityException("The client disconnected before the end of the file") from error
    except RuntimeError as error:
        if begun or "consumed" not in str(error):  # Starlette has no class for it
            raise
        raise IntegrityException(
            "The body of the request was read before: store the UploadFile of a form that was "
            "parsed by disk.put_file(), or what was read by disk.put()"
        ) from error
