"""Signature version 4, by S3's rules: of requests, presigned URLs and form policies.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html. It is ours
because every request needs it, and the SDK's takes longer than some requests. Tests compare it with
the SDK's.
"""

from __future__ import annotations

import hmac
import json
import time
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jtc.storage.drivers.s3_driver._transport.credentials import Keys
    from jtc.storage.drivers.s3_driver._transport.endpoint import Endpoint

__all__ = ["EMPTY_SHA256", "UNSIGNED", "Signer", "Signing", "Target"]

EMPTY_SHA256 = sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"

_ALGORITHM = "AWS4-HMAC-SHA256"
_GOOGLE = "storage.googleapis.com"
_Headers: TypeAlias = "Mapping[str, str]"
_Life: TypeAlias = tuple[int, int]
"""From when a result is valid, in seconds since 1970 UTC, and for how many seconds."""


@dataclass(slots=True, eq=False, repr=False)
class _Day:
    """What depends on nothing but the keys, the day and the region."""

    keys: Keys
    date: str
    scope: str
    credential: str
    key: bytes
    parameters: str
    """The query of a presigned URL as far as the credential; then the date."""
    token: str
    """The query parameter of the session token with its ``&``, or nothing."""


class Signer:
    """Signs requests for one region, with the key that it derived for the day.

    Threads may share one: each attribute is replaced as a whole.

    Args:
        region: The region's name, as the signature has it.
    """

    def __init__(self, region: str) -> None:
        self._region = region
        self._day: _Day | None = None
        self._second = -1, ""

    def sign(
        self, keys: Keys, method: str, path: str, query: str, headers: _Headers, payload: str
    ) -> dict[str, str]:
        """Return a request's headers with those of the signature, which is as of now.

        Args:
            keys: The keys to sign with.
            method: Such as ``"GET"``.
            path: Percent-encoded, as it is sent.
            query: Percent-encoded, as it is sent, sorted by name; each name has a ``=``.
            headers: What is to be signed, by names in lower case, ``host`` among them.
            payload: The SHA-256 of the body in hexadecimal, or `UNSIGNED`.
        """
        stamp, day = self._derived(keys, time.time())
        signed = {**headers, "x-amz-content-sha256": payload, "x-amz-date": stamp}
        if keys.token:
            signed["x-amz-security-token"] = keys.token
        listed, signature = _signature(day, stamp, f"{method}\n{path}\n{query}", signed, payload)
        names = f"Credential={day.credential}, SignedHeaders={listed}"
        signed["authorization"] = f"{_ALGORITHM} {names}, Signature={signature}"
        return signed

    def presign(
        self, keys: Keys, method: str, path: str, query: str, headers: _Headers, life: _Life
    ) -> str:
        """Return the query of a presigned URL, with the parameters of the signature.

        Args:
            keys: The keys to sign with.
            method: Such as ``"GET"``.
            path: Percent-encoded, as it is sent.
            query: Percent-encoded; each name has a ``=``; may be empty.
            headers: What the request must send as signed here, by names in lower case, ``host``
                among them.
            life: From when it is valid, in seconds since 1970 UTC, and for how many seconds.
        """
        stamp, day = self._derived(keys, life[0])
        parameters = (
            f"{day.parameters}&X-Amz-Date={stamp}&X-Amz-Expires={life[1]}{day.token}"
            f"&X-Amz-SignedHeaders={quote(';'.join(sorted(headers)), safe='')}"
        )
        if query:
            # By name alone: in the whole text, "a-b=" is before "a=".
            pairs = f"{parameters}&{query}".split("&")
            parameters = "&".join(sorted(pairs, key=lambda pair: pair.partition("=")[0]))
        request = f"{method}\n{path}\n{parameters}"
        _, signature = _signature(day, stamp, request, headers, UNSIGNED)
        return f"{parameters}&X-Amz-Signature={signature}"

    def sign_policy(
        self,
        keys: Keys,
        fields: _Headers,
        conditions: Sequence[Mapping[str, str] | Sequence[str | int]],
        life: _Life,
    ) -> dict[str, str]:
        """Return the fields of a form whose policy binds each of them to its value.

        https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html

        Args:
            keys: The keys to sign with.
            fields: The form's fields, ``key`` among them.
            conditions: Those on anything but these fields.
            life: As for `presign`.
        """
        stamp, day = self._derived(keys, life[0])
        signed = {**fields, "x-amz-algorithm": _ALGORITHM, "x-amz-credential": day.credential}
        signed["x-amz-date"] = stamp
        if keys.token:
            signed["x-amz-security-token"] = keys.token
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(sum(life)))
        bound = [*conditions, *({name: value} for name, value in signed.items())]
        policy = json.dumps({"expiration": ends, "conditions": bound})
        signed["policy"] = b64encode(policy.encode()).decode()
        signed["x-amz-signature"] = _hmac(day.key, signed["policy"]).hex()
        return signed

    def _derived(self, keys: Keys, now: float) -> tuple[str, _Day]:
        second, stamp = self._second
        if second != (second := int(now)):
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
            self._second = second, stamp
        date, day = stamp[:8], self._day
        if day is None or day.keys is not keys or day.date != date:
            scope = f"{date}/{self._region}/s3/aws4_request"
            credential = f"{keys.access_key}/{scope}"
            key = f"AWS4{keys.secret_key}".encode()
            for part in scope.split("/"):
                key = _hmac(key, part)
            parameters = f"X-Amz-Algorithm={_ALGORITHM}&X-Amz-Credential={quote(credential, '')}"
            token = f"&X-Amz-Security-Token={quote(keys.token, '')}" if keys.token else ""
            day = self._day = _Day(keys, date, scope, credential, key, parameters, token)
        return stamp, day


