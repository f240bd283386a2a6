"""`AzureService`: signatures and refusals of Azure Blob Storage."""

from __future__ import annotations

import email.utils
from typing import TYPE_CHECKING, Any

from jtc.storage.drivers.azure_driver._transport import errors, sas
from jtc.storage.drivers.azure_driver._transport.shared_key import authorization
from jtc.storage.drivers.azure_driver._transport.xml import read_error
from jtc.storage.http_support.client import Service
from jtc.storage.http_support.requests import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.drivers.azure_driver._settings import Settings
    from jtc.storage.drivers.azure_driver._transport.credentials import Tokens
    from jtc.storage.http_support.requests import Request

__all__ = ["AzureService"]

_UNAUTHORIZED = 401


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
