"""`DiskResponse`: a response with one file, one range of it, or 304."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.datastructures import Headers
from starlette.responses import Response

from jtc.storage.asgi._conditions import (
    CONDITIONS,
    UnsatisfiableRangeError,
    failed_condition,
    requested_range,
)
from jtc.storage.asgi._errors import send_disconnected, send_error, send_status
from jtc.storage.asgi._headers import attachment, file_headers, http_etag
from jtc.storage.exceptions import (
    FileNotFoundException,
    PreconditionFailedException,
    StorageException,
    StorageUnavailableException,
    UnsupportedOperationException,
)
from jtc.storage.models import Visibility

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from starlette.background import BackgroundTask
    from starlette.types import Message, Receive, Scope, Send

    from jtc.storage import ByteStream, DiskOperations
    from jtc.storage.models import FileInfo

__all__ = ["DiskResponse"]

_ATTEMPTS = 5
"""How often a file is looked up and opened while others replace it between the two."""

_MOST_MESSAGES = 100
"""How many pieces of a request's body are read: one that asks for a file has none, or few."""

_ABOUT_CONTENT = ("accept-ranges", "content-disposition", "content-security-policy", "content-type")


class DiskResponse(Response):
    """A response with a file of any disk, to return from a handler, as Starlette's `FileResponse`.

    It applies the request's conditions and range, sends in constant memory, and closes the file
    when the client disconnects. A missing file is a 404 and an unavailable storage a 503: neither
    is raised. A file that a browser would run (HTML, SVG, XML, JavaScript) is sent to be saved.

    Args:
        disk: The disk.
        path: The file.
        filename: The name to save the file under, in any script.
        media_type: The MIME type, in place of the file's own.
        content_disposition_type: ``"attachment"`` or ``"inline"``, for `filename`.
        headers: Further headers, which replace the file's.
        background: A task to run after the response.
        cache_control: The Cache-Control of a file that has none of its own.
        active: Let a browser run what it can run: for files that only you write.

    Raises:
        ValueError: `content_disposition_type` is another one.
    """

    def __init__(
        self,
        disk: DiskOperations,
        path: str,
        *,
        filename: str | None = None,
        media_type: str | None = None,
        content_disposition_type: str = "attachment",
        headers: Mapping[str, str] | None = None,
        background: BackgroundTask | None = None,
        cache_control: str | None = None,
        active: bool = False,
    ) -> None:
        self.disk = disk
        self.path = path
        self.background = background
        self.status_code = HTTPStatus.OK
        self.media_type = media_type
        self.active = active
        self.cache_control = cache_control
        self.public_only = False
        self.content_disposition = (
            None if filename is None else attachment(filename, content_disposition_type)
        )
        self.body = b""
        # Middleware and handlers see these, and may add to them, before the file is opened.
        self.raw_headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in (headers or {}).items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request.

        Raises:
            StorageException: The disk is configured wrongly, or the storage failed after the
                response began: the server then closes the connection, so that a part does not look
                like the whole file.
        """
        method = scope["method"]
        request_headers = Headers(scope=scope)
        try:
            begun = await _until_disconnect(
                receive, send, lambda tracked: self._respond(method, request_headers, tracked)
            )
            if not begun:
                await send_disconnected(method, send)
        except _EarlyError as early:
            await send_error(early.error, method, send)
        if self.background is not None:
            await self.background()

    async def _respond(self, method: str, request_headers: Headers, send: Send) -> None:
        try:
            info, status, (start, end), stream = await self._open(method, request_headers)
        except StorageException as error:
            raise _EarlyError(error) from error
        headers = self._file_headers(info)
        match status:
            case HTTPStatus.NOT_MODIFIED:
                kept = {name: headers[name] for name in headers if name not in _ABOUT_CONTENT}
                await self._send_head(status, kept, send)
                await send({"type": "http.response.body", "body": b""})
                return
            case HTTPStatus.PRECONDITION_FAILED:
                await send_status(status, method, send)
                return
            case HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                await send_status(status, method, send, {"content-range": f"bytes */{info.size}"})
                return
            case HTTPStatus.PARTIAL_CONTENT:
                headers["content-range"] = f"bytes {start}-{end - 1}/{info.size}"
        headers["content-length"] = str(end - start)
        if stream is None:
            await self._send_head(status, headers, send)
            await send({"type": "http.response.body", "body": b""})
            return
        try:
            await self._send_head(status, headers, send)
            await _send_body(stream, end - start, send)
        finally:
            await stream.aclose()

    def _file_headers(self, info: FileInfo) -> dict[str, str]:
        return file_headers(
            info,
            content_type=self.media_type,
            content_disposition=self.content_disposition,
            cache_control=self.cache_control,
            active=self.active,
        )

    async def _send_head(self, status: int, headers: Mapping[str, str], send: Send) -> None:
        own = {name for name, _ in self.raw_headers}
        fields = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
        ]
        kept = [field for field in fields if field[0] not in own]
        await send(
            {
                "type": "http.response.start",
                "status": int(status),
                "headers": kept + self.raw_headers,
            }
        )

    async def _open(self, method: str, request_headers: Headers) -> _Opened:
        """Open the file, or the requested range, unless the response needs no content.

        Raises:
            StorageException: As for `Disk.stat` and `Disk.stream`; a private file is not found
                where only public ones are served.
        """
        conditional = any(name in request_headers for name in (*CONDITIONS, "range"))
        if method == "GET" and not conditional and not self.public_only:
            stream = await self.disk.stream(self.path)
            return _Opened(stream.info, HTTPStatus.OK, (0, stream.info.size), stream)
        for _ in range(_ATTEMPTS):
            info = await self.disk.stat(self.path)
            await self._check_visibility()
            status, (start, end) = _status_and_range(method, request_headers, info)
            if method == "HEAD" or status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
                return _Opened(info, status, (start, end), None)
            # Only the version whose visibility, conditions and length were checked.
            opening = self.disk.stream(self.path, start=start, end=end, if_match=info.etag)
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

    async def _check_visibility(self) -> None:
        if not self.public_only:
            return
        try:
            visibility = await self.disk.visibility(self.path)
        except UnsupportedOperationException:
            visibility = Visibility.PRIVATE  # without visibility, no file is known to be public
        if visibility is not Visibility.PUBLIC:
            # The same as for a missing file: that a private file exists is private too.
            raise FileNotFoundException("File not found", path=self.path)


class _Opened(NamedTuple):
    """What `DiskResponse` sends.

    Attributes:
        info: The file's metadata.
        status: The HTTP status.
        part: The bytes ``[start, end)`` of the file that the response is about.
        stream: Those bytes; None where the response has no content.
    """

    info: FileInfo
    status: int
    part: tuple[int, int]
    stream: ByteStream | None


class _EarlyError(Exception):
    """An exception before the response began, which can still become a status."""

    def __init__(self, error: StorageException) -> None:
        super().__init__()
        self.error = error


def _status_and_range(
    method: str, request_headers: Headers, info: FileInfo
) -> tuple[int, tuple[int, int]]:
    """Return the status for a request, and the range of the file that the response is about."""
    whole, etag = (0, info.size), http_etag(info)
    status = failed_condition(method, request_headers, etag, info.last_modified)
    if status is not None:
        return status, whole
    if method != "GET":
        return HTTPStatus.OK, whole  # a range means something for GET only (section 14.2)
    try:
        part = requested_range(request_headers, etag, info.last_modified, info.size)
    except UnsatisfiableRangeError:
        return HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, whole
    return (HTTPStatus.OK, whole) if part is None else (HTTPStatus.PARTIAL_CONTENT, part)


async def _until_disconnect(
    receive: Receive, send: Send, respond: Callable[[Send], Coroutine[Any, Any, None]]
) -> bool:
    """Respond, and stop when the client disconnects: not every server makes `send` raise then.

    This also stops waiting for a storage that is slow to open a file or to give its first byte.

    Returns:
        Whether the response was begun.
    """
    begun = sent = False

    async def tracked(message: Message) -> None:
        nonlocal begun, sent
        begun = True
        await send(message)
        sent = message["type"] == "http.response.body" and not message.get("more_body", False)

    responding = asyncio.ensure_future(respond(tracked))
    disconnecting = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((responding, disconnecting), return_when=asyncio.FIRST_COMPLETED)
    finally:
        disconnecting.cancel()
        if not sent:  # otherwise only the file is left to close
            responding.cancel()
        await asyncio.wait((responding, disconnecting))
    for task in (responding, disconnecting):
        if not task.cancelled():
            task.result()
    return begun


async def _disconnected(receive: Receive) -> None:
    """Wait for the client to disconnect, or until this is cancelled.

    Middleware that has read the body may give it again and again without ever waiting: behind the
    body's end, or too many pieces of it, no disconnection is expected from there.
    """
    ended = False
    for _ in range(_MOST_MESSAGES):
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        if ended:
            break
        ended = not message.get("more_body", False)
    await asyncio.get_running_loop().create_future()


async def _send_body(stream: ByteStream, length: int, send: Send) -> None:
    """Send a file; stop where `send` raises since the client disconnected (ASGI 2.4)."""
    if not length:
        await send({"type": "http.response.body", "body": b""})
        return
    left = length
    async for chunk in stream:
        left -= len(chunk)
        message = {"type": "http.response.body", "body": chunk, "more_body": left > 0}
        try:
            await send(message)
        except OSError:
            return
        # Where neither the storage nor the server waits (files in memory, a client that is gone),
        # other tasks would not run until the end of the file.
        await asyncio.sleep(0)