class Target(NamedTuple):
    """Where requests go, and who signs them: replaced as a whole.

    Attributes:
        endpoint: The bucket's place.
        signing: That of presigned URLs.
        signer: For the region.
    """

    endpoint: Endpoint
    signing: Endpoint
    signer: Signer

    @property
    def encoding(self) -> str:
        """The encoding that content is to come in: as it is stored.

        Google's store decompresses what is stored with ``Content-Encoding: gzip``, and then leaves
        out length, etag and ranges, unless the client says that it takes gzip. Others, such as a
        proxy, might compress the rest for such a client.
        https://cloud.google.com/storage/docs/transcoding
        """
        return "gzip" if self.endpoint.host.endswith(_GOOGLE) else "identity"


class Signing(NamedTuple):
    """What URLs are signed with, and for.

    Attributes:
        signer: Signs for the bucket's region.
        endpoint: Where the client is to send it.
        keys: The keys to sign with.
    """

    signer: Signer
    endpoint: Endpoint
    keys: Keys

    def url(self, method: str, key: str, query: str, headers: _Headers, life: _Life) -> str:
        """Return a presigned URL of a file; the arguments are those of `Signer.presign`."""
        encoded, sent = quote(key, safe="/~"), {**headers, "host": self.endpoint.host}
        path = self.endpoint.base + encoded
        signed = self.signer.presign(self.keys, method, path, query, sent, life)
        return f"{self.endpoint.url}{encoded}?{signed}"

    def end(self, life: _Life) -> float:
        """Return when what is signed ends: with the keys if that is earlier."""
        return min(sum(life), self.keys.ends_at)


def _signature(
    day: _Day, stamp: str, request: str, headers: _Headers, payload: str
) -> tuple[str, str]:
    """Return the names of the signed headers, and the signature."""
    names = sorted(headers)
    listed = ";".join(names)
    lines = "\n".join([f"{name}:{_trimmed(headers[name])}" for name in names])
    canonical = f"{request}\n{lines}\n\n{listed}\n{payload}"
    digest = sha256(canonical.encode()).hexdigest()
    return listed, _hmac(day.key, f"{_ALGORITHM}\n{stamp}\n{day.scope}\n{digest}").hex()


def _trimmed(value: str) -> str:
    return " ".join(value.split()) if " " in value or "\t" in value else value


def _hmac(key: bytes, message: str) -> bytes:
    return hmac.digest(key, message.encode(), "sha256")
