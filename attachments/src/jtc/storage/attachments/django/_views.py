"""The view that serves attachments, under WSGI and ASGI: the ASGI route in the sync API's loop."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt

from jtc.storage.attachments.asgi import AttachmentRoute, route
from jtc.storage.attachments.django._registry import registry, route_options
from jtc.storage.sync import run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from django.http import HttpRequest

__all__ = ["attachment"]


@csrf_exempt  # for the status of other methods
def attachment(request: HttpRequest, path: str) -> StreamingHttpResponse:
    """Respond to a request for an attachment."""
    exchange = _Exchange(_scope(request, path))
    status, headers = run(exchange.begin())
    is_async = isinstance(request, ASGIRequest)
    body: Any = _chunks_async(exchange) if is_async else _Chunks(exchange)
    response = StreamingHttpResponse(body, status=status, headers=headers)
    if "content-type" not in headers:
        del response["content-type"]
    return response


class _Exchange:
    """A request to the route, which runs as a task of the sync API's loop.

    Args:
        scope: The ASGI scope of the request.
    """

    def __init__(self, scope: dict[str, Any]) -> None:
        self._scope = scope
        # One chunk: the route waits for a slow client.
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue(1)
        self._is_read = False
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> tuple[int, dict[str, str]]:
        """Return the status and the headers of the response.

        Raises:
            Exception: What the route raises before its response begins.
        """
        self._task = asyncio.create_task(self._run())
        message = await self._next(self._task)
        if message["type"] != "http.response.start":
            raise RuntimeError(f"The route began its response with {message['type']!r}")
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]
        }
        return message["status"], headers

    async def chunk(self) -> bytes | None:
        """Return the next part of the body; None at its end.

        Raises:
            Exception: What the route raises meanwhile.
        """
        while self._task is not None:
            message = await self._next(self._task)
            if not message.get("more_body"):
                await self.aclose(cancel=False)
            if body := message.get("body"):
                return bytes(body)
        return None

    async def aclose(self, *, cancel: bool = True) -> None:
        """End the task, whose client is gone or has all of the response."""
        task, self._task = self._task, None
        if task is None:
            return
        if cancel:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def _next(self, task: asyncio.Task[None]) -> dict[str, Any]:
        message = asyncio.create_task(self._messages.get())
        await asyncio.wait([message, task], return_when=asyncio.FIRST_COMPLETED)
        if not message.done() and self._messages.empty():
            message.cancel()
            await task  # raises its error, where it has one
            return {"type": "http.response.body"}
        return await message

    async def _run(self) -> None:
        await _application()(self._scope, self._receive, self._messages.put)

    async def _receive(self) -> dict[str, Any]:
        if self._is_read:
            await asyncio.Event().wait()  # `aclose` cancels the task of a client that is gone
        self._is_read = True
        return {"type": "http.request", "body": b"", "more_body": False}


class _Chunks:
    """The body of a response under WSGI. Django closes it."""

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        while (chunk := run(self._exchange.chunk())) is not None:
            yield chunk

    def close(self) -> None:
        run(self._exchange.aclose())


async def _chunks_async(exchange: _Exchange) -> AsyncIterator[bytes]:
    """Yield the body of a response under ASGI, whose loop is another one."""
    try:
        while (chunk := await asyncio.to_thread(run, exchange.chunk())) is not None:
            yield chunk
    finally:
        await asyncio.shield(asyncio.to_thread(run, exchange.aclose()))


@cache
def _application() -> AttachmentRoute:
    return route(registry(), **route_options())


def _scope(request: HttpRequest, path: str) -> dict[str, Any]:
    query: str = request.META.get("QUERY_STRING", "")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.scheme,
        "path": f"/{path}",
        "raw_path": f"/{path}".encode(),
        "root_path": "",
        "query_string": query.encode("latin-1", "replace"),
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
            for name, value in request.headers.items()
        ],
        "client": None,
        "server": None,
    }
