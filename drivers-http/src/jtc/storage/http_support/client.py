"""`HttpClient`: sends a store's requests over aiohttp, and again where that helps."""

from __future__ import annotations

import asyncio
import functools
import random
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import urlsplit

from jtc.storage.driver_support.loop_budget import next_iteration, over_budget
from jtc.storage.driver_support.loop_clients import LoopClients
from jtc.storage.exceptions import StorageTimeoutException, StorageUnavailableException
from jtc.storage.http_support.connections import LARGE, Connections, OpenBody
from jtc.storage.http_support.errors import DisconnectedError, network_exception
from jtc.storage.http_support.network import proxy_for
from jtc.storage.http_support.redaction import scrub
from jtc.storage.http_support.requests import Answer, Refusal
from jtc.storage.http_support.settings import MIB
from jtc.storage.http_support.token_bucket import RETRY_PRICE, TokenBucket

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp

    from jtc.storage.http_support.connections import Places
    from jtc.storage.http_support.requests import Request
    from jtc.storage.http_support.settings import HttpSettings

__all__ = ["HttpClient", "Service"]

T = TypeVar("T")

SLOWEST_BYTES_PER_SECOND = 65_536
"""A request that sends content has this much more time than one that does not."""

_COPIED_BYTES_PER_SECOND = 8 * MIB
"""A copy has this much more time: a store copies within itself."""

_LONGEST_PAUSE = 20.0
_LONGEST_ANSWER = 32 * MIB
_LONGEST_ERROR = 64 * 1024
_REFUSED = 300


