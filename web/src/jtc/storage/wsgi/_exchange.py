"""One request of a WSGI server to an ASGI application, which runs in the sync API's loop."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

from jtc.storage.asgi._sending import DESCRIPTOR
from jtc.storage.sync import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import InputStream, WSGIEnvironment

    from starlette.types import ASGIApp, Message, Scope

__all__ = ["Exchange", "body_length", "scope_of"]

_READ_SIZE = 65_536
_MOST_MESSAGES = 2
"""How many chunks wait for a server that sends slowly."""


class Exchange:
    """The messages of one request, and the body that the WSGI server iterates over and closes.

    Args:
        app: The application.
        environ: The request.
        length: The length of its body in bytes; None where the server marks the end.
    """

    def __init__(self, app: ASGIApp, environ: WSGIEnvironment, length: int | None) -> None:
        self._app = app
        self._scope = scope_of(environ)
        self._body = _Body(environ["wsgi.input"], length)
        self._ready: list[Message] = []
        self._ended = False

    def head(self) -> Message:
        """Return the message that begins the response.

        Raises:
            Exception: The application raised it before.
        """
        (head,) = run(self._begin())
        return head

    def file(self) -> io.FileIO | None:
        """Return the file whose rest is the body, for the server to send and close; or None.

        Raises:
            Exception: The application raised it.
        """
        if DESCRIPTOR not in self._scope["extensions"]:
            return None
        self._ready = self._ready or run(self._messages())
        if self._ready[0]["type"] != DESCRIPTOR:
            return None
        self._ended = True
        run(self._end())
        return io.FileIO(self._ready.pop()["descriptor"], "rb")

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Return the next bytes of the response's body.

        Raises:
            Exception: The application raised it: the server then closes the connection.
        """
        while not self._ended:
            if not self._ready:
                self._ready = run(self._messages())
            message = self._ready.pop(0)
            self._ended = not message.get("more_body", False)
            if self._ended:
                run(self._end())
            if body := message.get("body", b""):
                return bytes(body)
        raise StopIteration

    def close(self) -> None:
        """Stop the application, if the client disconnected before the end of the response."""
        if not self._ended:
            self._ended = True
            run(self._cancel())

    async def _begin(self) -> list[Message]:
        self._queue: asyncio.Queue[Message] = asyncio.Queue(_MOST_MESSAGES)
        self._task = asyncio.ensure_future(
            self._app(self._scope, self._body.receive, self._queue.put)
        )
        try:
            return await self._messages(most=1)
        except BaseException:
            self._ended = True
            await self._cancel()
            raise

    async def _messages(self, most: int = _MOST_MESSAGES) -> list[Message]:
        """Return the messages that are ready, at least one."""
        if self._queue.empty():
            getting = asyncio.ensure_future(self._queue.get())
            await asyncio.wait((getting, self._task), return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                getting.cancel()
                await self._task
                raise RuntimeError("The application ended before its response did")
            messages = [getting.result()]
        else:
            messages = [self._queue.get_nowait()]
        while len(messages) < most and not self._queue.empty():
            messages.append(self._queue.get_nowait())
        return messages

    async def _end(self) -> None:
        """Wait until the application has closed what it opened."""
        await self._task

    async def _cancel(self) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))
        if not self._task.cancelled():
            self._task.exception()  # the client that would see it disconnected


class _Body:
    """The body of a request, read in other threads, as ASGI's messages.

    Args:
        stream: The server's stream.
        length: Its length in bytes; None where the stream has an end.
    """

    def __init__(self, stream: InputStream, length: int | None) -> None:
        self._stream = stream
        self._left = length
        self._is_read = length == 0
        self._is_given = False

    async def receive(self) -> Message:
        """Return the next piece of the body; behind its end, wait forever.

        A client that disconnects later is noticed by the WSGI server, which then closes the
        response.
        """
        if self._is_read:
            if self._is_given:
                await asyncio.get_running_loop().create_future()
            self._is_given = True
            return {"type": "http.request", "body": b"", "more_body": False}
        size = _READ_SIZE if self._left is None else min(_READ_SIZE, self._left)
        try:
            data = await asyncio.to_thread(self._stream.read, size)
        except OSError:
            return {"type": "http.disconnect"}
        if self._left is None:
            self._is_read = not data
        elif data:
            self._left -= len(data)
            self._is_read = not self._left
        else:
            return {"type": "http.disconnect"}  # before the length that was declared
        self._is_given = self._is_read
        return {"type": "http.request", "body": data, "more_body": not self._is_read}


def body_length(environ: WSGIEnvironment) -> int | None:
    """Return the length of a request's body in bytes; None where the server marks its end.

    Raises:
        ValueError: The length is not known: this server does not decode chunked bodies.
    """
    length = environ.get("CONTENT_LENGTH") or ""
    if "HTTP_TRANSFER_ENCODING" not in environ and not length:
        return 0
    if "HTTP_TRANSFER_ENCODING" not in environ and length.isdecimal():
        return int(length)
    if environ.get("wsgi.input_terminated"):
        return None
    raise ValueError("The body has no Content-Length")


def scope_of(environ: WSGIEnvironment) -> Scope:
    """Return the ASGI scope of a request.

    PEP 3333 has bytes as `str`, in Latin-1.
    """
    root, path = _decoded(environ.get("SCRIPT_NAME", "")), _decoded(environ.get("PATH_INFO", ""))
    headers: list[tuple[bytes, bytes]] = []
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            name = key.removeprefix("HTTP_")
        elif key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
            name = key
        else:
            continue
        headers.append((name.replace("_", "-").lower().encode("latin-1"), value.encode("latin-1")))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": environ.get("SERVER_PROTOCOL", "HTTP/1.1").rpartition("/")[2],
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "path": root + path,
        "root_path": root,
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "headers": headers,
        "server": _address(environ, "SERVER_NAME", "SERVER_PORT"),
        "client": _address(environ, "REMOTE_ADDR", "REMOTE_PORT"),
        "extensions": {DESCRIPTOR: {}} if "wsgi.file_wrapper" in environ else {},
    }


def _decoded(path: Any) -> str:
    # As ASGI servers do: such a path names no file.
    return str(path).encode("latin-1").decode("utf-8", errors="replace")


def _address(environ: WSGIEnvironment, host: str, port: str) -> tuple[str, int] | None:
    """Return a host and a port; None where there is none, as at a Unix socket."""
    number = str(environ.get(port) or "0")
    name = environ.get(host)
    return (str(name), int(number)) if name and number.isdecimal() else None
