"""The transport: sends signed requests over aiohttp, and again where that helps."""

from __future__ import annotations

import asyncio
import functools
import random
import time
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from urllib.parse import quote

from jtc.storage.driver_support.content import in_thread
from jtc.storage.driver_support.loop_budget import next_iteration, over_budget
from jtc.storage.driver_support.loop_clients import LoopClients
from jtc.storage.drivers.s3_driver._settings import MIB, REGION
from jtc.storage.drivers.s3_driver._transport import errors
from jtc.storage.drivers.s3_driver._transport.credentials import KeySource
from jtc.storage.drivers.s3_driver._transport.endpoint import endpoint_by_sdk, endpoint_of
from jtc.storage.drivers.s3_driver._transport.learned import Learned
from jtc.storage.drivers.s3_driver._transport.operations import Answer, head_object
from jtc.storage.drivers.s3_driver._transport.redaction import scrub
from jtc.storage.drivers.s3_driver._transport.sigv4 import EMPTY_SHA256, UNSIGNED, Signer, Signing
from jtc.storage.drivers.s3_driver._transport.xml import read_error
from jtc.storage.exceptions import (
    StorageTimeoutException,
    StorageUnavailableException,
)
from jtc.storage.http_support.concurrency import Concurrency
from jtc.storage.http_support.connections import LARGE, Connections, OpenBody
from jtc.storage.http_support.network import proxy_for
from jtc.storage.http_support.token_bucket import RETRY_PRICE, TokenBucket

if TYPE_CHECKING:
    import aiohttp

    from jtc.storage.drivers.s3_driver._settings import Settings
    from jtc.storage.drivers.s3_driver._transport.credentials import Keys
    from jtc.storage.drivers.s3_driver._transport.endpoint import Endpoint
    from jtc.storage.drivers.s3_driver._transport.operations import Request
    from jtc.storage.http_support.connections import Places

__all__ = ["SLOWEST_BYTES_PER_SECOND", "Transport"]

T = TypeVar("T")

SLOWEST_BYTES_PER_SECOND = 65_536
"""A request that sends content has this much more time than one that does not."""

_COPIED_BYTES_PER_SECOND = 8 * MIB
"""A copy has this much more time: a store copies within itself."""

_ACCEPTS_SECONDS = 60.0
"""How long a store that accepted content is taken to accept more."""

_CONDITIONS = frozenset({"if-match", "if-none-match"})

_LONGEST_PAUSE = 20.0
_LONGEST_ANSWER = 8 * MIB
"""A page of a thousand keys of a thousand letters, each encoded as three, has four MiB."""

_LONGEST_ERROR = 64 * 1024

_OLD_KEYS = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"}
)
_MOST_REMEDIES = 3
_REFUSED, _BAD, _CONDITION_FAILED, _NO_CONTINUE = 300, 400, 412, 417

_GOOGLE = "storage.googleapis.com"
_R2 = ".r2.cloudflarestorage.com"

_CONDITIONAL_WRITES = frozenset({"PutObject", "CompleteMultipartUpload"})
"""Those that show how a store compares etags: Ceph takes them in quotes when reading, and does not
look at them when deleting."""

_CONTENT = frozenset({"PutObject", "UploadPart"})
_CHECKSUM, _CHECKSUM_MODE = "x-amz-checksum-crc32", "x-amz-checksum-mode"

_WITH_CUSTOMER_KEY = frozenset(
    {
        *("GetObject", "HeadObject", "PutObject", "CopyObject"),
        *("CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload"),
    }
)


class _Target(NamedTuple):
    """Where requests go, and who signs them: replaced as a whole.

    Attributes:
        endpoint: The bucket's place.
        signing: That of presigned URLs.
        signer: For the region.
        proxy: The proxy's URL.
    """

    endpoint: Endpoint
    signing: Endpoint
    signer: Signer
    proxy: str | None

    @property
    def encoding(self) -> str:
        """The encoding that content is to come in: as it is stored.

        Google's store decompresses what is stored with ``Content-Encoding: gzip``, and then leaves
        out length, etag and ranges, unless the client says that it takes gzip. Others, such as a
        proxy, might compress the rest for such a client.
        https://cloud.google.com/storage/docs/transcoding
        """
        return "gzip" if self.endpoint.host.endswith(_GOOGLE) else "identity"


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
        raise errors.DisconnectedError from error


