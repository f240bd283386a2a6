"""Object calls without the SDK: signed, sent over aiohttp, and repeated where that helps.

The SDK takes a millisecond and more to make and to parse a request, which is several times what
the request takes. What is repeated, how often and after how long is as in its standard mode:
https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
"""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import math
import random
import ssl
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jtc.storage.drivers.s3_driver._credentials import GivenCredentials, Keys, RenewedCredentials
from jtc.storage.drivers.s3_driver._documents import error_code
from jtc.storage.drivers.s3_driver._hosts import host_of
from jtc.storage.drivers.s3_driver._responses import RefusedError, fields_of
from jtc.storage.drivers.s3_driver._retries import RetryBudget
from jtc.storage.drivers.s3_driver._session import chain_credentials, discard_session, import_sdk
from jtc.storage.drivers.s3_driver._signer import EMPTY_SHA256, UNSIGNED, Signer
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jtc.storage.drivers.s3_driver._credentials import CredentialsProvider
    from jtc.storage.drivers.s3_driver._hosts import Host
    from jtc.storage.drivers.s3_driver._requests import Request
    from jtc.storage.drivers.s3_driver._settings import Settings

__all__ = ["DirectClient", "DirectContext", "ElsewhereError", "discard_direct"]

_KEEP_ALIVE_SECONDS = 12.0
"""An idle connection's life: shorter than what stores allow, as the SDK has it."""

_IN_THREAD_FROM = 256 * 1024
"""From so many bytes on, the body's SHA-256 is worth a thread."""

_PIECE = 256 * 1024
"""Bytes of a body that are given to the socket at once; what it does not take is copied."""

_BUDGET, _PRICE = 500, 5
_LONGEST_PAUSE = 20.0

_OK = 300
_AGAIN_STATUS = frozenset({500, 502, 503, 504})
_AGAIN_CODES = frozenset(
    {
        *("RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete"),
        *("Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled"),
        *("RequestThrottledException", "TooManyRequestsException", "RequestLimitExceeded"),
        *("BandwidthLimitExceeded", "LimitExceededException", "SlowDown", "EC2ThrottledException"),
        *("ProvisionedThroughputExceededException", "TransactionInProgressException"),
    }
)
_ELSEWHERE_STATUS = frozenset({301, 302, 307, 308})
_ELSEWHERE_CODES = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "PermanentRedirect",
        "TemporaryRedirect",
    }
)
_BAD_REQUEST = 400
"""What a HEAD to another region is answered, without a body to say so."""

_LONGEST_ERROR = 64 * 1024


class ElsewhereError(Exception):
    """The bucket is in another region or at another host, which the SDK knows how to find."""


class DirectContext:
    """A new client of ours, as a context.

    Args:
        settings: Whose options it follows.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: DirectClient | None = None

    async def __aenter__(self) -> DirectClient:
        """Return a client.

        Raises:
            StorageConfigException: A library is not installed, or there are no credentials.
        """
        settings = self._settings
        host = host_of(settings)
        if host is None:
            raise StorageConfigException("This bucket's host is known to the SDK only")
        # Imports and certificates take tenths of a second: they must not stop the event loop.
        context = await asyncio.to_thread(_prepared, host.scheme)
        credentials = await _credentials(settings)
        self._client = DirectClient(settings, host, credentials, _session(settings, context))
        return self._client

    async def __aexit__(self, *exc_info: object) -> None:
        if self._client is not None:
            await self._client.session.close()


def _prepared(scheme: str) -> ssl.SSLContext | None:
    with import_sdk():
        import aiohttp  # noqa: F401, PLC0415 - 0.2 s, so at first use
    return _tls() if scheme == "https" else None


@functools.cache
def _tls() -> ssl.SSLContext:
    """Return how servers are verified: by the certificates that the SDK takes."""
    for library in ("certifi", "botocore"):
        found = importlib.util.find_spec(library)
        if found is not None and found.origin is not None:
            # Not by certifi.where(): it is not required, and both have their file at this name.
            return ssl.create_default_context(cafile=Path(found.origin).with_name("cacert.pem"))
    return ssl.create_default_context()


async def _credentials(settings: Settings) -> CredentialsProvider:
    if settings.credentials is not None:
        return RenewedCredentials(settings.credentials)
    if settings.access_key is not None and settings.secret_key is not None:
        return GivenCredentials(
            Keys(settings.access_key, settings.secret_key, settings.session_token or None)
        )
    return await chain_credentials(settings)


def _session(settings: Settings, context: ssl.SSLContext | None) -> Any:
    import aiohttp  # noqa: PLC0415

    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=settings.max_connections,
            keepalive_timeout=_KEEP_ALIVE_SECONDS,
            ssl=context or False,
        ),
        timeout=aiohttp.ClientTimeout(
            total=None, sock_connect=settings.connect_timeout, sock_read=settings.read_timeout
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("Content-Type", "Accept", "Accept-Encoding", "User-Agent"),
        auto_decompress=False,
    )
    # It takes PUT and DELETE for idempotent, and with a condition they are not: what is repeated
    # is told, so that a refusal of the repetition is not taken for one of the first.
    session._retry_connection = False  # noqa: SLF001
    return session


def discard_direct(client: DirectClient) -> None:
    """Let go of a client's connections where its event loop does not run any more."""
    discard_session(client.session)


