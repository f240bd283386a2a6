"""Requests to one bucket: through the loop's client, within a time, with errors in our terms."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Any

from jtc.storage.driver_support.loop_budget import next_iteration, over_budget
from jtc.storage.drivers.s3_driver._answers import Answer, answer_of
from jtc.storage.drivers.s3_driver._client import LoopClients
from jtc.storage.drivers.s3_driver._direct import (
    DirectClient,
    DirectContext,
    ElsewhereError,
    discard_direct,
)
from jtc.storage.drivers.s3_driver._documents import parsed_page
from jtc.storage.drivers.s3_driver._errors import NoBucketException, raise_mapped, refusal
from jtc.storage.drivers.s3_driver._redaction import forgotten_requests
from jtc.storage.drivers.s3_driver._requests import request_for
from jtc.storage.drivers.s3_driver._retries import RetryBudget
from jtc.storage.drivers.s3_driver._session import ClientContext, discard_client
from jtc.storage.drivers.s3_driver._ways import why_by_sdk
from jtc.storage.exceptions import (
    FileNotFoundException,
    StorageException,
    StorageTimeoutException,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from jtc.storage.drivers.s3_driver._settings import Settings

__all__ = ["Bucket"]

logger = logging.getLogger("jtc.storage")

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
        # In turns it would wait a round of the loop for what takes a tenth of a millisecond.
        self._direct: LoopClients[DirectClient] = LoopClients(
            lambda: DirectContext(settings),
            discard_direct,
            settings.max_connections,
            in_turns=False,
        )
        # Why all goes by the SDK; empty if for nothing, None before anybody looked.
        self._by_sdk: str | None = None
        self._is_there = False
        self.retries = RetryBudget()
        # What is learnt of the store once it matters; None is not yet.
        self.takes_acl_with_content: bool | None = None
        self.goes_by_directory: bool | None = None

    async def call(
        self, operation: str, /, *, moves: int = 0, read_up_to: int = -1, **parameters: Any
    ) -> Any:
        """Send one request, repeated where that helps, and return the parsed answer.

        Args:
            operation: A method of the SDK's client, such as ``"head_object"``.
            moves: How many bytes go with it, or are moved by the store meanwhile.
            read_up_to: A content of so many bytes may be read here: the answer's ``Body`` is then
                bytes, else aiohttp's response.
            **parameters: The request's, without the bucket.

        Raises:
            StorageException: The store refused, or was not reached in `request_timeout`.
        """
        if over_budget():
            await next_iteration()
        limit = self.settings.request_timeout + moves / SLOWEST_BYTES_PER_SECOND
        with forgotten_requests():
            try:
                request = request_for(operation, parameters)
                if request is not None and await self._goes_directly():
                    try:
                        # The time begins once there is a place: the store is not waited for yet.
                        async with self._direct.use() as direct:
                            return Answer(await _in_time(direct.send(request, read_up_to), limit))
                    except ElsewhereError:
                        self._by_sdk = "the store's redirections"
                async with self._clients.use() as client:
                    answer = await _in_time(
                        getattr(client, operation)(Bucket=self.name, **parameters), limit
                    )
                if operation == "get_object":
                    # aiohttp's: the SDK's own checks the checksum in some ways of reading only.
                    answer["Body"] = answer["Body"].__wrapped__
                return answer_of(answer)
            except Exception as error:
                raise_mapped(error, self.name)

    async def list_page(self, **parameters: Any) -> Any:
        """Return one answer to ListObjectsV2, parsed.

        Raises:
            StorageException: As for `call`, or the answer cannot be understood.
        """
        return await parsed_page(await self.call("list_objects_v2", **parameters))

    async def _goes_directly(self) -> bool:
        if self._by_sdk is None:
            # Files are read.
            self._by_sdk = await asyncio.to_thread(_why_by_sdk, self.settings) or ""
            if self._by_sdk:
                logger.info("The bucket %r is left to the SDK: %s", self.name, self._by_sdk)
        return not self._by_sdk

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
            await self.list_page(MaxKeys=1)
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
        with forgotten_requests():
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
        with forgotten_requests():
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
        with forgotten_requests():
            try:
                return await self._signing_clients.get()
            except Exception as error:
                raise_mapped(error, self.name)

    async def aclose(self) -> None:
        """Close all connections, of all event loops."""
        await self._direct.aclose()
        await self._clients.aclose()
        if self._signing_clients is not self._clients:
            await self._signing_clients.aclose()


def _why_by_sdk(settings: Settings) -> str | None:
    return why_by_sdk(settings, os.environ)


async def _in_time(answering: Coroutine[Any, Any, Any], limit: float) -> Any:
    try:
        async with asyncio.timeout(limit):
            return await answering
    except TimeoutError as error:
        raise StorageTimeoutException(f"The store did not answer in {limit:g} s") from error


def _clients(settings: Settings, endpoint_url: str | None) -> LoopClients[Any]:
    return LoopClients(
        lambda: ClientContext(settings, endpoint_url), discard_client, settings.max_connections
    )
