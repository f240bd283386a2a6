"""`Transport`: the client of one container."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import TYPE_CHECKING, TypeVar

from jtc.storage.drivers.azure_driver._transport import sas
from jtc.storage.drivers.azure_driver._transport.credentials import Tokens
from jtc.storage.drivers.azure_driver._transport.operations import ContainerRequests
from jtc.storage.drivers.azure_driver._transport.service import AzureService
from jtc.storage.exceptions import StorageException, UnsupportedOperationException
from jtc.storage.http_support.client import HttpClient, origin_of
from jtc.storage.http_support.requests import Refusal

if TYPE_CHECKING:
    from jtc.storage.drivers.azure_driver._settings import Settings

__all__ = ["Transport"]

T = TypeVar("T")

_LONGEST_DELEGATION = 7 * 24 * 3600.0
"""https://learn.microsoft.com/en-us/rest/api/storageservices/get-user-delegation-key"""
_SOURCE_SECONDS = 3600.0
"""How long the store may read what it copies."""


class Transport(HttpClient):
    """Sends requests to one container, from any number of event loops and threads.

    Args:
        settings: The driver's options.

    Attributes:
        settings: Those.
        requests: Makes requests to the container.
        starts_listings: Whether the service takes the name at which a listing begins; None: that
            is open.
    """

    settings: Settings

    def __init__(self, settings: Settings) -> None:
        self._tokens = Tokens(settings)
        super().__init__(settings, AzureService(settings, self._tokens), "jtc-storage-azure")
        self.requests = ContainerRequests(settings.base, settings.sas_token or "")
        self.starts_listings: bool | None = None
        self._is_hierarchical: bool | None = None
        self._delegation: sas.DelegationKey | None = None

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

    async def token(self) -> str:
        """Return a token of Entra ID.

        Raises:
            StorageException: There is none.
        """
        return await self._tokens.get()

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
