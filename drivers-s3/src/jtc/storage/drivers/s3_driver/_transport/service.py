"""`S3Service`: signatures, refusals and remedies of S3 and of stores that speak its protocol."""

from __future__ import annotations

import time
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, cast
from urllib.parse import quote

from jtc.storage.driver_support.content import in_thread
from jtc.storage.drivers.s3_driver._settings import REGION
from jtc.storage.drivers.s3_driver._transport import errors
from jtc.storage.drivers.s3_driver._transport.credentials import KeySource
from jtc.storage.drivers.s3_driver._transport.endpoint import endpoint_by_sdk, endpoint_of
from jtc.storage.drivers.s3_driver._transport.learned import Learned
from jtc.storage.drivers.s3_driver._transport.operations import head_object
from jtc.storage.drivers.s3_driver._transport.redaction import scrub
from jtc.storage.drivers.s3_driver._transport.sigv4 import EMPTY_SHA256, UNSIGNED, Signer, Target
from jtc.storage.drivers.s3_driver._transport.xml import read_error
from jtc.storage.http_support.client import Service
from jtc.storage.http_support.connections import LARGE
from jtc.storage.http_support.settings import MIB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.drivers.s3_driver._settings import Settings
    from jtc.storage.drivers.s3_driver._transport.endpoint import Endpoint
    from jtc.storage.drivers.s3_driver._transport.operations import Request
    from jtc.storage.http_support import requests
    from jtc.storage.http_support.client import Exchange
    from jtc.storage.http_support.requests import Answer, Refusal

__all__ = ["S3Service"]

_OLD_KEYS = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"}
)
_BAD, _CONDITION_FAILED, _UNAVAILABLE = 400, 412, 503

_R2 = ".r2.cloudflarestorage.com"

_CONDITIONAL_WRITES = frozenset({"PutObject", "CompleteMultipartUpload"})
"""Those that show how a store compares etags: Ceph takes them in quotes when reading, and does not
look at them when deleting."""

_CONTENT = frozenset({"PutObject", "UploadPart"})
_CHECKSUM, _CHECKSUM_MODE = "x-amz-checksum-crc32", "x-amz-checksum-mode"

_WITH_CUSTOMER_KEY = frozenset(
    {
        *("GetObject", "HeadObject", "PutObject", "CopyObject"),
        *("CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload"),
    }
)


