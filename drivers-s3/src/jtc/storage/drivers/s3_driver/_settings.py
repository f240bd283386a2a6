"""Options of `S3Driver`, checked when the driver is made."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias
from urllib.parse import urlsplit

from jtc.storage.driver_support.option_checks import checked_visibility
from jtc.storage.drivers.s3_driver._driver_options import ACLS, driver_headers
from jtc.storage.exceptions import StorageConfigException, UnsupportedOperationException
from jtc.storage.http_support.settings import GIB, MIB, HttpSettings, number_from

if TYPE_CHECKING:
    from jtc.storage.models import Visibility

__all__ = [
    "LEAST_PART",
    "REGION",
    "AddressingStyle",
    "CredentialsSource",
    "Settings",
]

AddressingStyle: TypeAlias = Literal["auto", "path", "virtual"]
"""Where the bucket's name goes: into the path, or before the host's name."""

CredentialsSource: TypeAlias = Callable[[], Awaitable[Any]]
"""Returns a mapping or an object with ``access_key``, ``secret_key`` and, where there is one,
``token``; ``expires_at``, in seconds since 1970 UTC, says how long to keep them."""

# The most is that of one put and of one part:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
LEAST_PART, _MOST_AT_ONCE = 5 * MIB, 5 * GIB

_KEY_BYTES = 32  # of AES-256
_CONDITIONS = ("put", "parts", "copy", "delete", "delete_any", "delete_many")
_OF_AWS_ALONE = ("use_dualstack", "use_fips", "use_accelerate")

REGION = re.compile(r"[a-z0-9-]{1,64}")
_ADDRESS = re.compile(r"(?:[0-9]+\.){3}[0-9]+|.*:.*")
_LOOPBACK = re.compile(r"(?:.+\.)?localhost|127(?:\.[0-9]+){3}|::1")

# As the SDK has them: names of before 2018 have up to 255 letters, also large ones.
_BUCKET = r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}|arn:[a-z0-9-]+:s3:.+:[0-9]{12}:accesspoint[:/][^:/]+"
_LABEL = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
_TLS_NAME = re.compile(_LABEL)
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_REFUSED_BUCKETS = {
    r"[^:]+--xa?-s3": "is a directory bucket of S3 Express, which needs sessions: unsupported",
    r"arn:[^:]+:s3::[0-9]+:.+": "is a multi-region access point, which needs SigV4A: unsupported",
    r"arn:[^:]+:s3-.+": "needs signatures of another service than S3: unsupported",
    rf"(?!(?:{_BUCKET})$).+": "must be a bucket's name or an access point's ARN, without a path: "
    "for the files below a prefix, use disk.scoped(prefix)",
}

_AWS_HOST = re.compile(r"(?:(.+)\.)?s3[.-](?:.+\.)?(?<!vpce\.)amazonaws\.com(?:\.cn)?")
_ONE_AWS = re.compile(
    r"s3(-accelerate)?(\.dualstack)?([.-](?!us-gov-)[a-z]{2}-[a-z]+-\d)?\.amazonaws\.com"
)
_PORTS = {"http": 80, "https": 443}
_STORE_HOST = re.compile(
    r"s3[.-].+|.+\.(?:digitaloceanspaces|r2\.cloudflarestorage)\.com|storage\.googleapis\.com"
)
"""Hosts of whole stores: what comes before them is a bucket."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Settings(HttpSettings):
    """The options of `S3Driver`, whose docstring explains them.

    Attributes:
        driver_headers: Those of `driver_options` and `visibility`.
        sources: Where values come from that are no options: a variable, or a key of a file.

    Raises:
        StorageConfigException: An option is invalid, or two contradict each other.
    """

    place_options: ClassVar[str] = "endpoint_url (AWS_URL in the environment), region"
    url_options: ClassVar[tuple[str, ...]] = (
        *("endpoint_url", "signing_endpoint_url", "public_url"),
        "proxy",
    )
    example_url: ClassVar[str] = "https://s3.example.com"
    credential_options: ClassVar[str] = "access_key and secret_key"
    with_spaces: ClassVar[tuple[str, ...]] = ("profile", "ca_bundle")
    beyond_ascii: ClassVar[tuple[str, ...]] = ("secret_key", "public_url", *with_spaces)

    bucket: str
    region: str = "us-east-1"
    public_url: str | None = None
    signing_endpoint_url: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    profile: str | None = None
    credentials: CredentialsSource | None = field(default=None, repr=False)
    session: object | None = field(default=None, repr=False)
    anonymous: bool = False
    addressing_style: AddressingStyle = "auto"
    use_dualstack: bool = False
    use_fips: bool = False
    use_accelerate: bool = False
    requester_pays: bool = False
    sse_customer_key: bytes | None = field(default=None, repr=False)
    visibility: Visibility | None = None
    conditions: Collection[str] | None = None
    multipart_threshold: int = number_from(1, _MOST_AT_ONCE, 16 * MIB)
    part_size: int = number_from(LEAST_PART, _MOST_AT_ONCE, 5 * MIB)
    copy_threshold: int = number_from(1, _MOST_AT_ONCE, 5 * GIB)
    max_transfer_memory: int = number_from(LEAST_PART, 1024 * GIB, 96 * MIB)
    checksums: bool = True
    driver_options: Mapping[str, object] | None = None
    driver_headers: Mapping[str, str] = field(init=False)

    @property
    def memory_for_uploads(self) -> int:
        """Bytes that downloads leave free: a part that an upload waits for fits."""
        most = self.max_transfer_memory
        return max(most // 2, min(most, max(self.part_size, self.multipart_threshold + 1)))

    def __post_init__(self) -> None:
        if not self.bucket:
            raise StorageConfigException("The s3 driver needs AWS_BUCKET set, or the option bucket")
        self._set("session_token", self.session_token or None)
        super().__post_init__()
        for pattern, reason in _REFUSED_BUCKETS.items():
            if re.fullmatch(pattern, self.bucket):
                self.refuse("bucket", reason)
        if not REGION.fullmatch(self.region):
            self.refuse("region", "must be a name of a to z, 0 to 9 and -, such as 'us-east-1'")
        self._check_keys()
        self._check_values()
        self._check_sse_customer_key()
        self._check_driver_options()

    def customer_key_headers(self, prefix: str) -> dict[str, str]:
        """Return the headers of `sse_customer_key`; none without one.

        Args:
            prefix: ``"x-amz-"``, or ``"x-amz-copy-source-"`` for the source of a copy.
        """
        if self.sse_customer_key is None:
            return {}
        name = f"{prefix}server-side-encryption-customer"
        digest = hashlib.md5(self.sse_customer_key, usedforsecurity=False).digest()
        return {
            f"{name}-algorithm": "AES256",
            f"{name}-key": base64.b64encode(self.sse_customer_key).decode(),
            f"{name}-key-md5": base64.b64encode(digest).decode(),
        }

    @property
    def location(self) -> str:
        """Where the files are, in one form whatever that of the endpoint's URL is."""
        url = self.endpoint_url or "https://s3.amazonaws.com"
        parts = urlsplit(url)
        host, path = parts.hostname or "", parts.path.rstrip("/")
        if self.holds_bucket(url):
            host, path = host.removeprefix(f"{self.bucket}."), path.removesuffix(f"/{self.bucket}")
        if _ONE_AWS.fullmatch(host):
            host = "s3.amazonaws.com"  # a name is that of one bucket, in whatever region
        is_plain = parts.port in {None, _PORTS.get(parts.scheme)}
        port = "" if is_plain else f":{parts.port}"
        return f"{parts.scheme}://{host}{port}{path}/{self.bucket}"

    def endpoint_for(self, *, signing: bool) -> str | None:
        """Return the URL of the endpoint of requests, or of presigned URLs; None is AWS."""
        return (self.signing_endpoint_url if signing else None) or self.endpoint_url

    def uses_path(self, endpoint_url: str | None) -> bool:
        """Return whether the bucket's name goes into the path at an endpoint; None is AWS.

        Most stores other than AWS have one host name; and AWS's certificate covers one level of
        names, so that a bucket with dots fails there:
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
        """
        parts = urlsplit(endpoint_url or "https://s3-")
        host = parts.hostname or ""
        is_custom = endpoint_url is not None and not host.startswith("s3-accelerate.")
        if self.addressing_style == "path" or (self.addressing_style == "auto" and is_custom):
            return True
        names = _TLS_NAME if parts.scheme == "https" else _HOST_NAME
        is_name = names.fullmatch(self.bucket) and not _ADDRESS.fullmatch(self.bucket)
        return not is_name or bool(_ADDRESS.fullmatch(host))

    def holds_bucket(self, endpoint_url: str) -> bool:
        """Return whether an endpoint's URL has the bucket already, so that it is not added."""
        parts = urlsplit(endpoint_url)
        host = (parts.hostname or "").removeprefix(f"{self.bucket}.")
        is_in_host = host != parts.hostname and _STORE_HOST.fullmatch(host) is not None
        return is_in_host or parts.path.rstrip("/").endswith(f"/{self.bucket}")

    def endpoint_arguments(self) -> tuple[str, ...]:
        """Return the arguments by which the AWS CLI finds the store."""
        url = self.endpoint_url
        if url is None:
            return ()
        if self.holds_bucket(url):
            parts = urlsplit(url)
            url = f"{parts.scheme}://{parts.netloc.removeprefix(f'{self.bucket}.')}"
        return "--endpoint-url", url

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_driver_options(self) -> None:
        if not isinstance(self.driver_options, Mapping | None):
            self.refuse("driver_options", "must be a mapping")
        reason = ""
        try:
            headers = driver_headers(self.driver_options or {})
            if self.visibility is not None:
                headers["x-amz-acl"] = ACLS[self.visibility]
            self._set("driver_headers", headers)
        except (UnsupportedOperationException, ValueError) as error:
            reason = str(error)
        if reason:
            raise StorageConfigException(reason)

    def check_url(self, name: str, url: str) -> None:
        """Refuse also an endpoint that has another bucket, or this one where it is added."""
        super().check_url(name, url)
        if name not in ("endpoint_url", "signing_endpoint_url") or self.holds_bucket(url):
            return
        host = urlsplit(url).hostname or ""
        if (of_aws := _AWS_HOST.fullmatch(host)) and of_aws[1]:
            self.refuse(name, f"has the bucket {of_aws[1]!r}, not {self.bucket!r}")
        if self.addressing_style == "virtual" and host.startswith(f"{self.bucket}."):
            self.refuse(name, "has the bucket, which the addressing_style adds: leave it out")

    def _check_keys(self) -> None:
        if (self.access_key is None) != (self.secret_key is None):
            raise StorageConfigException("Pass access_key and secret_key together, or neither")
        if self.session_token is not None and self.access_key is None:
            self.refuse("session_token", "needs access_key and secret_key")
        if self.credentials is not None and not callable(self.credentials):
            self.refuse("credentials", "must be an async function that returns keys")
        if self.session not in (None, "aioboto3") and not hasattr(self.session, "get_credentials"):
            self.refuse("session", "must be of aioboto3 or aiobotocore, or the text 'aioboto3'")
        names = ("access_key", "profile", "credentials", "session", "anonymous")
        given = [name for name in names if getattr(self, name) not in (None, False)]
        if len(given) > 1:
            known = ", ".join(given)
            raise StorageConfigException(f"Credentials are given twice: choose one of {known}")

    def _check_values(self) -> None:
        if self.addressing_style not in ("auto", "path", "virtual"):
            self.refuse("addressing_style", "must be 'auto', 'path' or 'virtual'")
        if self.endpoint_url is None and self.region == "auto":
            self.refuse("region", "may be 'auto' with an endpoint_url only")
        for name in _OF_AWS_ALONE:
            if self.endpoint_url is not None and getattr(self, name):
                self.refuse(name, "is for AWS's own hosts: leave it out, or endpoint_url")
        self._set("visibility", checked_visibility(self.visibility))
        if self.max_transfer_memory < self.part_size:
            self.refuse("max_transfer_memory", "must be part_size at least")
        if (given := self.conditions) is not None:
            if not isinstance(given, Collection) or any(each not in _CONDITIONS for each in given):
                self.refuse("conditions", f"must be some of {', '.join(_CONDITIONS)}")
            self._set("conditions", frozenset(given))

    def _check_sse_customer_key(self) -> None:
        key: Any = self.sse_customer_key
        if key is None:
            return
        if not isinstance(key, bytes) or len(key) != _KEY_BYTES:
            decoded = b""
            with contextlib.suppress(ValueError, TypeError):
                decoded = base64.b64decode(key, validate=True)
            if len(decoded) != _KEY_BYTES:
                self.refuse("sse_customer_key", "must be 32 bytes, or their base64")
            self._set("sse_customer_key", decoded)
        host = urlsplit(self.endpoint_url or "").hostname or ""
        if not self.is_secure and not _LOOPBACK.fullmatch(host):
            self.refuse("sse_customer_key", "needs an endpoint_url by https: the key is sent")
