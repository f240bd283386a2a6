"""`DiskResponse`: a response with one file, one range of it, or 304."""

from __future__ import annotations

import time
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from starlette.datastructures import Headers
from starlette.responses import Response

from jtc.storage.asgi._acceleration import acceleration_headers
from jtc.storage.asgi._arguments import check_accelerate, check_disk
from jtc.storage.asgi._caching import private_caching
from jtc.storage.asgi._conditions import (
    CONDITIONS,
    UnsatisfiableRangeError,
    failed_condition,
    range_bounds,
    requested_range,
    seconds_of,
)
from jtc.storage.asgi._errors import (
    EarlyError,
    log_if_operators,
    send_disconnected,
    send_error,
    send_status,
    status_of,
)
from jtc.storage.asgi._headers import attachment, file_headers, http_etag
from jtc.storage.asgi._sending import (
    encoded,
    send_body,
    send_descriptor,
    send_head,
    until_disconnect,
)
from jtc.storage.exceptions import (
    FileNotFoundException,
    PreconditionFailedException,
    StorageException,
    StorageUnavailableException,
    UnsupportedOperationException,
)
from jtc.storage.models import Visibility

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.background import BackgroundTask
    from starlette.types import ASGIApp, Receive, Scope, Send

    from jtc.storage import ByteStream, DiskOperations
    from jtc.storage.asgi._acceleration import Accelerator
    from jtc.storage.models import FileInfo

__all__ = ["DiskResponse"]

_ATTEMPTS = 5
"""How often a file is looked up and opened while others replace it between the two."""

_CHUNK_SIZE = 65_536
"""As Starlette's: a server keeps about two chunks for each client that reads slowly."""

_ABOUT_CONTENT = (
    *("accept-ranges", "content-disposition", "content-encoding", "content-security-policy"),
    "content-type",
)
# Conditions that the server in front would compare with an etag and a date of its own.
_NOT_PASSED_ON = ("if-match", "if-range", "if-unmodified-since")
_ALWAYS_OURS = ("content-length", "content-range")
"""Other values than those of the body that is sent would break the connection."""