class DirectClient:
    """Sends object calls of one bucket in one event loop.

    Args:
        settings: The disk's.
        host: Where the bucket is.
        credentials: Whose keys sign.
        session: aiohttp's.
    """

    def __init__(
        self, settings: Settings, host: Host, credentials: CredentialsProvider, session: Any
    ) -> None:
        import aiohttp  # noqa: PLC0415
        import yarl  # noqa: PLC0415

        self.session = session
        self._url = functools.partial(yarl.URL, encoded=True)
        self._broken = (aiohttp.ClientError, TimeoutError, ConnectionError)
        self._host = host
        self._secure = host.scheme == "https"
        self._address = f"{host.scheme}://{host.name}"
        self._attempts = settings.max_attempts
        self._region = settings.region
        self._credentials = credentials
        self._signer = Signer(settings.region)
        self._budget = RetryBudget(_BUDGET)

    async def send(self, request: Request, read_up_to: int = -1) -> dict[str, Any]:
        """Send a request, repeated where that helps, and return the SDK's form of the answer.

        Args:
            request: What to send.
            read_up_to: Content of so many bytes is read, and ``Body`` is bytes; else it is
                aiohttp's response, to be closed.

        Raises:
            RefusedError: The store refused.
            ElsewhereError: The request must be made by the SDK.
            aiohttp.ClientError: The store was not reached, or broke off.
            StorageUnavailableException: The answer cannot be understood.
        """
        payload = await self._payload(request)
        retries = 0
        while True:
            keys = await self._credentials.get_frozen_credentials()
            try:
                response = await self._attempt(request, keys, payload)
                answer = await self._answer(request, response, retries, read_up_to)
            except RefusedError as error:
                if not _is_temporary(error) or not self._may_repeat(retries):
                    raise
            except self._broken:
                if not self._may_repeat(retries):
                    raise
            else:
                self._budget.put_back(_PRICE * retries or 1)
                return answer
            await asyncio.sleep(random.random() * min(2**retries, _LONGEST_PAUSE))  # noqa: S311 - no secret
            retries += 1

    def _may_repeat(self, retries: int) -> bool:
        return retries + 1 < self._attempts and self._budget.take(_PRICE)

    async def _payload(self, request: Request) -> str:
        if not request.body:
            return EMPTY_SHA256
        if self._secure and "x-amz-checksum-crc32" in request.headers:
            # As the SDK does: TLS and a checksum are enough, and SHA-256 is what takes longest.
            return UNSIGNED
        if len(request.body) < _IN_THREAD_FROM:
            return sha256(request.body).hexdigest()
        return (await asyncio.to_thread(sha256, request.body)).hexdigest()

    async def _attempt(self, request: Request, keys: Keys, payload: str) -> Any:
        path = f"{self._host.base}{request.key}"
        if not request.key:
            path = self._host.base.rstrip("/") or "/"
        headers = self._signer.sign(
            keys,
            request.method,
            path,
            request.query,
            {"host": self._host.name, **request.headers},
            payload,
        )
        headers["accept-encoding"] = "identity"
        headers["user-agent"] = "jtc-storage-s3"
        data: Any = None
        if request.method == "PUT":
            headers["content-length"] = str(len(request.body))
            data = request.body
            if len(data) > _PIECE:
                data = _pieces(data)
                # What will be refused need not be sent.
                headers["expect"] = "100-continue"
        query = f"?{request.query}" if request.query else ""
        return await self.session.request(
            request.method,
            self._url(f"{self._address}{path}{query}"),
            headers=headers,
            data=data,
            allow_redirects=False,
        )

    async def _answer(
        self, request: Request, response: Any, retries: int, read_up_to: int
    ) -> dict[str, Any]:
        is_kept = False
        try:
            if response.status >= _OK:
                raise await self._refusal(response, request, retries)
            answer = fields_of(response.headers, response.status, retries)
            if request.operation == "list_objects_v2":
                return answer | {"Document": await response.read()}
            if request.operation != "get_object":
                await response.read()
            elif answer.get("ContentLength", math.inf) <= read_up_to:
                answer["Body"] = await response.read()
            else:
                answer["Body"], is_kept = response, True
            return answer
        finally:
            if not is_kept:
                # Read to its end, the connection went back to the pool; else this closes it.
                response.close()

    async def _refusal(self, response: Any, request: Request, retries: int) -> Exception:
        code = str(response.status)
        if request.method != "HEAD":
            code = error_code(await _beginning(response)) or code
        if response.status in _ELSEWHERE_STATUS or code in _ELSEWHERE_CODES:
            return ElsewhereError(f"HTTP {response.status}")
        if response.status == _BAD_REQUEST and request.method == "HEAD":
            region = response.headers.get("x-amz-bucket-region", self._region)
            if region != self._region:
                return ElsewhereError(f"HTTP {response.status}")
        return RefusedError(code, response.status, retries)


def _is_temporary(error: RefusedError) -> bool:
    return error.status in _AGAIN_STATUS or error.code in _AGAIN_CODES


async def _beginning(response: Any) -> bytes:
    found = b""
    while len(found) < _LONGEST_ERROR:
        piece = await response.content.read(_LONGEST_ERROR - len(found))
        if not piece:
            break
        found += piece
    return found


async def _pieces(body: bytes) -> AsyncIterator[memoryview]:
    view = memoryview(body)
    for start in range(0, len(view), _PIECE):
        yield view[start : start + _PIECE]
