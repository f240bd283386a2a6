"""Signature version 4 in a request's headers, by S3's rules.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html. It is ours because
every object call goes through it, and the SDK's takes longer than the request. `signing.py` is
about addresses that others may use, which the SDK signs.
"""

from __future__ import annotations

import hmac
import time
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.drivers.s3_driver._credentials import Keys

__all__ = ["EMPTY_SHA256", "UNSIGNED", "Signer"]

EMPTY_SHA256 = sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"


class Signer:
    """Signs requests for one region, with the key that it derived for the day.

    Args:
        region: The region's name, as the signature has it.
    """

    def __init__(self, region: str) -> None:
        self._region = region
        self._second = -1
        self._stamp = ""
        self._day: tuple[str, str] = ("", "")
        self._day_key = b""

    def sign(
        self,
        keys: Keys,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        payload: str,
        *,
        now: float | None = None,
    ) -> dict[str, str]:
        """Return a request's headers with those of the signature.

        Args:
            keys: Whose signature.
            method: Such as ``"GET"``.
            path: Percent-encoded, as it is sent.
            query: Percent-encoded and sorted by name, as it is sent; may be empty.
            headers: What is to be signed, by names in small letters, ``host`` among them.
            payload: The SHA-256 of the body in hexadecimal, or `UNSIGNED`.
            now: Seconds since 1970 UTC; None is now.
        """
        stamp = self._timestamp(time.time() if now is None else now)
        signed = {**headers, "x-amz-content-sha256": payload, "x-amz-date": stamp}
        if keys.token:
            signed["x-amz-security-token"] = keys.token
        names = sorted(signed)
        lines = "\n".join([f"{name}:{' '.join(signed[name].split())}" for name in names])
        listed = ";".join(names)
        request = f"{method}\n{path}\n{query}\n{lines}\n\n{listed}\n{payload}"
        scope = f"{stamp[:8]}/{self._region}/s3/aws4_request"
        digest = sha256(request.encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        signature = _hmac(self._key(keys.secret_key, stamp[:8]), to_sign).hex()
        signed["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={keys.access_key}/{scope}, "
            f"SignedHeaders={listed}, Signature={signature}"
        )
        return signed

    def _timestamp(self, now: float) -> str:
        second = int(now)
        if second != self._second:
            self._stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
            self._second = second
        return self._stamp

    def _key(self, secret: str, day: str) -> bytes:
        if self._day != (secret, day):
            key = f"AWS4{secret}".encode()
            for part in (day, self._region, "s3", "aws4_request"):
                key = _hmac(key, part)
            self._day, self._day_key = (secret, day), key
        return self._day_key


def _hmac(key: bytes, message: str) -> bytes:
    return hmac.digest(key, message.encode(), "sha256")