class DiskResponse(Response):
    """A response with a file of any disk, to return from a handler, as Starlette's `FileResponse`.

    It applies the request's conditions and range, sends in constant memory, and closes the file
    when the client disconnects. A missing file is a 404 and an unavailable storage a 503: neither
    is raised. A file that a browser would run (HTML, SVG, XML, JavaScript) is sent to be saved.

    A file whose visibility is not ``"public"`` is sent with ``Cache-Control: private``, so that no
    shared cache gives it to others.

    Args:
        disk: The disk.
        path: The file.
        status_code: The HTTP status; with another one than 200, conditions and ranges are ignored.
        filename: The name to save the file under, in any script.
        media_type: The MIME type, in place of the file's own.
        content_disposition_type: ``"attachment"`` or ``"inline"``, for `filename`.
        headers: Further headers, which replace the file's. Conditions are compared with an ETag and
            a Last-Modified among them.
        background: A task to run after the response.
        cache_control: The Cache-Control of a file that has none of its own.
        private: Whether the response is for this client only. None asks the disk for the file's
            visibility, which on S3 is one more request.
        active: Let a browser run what it can run: for files that only you write.
        accelerate: `XAccel` or `XSendfile`: the server in front sends the file, of a local disk.

    Raises:
        ValueError: `content_disposition_type` is another one.
        TypeError: `disk` is no disk, or `accelerate` something else.
    """

    def __init__(
        self,
        disk: DiskOperations,
        path: str,
        *,
        status_code: int = HTTPStatus.OK.value,
        filename: str | None = None,
        media_type: str | None = None,
        content_disposition_type: str = "attachment",
        headers: Mapping[str, str] | None = None,
        background: BackgroundTask | None = None,
        cache_control: str | None = None,
        private: bool | None = None,
        active: bool = False,
        accelerate: Accelerator | None = None,
    ) -> None:
        check_disk(disk)
        check_accelerate(accelerate)
        self.disk = disk
        self.path = path
        self.background = background
        self.status_code = status_code
        self.filename = filename
        self.media_type = media_type
        self.active = active
        self.accelerate = accelerate
        self.cache_control = cache_control
        self.private = private
        self.expires: float | None = None
        self.public_only = False
        self.otherwise: ASGIApp | None = None
        self.content_disposition = (
            None if filename is None else attachment(filename, content_disposition_type)
        )
        self.body = b""
        # Middleware and handlers see these, and may add to them, before the file is opened.
        self.raw_headers = encoded(headers or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request.

        Raises:
            StorageException: The storage failed after the response began: the server then closes
                the connection, so that a part does not look like the whole file.
        """
        try:
            begun = await until_disconnect(
                receive, send, lambda tracked: self._respond(scope, tracked)
            )
            if not begun:
                await send_disconnected(scope["method"], send)
        except EarlyError as early:
            if self.otherwise is not None and status_of(early.error) == HTTPStatus.NOT_FOUND:
                log_if_operators(early.error, HTTPStatus.NOT_FOUND, scope)
                await self.otherwise(scope, receive, send)
            else:
                await send_error(early.error, scope, send)
        if self.background is not None:
            await self.background()

    async def _respond(self, scope: Scope, send: Send) -> None:
        method, request_headers = scope["method"].upper(), Headers(scope=scope)
        stream = None
        try:
            opened = await self._open(method, request_headers)
            info, status, (start, end), stream, instead = opened
            headers = await self._file_headers(info)
            match status:
                case HTTPStatus.NOT_MODIFIED:
                    await self._send_head(status, headers, send)
                    await send({"type": "http.response.body", "body": b""})
                    return
                case HTTPStatus.PRECONDITION_FAILED:
                    await send_status(status, method, send)
                    return
                case HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    await send_status(
                        status, method, send, {"content-range": f"bytes */{info.size}"}
                    )
                    return
                case HTTPStatus.PARTIAL_CONTENT:
                    headers["content-range"] = f"bytes {start}-{end - 1}/{info.size}"
            headers["content-length"] = str(end - start)
            if instead:
                del headers["accept-ranges"]  # the server in front sends it
            await self._send_head(status, {**headers, **instead}, send)
            if stream is None:
                await send({"type": "http.response.body", "body": b""})
            elif not await send_descriptor(stream, end - start, info.size - end, scope, send):
                await send_body(stream, end - start, send)
        finally:
            if stream is not None:
                await stream.aclose()

    async def _file_headers(self, info: FileInfo) -> dict[str, str]:
        own = Headers(raw=self.raw_headers)
        return file_headers(
            info,
            content_type=own.get("content-type", self.media_type),
            content_disposition=self.content_disposition,
            cache_control=None if "cache-control" in own else await self._caching(info),
            name=self.filename,
            active=self.active,
        )

    async def _caching(self, info: FileInfo) -> str | None:
        declared = info.cache_control or self.cache_control
        if self.expires is not None:
            return private_caching(info.cache_control, self.expires - time.time())
        private = not await self._is_public() if self.private is None else self.private
        return private_caching(declared) if private else declared

    async def _send_head(self, status: int, headers: Mapping[str, str], send: Send) -> None:
        omitted = _ABOUT_CONTENT if status == HTTPStatus.NOT_MODIFIED else ()
        ignored = {name.encode("latin-1") for name in (*omitted, *_ALWAYS_OURS)}
        own = [field for field in self.raw_headers if field[0] not in ignored]
        kept = {name: value for name, value in headers.items() if name not in omitted}
        await send_head(status, kept, send, own)

    async def _open(self, method: str, request_headers: Headers) -> _Opened:
        """Open the file, or the requested range, unless the response needs no content.

        Raises:
            EarlyError: The file cannot be sent; a private one is not found where only public ones
                are served.
        """
        try:
            return await self._opened(method, request_headers)
        except StorageException as error:
            raise EarlyError(error) from error

    async def _opened(self, method: str, request_headers: Headers) -> _Opened:
        conditional = self.status_code == HTTPStatus.OK and any(
            name in request_headers for name in (*CONDITIONS, "range")
        )
        instead = self._acceleration(method, request_headers)
        if method != "HEAD" and not (conditional or self.public_only or instead):
            stream = await self.disk.stream(self.path, chunk_size=_CHUNK_SIZE)
            return _Opened(stream.info, self.status_code, (0, stream.info.size), stream)
        if not (self.public_only or instead) and (
            opened := await self._open_range(method, request_headers)
        ):
            return opened
        for _ in range(_ATTEMPTS):
            info = await self.look_up()
            if info.content_encoding is not None:
                instead = {}  # nginx does not pass it on
            status, (start, end) = self.status_code, (0, info.size)
            if conditional:
                status, (start, end) = self._status_and_range(method, request_headers, info)
            if status not in (self.status_code, HTTPStatus.PARTIAL_CONTENT):
                return _Opened(info, status, (start, end), None)
            if instead or method == "HEAD":
                return _Opened(info, self.status_code, (0, info.size), None, instead)
            # Only the version whose visibility, conditions and length were checked.
            opening = self.disk.stream(
                self.path, start=start, end=end, if_match=info.etag, chunk_size=_CHUNK_SIZE
            )
            try:
                stream = await opening
            except PreconditionFailedException:
                continue
            if stream.info.size == info.size:
                return _Opened(info, status, (start, end), stream)
            await stream.aclose()
        raise StorageUnavailableException(
            f"The file was replaced during each of {_ATTEMPTS} attempts to open it", path=self.path
        )

    async def _open_range(self, method: str, request_headers: Headers) -> _Opened | None:
        """Open a range before the length of the file is known: on S3 in one request.

        None is for requests whose response may need no content, or the whole.
        """
        bounds = range_bounds(request_headers)
        if (
            bounds is None
            or method != "GET"
            or self.status_code != HTTPStatus.OK
            or any(name in request_headers for name in CONDITIONS)
        ):
            return None
        start, end = bounds
        stream = await self.disk.stream(self.path, start=start, end=end, chunk_size=_CHUNK_SIZE)
        status, part = self._status_and_range("GET", request_headers, stream.info)
        if status == HTTPStatus.PARTIAL_CONTENT:
            return _Opened(stream.info, status, part, stream)
        await stream.aclose()
        return None

    def _acceleration(self, method: str, request_headers: Headers) -> dict[str, str]:
        """Return the headers of a response that the server in front sends; none where we do."""
        if (
            self.accelerate is None
            or self.status_code != HTTPStatus.OK
            or method not in ("GET", "HEAD")
            or any(name in request_headers for name in _NOT_PASSED_ON)
        ):
            return {}
        return acceleration_headers(self.accelerate, self.disk, self.path)

    async def look_up(self) -> FileInfo:
        """Return the metadata of the file, if it may be sent.

        Raises:
            StorageException: As for `Disk.stat`; a private file is not found where only public ones
                are served.
        """
        info = await self.disk.stat(self.path)
        if self.public_only and not await self._is_public():
            # The same as for a missing file: that a private file exists is private too.
            raise FileNotFoundException("File not found", path=self.path)
        return info

    async def _is_public(self) -> bool:
        try:
            return await self.disk.visibility(self.path) is Visibility.PUBLIC
        except StorageException as error:
            if self.public_only and not isinstance(error, UnsupportedOperationException):
                raise
            return False  # without visibility, no file is known to be public

    def _status_and_range(
        self, method: str, request_headers: Headers, info: FileInfo
    ) -> tuple[int, tuple[int, int]]:
        """Return the status for a request, and the range that the response is about."""
        own, whole = Headers(raw=self.raw_headers), (0, info.size)
        etag = own.get("etag", http_etag(info))
        said = seconds_of(own.get("last-modified", ""))
        modified = info.last_modified if said is None else said
        status = failed_condition(method, request_headers, etag, modified)
        if status is not None:
            return status, whole
        if method != "GET":
            return HTTPStatus.OK, whole  # a range means something for GET only (section 14.2)
        try:
            part = requested_range(request_headers, etag, modified, info.size)
        except UnsatisfiableRangeError:
            return HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, whole
        return (HTTPStatus.OK, whole) if part is None else (HTTPStatus.PARTIAL_CONTENT, part)


class _Opened(NamedTuple):
    """What `DiskResponse` sends.

    Attributes:
        info: The file's metadata.
        status: The HTTP status.
        part: The bytes ``[start, end)`` of the file that the response is about.
        stream: Those bytes; None where the response has no content.
        instead: Headers that make the server in front send the content.
    """

    info: FileInfo
    status: int
    part: tuple[int, int]
    stream: ByteStream | None
    instead: Mapping[str, str] = MappingProxyType({})
