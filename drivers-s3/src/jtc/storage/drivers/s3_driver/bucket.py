"""Requests to one bucket: through the loop's client, within a time, with errors in our terms."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from jtc.storage.drivers.s3_driver.client import LoopClients
from jtc.storage.drivers.s3_driver.errors import NoBucketException, raise_mapped, refusal
from jtc.storage.drivers.s3_driver.session import ClientContext, discard_client
from jtc.storage.exceptions import (
    FileNotFoundException,
    StorageException,
    StorageTimeoutException,
)

if TYPE_CHECKING:
    from jtc.storage.drivers.s3_driver.settings import Settings

__all__ = ["Bucket"]

SLOWEST_BYTES_PER_SECOND = 65_536
"""A request that moves content has this much more time than one that does not."""


class Bucket:
    """A bucket and the connections to it.

    Args:
        settings: Which, where, and with what limits.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = settings.bucket
        # The functions that make clients must not know the bucket: a dropped driver would stay.
        self._clients = _clients(settings, settings.endpoint_url)
        self._signing_clients = self._clients
        if settings.signing_endpoint_url is not None:
            self._signing_clients = _clients(settings, settings.signing_endpoint_url)
        self._is_there = False
        # What is learnt of the store once it matters; None is not yet.
        self.takes_acl_with_content: bool | None = None
        self.goes_by_directory: bool | None = None

    async def call(self, operation: str, /, *, moves: int = 0, **parameters: Any) -> Any:
        """Send one request, repeated where that helps, and return the parsed answer.

        Args:
            operation: A method of the SDK's client, such as ``"head_object"``.
            moves: How many bytes go with it, or are moved by the store meanwhile.
            **parameters: The request's, without the bucket.

        Raises:
            StorageException: The store refused, or was not reached in `request_timeout`.
        """
        limit = self.settings.request_timeout + moves / SLOWEST_BYTES_PER_SECOND
        try:
            async with asyncio.timeout(limit):
                client = await self._clients.get()
                answer = await getattr(client, operation)(Bucket=self.name, **parameters)
        except TimeoutError as error:
            raise StorageTimeoutException(f"The store did not answer in {limit:g} s") from error
        except Exception as error:
            raise_mapped(error, self.name)
        return answer

    async def head(self, key: str, **parameters: Any) -> Any:
        """Return what a HEAD of a key answers.

        Raises:
            FileNotFoundException: There is no such key.
            StorageConfigException: There is no such bucket. A HEAD says 404 to both.
        """
        try:
            answer = await self.call("head_object", Key=key, **parameters)
        except FileNotFoundException:
            await self._check_bucket()
            raise
        self._is_there = True
        return answer

    async def _check_bucket(self) -> None:
        if self._is_there:
            return
        try:
            # Not head_bucket: that would also say a bare 404, and need the same permission.
            await self.call("list_objects_v2", MaxKeys=1)
        except NoBucketException:
            raise
        except FileNotFoundException as error:
            raise refusal("NoSuchBucket", 404, self.name) from error
        except StorageException:
            # Who may not list, or fails to, has still been told that the file is missing.
            return
        self._is_there = True

    async def sign(self, operation: str, parameters: dict[str, Any], expires_in: int) -> str:
        """Return a presigned address for a request, made without sending anything."""
        client = await self._signing_client()
        try:
            url: str = await client.generate_presigned_url(
                operation, Params={"Bucket": self.name, **parameters}, ExpiresIn=expires_in
            )
        except Exception as error:
            raise_mapped(error, self.name)
        return url

    async def sign_form(
        self, key: str, fields: dict[str, str], conditions: list[Any], expires_in: int
    ) -> dict[str, Any]:
        """Return a presigned form's ``url`` and ``fields``."""
        client = await self._signing_client()
        try:
            form: dict[str, Any] = await client.generate_presigned_post(
                Bucket=self.name,
                Key=key,
                Fields=fields,
                Conditions=conditions,
                ExpiresIn=expires_in,
            )
        except Exception as error:
            raise_mapped(error, self.name)
        return form

    async def _signing_client(self) -> Any:
        try:
            return await self._signing_clients.get()
        except Exception as error:
            raise_mapped(error, self.name)

    async def aclose(self) -> None:
        """Close all connections, of all event loops."""
        await self._clients.aclose()
        if self._signing_clients is not self._clients:
            await self._signing_clients.aclose()


def _clients(settings: Settings, endpoint_url: str | None) -> LoopClients[Any]:
    return LoopClients(lambda: ClientContext(settings, endpoint_url), discard_client)
