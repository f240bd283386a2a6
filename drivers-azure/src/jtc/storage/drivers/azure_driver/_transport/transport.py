"""`Transport`: what sends a driver's requests, and what it has learned of the account."""

from __future__ import annotations

import asyncio
import base64
import email.utils
import time
from typing import TYPE_CHECKING, Any, TypeVar

from jtc.storage.drivers.azure_driver._transport import errors, sas
from jtc.storage.drivers.azure_driver._transport.entra import Tokens
from jtc.storage.drivers.azure_driver._transport.operations import ContainerRequests
from jtc.storage.drivers.azure_driver._transport.shared_key import authorization
from jtc.storage.drivers.azure_driver._transport.xml import read_error
from jtc.storage.exceptions import StorageException, UnsupportedOperationException
from jtc.storage.http_support.client import HttpClient, Service, origin_of
from jtc.storage.http_support.requests import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.drivers.azure_driver._settings import Settings
    from jtc.storage.http_support.connections import Places
    from jtc.storage.http_support.requests import Request

__all__ = ["Transport"]

T = TypeVar("T")

_UNAUTHORIZED = 401
_LONGEST_DELEGATION = 7 * 24 * 3600.0
"""https://learn.microsoft.com/en-us/rest/api/storageservices/get-user-delegation-key"""
_SOURCE_SECONDS = 3600.0
"""How long the store may read what it copies."""


class AzureService(Service):
    """What is particular to Azure: signatures, and what its refusals mean.

    Args:
        settings: The driver's options.
        tokens: Those of Entra ID.
    """

    def __init__(self, settings: Settings, tokens: Tokens) -> None:
        self._settings, self._tokens = settings, tokens

    async def signed(self, request: Request[Any], *, is_renewed: bool) -> Mapping[str, str]:
        """Return the headers to send, those of the request and of the signature."""
        settings = self._settings
        headers = {
            "x-ms-version": sas.VERSION,
            "x-ms-date": email.utils.formatdate(usegmt=True),
            **request.headers,
        }
        if settings.key is not None:
            headers["authorization"] = authorization(
                settings.account or "",
                settings.key,
                request.method,
                request.path,
                request.query,
                headers,
                len(request.body),
            )
        elif settings.is_entra:
            headers["authorization"] = f"Bearer {await self._tokens.get(is_renewed=is_renewed)}"
        return headers

    def refusal(self, status: int, document: bytes, headers: Mapping[str, str]) -> Refusal:
        """Return what an answer of status 300 or more says; a HEAD's has headers alone."""
        fields = read_error(document)
        code = headers.get("x-ms-error-code") or fields.get("Code", "")
        request_id = headers.get("x-ms-request-id", "")
        return Refusal(status, code, fields.get("Message", ""), request_id, headers)

    def is_temporary(self, refusal: Refusal) -> bool:
        """Return whether the same request may succeed a moment later."""
        return errors.is_temporary(refusal)

    def is_unheeded(self, refusal: Refusal, request: Request[Any]) -> bool:  # noqa: ARG002
        """Return whether a refused request had no effect."""
        return errors.is_unheeded(refusal)

    def has_old_credentials(self, refusal: Refusal) -> bool:
        """Return whether the request may succeed with a new token."""
        is_refused = refusal.status == _UNAUTHORIZED or refusal.code == "AuthenticationFailed"
        return self._settings.is_entra and is_refused

    def exception_for(self, refusal: Refusal, request: Request[Any]) -> Exception:  # noqa: ARG002
        """Return our exception for a refusal."""
        return errors.exception_for(refusal, self._settings.container)


class Transport:
    """Sends the requests of one driver, from any number of event loops and threads.

    Args:
        settings: The driver's options.

    Attributes:
        settings: Those.
        requests: Makes requests to the container.
        starts_listings: Whether the service takes the name at which a listing begins; None: that
            is open.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.requests = ContainerRequests(settings.base, settings.sas_token or "")
        self._tokens = Tokens(settings)
        self.http = HttpClient(settings, AzureService(settings, self._tokens), "jtc-storage-azure")
        self.starts_listings: bool | None = None
        self._is_hierarchical: bool | None = None
        self._delegation: sas.DelegationKey | None = None

    async def send(self, request: Request[T], *, is_begun: bool = False) -> T:
        """Send a request, and again where that helps, and return its result.

        Raises:
            StorageException: The store refused, or was not reached in `request_timeout`.
        """
        return await self.http.send(request, is_begun=is_begun)

    async def memory(self) -> Places:
        """Return the bytes that the parts of the loop's transfers may take in memory."""
        return await self.http.memory()

    async def is_hierarchical(self) -> bool:
        """Return whether the account keeps directories, as for Data Lake; asked once.

        Where the credentials do not permit the question, it may.
        """
        if self._is_hierarchical is None:
            try:
                self._is_hierarchical = await self.send(self.requests.get_account())
            except StorageException as error:
                if error.retryable or not isinstance(error.__cause__, Refusal):
                    raise
                self._is_hierarchical = True
        return self._is_hierarchical

    def check_presignable(self) -> None:
        """Check that the disk can sign URLs at all.

        Raises:
            UnsupportedOperationException: It has a signature, and nothing to make one with; or is
                anonymous.
        """
        if self.settings.anonymous:
            raise UnsupportedOperationException(
                "An anonymous disk has no key to sign with: use url()"
            )
        if self.settings.sas_token is not None:
            raise UnsupportedOperationException(
                "A disk with a sas_token cannot sign URLs: that needs account_key or credential"
            )

    async def signing_key(self, ends: float) -> bytes | sas.DelegationKey:
        """Return what signs a URL until a time; it waits for nothing where that is known.

        Raises:
            UnsupportedOperationException: The disk has nothing to sign with.
        """
        self.check_presignable()
        if self.settings.key is not None:
            return self.settings.key
        known = self._delegation
        if known is not None and ends <= known.ends:
            return known
        now = time.time()
        last = now + _LONGEST_DELEGATION
        async with asyncio.timeout(self.settings.request_timeout):
            # Its clock may be behind.
            request = self.requests.get_delegation_key(sas.utc(now - 300), sas.utc(last - 300))
            fields = await self.send(request)
        names = {
            "skoid": "SignedOid",
            "sktid": "SignedTid",
            "skt": "SignedStart",
            "ske": "SignedExpiry",
            "sks": "SignedService",
            "skv": "SignedVersion",
        }
        said = {name: fields.get(field, "") for name, field in names.items()}
        key = base64.b64decode(fields.get("Value", ""))
        self._delegation = sas.DelegationKey(key, said, last - 300)
        return self._delegation

    async def source(self, blob: str) -> tuple[str, dict[str, str]]:
        """Return the URL by which the store reads a blob that it copies, and headers for that."""
        settings = self.settings
        url = f"{origin_of(settings.endpoint_url or '')}{self.requests.path(blob)}"
        if settings.is_entra:
            return url, {"x-ms-copy-source-authorization": f"Bearer {await self._tokens.get()}"}
        query = settings.sas_token
        if settings.key is not None:
            query = sas.signed_query(
                settings.key,
                settings.account or "",
                settings.container,
                blob,
                permissions="r",
                ends=time.time() + _SOURCE_SECONDS,
                is_secure=settings.is_secure,
            )
        return (f"{url}?{query}" if query else url), {}

    async def aclose(self) -> None:
        """Close the connections of all event loops; requests under way have some seconds to end."""
        await self.http.aclose()
