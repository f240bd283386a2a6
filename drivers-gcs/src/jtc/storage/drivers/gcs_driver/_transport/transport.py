"""`Transport`: the client of one bucket."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from jtc.storage import exceptions
from jtc.storage.drivers.gcs_driver._transport.credentials import TokenSource
from jtc.storage.drivers.gcs_driver._transport.learned import Learned
from jtc.storage.drivers.gcs_driver._transport.operations import OF_BUCKET, list_objects
from jtc.storage.drivers.gcs_driver._transport.service import GCSService
from jtc.storage.http_support.client import HttpClient

if TYPE_CHECKING:
    from jtc.storage.drivers.gcs_driver._settings import Settings
    from jtc.storage.http_support.connections import Connections
    from jtc.storage.http_support.requests import Request

__all__ = ["Transport"]

T = TypeVar("T")


class Transport(HttpClient):
    """Sends requests to one bucket, from any number of event loops and threads.

    Args:
        settings: The driver's options.

    Attributes:
        settings: The same.
        learned: What the store was found to be.
        tokens: The credentials.
    """

    settings: Settings

    def __init__(self, settings: Settings) -> None:
        self.tokens, self.learned = TokenSource(settings), Learned()
        super().__init__(settings, GCSService(settings, self.tokens), "jtc-storage-gcs")

    async def send(
        self, request: Request[T], taken: Connections | None = None, *, is_begun: bool = False
    ) -> T:
        """Send a request, and again where that helps, and return its result.

        Raises:
            FileNotFoundException: There is no such object.
            StorageConfigException: There is no such bucket. Some stores say 404 to both.
        """
        try:
            result = await super().send(request, taken, is_begun=is_begun)
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
