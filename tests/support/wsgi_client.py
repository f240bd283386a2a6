"""HTTP client of a WSGI application in this process, which checks both sides of PEP 3333."""

from __future__ import annotations

import asyncio
import io
import sys
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.validate import validator

import httpx

__all__ = ["WsgiTransport"]

_METHODS = ("GET", "HEAD", "POST", "OPTIONS", "PATCH", "PUT", "DELETE", "TRACE")


class WsgiTransport(httpx.AsyncBaseTransport):
    """A transport of httpx that calls a WSGI application in a thread, as a server does.

    Args:
        app: The application.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        stream = request.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        environ = _environ_of(request, _Input(stream, asyncio.get_running_loop()))
        return await asyncio.to_thread(self._respond, environ)

    def _respond(self, environ: dict[str, Any]) -> httpx.Response:
        begun: list[Any] = []

        def start_response(status: str, headers: list[Any], exc_info: Any = None) -> Any:
            assert exc_info is None
            begun[:] = [status, headers]
            return lambda _: None

        known = environ["REQUEST_METHOD"] in _METHODS  # the checker warns of others
        body = (validator(self._app) if known else self._app)(environ, start_response)
        try:
            content = b"".join(body)
        finally:
            body.close()
        status, headers = begun
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return httpx.Response(int(status[:3]), headers=encoded, stream=httpx.ByteStream(content))


class _Input(io.RawIOBase):
    """The body of a request, which may never end, read in other threads than the client's."""

    def __init__(self, stream: httpx.AsyncByteStream, loop: asyncio.AbstractEventLoop) -> None:
        self._chunks = aiter(stream)
        self._loop = loop
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            coming = asyncio.run_coroutine_threadsafe(self._next(), self._loop)
            self._left = coming.result()
        taken, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)

    async def _next(self) -> bytes:
        async for chunk in self._chunks:
            if chunk:
                return chunk
        return b""


def _environ_of(request: httpx.Request, body: _Input) -> dict[str, Any]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(request.url.raw_path.partition(b"?")[0]).decode("latin-1"),
        "QUERY_STRING": request.url.query.decode("latin-1"),
        "SERVER_NAME": request.url.host,
        "SERVER_PORT": str(request.url.port or 80),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.url.scheme,
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    if "HTTP_TRANSFER_ENCODING" in environ:
        environ["wsgi.input_terminated"] = True
    return environ
