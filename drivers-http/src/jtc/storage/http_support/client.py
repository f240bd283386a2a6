"""`HttpClient`: sends a store's requests over aiohttp, and again where that helps."""

from __future__ import annotations

import asyncio
import functools
import random
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar
from urllib.parse import urlsplit

from jtc.storage.driver_support.loop_budget import next_iteration, over_budget
from jtc.storage.driver_support.loop_clients import LoopClients
from jtc.storage.exceptions import StorageTimeoutException, StorageUnavailableException
from jtc.storage.http_support import redaction
from jtc.storage.http_support.concurrency import Concurrency
from jtc.storage.http_support.connections import LARGE, Connections, OpenBody
from jtc.storage.http_support.errors import DisconnectedError, network_exception
from jtc.storage.http_support.network import proxy_for
from jtc.storage.http_support.requests import TEMPORARY, Answer, Refusal
from jtc.storage.http_support.settings import MIB
from jtc.storage.http_support.token_bucket import RETRY_PRICE, TokenBucket

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp

    from jtc.storage.http_support.connections import Places
    from jtc.storage.http_support.requests import Request
    from jtc.storage.http_support.settings import HttpSettings

__all__ = ["SLOWEST_BYTES_PER_SECOND", "Exchange", "HttpClient", "Service"]

T = TypeVar("T")
U = TypeVar("U")

SLOWEST_BYTES_PER_SECOND = 65_536
"""A request that sends content has this much more time than one that does not."""

_COPIED_BYTES_PER_SECOND = 8 * MIB
"""A copy has this much more time: a store copies within itself."""

_ACCEPTS_SECONDS = 60.0
"""How long a store that accepted content is taken to accept more."""

_CONDITIONS = frozenset({"if-match", "if-none-match"})

_LONGEST_PAUSE = 20.0
_LONGEST_ERROR = 64 * 1024
_MOST_REMEDIES = 3
_REFUSED, _NO_CONTINUE = 300, 417

_UNHEEDED = (425, 429)
_TOO_MANY = (429, 503)


class Service(ABC):
    """What is particular to a store: a driver has a subclass.

    `signed`, `refusal` and `exception_for` are a store's own; the other methods say what holds of
    HTTP, and a store that differs overrides them.

    Attributes:
        longest_answer: The most bytes of an answer that is read whole, such as a page of a listing.
    """

    longest_answer: ClassVar[int] = 32 * MIB

    @abstractmethod
    async def signed(self, request: Request[Any], *, is_renewed: bool) -> Mapping[str, str]:
        """Return the headers to send, those of the request and of the signature.

        It is called before each attempt, and may set the request's `origin` and `path`.

        Args:
            request: The request; its headers are in lower case.
            is_renewed: Whether the store refused the credentials that were signed with just now.
        """

    @abstractmethod
    def refusal(self, status: int, document: bytes, headers: Mapping[str, str]) -> Refusal:
        """Return what an answer of status 300 or more says.

        Args:
            status: The HTTP status. Redirects are not followed.
            document: The beginning of the body.
            headers: By names in any case.
        """

    @abstractmethod
    def exception_for(self, refusal: Refusal, request: Request[Any]) -> Exception:
        """Return the exception of `jtc.storage.exceptions` for a refusal of a request."""

    def is_temporary(self, refusal: Refusal) -> bool:
        """Return whether the same request may succeed a moment later."""
        return refusal.status in TEMPORARY

    def is_unheeded(self, refusal: Refusal, request: Request[Any]) -> bool:  # noqa: ARG002
        """Return whether a refused request had no effect: the store refused to look at it."""
        return refusal.status in _UNHEEDED

    def is_for_load(self, refusal: Refusal) -> bool:
        """Return whether the store refused since it has more requests than it wants."""
        return refusal.status in _TOO_MANY

    def has_old_credentials(self, refusal: Refusal) -> bool:  # noqa: ARG002
        """Return whether the request may succeed with credentials that are newly obtained."""
        return False

    async def remedy(self, refusal: Refusal, exchange: Exchange[Any]) -> str:
        """Change what made the store refuse a request, which is then sent again at once.

        Args:
            refusal: What the store answered.
            exchange: The request, and the remedies that were tried.

        Returns:
            A name of what was changed, each but once; empty where nothing helps.
        """
        is_old = "credentials" not in exchange.remedies and self.has_old_credentials(refusal)
        return "credentials" if is_old else ""

    def learn(self, request: Request[Any], answer: Answer) -> None:  # noqa: B027 - nothing, mostly
        """Take note of what an answer shows of the store."""

    def scrub(self, error: BaseException) -> None:
        """Remove secrets from an error, in the ``except`` block that handles it."""
        redaction.scrub(error)