class Transport:
    """Sends requests to one bucket, from any number of event loops and threads.

    Args:
        settings: Which bucket, where, and with what limits.

    Attributes:
        settings: Those.
        keys: Who signs.
        learned: What the disk learned of its store.
        budget: The retries that are left.
        downloads: How many ranges at once are best.
        uploads: How many parts.
        copies: How many parts that the store copies.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.keys = KeySource(settings)
        self.learned = Learned()
        self.budget = TokenBucket()
        self.downloads, self.uploads, self.copies = (
            Concurrency(settings.max_concurrency) for _ in range(3)
        )
        self._target: _Target | None = None
        # What makes connections must not know the transport: a dropped driver would stay.
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
            elif isinstance(error, Exception):
                lack = errors.lack_of(request.operation, request.headers)
                ours = errors.exception_for(error, settings.bucket, lack)
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

    async def _exchange(
        self, connections: Connections, request: Request[T], timer: asyncio.Timeout
    ) -> tuple[T, OpenBody | None]:
        """Send a request until it succeeds or that cannot be hoped for."""
        target = self._target or await self._locate()
        payload = await self._payload(request, target) if request.body else EMPTY_SHA256
        retries, is_lost, remedies = 0, False, set[str]()
        failure: Exception | None = None
        while True:
            target, keys = self._target or target, self.keys.current
            try:
                session = connections.session_for(request.body, failure)
                answer = await self._attempt(
                    connections, session, request, target, payload, is_repeated=is_lost
                )
                result = request.result(answer)
            except errors.S3Refusal as refusal:
                refusal.is_repeated = is_lost
                # Those that signed: others may have renewed them since.
                keys = keys or self.keys.current
                if await self._is_remedied(connections, request, refusal, target, keys, remedies):
                    continue
                if not errors.is_temporary(refusal):
                    raise
                failure = refusal
            except connections.broken as error:
                if request.copies is not None and isinstance(error, TimeoutError):
                    raise  # the store may still be copying
                failure = error
            else:
                self.learned.has_bucket = True
                if request.operation in _CONDITIONAL_WRITES and "if-match" in request.headers:
                    self.learned.bare_etags = self.learned.bare_etags or False
                if request.operation in _CONTENT and _CHECKSUM in request.headers:
                    self.learned.checks_content = _CHECKSUM in answer.headers
                body = answer.content if isinstance(answer.content, OpenBody) else None
                self.budget.put_back(RETRY_PRICE * retries or body is None)  # else its reader does
                return result, body
            await self._pause(connections, failure, retries, timer)
            retries += 1
            is_lost = is_lost or not errors.is_unheeded(failure, request.operation)

    async def _payload(self, request: Request[T], target: _Target) -> str:
        """Return what the signature says of the body."""
        is_checked = _CHECKSUM in request.headers and self.learned.checks_content is not False
        if is_checked and target.endpoint.scheme == "https":
            # As the SDKs do: TLS and a checksum are enough, and SHA-256 is what takes longest.
            return UNSIGNED
        if len(request.body) < LARGE:
            return sha256(request.body).hexdigest()
        return (await in_thread(sha256, request.body)).hexdigest()

    async def _pause(
        self, connections: Connections, failure: Exception, retries: int, timer: asyncio.Timeout
    ) -> None:
        """Wait before a retry; raise the failure where there is none."""
        if isinstance(failure, errors.S3Refusal) and errors.is_for_load(failure):
            for each in (self.downloads, self.uploads, self.copies):
                each.refusals += 1
        pause = getattr(failure, "retry_after", 0.0)
        # A store may close an idle connection at any time: that is no trouble.
        if retries or not isinstance(failure, errors.DisconnectedError):
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
        target: _Target,
        payload: str,
        *,
        is_repeated: bool = False,
    ) -> Answer:
        """Send a request once."""
        endpoint, body = target.endpoint, request.body
        path = f"{endpoint.base}{quote(request.key, safe='/~')}"
        if not request.key:
            path = endpoint.base.rstrip("/") or "/"
        headers = await self._signed(request, target, path, payload)
        url = connections.url(f"{endpoint.scheme}://{endpoint.host}", path, request.query)
        send = functools.partial(
            session.request,
            request.method,
            url,
            headers=headers,
            allow_redirects=False,
            proxy=target.proxy,
            timeout=connections.usual if request.copies is None else connections.copying,
            read_bufsize=None if request.most is None else 0,
        )
        if len(body) > LARGE:
            learned = self.learned
            expect = learned.continues is not False and (is_repeated or self._may_refuse(request))
            response, continues = await connections.send_large(body, send, expect=expect)
            if expect:
                learned.continues = continues
            if response.status < _REFUSED:
                learned.accepted = time.monotonic()
        else:
            response = await send(data=body or None)
        return await self._answer(connections, request, response, is_repeated=is_repeated)

    def _may_refuse(self, request: Request[T]) -> bool:
        """Return whether it is worth a round trip to ask the store before a body is sent.

        A store may close the connection while it is sent a body that it refuses, and its reason is
        lost. That is not to be expected of a part, whose upload it has just begun, nor, without a
        condition, after a body that it accepted; where it happens, the retry asks.
        """
        if request.operation == "UploadPart":
            return False
        if not _CONDITIONS.isdisjoint(request.headers):
            return True
        return time.monotonic() - self.learned.accepted > _ACCEPTS_SECONDS

    async def _signed(
        self, request: Request[T], target: _Target, path: str, payload: str
    ) -> dict[str, str]:
        """Return a request's headers, with those of the disk and of the signature."""
        settings = self.settings
        headers = {"host": target.endpoint.host, **request.headers}
        if settings.requester_pays:
            headers["x-amz-request-payer"] = "requester"
        if settings.sse_customer_key is not None:
            if request.operation in _WITH_CUSTOMER_KEY:
                headers |= settings.customer_key_headers("x-amz-")
            if "x-amz-copy-source" in headers:
                headers |= settings.customer_key_headers("x-amz-copy-source-")
        if self.learned.bare_etags and "if-match" in headers:
            headers["if-match"] = headers["if-match"].strip('"')
        if request.operation == "CopyObject" and target.endpoint.host.endswith(_R2):
            # https://developers.cloudflare.com/r2/api/s3/conditional-operations/
            names = headers.keys() & {"if-match", "if-none-match"}
            headers |= {f"cf-copy-destination-{name}": headers[name] for name in names}
        if not self.keys.anonymous:
            keys = self.keys.current
            if keys is None or time.time() >= keys.renew_at:
                keys = await self.keys.renewed()
            headers = target.signer.sign(
                keys, request.method, path, request.query, headers, payload
            )
        headers["accept-encoding"] = target.encoding
        headers["user-agent"] = "jtc-storage-s3"
        if request.body or request.method == "PUT":
            headers["content-length"] = str(len(request.body))
        return headers

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
                raise errors.S3Refusal(status, read_error(document), headers)
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

    async def _is_remedied(
        self,
        connections: Connections,
        request: Request[T],
        refusal: errors.S3Refusal,
        target: _Target,
        keys: Keys | None,
        remedies: set[str],
    ) -> bool:
        """Return whether the request, sent again, is another one; each remedy is tried once."""
        remedy = self._remedy_for(request, refusal, target, keys)
        if not remedy or remedy in remedies or len(remedies) == _MOST_REMEDIES:
            return False
        remedies.add(remedy)
        if remedy == "keys" and keys is not None:
            self.keys.expire(keys)
        elif remedy == "continue":
            self.learned.continues = False
        elif remedy == "checksum mode":
            del request.headers[_CHECKSUM_MODE]
        elif remedy == "etag":
            return await self._has_bare_etags(connections, request, target)
        elif self._target is target:  # else another request has found it
            await self._locate(refusal.region)
        return True

    def _remedy_for(
        self, request: Request[T], refusal: errors.S3Refusal, target: _Target, keys: Keys | None
    ) -> str:
        """Return what may make a refused request succeed; nothing where nothing is known."""
        region = refusal.region
        # The answer to a HEAD has no document that would say why.
        is_silent = refusal.status == _BAD and request.method == "HEAD"
        if refusal.is_elsewhere and region != target.endpoint.region and REGION.fullmatch(region):
            # Nothing follows a Location: the host is computed from the region's name.
            return f"region {region}"
        if keys is not None and (refusal.code in _OLD_KEYS or (is_silent and keys.token)):
            return "keys"
        if refusal.status == _NO_CONTINUE:
            return "continue"
        if _CHECKSUM_MODE in request.headers and (is_silent or refusal.names_checksums):
            return "checksum mode"
        is_condition = refusal.status == _CONDITION_FAILED and _names_etag(request)
        return "etag" if is_condition and self.learned.bare_etags is None else ""

    async def _has_bare_etags(
        self, connections: Connections, request: Request[T], target: _Target
    ) -> bool:
        """Look whether a condition that was refused holds: some engines compare bare etags."""
        look = head_object(request.key, {})
        try:
            answer = await self._attempt(
                connections, connections.session, look, target, EMPTY_SHA256
            )
        except errors.S3Refusal:
            return False
        if look.result(answer).etag != request.headers["if-match"]:
            return False
        self.learned.bare_etags = True
        return True

    async def _locate(self, region: str | None = None) -> _Target:
        """Find where requests go, in another region than the settings' where the store says so."""
        settings = self.settings
        found: list[Endpoint] = []
        for signing in (False, True):
            endpoint = endpoint_of(settings, signing=signing, region=region)
            if endpoint is None:
                endpoint = await in_thread(
                    endpoint_by_sdk, settings, signing=signing, region=region
                )
            found.append(endpoint)
        proxy = proxy_for(settings, found[0].scheme, found[0].host)
        target = _Target(found[0], found[1], Signer(found[0].region), proxy)
        self._target = target
        return target

    async def signing(self) -> Signing:
        """Return what signs a URL; it waits for nothing where keys and endpoint are known."""
        try:
            target = self._target or await self._locate()
            keys = self.keys.usable() or await self.keys.renewed()
            return Signing(target.signer, target.signing, keys)
        except BaseException as error:
            scrub(error)
            raise

    def has_free_place(self) -> bool:
        """Return whether one of the loop's connections is free at once, if they are open."""
        connections = self._clients.opened.get(asyncio.get_running_loop())
        return connections is None or connections.places.are_free()

    async def memory(self) -> Places:
        """Return the bytes that the parts of the loop's transfers may take in memory."""
        loop = asyncio.get_running_loop()
        return (self._clients.opened.get(loop) or await self._clients.get()).memory

    async def aclose(self) -> None:
        """Close the connections of all event loops; requests under way have some seconds to end."""
        await self._clients.aclose()


def _names_etag(request: Request[T]) -> bool:
    return request.headers.get("if-match", "*") != "*"


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
