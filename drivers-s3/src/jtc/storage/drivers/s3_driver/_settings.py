"""Options of `S3Driver`, checked when the driver is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from jtc.storage.drivers.s3_driver._metadata import DRIVER_OPTIONS
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ["AddressingStyle", "CredentialsSource", "Settings"]

AddressingStyle: TypeAlias = Literal["auto", "path", "virtual"]
"""Where the bucket's name goes: into the path, or before the host's name."""

CredentialsSource: TypeAlias = "Callable[[], Awaitable[Any]]"
"""Returns a mapping or an object with ``access_key``, ``secret_key`` and, where there is one,
``token``; ``expires_at``, in seconds since 1970 UTC, says how long to keep them."""

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

MIN_PART_SIZE = 5 * MIB
MAX_PART_SIZE = 5 * GIB
MAX_PUT_SIZE = 5 * GIB
"""S3's limits: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The options of `S3Driver`, whose docstring explains them.

    Raises:
        StorageConfigException: An option is invalid, or two contradict each other.
    """

    bucket: str
    region: str
    endpoint_url: str | None
    public_url: str | None
    signing_endpoint_url: str | None
    access_key: str | None = field(repr=False)
    secret_key: str | None = field(repr=False)
    session_token: str | None = field(repr=False)
    profile: str | None
    credentials: CredentialsSource | None = field(repr=False)
    addressing_style: AddressingStyle
    multipart_threshold: int
    part_size: int
    copy_threshold: int
    max_concurrency: int
    max_connections: int
    max_attempts: int
    connect_timeout: float
    read_timeout: float
    request_timeout: float
    checksums: bool
    driver_options: Mapping[str, object]

    def __post_init__(self) -> None:
        # The caller may change its own later.
        object.__setattr__(self, "driver_options", dict(self.driver_options or {}))
        self._check_names()
        self._check_keys()
        self._check_numbers()
        if self.addressing_style not in ("auto", "path", "virtual"):
            raise StorageConfigException(
                "The option addressing_style is 'auto', 'path' or 'virtual', "
                f"not {self.addressing_style!r}"
            )
        if not isinstance(self.checksums, bool):
            raise StorageConfigException(
                f"The option checksums must be true or false, not {self.checksums!r}"
            )
        if unknown := set(self.driver_options) - DRIVER_OPTIONS:
            raise StorageConfigException(
                f"driver_options has no {min(unknown)!r}; "
                f"there are {', '.join(sorted(DRIVER_OPTIONS))}"
            )

    @property
    def path_style(self) -> bool:
        """Whether the bucket's name goes into the path."""
        if self.addressing_style == "auto":
            # Most stores other than AWS have one host name; and AWS's certificate covers one
            # level of names, so that a bucket with dots fails there:
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
            return self.endpoint_url is not None or "." in self.bucket
        return self.addressing_style == "path"

    def _check_names(self) -> None:
        if not isinstance(self.bucket, str) or not self.bucket:
            raise StorageConfigException(
                "The s3 driver needs a bucket: set the option bucket, or AWS_BUCKET in the "
                "environment"
            )
        if "/" in self.bucket and not self.bucket.startswith("arn:"):
            raise StorageConfigException(
                "The option bucket is a bucket's name alone: for the files below a prefix, use "
                "disk.scoped(prefix)"
            )
        if not isinstance(self.region, str) or not self.region:
            raise StorageConfigException("The option region must be a name such as 'us-east-1'")
        for name in ("endpoint_url", "public_url", "signing_endpoint_url"):
            self._check_url(name, getattr(self, name))

    def _check_url(self, name: str, url: str | None) -> None:
        if url is None:
            return
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise StorageConfigException(
                f"The option {name} must be a URL such as https://s3.example.com"
            )
        if "@" in parts.netloc:
            # They would be shown wherever the URL is.
            raise StorageConfigException(
                f"The option {name} must not hold credentials: pass access_key and secret_key"
            )
        if parts.query or parts.fragment:
            raise StorageConfigException(f"The option {name} must end with its path")

    def _check_keys(self) -> None:
        if (self.access_key is None) != (self.secret_key is None):
            raise StorageConfigException("Pass access_key and secret_key together, or neither")
        if self.session_token is not None and self.access_key is None:
            raise StorageConfigException("session_token needs access_key and secret_key")
        if self.credentials is not None and not callable(self.credentials):
            raise StorageConfigException(
                "The option credentials must be an async function that returns keys; keys "
                "themselves are access_key and secret_key"
            )
        given = [
            name
            for name in ("access_key", "profile", "credentials")
            if getattr(self, name) is not None
        ]
        if len(given) > 1:
            raise StorageConfigException(
                f"Credentials are given twice: choose one of {', '.join(given)}"
            )

    def _check_numbers(self) -> None:
        bounds: dict[str, tuple[float, float]] = {
            "multipart_threshold": (1, MAX_PUT_SIZE),
            "part_size": (MIN_PART_SIZE, MAX_PART_SIZE),
            "copy_threshold": (1, MAX_PUT_SIZE),
            "max_concurrency": (1, 1000),
            "max_connections": (1, 10_000),
            "max_attempts": (1, 100),
            "connect_timeout": (0.001, 3600),
            "read_timeout": (0.001, 3600),
            "request_timeout": (0.001, 86_400),
        }
        for name, (lowest, highest) in bounds.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise StorageConfigException(
                    f"The option {name} must be a number, not a {type(value).__name__}"
                )
            if not lowest <= value <= highest:
                raise StorageConfigException(
                    f"The option {name} must be from {lowest} to {highest}, not {value}"
                )
