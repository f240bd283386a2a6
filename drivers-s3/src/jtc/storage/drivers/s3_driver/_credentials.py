"""The keys to sign with: given, asked of a function, or found by the SDK's own chain."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage.drivers.s3_driver._settings import CredentialsSource

__all__ = ["CredentialsProvider", "GivenCredentials", "Keys", "RenewedCredentials"]

# Without a word about their end, credentials are asked for again after so many seconds.
_CREDENTIALS_LIFE = 300.0
# So many seconds before their end, credentials are renewed: a request must outlive them.
_CREDENTIALS_MARGIN = 60.0


class Keys(NamedTuple):
    """What one request is signed with, named as the SDK names it."""

    access_key: str
    secret_key: str
    token: str | None = None
    account_id: str | None = None

    def __repr__(self) -> str:
        return "Keys(...)"


class CredentialsProvider(Protocol):
    """What knows the keys of the moment; the SDK's own credentials are such."""

    async def get_frozen_credentials(self) -> Any:
        """Return the keys to sign with now."""
        ...


class GivenCredentials:
    """Credentials that are what they are.

    Args:
        keys: They.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def get_frozen_credentials(self) -> Keys:
        """Return the keys to sign with now."""
        return self._keys


class RenewedCredentials:
    """Credentials from a user's function, as botocore's signer asks for them.

    Args:
        source: The function; one at a time is called, and what it returned is kept for a while.
    """

    method = "custom"

    def __init__(self, source: CredentialsSource) -> None:
        self._source = source
        # There is one of these a client, and so a loop.
        self._lock = asyncio.Lock()
        self._frozen: Keys | None = None
        self._renew_at = 0.0

    account_id = None

    def get_account_id(self) -> None:
        """Return the account's number: unknown, and S3's hosts do not depend on it."""

    def get_deferred_property(self, name: str) -> Callable[[], Any]:
        """Return how to get what is known beside the keys."""
        return lambda: getattr(self, name, None)

    async def get_frozen_credentials(self) -> Keys:
        """Return the keys to sign with now."""
        async with self._lock:
            if self._frozen is None or time.time() >= self._renew_at:
                self._frozen = await self._renewed()
            return self._frozen

    async def _renewed(self) -> Keys:
        given = await self._source()
        keys = Keys(
            _part(given, "access_key"), _part(given, "secret_key"), _part(given, "token", None)
        )
        ends = _part(given, "expires_at", None)
        if ends is None:
            self._renew_at = time.time() + _CREDENTIALS_LIFE
        else:
            self._renew_at = ends - _CREDENTIALS_MARGIN
        return keys


_MISSING = object()


def _part(given: Any, name: str, default: Any = _MISSING) -> Any:
    if isinstance(given, Mapping):
        value = given.get(name, default)
    else:
        value = getattr(given, name, default)
    if value is _MISSING:
        raise StorageConfigException(f"What the option credentials returned has no {name!r}")
    # An empty token is none: a signature would hold it.
    return None if name == "token" and not value else value