class S3Service(Service):
    """What is particular to S3, for one bucket.

    Args:
        settings: Which bucket, where, and with what limits.

    Attributes:
        keys: Who signs.
        learned: What the disk learned of its store.
        target: Where requests go; None before the first one.
    """

    longest_answer: ClassVar[int] = 8 * MIB
    """A page of a thousand keys of a thousand letters, each encoded as three, has four MiB."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.keys = KeySource(settings)
        self.learned = Learned()
        self.target: Target | None = None

    # Before a request

    async def signed(
        self,
        request: requests.Request[Any],
        *,
        is_renewed: bool,  # noqa: ARG002 - `keys` knows
    ) -> Mapping[str, str]:
        """Return a request's headers, with those of the disk and of the signature."""
        request = cast("Request[Any]", request)
        target = self.target or await self.locate()
        endpoint = target.endpoint
        if not request.payload:
            request.payload = await self._payload(request, target) if request.body else EMPTY_SHA256
        path = f"{endpoint.base}{quote(request.key, safe='/~')}"
        if not request.key:
            path = endpoint.base.rstrip("/") or "/"
        request.target, request.path = target, path
        request.origin = f"{endpoint.scheme}://{endpoint.host}"
        headers = self._headers(request, endpoint.host)
        if not self.keys.anonymous:
            keys = self.keys.current
            if keys is None or time.time() >= keys.renew_at:
                keys = await self.keys.renewed()
            request.keys = keys
            headers = target.signer.sign(
                keys, request.method, path, request.query, headers, request.payload
            )
        headers["accept-encoding"] = target.encoding
        return headers

    def _headers(self, request: Request[Any], host: str) -> dict[str, str]:
        settings = self._settings
        headers = {"host": host, **request.headers}
        if settings.requester_pays:
            headers["x-amz-request-payer"] = "requester"
        if settings.sse_customer_key is not None:
            if request.operation in _WITH_CUSTOMER_KEY:
                headers |= settings.customer_key_headers("x-amz-")
            if "x-amz-copy-source" in headers:
                headers |= settings.customer_key_headers("x-amz-copy-source-")
        if self.learned.bare_etags and "if-match" in headers:
            headers["if-match"] = headers["if-match"].strip('"')
        if request.operation == "CopyObject" and host.endswith(_R2):
            # https://developers.cloudflare.com/r2/api/s3/conditional-operations/
            names = headers.keys() & {"if-match", "if-none-match"}
            headers |= {f"cf-copy-destination-{name}": headers[name] for name in names}
        return headers

    async def _payload(self, request: Request[Any], target: Target) -> str:
        """Return what the signature says of the body."""
        is_checked = _CHECKSUM in request.headers and self.learned.checks_content is not False
        if is_checked and target.endpoint.scheme == "https":
            # As the SDKs do: TLS and a checksum are enough, and SHA-256 is what takes longest.
            return UNSIGNED
        if len(request.body) < LARGE:
            return sha256(request.body).hexdigest()
        return (await in_thread(sha256, request.body)).hexdigest()

    async def locate(self, region: str | None = None) -> Target:
        """Find where requests go, in another region than the settings' where the store says so."""
        settings = self._settings
        found: list[Endpoint] = []
        for signing in (False, True):
            endpoint = endpoint_of(settings, signing=signing, region=region)
            if endpoint is None:
                endpoint = await in_thread(
                    endpoint_by_sdk, settings, signing=signing, region=region
                )
            found.append(endpoint)
        target = self.target = Target(found[0], found[1], Signer(found[0].region))
        return target

    # After it

    def learn(self, request: requests.Request[Any], answer: Answer) -> None:
        """Take note of what an answer shows of the store."""
        learned, headers = self.learned, request.headers
        learned.has_bucket = True
        if request.operation in _CONDITIONAL_WRITES and "if-match" in headers:
            learned.bare_etags = learned.bare_etags or False
        if request.operation in _CONTENT and _CHECKSUM in headers:
            learned.checks_content = _CHECKSUM in answer.headers

    def refusal(self, status: int, document: bytes, headers: Mapping[str, str]) -> Refusal:
        """Return what S3's document says."""
        return errors.S3Refusal(status, read_error(document), headers)

    def is_temporary(self, refusal: Refusal) -> bool:
        """Return whether the same request may succeed a moment later."""
        return errors.is_temporary(refusal)

    def is_for_load(self, refusal: Refusal) -> bool:
        """Return whether the store refused since it has more requests than it wants."""
        return super().is_for_load(refusal) or refusal.code == "SlowDown"

    def is_unheeded(self, refusal: Refusal, request: requests.Request[Any]) -> bool:
        """Return whether a refused request had no effect: the store refused to look at it.

        A 503 without S3's document is a proxy's, which Envoy also says after it has lost the
        answer; and a completion of an upload may go on in the store after one.
        """
        if refusal.status == _UNAVAILABLE:
            return bool(refusal.code) and request.operation != "CompleteMultipartUpload"
        return super().is_unheeded(refusal, request)

    def exception_for(self, refusal: Refusal, request: requests.Request[Any]) -> Exception:
        """Return the exception for a refusal."""
        lack = errors.lack_of(request.operation, request.headers)
        return errors.exception_for(cast("errors.S3Refusal", refusal), self._settings.bucket, lack)

    def scrub(self, error: BaseException) -> None:
        """Remove also the SDK's secrets from an error."""
        scrub(error)

    # Remedies

    async def remedy(self, refusal: Refusal, exchange: Exchange[Any]) -> str:
        """Change what made the store refuse a request."""
        request = cast("Request[Any]", exchange.request)
        refusal = cast("errors.S3Refusal", refusal)
        remedy = self._remedy_for(request, refusal)
        if remedy in exchange.remedies:
            return ""
        # Those that signed: others may have renewed them since.
        if remedy == "keys" and request.keys is not None:
            self.keys.expire(request.keys)
        elif remedy == "checksum mode":
            del request.headers[_CHECKSUM_MODE]
        elif remedy == "etag":
            return remedy if await self._has_bare_etags(exchange) else ""
        elif remedy and self.target is request.target:  # else another request has found it
            await self.locate(refusal.region)
        return remedy

    def _remedy_for(self, request: Request[Any], refusal: errors.S3Refusal) -> str:
        """Return what may make a refused request succeed; nothing where nothing is known."""
        region, keys, target = refusal.region, request.keys, request.target
        here = target.endpoint.region if target is not None else ""
        # The answer to a HEAD has no document that would say why.
        is_silent = refusal.status == _BAD and request.method == "HEAD"
        if refusal.is_elsewhere and region != here and REGION.fullmatch(region):
            # Nothing follows a Location: the host is computed from the region's name.
            return f"region {region}"
        if keys is not None and (refusal.code in _OLD_KEYS or (is_silent and keys.token)):
            return "keys"
        if _CHECKSUM_MODE in request.headers and (is_silent or refusal.names_checksums):
            return "checksum mode"
        is_condition = refusal.status == _CONDITION_FAILED and _names_etag(request)
        return "etag" if is_condition and self.learned.bare_etags is None else ""

    async def _has_bare_etags(self, exchange: Exchange[Any]) -> bool:
        """Look whether a condition that was refused holds: some engines compare bare etags."""
        request = cast("Request[Any]", exchange.request)
        try:
            found = await exchange.once(head_object(request.key, {}))
        except errors.S3Refusal:
            return False
        if found.etag != request.headers["if-match"]:
            return False
        self.learned.bare_etags = True
        return True


def _names_etag(request: Request[Any]) -> bool:
    return request.headers.get("if-match", "*") != "*"
