"""Connections of one event loop: aiohttp's sessions, and the limits to their use."""

from __future__ import annotations

import asyncio
import functools
import socket
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakValueDictionary

from jtc.storage.driver_support.content import in_thread
from jtc.storage.exceptions import StorageTimeoutException
from jtc.storage.http_support.closed_loop import discard_session
from jtc.storage.http_support.errors import DisconnectedError, network_exception
from jtc.storage.http_support.network import tls_context
from jtc.storage.http_support.redaction import scrub

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable
    from types import SimpleNamespace

    import aiohttp
    import yarl

    from jtc.storage.http_support.settings import NetworkSettings

__all__ = ["LARGE", "Connections", "OpenBody", "Places"]

_KEEP_ALIVE_SECONDS = 12.0
"""An idle connection's life: shorter than what stores allow, as botocore has it."""

_DEAD_SECONDS = 5
"""Seconds without an acknowledgement by the other machine after which a connection is dead,
though nothing said so: TCP_USER_TIMEOUT, https://man7.org/linux/man-pages/man7/tcp.7.html."""

LARGE = 256 * 1024
"""Bytes from which on a body is sent in pieces of this length, as what the socket does not take at
once is copied, and only after the store has agreed to take it."""

_FIRST = 64 * 1024
"""Bytes that are taken at once of an answer until its reader is known: it may be a slow one."""

_CONTINUE_SECONDS = 1.0
"""How long to wait for that agreement: RFC 9110, 10.1.1, says not to wait without end."""

_CLOSE_SECONDS = 5.0
"""How long closing waits for requests that are under way."""

_GOODBYE_SECONDS = 0.5
"""How long closing waits for the other machine to take note of it."""


class Places:
    """A limit to what one event loop uses at once, given out in the order of the calls.

    Args:
        option: The option that sets it.
        number: How many places there are.
        seconds: How long a task may wait for some.
    """

    def __init__(self, option: str, number: int, seconds: float) -> None:
        self.number, self._free = number, number
        self._option, self._seconds = option, seconds
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def take_free(self, number: int = 1, *, leaving: int = 0) -> bool:
        """Take places without waiting; False where too few are free, or others wait.

        Args:
            number: How many.
            leaving: How many must be free afterwards.
        """
        if not self.are_free(number + leaving):
            return False
        self._free -= number
        return True

    def are_free(self, number: int = 1) -> bool:
        """Return whether places can be taken without waiting."""
        return not self._waiting and number <= self._free

    async def take(self, number: int = 1) -> None:
        """Take places, and wait for them if they are not free.

        Raises:
            StorageTimeoutException: They were not free in time.
        """
        if self.take_free(number):
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((number, granted))
        try:
            async with asyncio.timeout(self._seconds):
                await granted
        except BaseException as error:
            if granted.done() and not granted.cancelled():
                self.release(number)
            else:
                self._grant()  # those behind it may fit
            if isinstance(error, TimeoutError):
                raise StorageTimeoutException(
                    f"All that the option {self._option} allows was in use for {self._seconds:g} s "
                    "(pool_timeout): streams may be left open, or uploads come slowly; else raise "
                    "it"
                ) from None
            raise

    def release(self, number: int = 1) -> None:
        """Give places back."""
        self._free += number
        if self._waiting:
            self._grant()

    def _grant(self) -> None:
        waiting = self._waiting
        while waiting and (waiting[0][1].done() or waiting[0][0] <= self._free):
            number, granted = waiting.popleft()
            if not granted.done():
                self._free -= number
                granted.set_result(None)