async def _send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a request again by itself, a middleware.

    It takes PUT and DELETE for idempotent, and with a condition they are not: what is sent again is
    counted here, so that a refusal of the retry is not taken for one of the first.
    """
    import aiohttp  # noqa: PLC0415

    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise  # nothing was sent, and aiohttp does not try it again
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise DisconnectedError from error


class HttpClient:
    """Sends requests to one store, from any number of event loops and threads.

    Redirects are refused: another host's answer is not the store's.

    Args:
        settings: Where, and with what limits.
        service: What is particular to the store.
        user_agent: The distribution's name.

    Attributes:
        settings: Those.
        service: That.
        user_agent: That.
        budget: The retries that are left.
        downloads: How many ranges at once are best.
        uploads: How many parts.
        copies: How many parts that the store copies.
        has_ranges: False once the store has answered a range with the whole file.
        continues: Whether the store answers ``Expect: 100-continue``; None is not known yet.
        accepted: When the store last accepted a large body, by the monotonic clock.
    """

    def __init__(self, settings: HttpSettings, service: Service, user_agent: str) -> None:
        self.settings, self.service, self.user_agent = settings, service, user_agent
        self.budget = TokenBucket()
        self.downloads, self.uploads, self.copies = (
            Concurrency(settings.max_concurrency) for _ in range(3)
        )
        self.has_ranges = True
        self.continues: bool | None = None
        self.accepted = -float("inf")
        self._origin = origin_of(settings.endpoint_url or "")
        self._way: tuple[str, str | None] = "", None
        # What makes connections must not know the client: a dropped driver would stay.
        make = functools.partial(Connections, settings, _send_once)
        self._clients = LoopClients(make, Connections.discard)

    async def send(
        self, request: Request[T], taken: Connections | None = None, *, is_begun: bool = False
    ) -> T:
        """Send a request, and again where that helps, and return its result.

        Args:
            request: The request.
            taken: Connections of which the caller took a place for it, by `free_place`.
            is_begun: Whether the caller has seen to the loop's budget.

        Raises:
            StorageException: The store refused, or was not reached in `request_timeout`.
        """
        if taken is None and not is_begun and over_budget():
            await next_iteration()
        settings = self.settings
        limit = settings.request_timeout + len(request.body) / SLOWEST_BYTES_PER_SECOND
        if request.copies is not None:
            limit = settings.copy_timeout + request.copies / _COPIED_BYTES_PER_SECOND
        body: OpenBody | None = None
        try:
            connections = taken if taken is not None else await self._place()
            connections.under_way += 1
            try:
                async with asyncio.timeout(limit) as timer:
                    result, body = await Exchange(self, connections, request).run(timer)
            finally:
                connections.under_way -= 1
                if body is None:
                    connections.places.release()
        except BaseException as error:
            self.service.scrub(error)
            ours: BaseException = error
            if type(error) is TimeoutError:
                ours = StorageTimeoutException(f"The store did not answer within {limit:g} s")
            elif isinstance(error, Refusal):
                ours = self.service.exception_for(error, request)
            elif isinstance(error, Exception):
                ours = network_exception(error, settings.place_options)
            if ours is error:
                raise
            raise ours from error
        return result

    async def _place(self) -> Connections:
        """Return the loop's connections, once a place is free, which is then taken."""
        while True:
            loop = asyncio.get_running_loop()
            connections = self._clients.opened.get(loop) or await self._clients.get()
            if not connections.places.take_free():
                await connections.places.take()
            if not connections.is_closing:
                return connections
            connections.places.release()

    def free_place(self) -> Connections | None:
        """Take a place of the loop's connections if one is free at once; `send` releases it."""
        connections = self._clients.opened.get(asyncio.get_running_loop())
        if connections is None or connections.is_closing or not connections.places.take_free():
            return None
        return connections

    def has_free_place(self) -> bool:
        """Return whether one of the loop's connections is free at once, if they are open."""
        connections = self._clients.opened.get(asyncio.get_running_loop())
        return connections is None or connections.places.are_free()

    async def memory(self) -> Places:
        """Return the bytes that the parts of the loop's transfers may take in memory."""
        loop = asyncio.get_running_loop()
        return (self._clients.opened.get(loop) or await self._clients.get()).memory

    def way_to(self, request: Request[Any]) -> tuple[str, str | None]:
        """Return the origin that a request goes to, and the URL of the proxy to it."""
        origin = request.origin or self._origin
        if self._way[0] != origin:
            parts = urlsplit(origin)
            self._way = origin, proxy_for(self.settings, parts.scheme, parts.hostname or "")
        return self._way

    async def aclose(self) -> None:
        """Close the connections of all event loops; requests under way have some seconds to end."""
        await self._clients.aclose()


