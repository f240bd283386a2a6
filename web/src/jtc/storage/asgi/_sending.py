"""Sending of a head and a body, and the end of a request whose client disconnects."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Coroutine, Mapping, Sequence

    from starlette.types import Message, Receive, Scope, Send

    from jtc.storage import ByteStream

__all__ = [
    "DESCRIPTOR",
    "encoded",
    "send_body",
    "send_descriptor",
    "send_head",
    "until_disconnect",
]

DESCRIPTOR = "jtc.storage.descriptor"
"""The name of the ASGI extension, and of its message, by which a descriptor is sent."""

_SMALL = 65_536
"""Bytes that one chunk has, which costs less than a descriptor."""

_MOST_MESSAGES = 100
"""How many pieces of a request's body are read: one that asks for a file has none, or few."""


async def until_disconnect(
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


def encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return headers as ASGI has them: names in small letters, all of it in Latin-1."""
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
    ]


async def send_head(
    status: int, headers: Mapping[str, str], send: Send, own: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    """Send the status and the headers of a response.

    Args:
        status: The HTTP status.
        headers: The headers.
        send: Sends them.
        own: Headers of the application, which replace those of the same names.
    """
    replaced = {name for name, _ in own}
    kept = [field for field in encoded(headers) if field[0] not in replaced]
    await send({"type": "http.response.start", "status": int(status), "headers": [*kept, *own]})


async def send_descriptor(
    stream: ByteStream, length: int, behind: int, scope: Scope, send: Send
) -> bool:
    """Let a WSGI server send a local file by itself, from a descriptor, up to the file's end.

    Args:
        stream: The open file.
        length: How many bytes of it are sent.
        behind: How many bytes of it are left behind these. Then a server might send too many.
        scope: The ASGI scope; `jtc.storage.wsgi` has the extension.
        send: Sends the descriptor, which the receiver closes.

    Returns:
        Whether the server sends it.
    """
    if behind or length <= _SMALL or DESCRIPTOR not in scope.get("extensions", {}):
        return False
    try:
        descriptor = stream.descriptor()
    except OSError:  # too many are open
        return False
    if descriptor is None:
        return False
    await send({"type": DESCRIPTOR, "descriptor": descriptor})
    return True


async def send_body(chunks: AsyncIterable[bytes], length: int, send: Send) -> None:
    """Send a body; stop where `send` raises since the client disconnected (ASGI 2.4)."""
    if not length:
        await send({"type": "http.response.body", "body": b""})
        return
    left = length
    async for chunk in chunks:
        left -= len(chunk)
        message = {"type": "http.response.body", "body": chunk, "more_body": left > 0}
        try:
            await send(message)
        except OSError:
            return
        # Where neither the storage nor the server waits (files in memory, a client that is gone),
        # other tasks would not run until the end of the file.
        await asyncio.sleep(0)