class Connections:
    """One event loop's connections, as a context.

    Args:
        settings: The disk's.
        middleware: What aiohttp sends each request through.

    Attributes:
        places: One for each connection, held until the answer's body is closed.
        memory: Bytes that the parts of transfers may take: an upload waits for them, a download
            takes what is free.
        under_way: The number of requests whose answers are waited for.
        is_closing: Whether new requests must go elsewhere.
        bodies: The answers' bodies that are open.
        broken: What aiohttp raises where the store was not reached or broke off.
        usual: Time limits of a request.
        copying: Those of a copy, in which the store may be silent.
        session: aiohttp's.
        sending: Another one for large bodies, which says when a request's head is sent.
        fresh: A third one, which opens a connection for each request: of those that wait in the
            others all may be dead.
    """

    _origin: tuple[str, yarl.URL]
    broken: tuple[type[Exception], ...]
    usual: aiohttp.ClientTimeout
    copying: aiohttp.ClientTimeout
    session: aiohttp.ClientSession
    sending: aiohttp.ClientSession
    fresh: aiohttp.ClientSession

    def __init__(self, settings: NetworkSettings, middleware: aiohttp.ClientMiddlewareType) -> None:
        self._settings, self._middleware = settings, middleware
        limit = settings.pool_timeout
        self.places = Places("max_connections", settings.max_connections, limit)
        self.memory = Places("max_transfer_memory", settings.max_transfer_memory, limit)
        self.under_way = 0
        self.is_closing = False
        self.bodies: set[OpenBody] = set()
        self._sockets = WeakValueDictionary[int, _Socket]()

    async def __aenter__(self) -> Self:
        settings = self._settings
        # The import and certificates take tenths of a second: they must not stop the event loop.
        context = await in_thread(_prepared, settings)
        import aiohttp  # noqa: PLC0415
        import yarl  # noqa: PLC0415

        self._origin = "", yarl.URL()
        self.broken = (aiohttp.ClientError, TimeoutError, ConnectionError, DisconnectedError)
        self.usual, self.copying = (
            aiohttp.ClientTimeout(sock_connect=settings.connect_timeout, sock_read=seconds)
            for seconds in (settings.read_timeout, None)
        )
        # The limit is that of `places`.
        connect = functools.partial(
            aiohttp.TCPConnector, limit=0, ssl=context, socket_factory=self._socket
        )
        connector, closing = (
            connect(keepalive_timeout=_KEEP_ALIVE_SECONDS),
            connect(force_close=True),
        )
        head_sent = aiohttp.TraceConfig()
        head_sent.on_request_headers_sent.append(_tell)
        self.session, self.sending, self.fresh = (
            aiohttp.ClientSession(
                connector=each,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("Content-Type", "Accept", "Accept-Encoding", "User-Agent"),
                auto_decompress=False,
                middlewares=(self._middleware,),
                trace_configs=traces,
            )
            for each, traces in ((connector, []), (connector, [head_sent]), (closing, [head_sent]))
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.is_closing = True
        ends = time.monotonic() + _CLOSE_SECONDS
        while self.under_way and time.monotonic() < ends:  # noqa: ASYNC110 - they are in many tasks
            await asyncio.sleep(0.01)
        for body in tuple(self.bodies):
            body.response.close()  # closed with the session, it would leave its reader waiting
        self.sending.detach()
        await self.session.close()
        await self.fresh.close()
        # TLS says goodbye before it closes, and the loop may end after this.
        ends = time.monotonic() + _GOODBYE_SECONDS
        while self._has_open_sockets() and time.monotonic() < ends:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.001)

    def _has_open_sockets(self) -> bool:
        return any(each.fileno() >= 0 for each in list(self._sockets.values()))

    def discard(self) -> None:
        """Release the connections where the loop does not run any more."""
        self.sending.detach()
        discard_session(self.session, [body.response for body in self.bodies])
        discard_session(self.fresh)

    def url(self, origin: str, path: str, query: str) -> yarl.URL:
        """Return the URL of what is percent-encoded, at an origin such as ``"http://host:80"``."""
        known, at = self._origin
        if known != origin:
            at = type(at)(origin, encoded=True)
            self._origin = origin, at
        if query:
            return type(at)(f"{origin}{path}?{query}", encoded=True)
        return at.with_path(path, encoded=True)  # a third of the time of reading all of it

    def _socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        made = _Socket(*address[:3])
        self._sockets[made.fileno()] = made
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_SECONDS * 1000)
        return made

    def take_at_once(self, transport: asyncio.BaseTransport, most: int) -> None:
        """Limit the bytes that are taken from a connection whenever there are some."""
        opened = transport.get_extra_info("socket")
        if opened is None:
            return  # it is closed
        if (found := self._sockets.get(opened.fileno())) is not None:
            found.most = most
        if (limit := getattr(transport, "set_read_buffer_limits", None)) is not None:
            limit(most)  # for what TLS has not decrypted yet

    def session_for(self, body: bytes, failure: Exception | None) -> aiohttp.ClientSession:
        """Return the session for a request, given how the attempt before ended."""
        if isinstance(failure, DisconnectedError):
            return self.fresh
        return self.sending if len(body) > LARGE else self.session

    async def send_large(
        self, body: bytes, send: Callable[..., Awaitable[aiohttp.ClientResponse]], *, expect: bool
    ) -> tuple[aiohttp.ClientResponse, bool]:
        """Send a large body, with `expect` once the store agrees to take it, or says nothing.

        Args:
            body: What is sent.
            send: Sends it, given aiohttp's arguments for that.
            expect: Whether to ask the store.

        Returns:
            The answer, and whether the store answers what it is asked.
        """
        if expect:
            pieces, head_sent = _Pieces(body), asyncio.Event()

            async def agreed() -> None:
                await head_sent.wait()
                async with asyncio.timeout(_CONTINUE_SECONDS):
                    await pieces.begun.wait()

            answering = send(data=pieces, expect100=True, trace_request_ctx=head_sent)
            sending, waiting = asyncio.ensure_future(answering), asyncio.create_task(agreed())
            is_taken = False
            try:
                await asyncio.wait({sending, waiting}, return_when=asyncio.FIRST_COMPLETED)
                if sending.done() or waiting.exception() is None:
                    response = await sending
                    is_taken = True
                    return response, True
            finally:
                for task in (sending, waiting):
                    task.cancel()
                if not is_taken:
                    sending.add_done_callback(_close_answer)
                    await asyncio.gather(sending, waiting, return_exceptions=True)
        return await send(data=_Pieces(body), trace_request_ctx=asyncio.Event()), False