class Exchange(Generic[T]):
    """One request, its attempts and its answer.

    Args:
        client: Who sends it.
        connections: Those of the running loop, of which a place is taken.
        request: The request.

    Attributes:
        request: That.
        remedies: The names of what was changed between its attempts.
        is_lost: Whether an attempt may have had an effect though it failed.
    """

    __slots__ = ("_client", "_connections", "is_lost", "remedies", "request")

    def __init__(self, client: HttpClient, connections: Connections, request: Request[T]) -> None:
        self._client, self._connections, self.request = client, connections, request
        self.remedies: tuple[str, ...] = ()
        self.is_lost = False

    async def run(self, timer: asyncio.Timeout) -> tuple[T, OpenBody | None]:
        """Send the request until it succeeds or that cannot be hoped for.

        Args:
            timer: When it is given up.

        Returns:
            The result, and the answer's body where that was left open.
        """
        connections, request, service = self._connections, self.request, self._client.service
        failure: Exception | None = None
        retries = 0
        while True:
            try:
                session = connections.session_for(request.body, failure)
                answer = await self._attempt(session, request)
                result = request.result(answer)
            except Refusal as refusal:
                refusal.is_repeated = self.is_lost
                if await self._is_remedied(refusal):
                    continue
                if not service.is_temporary(refusal):
                    raise
                failure, is_unheeded = refusal, service.is_unheeded(refusal, request)
            except connections.broken as error:
                if request.copies is not None and isinstance(error, TimeoutError):
                    raise  # the store may still be copying
                failure, is_unheeded = error, False
            else:
                service.learn(request, answer)
                body = answer.content if isinstance(answer.content, OpenBody) else None
                # What is left open, its reader gives back.
                self._client.budget.put_back(RETRY_PRICE * retries or body is None)
                return result, body
            await self._pause(failure, retries, timer)
            retries += 1
            self.is_lost = self.is_lost or not is_unheeded

    async def once(self, request: Request[U]) -> U:
        """Send another request, once, in the place of this one: what a remedy depends on.

        Raises:
            Refusal: The store refused.
        """
        return request.result(await self._attempt(self._connections.session, request))

    async def _is_remedied(self, refusal: Refusal) -> bool:
        """Return whether the request, sent again, is another one."""
        if len(self.remedies) == _MOST_REMEDIES:
            return False
        if refusal.status == _NO_CONTINUE and "continue" not in self.remedies:
            self._client.continues = False
            remedy = "continue"
        else:
            remedy = await self._client.service.remedy(refusal, self)
        if not remedy or remedy in self.remedies:
            return False
        self.remedies += (remedy,)
        return True

    async def _pause(self, failure: Exception, retries: int, timer: asyncio.Timeout) -> None:
        """Wait before a retry; raise the failure where there is none."""
        client = self._client
        pause = 0.0
        if isinstance(failure, Refusal):
            pause = failure.retry_after
            if client.service.is_for_load(failure):
                for each in (client.downloads, client.uploads, client.copies):
                    each.refusals += 1
        # A store may close an idle connection at any time: that is no trouble.
        if retries or not isinstance(failure, DisconnectedError):
            longest = min(2**retries, _LONGEST_PAUSE)
            pause = max(pause, random.random() * longest)  # noqa: S311 - no secret
        if (
            retries + 1 >= client.settings.max_attempts
            or self._connections.is_closing
            or asyncio.get_running_loop().time() + pause >= (timer.when() or 0)
            or not client.budget.take()
        ):
            raise failure
        await asyncio.sleep(pause)

    async def _attempt(self, session: aiohttp.ClientSession, request: Request[Any]) -> Answer:
        """Send a request once."""
        client, connections, body = self._client, self._connections, request.body
        signed = await client.service.signed(request, is_renewed="credentials" in self.remedies)
        headers = {"accept-encoding": "identity", "user-agent": client.user_agent, **signed}
        if body or request.method in ("PUT", "POST", "PATCH"):
            headers["content-length"] = str(len(body))
        origin, proxy = client.way_to(request)
        send = functools.partial(
            session.request,
            request.method,
            connections.url(origin, request.path, request.query),
            headers=headers,
            allow_redirects=False,
            proxy=proxy,
            timeout=connections.usual if request.copies is None else connections.copying,
            read_bufsize=None if request.most is None else 0,
        )
        if len(body) > LARGE:
            expect = client.continues is not False and (self.is_lost or self._may_refuse())
            response, continues = await connections.send_large(body, send, expect=expect)
            if expect:
                client.continues = continues
            if response.status < _REFUSED:
                client.accepted = time.monotonic()
        else:
            response = await send(data=body or None)
        return await self._answer(request, response)

    def _may_refuse(self) -> bool:
        """Return whether it is worth a round trip to ask the store before a body is sent.

        A store may close the connection while it is sent a body that it refuses, and its reason is
        lost. Where that is not to be expected and happens, the retry asks.
        """
        request = self.request
        if request.asks_first is not None:
            return request.asks_first
        if not _CONDITIONS.isdisjoint(request.headers):
            return True
        return time.monotonic() - self._client.accepted > _ACCEPTS_SECONDS

    async def _answer(self, request: Request[Any], response: aiohttp.ClientResponse) -> Answer:
        """Read an answer, or leave its body open."""
        status, headers, service = response.status, response.headers, self._client.service
        body: OpenBody | None = None
        try:
            if status >= _REFUSED and status not in request.accepts:
                document = await _content(response, _LONGEST_ERROR, is_cut=True)
                raise service.refusal(status, document, headers)
            length, limit = response.content_length, request.leave_open_from
            if limit is not None and (length is None or length > limit):
                body = OpenBody(response, self._connections, request.most)
                return Answer(status, headers, body, self.is_lost)
            content = await _content(response, service.longest_answer)
            return Answer(status, headers, content, self.is_lost)
        finally:
            if body is None:
                # Read to its end, the connection went back to the pool; else this closes it.
                response.close()


def origin_of(url: str) -> str:
    """Return the scheme and the host of a URL, with its port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


async def _content(response: aiohttp.ClientResponse, limit: int, *, is_cut: bool = False) -> bytes:
    """Return an answer's whole content, or its beginning where it is cut at the limit."""
    pieces: list[bytes] = []
    missing = limit + 1
    while missing and (piece := await response.content.read(missing)):
        pieces.append(piece)
        missing -= len(piece)
    if not missing and not is_cut:
        raise StorageUnavailableException(
            f"The store's answer is longer than {limit} bytes", retryable=False
        )
    return b"".join(pieces)
