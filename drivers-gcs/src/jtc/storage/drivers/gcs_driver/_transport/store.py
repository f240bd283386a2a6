"""`Store`: the requests of one driver to its bucket."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from jtc.storage import exceptions
from jtc.storage.drivers.gcs_driver._transport import errors
from jtc.storage.drivers.gcs_driver._transport.credentials import TokenSource
from jtc.storage.drivers.gcs_driver._transport.learned import Learned
from jtc.storage.drivers.gcs_driver._transport.operations import OF_BUCKET, list_objects
from jtc.storage.http_support.client import HttpClient, Service

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.drivers.gcs_driver._settings import Settings
    from jtc.storage.http_support.requests import Refusal, Request

__all__ = ["Store"]

T = TypeVar("T")

_UNAUTHORIZED = 401


class _Google(Service):
    """What is particular to Google among stores by HTTP."""

    def __init__(self, settings: Settings, tokens: TokenSource) -> None:
        self._settings, self._tokens = settings, tokens

    async def signed(self, request: Request[Any], *, is_renewed: bool) -> Mapping[str, str]:
        if is_renewed:
            self._tokens.expire()
        headers = {**request.headers, **await self._tokens.headers()}
        if self._settings.requester_pays:
            headers["x-goog-user-project"] = self._settings.project or ""
        return headers

    def refusal(self, status: int, document: bytes, headers: Mapping[str, str]) -> Refusal:
        return errors.refusal_of(status, document, headers)

    def exception_for(self, refusal: Refusal, request: Request[Any]) -> Exception:  # noqa: ARG002
        return errors.exception_for(refusal, self._settings.bucket)

    def is_temporary(self, refusal: Refusal) -> bool:
        return errors.is_temporary(refusal)

    def is_unheeded(self, refusal: Refusal, request: Request[Any]) -> bool:  # noqa: ARG002
        return errors.is_unheeded(refusal)

    def has_old_credentials(self, refusal: Refusal) -> bool:
        return refusal.status == _UNAUTHORIZED and not self._settings.anonymous


class Store:
    """Sends a driver's requests.

    Args:
        settings: The driver's options.

    Attributes:
        settings: The same.
        learned: What the store was found to be.
        tokens: The credentials.
        client: What sends.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings, self.learned = settings, Learned()
        self.tokens = TokenSource(settings)
        self.client = HttpClient(settings, _Google(settings, self.tokens), "jtc-storage-gcs")

    async def send(self, request: Request[T], *, is_begun: bool = False) -> T:
        """Send a request, and again where that helps, and return its result.

        Raises:
            FileNotFoundException: There is no such object.
            StorageConfigException: There is no such bucket. Some stores say 404 to both.
        """
        try:
            result = await self.client.send(request, is_begun=is_begun)
        except exceptions.FileNotFoundException as error:
            if request.operation in OF_BUCKET:
                raise self._no_bucket() from error
            if not self.learned.has_bucket and request.operation != "upload":
                # Not to be permitted to list is no answer to that.
                with suppress(exceptions.StoragePermissionException):
                    await self.send(list_objects(self.settings.bucket, limit=1))
            raise
        self.learned.has_bucket = True
        return result

    def _no_bucket(self) -> exceptions.StorageConfigException:
        bucket = self.settings.bucket
        return exceptions.StorageConfigException(
            f"There is no bucket {bucket!r}: create it, or set GCS_BUCKET or the option bucket"
        )
