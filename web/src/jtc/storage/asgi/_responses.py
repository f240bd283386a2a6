"""A file as an answer: whole, in part, or that the client has it already."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.responses import Response

from jtc.storage.asgi._conditions import (
    CONDITIONS,
    UnsatisfiableRangeError,
    failed_condition,
    wanted_range,
)
from jtc.storage.asgi._errors import answer_error, answer_nobody, send_plain
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
"""How often a file is looked at anew that others replace between the look and the opening."""

_ABOUT_CONTENT = ("accept-ranges", "content-disposition", "content-security-policy", "content-type")


class DiskResponse(Response):
    """A file of any disk, to be returned from a handler, as Starlette's `FileResponse`.

    It answers conditions and a range, in constant memory, and lets go of the file when the client
    goes. A file that is not there is a 404, a storage that is away a 503: nothing is raised for
    them. What a browser would run (HTML, SVG, XML, JavaScript) it is told to save.

    Args:
        disk: The disk.
        path: The file.
        filename: The name to save it under, in any script.
        media_type: The MIME type, in place of the file's own.
        content_disposition_type: ``"attachment"`` or ``"inline"``; it counts with a `filename`.
        headers: Further headers; they win over the file's.
        background: Runs when the answer is sent.
        cache_control: The header of that name, where the file has none of its own.
        active: Let a browser run what it can run: for files that only you write.

    Raises:
        ValueError: There is no such disposition.
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
        # Whoever looks at the headers before the file is looked at sees these, and may add to them.
        self.raw_headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in (headers or {}).items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            StorageException: The disk is configured wrongly, or the storage failed half-way: the
                server then breaks the connection off, so that nobody takes a part for the whole.
        """
        method = scope["method"]
        asked = Headers(scope=scope)
        try:
            begun = await _while_heard(
                receive, send, lambda tell: self._answer(method, asked, tell)
            )
            if not begun:
                await answer_nobody(method, send)
        except _BeforeTheAnswer as refused:
            await answer_error(refused.error, method, send)
        if self.background is not None:
            await self.background()

    async def _answer(self, method: str, asked: Headers, send: Send) -> None:
        try:
            info, stream, status, part = await self._look(method, asked)
        except StorageException as error:
            raise _BeforeTheAnswer(error) from error
        headers = self._facts(info)
        match status:
            case HTTPStatus.NOT_MODIFIED:
                kept = {name: headers[name] for name in headers if name not in _ABOUT_CONTENT}
                await self._send_head(status, kept, send)
                await send({"type": "http.response.body", "body": b""})
                return
            case HTTPStatus.PRECONDITION_FAILED:
                await send_plain(status, method, send)
                return
            case HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                await send_plain(status, method, send, {"content-range": f"bytes */{info.size}"})
                return
            case HTTPStatus.PARTIAL_CONTENT:
                headers["content-range"] = f"bytes {part[0]}-{part[1] - 1}/{info.size}"
        length = part[1] - part[0]
        headers["content-length"] = str(length)
        if stream is None:
            await self._send_head(status, headers, send)
            await send({"type": "http.response.body", "body": b""})
            return
        try:
            await self._send_head(status, headers, send)
            await _send_body(stream, length, send)
        finally:
            await stream.aclose()

    def _facts(self, info: FileInfo) -> dict[str, str]:
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

    async def _look(
        self, method: str, asked: Headers
    ) -> tuple[FileInfo, ByteStream | None, int, tuple[int, int]]:
        """Open the file, or its part, as far as the request wants and may have any of it.

        Returns:
            The facts, the open stream if there is something to send, the status, and the part.
        """
        plain = method == "GET" and not any(name in asked for name in (*CONDITIONS, "range"))
        if plain and not self.public_only:
            stream = await self.disk.stream(self.path)
            return stream.info, stream, HTTPStatus.OK, (0, stream.info.size)
        for _ in range(_ATTEMPTS):
            info = await self.disk.stat(self.path)
            await self._check_visibility()
            status, part = _judge(method, asked, info)
            if method == "HEAD" or status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
                return info, None, status, part
            # Only the version that was looked at: its visibility, its conditions, its length.
            opening = self.disk._stream(  # noqa: SLF001 - if_match is not of the public one
                "stream", self.path, start=part[0], end=part[1], if_match=info.etag
            )
            try:
                stream = await opening
            except PreconditionFailedException:
                continue
            if stream.info.size == info.size:
                return info, stream, status, part
            await stream.aclose()
        raise StorageUnavailableException("The file is replaced time after time", path=self.path)

    async def _check_visibility(self) -> None:
        if not self.public_only:
            return
        try:
            visibility = await self.disk.visibility(self.path)
        except UnsupportedOperationException:
            visibility = Visibility.PRIVATE  # where nobody can say it is public, it is not
        if visibility is not Visibility.PUBLIC:
            # As a file that is not there: who may not read it may not know of it either.
            raise FileNotFoundException("File not found", path=self.path)


class _BeforeTheAnswer(Exception):
    """An error while there is still an answer to be given."""

    def __init__(self, error: StorageException) -> None:
        super().__init__()
        self.error = error


def _judge(method: str, asked: Headers, info: FileInfo) -> tuple[int, tuple[int, int]]:
    """Return the status that a request deserves, and the part of the file it is about."""
    whole, etag = (0, info.size), http_etag(info)
    status = failed_condition(method, asked, etag, info.last_modified)
    if status is not None:
        return status, whole
    if method != "GET":
        return HTTPStatus.OK, whole  # a range means something for GET only (section 14.2)
    try:
        part = wanted_range(asked, etag, info.last_modified, info.size)
    except UnsatisfiableRangeError:
        return HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, whole
    return (HTTPStatus.OK, whole) if part is None else (HTTPStatus.PARTIAL_CONTENT, part)


async def _while_heard(
    receive: Receive, send: Send, answer: Callable[[Send], Coroutine[Any, Any, None]]
) -> bool:
    """Give an answer, and stop where the client goes: not every server says so to who sends.

    A store that is slow to open a file, or to give its first byte, is let go then too.

    Returns:
        Whether the answer was begun.
    """
    begun = sent = False

    async def tell(message: Message) -> None:
        nonlocal begun, sent
        begun = True
        await send(message)
        sent = message["type"] == "http.response.body" and not message.get("more_body", False)

    answering = asyncio.ensure_future(answer(tell))
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        if not sent:  # else it has but the file to close, and does
            answering.cancel()
        await asyncio.wait((answering, leaving))
    for task in (answering, leaving):
        if not task.cancelled():
            task.result()
    return begun


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_body(stream: ByteStream, length: int, send: Send) -> None:
    """Send a file; less where the server says that nobody listens any more (ASGI 2.4)."""
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
        # A store that never waits, such as memory, and a server that no longer does, since the
        # client is gone, would let nobody else run until the end.
        await asyncio.sleep(0)