def _prepared(settings: NetworkSettings) -> ssl.SSLContext | bool:
    import aiohttp  # noqa: F401, PLC0415 - 0.2 s, so at first use

    return tls_context(settings)


class _Socket(socket.socket):
    """A socket from which a loop reads no more at once than it may.

    asyncio reads as much as there is, up to 256 KiB, and aiohttp can only pause afterwards.

    Attributes:
        most: How many bytes.
    """

    most = _FIRST

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        return super().recv(min(bufsize, self.most), flags)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        return super().recv_into(buffer, min(nbytes or len(buffer), self.most), flags)


def _close_answer(sending: asyncio.Future[aiohttp.ClientResponse]) -> None:
    if not sending.cancelled() and sending.exception() is None:
        sending.result().close()


async def _tell(_session: object, context: SimpleNamespace, _params: object) -> None:
    if context.trace_request_ctx is not None:
        context.trace_request_ctx.set()


class _Pieces(AsyncIterator[memoryview]):
    """A body in pieces.

    Attributes:
        begun: Set when the first one is taken.
    """

    def __init__(self, body: bytes) -> None:
        view = memoryview(body)
        self._pieces = (view[at : at + LARGE] for at in range(0, len(view), LARGE))
        self.begun = asyncio.Event()

    async def __anext__(self) -> memoryview:
        self.begun.set()
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration


class OpenBody:
    """An answer's content that is still on its way, and its connection's place.

    Args:
        response: The answer.
        connections: Those whose place it holds.
        most: As that of the request.
    """

    def __init__(
        self, response: aiohttp.ClientResponse, connections: Connections, most: int | None
    ) -> None:
        self.response, self._connections = response, connections
        self._most, self._rest = most, b""
        connection = response.connection  # None where all has arrived
        self._transport = None if connection is None else connection.transport
        if self._transport is not None:
            connections.take_at_once(self._transport, LARGE if most is None else most)
        connections.bodies.add(self)

    async def read(self, size: int) -> bytes:
        """Return the next bytes, `size` at most; none at the end."""
        try:
            if self._most is None:
                return await self.response.content.read(size)
            if not self._rest:
                self._rest = await self._taken()
        except Exception as error:
            scrub(error)
            # aiohttp raises a RuntimeError where the connections were closed meanwhile.
            if isinstance(error, RuntimeError):
                error = DisconnectedError(str(error))
            raise network_exception(error) from error
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    async def _taken(self) -> bytes:
        """Take from the connection, which aiohttp pauses as soon as it has something."""
        connection = self.response.connection
        if connection is not None and connection.protocol is not None:
            connection.protocol.resume_reading()
        return await self.response.content.readany()

    def close(self) -> None:
        """Release the connection: to the pool if all was read, else by closing it."""
        if self in self._connections.bodies:
            self._connections.bodies.discard(self)
            if self._transport is not None:
                self._connections.take_at_once(self._transport, _FIRST)
            self.response.close()
            self._connections.places.release()