class Service(Protocol):
    """What is particular to a store: signatures, and what its refusals mean."""

    async def signed(self, request: Request[object], *, is_renewed: bool) -> Mapping[str, str]:
        """Return the headers to send, those of the request and of the signature.

        Args:
            request: The request; its headers are in lower case.
            is_renewed: Whether the store refused the credentials that were signed with just now.
        """
        ...

    def refusal(self, status: int, document: bytes, headers: Mapping[str, str]) -> Refusal:
        """Return what an answer of status 300 or more says."""
        ...

    def is_temporary(self, refusal: Refusal) -> bool:
        """Return whether the same request may succeed a moment later."""
        ...

    def is_unheeded(self, refusal: Refusal) -> bool:
        """Return whether a refused request had no effect: the store refused to look at it."""
        ...

    def has_old_credentials(self, refusal: Refusal) -> bool:
        """Return whether the request may succeed with credentials that are newly obtained."""
        ...

    def exception_for(self, refusal: Refusal) -> Exception:
        """Return the exception of `jtc.storage.exceptions` for a refusal."""
        ...


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
    """

    def __init__(self, settings: HttpSettings, service: Service, user_agent: str) -> None:
        self.settings, self.service = settings, service
        self.budget = TokenBucket()
        self._user_agent = user_agent
        parts = urlsplit(settings.endpoint_url)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._proxy = proxy_for(settings, parts.scheme, parts.hostname or "")
        # What makes connections must not know the client: a dropped driver would stay.
        make = functools.partial(Connections, settings, _send_once)
        self._clients = LoopClients(make, Connections.discard)

    async def send(self, request: Request[T], *, is_begun: bool = False) -> T:
        """Send a request, and again where that helps, and return its result.

        Args:
            request: The request.
            is_begun: Whether the caller has seen to the loop's budget.

        Raises:
            StorageException: The store refused, or was not reached in `request_timeout`.
        """
        if not is_begun and over_budget():
            await next_iteration()
        limit = self.settings.request_timeout + len(request.body) / SLOWEST_BYTES_PER_SECOND
        if request.copies is not None:
            limit = self.settings.copy_timeout + request.copies / _COPIED_BYTES_PER_SECOND
        body: OpenBody | None = None
        try:
            connections = await self._place()
            connections.under_way += 1
            try:
                async with asyncio.timeout(limit) as timer:
                    result, body = await self._exchange(connections, request, timer)
            finally:
                connections.under_way -= 1
                if body is None:
                    connections.places.release()
        except BaseException as error:
            scrub(error)
            ours: BaseException = error
            if type(error) is TimeoutError:
                ours = StorageTimeoutException(f"The store did not answer in {limit:g} s")
            elif isinstance(error, Refusal):
                ours = self.service.exception_for(error)
            elif isinstance(error, Exception):
                ours = network_exception(error)
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

    async def _exchange(
        self, connections: Connections, request: Request[T], timer: asyncio.Timeout
    ) -> tuple[T, OpenBody | None]:
        """Send a request until it succeeds or that cannot be hoped for."""
        service = self.service
        retries, is_lost, is_renewed = 0, False, False
        failure: Exception | None = None
        while True:
            try:
                session = connections.session_for(request.body, failure)
                headers = await service.signed(request, is_renewed=is_renewed)
                answer = await self._attempt(
                    connections, session, request, headers, is_repeated=is_lost
                )
                result = request.result(answer)
            except Refusal as refusal:
                refusal.is_repeated = is_lost
                if not is_renewed and service.has_old_credentials(refusal):
                    is_renewed = True
                    continue
                if not service.is_temporary(refusal):
                    raise
                failure = refusal
                is_lost = is_lost or not service.is_unheeded(refusal)
            except connections.broken as error:
                if request.copies is not None and isinstance(error, TimeoutError):
                    raise  # the store may still be copying
                failure = error
                is_lost = True
            else:
                body = answer.content if isinstance(answer.content, OpenBody) else None
                self.budget.put_back(RETRY_PRICE * retries or body is None)  # else its reader does
                return result, body
            await self._pause(connections, failure, retries, timer)
            retries += 1

    async def _pause(
        self, connections: Connections, failure: Exception, retries: int, timer: asyncio.Timeout
    ) -> None:
        """Wait before a retry; raise the failure where there is none."""
        pause = getattr(failure, "retry_after", 0.0)
        # A store may close an idle connection at any time: that is no trouble.
        if retries or not isinstance(failure, DisconnectedError):
            longest = min(2**retries, _LONGEST_PAUSE)
            pause = max(pause, random.random() * longest)  # noqa: S311 - no secret
        if (
            retries + 1 >= self.settings.max_attempts
            or connections.is_closing
            or asyncio.get_running_loop().time() + pause >= (timer.when() or 0)
            or not self.budget.take()
        ):
            raise failure
        await asyncio.sleep(pause)

    async def _attempt(
        self,
        connections: Connections,
        session: aiohttp.ClientSession,
        request: Request[T],
        headers: Mapping[str, str],
        *,
        is_repeated: bool,
    ) -> Answer:
        """Send a request once."""
        body = request.body
        sent = {"accept-encoding": "identity", "user-agent": self._user_agent, **headers}
        if body or request.method in ("PUT", "POST", "PATCH"):
            sent["content-length"] = str(len(body))
        send = functools.partial(
            session.request,
            request.method,
            connections.url(self._origin, request.path, request.query),
            headers=sent,
            allow_redirects=False,
            proxy=self._proxy,
            timeout=connections.usual if request.copies is None else connections.copying,
            read_bufsize=None if request.most is None else 0,
        )
        if len(body) > LARGE:
            response, _ = await connections.send_large(body, send, expect=False)
        else:
            response = await send(data=body or None)
        return await self._answer(connections, request, response, is_repeated=is_repeated)

    async def _answer(
        self,
        connections: Connections,
        request: Request[T],
        response: aiohttp.ClientResponse,
        *,
        is_repeated: bool,
    ) -> Answer:
        """Read an answer, or leave its body open."""
        status, headers = response.status, response.headers
        body: OpenBody | None = None
        try:
            if status >= _REFUSED:
                document = await _content(response, _LONGEST_ERROR, is_cut=True)
                raise self.service.refusal(status, document, headers)
            length, limit = response.content_length, request.leave_open_from
            if limit is not None and (length is None or length > limit):
                body = OpenBody(response, connections, request.most)
                return Answer(status, headers, body, is_repeated)
            content = await _content(response, _LONGEST_ANSWER)
            return Answer(status, headers, content, is_repeated)
        finally:
            if body is None:
                # Read to its end, the connection went back to the pool; else this closes it.
                response.close()

    async def memory(self) -> Places:
        """Return the bytes that the parts of the loop's transfers may take in memory."""
        loop = asyncio.get_running_loop()
        return (self._clients.opened.get(loop) or await self._clients.get()).memory

    async def aclose(self) -> None:
        """Close the connections of all event loops; requests under way have some seconds to end."""
        await self._clients.aclose()


async def _content(response: aiohttp.ClientResponse, limit: int, *, is_cut: bool = False) -> bytes:
    """Return an answer's whole content, or its beginning where it is cut at the limit."""
    content = b""
    while piece := await response.content.read(limit + 1 - len(content)):
        content += piece
        if len(content) > limit:
            if is_cut:
                break
            raise StorageUnavailableException(
                f"The store's answer is longer than {limit} bytes", retryable=False
            )
    return content
