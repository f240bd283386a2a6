"""`GCSService`: credentials and refusals of Google Cloud Storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jtc.storage.drivers.gcs_driver._transport import errors
from jtc.storage.http_support.client import Service

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.drivers.gcs_driver._settings import Settings
    from jtc.storage.drivers.gcs_driver._transport.credentials import TokenSource
    from jtc.storage.http_support.requests import Refusal, Request

__all__ = ["GCSService"]

_UNAUTHORIZED = 401


class GCSService(Service):
    """What is particular to Google Cloud Storage, for one bucket.

    Args:
        settings: The driver's options.
        tokens: Its credentials.
    """

    def __init__(self, settings: Settings, tokens: TokenSource) -> None:
        self._settings, self._tokens = settings, tokens

    async def signed(self, request: Request[Any], *, is_renewed: bool) -> Mapping[str, str]:
        """Return the headers to send, those of the request and of the credentials."""
        if is_renewed:
            self._tokens.expire()
        headers = {**request.headers, **await self._tokens.headers()}
        if self._settings.requester_pays:
            headers["x-goog-user-project"] = self._settings.project or ""
        return headers

    def refusal(self, status: int, document: bytes, headers: Mapping[str, str]) -> Refusal:
        """Return what an answer of status 300 or more says."""
        return errors.refusal_of(status, document, headers)

    def is_temporary(self, refusal: Refusal) -> bool:
        """Return whether the same request may succeed a moment later."""
        return errors.is_temporary(refusal)

    def is_unheeded(self, refusal: Refusal, request: Request[Any]) -> bool:  # noqa: ARG002
        """Return whether a refused request had no effect."""
        return errors.is_unheeded(refusal)

    def has_old_credentials(self, refusal: Refusal) -> bool:
        """Return whether the request may succeed with a new token."""
        return refusal.status == _UNAUTHORIZED and not self._settings.anonymous

    def exception_for(self, refusal: Refusal, request: Request[Any]) -> Exception:  # noqa: ARG002
        """Return our exception for a refusal."""
        return errors.exception_for(refusal, self._settings.bucket)
