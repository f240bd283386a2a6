"""Signatures of URLs and tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

from jtc.storage.driver_support.url_signing import make_signer
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from jtc.storage.driver_support.url_signing import Secrets

__all__ = ["Signatures"]


class Signatures:
    """Makes and verifies signatures: HMAC-SHA256 (RFC 2104) over values as one JSON array.

    Each value has its own position and its own quotes, so that no two lists of values have the
    same signature. The first value says what is signed.

    Args:
        secret: The secrets, as `jtc.storage.driver_support.url_signing` takes them; the first one
            signs, all verify.

    Raises:
        StorageConfigException: A secret is missing, too short, or of a wrong type.
    """

    def __init__(self, secret: Secrets) -> None:
        try:
            # It holds the keys, and refuses to be pickled.
            signer = make_signer(secret, "")
        finally:
            del secret  # a traceback holds this function's variables
        if signer is None:
            raise StorageConfigException("A registry needs a 'secret', which signs URLs and tokens")
        self._signer = signer

    def sign(self, *values: Any) -> str:
        """Return the signature of values that JSON can hold."""
        return _signature(self._signer.keys[0], values)

    def fits(self, signature: str, *values: Any) -> bool:
        """Return whether a signature is that of these values."""
        given = signature.encode("utf-8", "replace")
        # All keys are tried even after one fits: the time taken must not depend on the key.
        fitting = [
            hmac.compare_digest(_signature(key, values).encode(), given)
            for key in self._signer.keys
        ]
        return any(fitting)


def _signature(key: bytes, values: tuple[Any, ...]) -> str:
    # ASCII, with escapes: the values may contain lone surrogates.
    digest = hmac.digest(key, json.dumps(values).encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
