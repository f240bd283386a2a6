"""How a client of the SDK is made and let go of. The SDK itself is imported at first use."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import threading
from typing import TYPE_CHECKING, Any

from jtc.storage.drivers.s3_driver._credentials import RenewedCredentials
from jtc.storage.drivers.s3_driver._redaction import redact_sdk_logs
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractAsyncContextManager

    from jtc.storage.drivers.s3_driver._credentials import CredentialsProvider
    from jtc.storage.drivers.s3_driver._settings import Settings

__all__ = [
    "ClientContext",
    "chain_credentials",
    "discard_client",
    "discard_session",
    "import_sdk",
]

_import_lock = threading.Lock()


def _renew_import_lock() -> None:
    global _import_lock  # noqa: PLW0603 - a thread that holds it at a fork is not in the child
    _import_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_import_lock)


class ClientContext:
    """A new S3 client of the SDK, as a context.

    Args:
        settings: Whose options it follows.
        endpoint_url: Which host it speaks to, or signs for; None is AWS.
    """

    def __init__(self, settings: Settings, endpoint_url: str | None) -> None:
        self._settings = settings
        self._endpoint_url = endpoint_url
        self._context: AbstractAsyncContextManager[Any] | None = None

    async def __aenter__(self) -> Any:
        """Return a client.

        Raises:
            StorageConfigException: aioboto3 is not installed.
        """
        # The first time a second of work, later 20 ms: it must not stop the event loop.
        self._context = await asyncio.to_thread(_client, self._settings, self._endpoint_url)
        client = await self._context.__aenter__()
        _leave_repeating_to_the_sdk(client)
        client.meta.events.register("before-call.s3.HeadBucket", _do_not_redirect)
        return client

    async def __aexit__(self, *exc_info: object) -> None:
        if self._context is not None:
            await self._context.__aexit__(None, None, None)


def _do_not_redirect(context: dict[str, Any], **_: object) -> None:
    """Keep the SDK from asking for a bucket's region in order to ask for the bucket's region.

    To a redirection it sends a HeadBucket, and to that one's redirection another, until the stack
    is used up; in that state aiohttp cannot even close its connections.
    """
    context.setdefault("s3_redirect", {})["redirected"] = True


def _leave_repeating_to_the_sdk(client: Any) -> None:
    """Keep aiohttp from sending a request again by itself, which nobody is told of.

    It takes PUT and DELETE for idempotent, and with a condition they are not. The SDK repeats as
    well, `max_attempts` times at most, and says so in its answer.
    """
    http = client._endpoint.http_session  # noqa: SLF001
    get_session = http._get_session  # noqa: SLF001

    async def get_plain_session(proxy_url: str | None) -> Any:
        session = await get_session(proxy_url)
        session._retry_connection = False  # noqa: SLF001
        return session

    http._get_session = get_plain_session  # noqa: SLF001


@functools.cache
def _loader() -> Any:
    import aioboto3  # noqa: F401, PLC0415 - 0.7 s, so at first use
    from botocore.loaders import Loader  # noqa: PLC0415

    redact_sdk_logs()
    loader = Loader()
    # It remembers them: reading S3's model takes 0.1 s, and each event loop makes a client.
    loader.load_service_model("s3", "service-2")
    loader.load_service_model("s3", "endpoint-rule-set-1")
    return loader


@contextlib.contextmanager
def import_sdk() -> Iterator[None]:
    """Import the SDK, or a part of it, in this block.

    Raises:
        StorageConfigException: It is not installed.
    """
    try:
        # Threads that import one module at the same time may see it half done.
        with _import_lock:
            yield
    except ImportError as error:
        raise StorageConfigException(
            f"The s3 driver needs {error.name or 'aioboto3'}: pip install 'jtc-storage[s3]'"
        ) from error


async def chain_credentials(settings: Settings) -> CredentialsProvider:
    """Return what the SDK's own chain of credentials finds, without a client.

    Raises:
        StorageConfigException: The SDK is not installed.
        botocore.exceptions.BotoCoreError: There are none, or no such profile.
    """
    session = await asyncio.to_thread(_session_of, settings)
    from botocore.exceptions import NoCredentialsError  # noqa: PLC0415

    found: CredentialsProvider | None = await session.get_credentials()
    if found is None:
        raise NoCredentialsError
    return found


def _session_of(settings: Settings) -> Any:
    with import_sdk():
        loader = _loader()
        import aioboto3  # noqa: PLC0415
        import aiobotocore.session  # noqa: PLC0415
    inner: Any = aiobotocore.session.get_session()
    inner.register_component("data_loader", loader)
    if settings.credentials is not None:
        # Where AioSession.get_credentials() looks before it asks its chain of providers.
        inner._credentials = RenewedCredentials(settings.credentials)  # noqa: SLF001
    return aioboto3.Session(
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=settings.secret_key,
        aws_session_token=settings.session_token,
        region_name=settings.region,
        botocore_session=inner,
        profile_name=settings.profile,
    )


def _client(settings: Settings, endpoint_url: str | None) -> AbstractAsyncContextManager[Any]:
    session = _session_of(settings)
    from aiobotocore.config import AioConfig  # noqa: PLC0415

    config = AioConfig(
        # Presigned addresses would otherwise still use version 2 with some endpoints.
        signature_version="s3v4",
        s3={"addressing_style": "path" if settings.path_style else "virtual"},
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        retries={"mode": "standard", "total_max_attempts": settings.max_attempts},
        max_pool_connections=settings.max_connections,
        # We send and check CRC-32 ourselves, in headers; the SDK's trailers break some stores.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    # Reading the certificates of all authorities takes 30 ms; without TLS nobody needs them.
    verify = False if (endpoint_url or "").startswith("http://") else None
    context: AbstractAsyncContextManager[Any] = session.client(
        "s3", endpoint_url=endpoint_url, verify=verify, config=config
    )
    return context


def discard_client(client: Any) -> None:
    """Let go of a client's connections where its event loop does not run any more.

    aiohttp has no means for that: its own ``close`` needs the loop.
    """
    for session in client._endpoint.http_session._sessions.values():  # noqa: SLF001
        discard_session(session)


def discard_session(session: Any) -> None:
    """Let go of the connections of one of aiohttp's sessions, where its loop does not run."""
    connector = session.connector
    session.detach()
    if connector is None:
        return
    pooled = [held[0] for pool in connector._conns.values() for held in pool]  # noqa: SLF001
    transports = [protocol.transport for protocol in (*pooled, *connector._acquired)]  # noqa: SLF001
    connector._close()  # noqa: SLF001
    if connector._loop.is_closed():  # noqa: SLF001
        for transport in transports:
            _close_transport(transport)


def _close_transport(transport: Any) -> None:
    # The last step of asyncio's own transports, which they take in a callback of the loop.
    while (inner := getattr(transport, "_ssl_protocol", None)) is not None:
        transport = inner._transport  # noqa: SLF001
    finish = getattr(transport, "_call_connection_lost", None)
    if finish is not None:
        # The protocol may try to tell its loop, which is closed; the socket is closed first or not.
        with contextlib.suppress(RuntimeError):
            finish(None)
