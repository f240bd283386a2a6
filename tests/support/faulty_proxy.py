"""HTTP proxy on loopback in front of a real store, which injects faults."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

__all__ = ["Fault", "FaultyProxy"]

HOST = "127.0.0.1"

_EXPECTS = re.compile(rb"(?i)expect: 100-continue\r\n")
"""The SDK asks so before large content. It is not among the signed headers."""


@dataclass
class Fault:
    """What to do to a request, once.

    Attributes:
        method: Which requests it waits for.
        key: What their URL must have in it, so that faults of several tasks do not mix.
        status: Answer so instead of the store.
        body: What that answer says.
        cut: Send this many bytes of the answer's body and reset the connection.
        truncate: Send this many bytes of the answer's body and end the connection.
        flip: Flip a bit of this byte of the answer's body.
        lose: Let the store answer, and reset the connection without a byte.
        hang: Never answer.
        stall: Send this many bytes of the answer's body and then no more.
        drip: Send the answer's body one byte at a time, with this many seconds between them.
        before: Called before the request goes on to the store.
        meanwhile: Called once the bytes before a cut are sent, and before the connection is reset.
        after: Called once the fault has happened.
    """

    method: str = "GET"
    key: str = ""
    status: int | None = None
    body: bytes = b""
    cut: int | None = None
    truncate: int | None = None
    flip: int | None = None
    lose: bool = False
    hang: bool = False
    stall: int | None = None
    drip: float | None = None
    before: Callable[[], Awaitable[object]] | None = None
    meanwhile: Callable[[], Awaitable[object]] | None = None
    after: Callable[[], Awaitable[object]] | None = None


@dataclass
class FaultyProxy:
    """Passes requests on, one connection each; `faults` are taken in order.

    Attributes:
        target: The store's URL.
        faults: What is still to be broken.
        requests: The request lines so far, such as ``"GET /bucket/key?x"``.
        body_bytes: The length of all bodies so far, of requests and of the store's answers.
    """

    target: str
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    body_bytes: int = 0
    endpoint_url: str = ""

    @property
    def busy(self) -> bool:
        """Whether a request is still on its way to the store or back."""
        return bool(self._tasks)

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._accept, HOST, 0)
        self.endpoint_url = f"http://{HOST}:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def settle(self) -> None:
        """End all that is under way: answers that hang, and requests that were given up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # An aborted connection is closed in the loop's next rounds.
        await asyncio.sleep(0.05)

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # An aborted connection is closed in the loop's next round.
        await asyncio.sleep(0)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                if _EXPECTS.search(head):
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    head = _EXPECTS.sub(b"", head)
                body = await reader.readexactly(_content_length(head))
                await self._answer(head, body, writer)
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    async def _answer(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        method, path = head.split(b" ", 2)[:2]
        self.requests.append(f"{method.decode()} {path.decode()}")
        fault = self._take(method.decode(), path.decode())
        if fault.before is not None:
            await fault.before()
        if fault.hang:
            await asyncio.Event().wait()
        if fault.status is not None:
            refusal = (
                f"HTTP/1.1 {fault.status} No\r\nContent-Length: {len(fault.body)}\r\n"
                "Connection: close\r\n\r\n"
            )
            writer.write(refusal.encode() + fault.body)
        else:
            answer = await self._of_store(head, body)
            self.body_bytes += len(body) + len(answer.partition(b"\r\n\r\n")[2])
            await _send(answer, fault, writer)
        if not writer.transport.is_closing():
            await writer.drain()
        if fault.after is not None:
            await fault.after()

    def _take(self, method: str, path: str) -> Fault:
        for fault in self.faults:
            if fault.method == method and fault.key in path:
                self.faults.remove(fault)
                return fault
        return Fault()

    async def _of_store(self, head: bytes, body: bytes) -> bytes:
        parts = urlsplit(self.target)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            # Not among the signed headers.
            writer.write(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + body)
            return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()


async def _send(answer: bytes, fault: Fault, writer: asyncio.StreamWriter) -> None:
    head, end, body = answer.partition(b"\r\n\r\n")
    if fault.lose:
        writer.transport.abort()
        return
    if fault.flip is not None:
        body = body[: fault.flip] + bytes([body[fault.flip] ^ 1]) + body[fault.flip + 1 :]
    if fault.drip is not None:
        writer.write(head + end)
        for byte in body:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(fault.drip)
        return
    if fault.stall is not None:
        writer.write(head + end + body[: fault.stall])
        await writer.drain()
        await asyncio.Event().wait()
    if fault.cut is not None:
        writer.write(head + end + body[: fault.cut])
        await writer.drain()
        # A reset throws away what the kernel has not sent yet.
        await asyncio.sleep(0.01)
        if fault.meanwhile is not None:
            await fault.meanwhile()
        writer.transport.abort()
        return
    writer.write(head + end + body[: fault.truncate])


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
