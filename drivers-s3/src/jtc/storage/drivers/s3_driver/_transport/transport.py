"""`Transport`: the client of one bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jtc.storage.drivers.s3_driver._transport.redaction import scrub
from jtc.storage.drivers.s3_driver._transport.service import S3Service
from jtc.storage.drivers.s3_driver._transport.sigv4 import Signing
from jtc.storage.http_support.client import HttpClient

if TYPE_CHECKING:
    from jtc.storage.drivers.s3_driver._settings import Settings
    from jtc.storage.drivers.s3_driver._transport.sigv4 import Target

__all__ = ["Transport"]


class Transport(HttpClient):
    """Sends requests to one bucket, from any number of event loops and threads.

    Args:
        settings: Which bucket, where, and with what limits.

    Attributes:
        settings: Those.
        keys: Who signs.
        learned: What the disk learned of its store.
    """

    settings: Settings

    def __init__(self, settings: Settings) -> None:
        self._service = S3Service(settings)
        super().__init__(settings, self._service, "jtc-storage-s3")
        self.keys, self.learned = self._service.keys, self._service.learned

    @property
    def target(self) -> Target | None:
        """Where requests go; None before the first one."""
        return self._service.target

    async def located(self) -> Target:
        """Return where requests go, found now if it is not known.

        Raises:
            StorageConfigException: The options do not say it.
        """
        return self._service.target or await self._service.locate()

    async def signing(self) -> Signing:
        """Return what signs a URL; it waits for nothing where keys and endpoint are known."""
        service = self._service
        try:
            target = service.target or await service.locate()
            keys = self.keys.usable() or await self.keys.renewed()
            return Signing(target.signer, target.signing, keys)
        except BaseException as error:
            scrub(error)
            raise
