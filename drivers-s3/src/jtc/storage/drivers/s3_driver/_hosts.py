"""Which host and path a bucket's objects are at, where that is plain.

The rules are those of the SDK's endpoint rule set; a test holds the two together.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from jtc.storage.drivers.s3_driver._settings import Settings

__all__ = ["Host", "host_of"]

_DNS_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_PATH_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_SPECIAL_ENDS = ("--x-s3", "--xa-s3", "--op-s3", "--ol-s3", "-s3alias")
"""Directory buckets and access points: other hosts, other signatures."""

_PUBLIC_REGION = re.compile(r"(?:us|eu|ap|sa|ca|me|af|il|mx)-(?!gov|iso)[a-z]+-[0-9]")
"""The regions below ``amazonaws.com``; China's and the governments' have other domains."""

_PLAIN_REGION = re.compile(r"[a-z0-9-]+")
_HOST_NAME = re.compile(r"[a-z0-9._-]+")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Host:
    """Where a bucket is.

    Attributes:
        scheme: ``"http"`` or ``"https"``.
        name: The Host header's value, with the port where it is not the scheme's own.
        base: What stands before a key in the path: ``"/"``, or the bucket between two.
    """

    scheme: str
    name: str
    base: str


def host_of(settings: Settings) -> Host | None:
    """Return where the bucket is, or None where the SDK's rules are needed to say."""
    bucket = settings.bucket
    if not _PATH_NAME.fullmatch(bucket) or bucket.endswith(_SPECIAL_ENDS) or ".." in bucket:
        return None
    if not settings.path_style and not _DNS_NAME.fullmatch(bucket):
        return None
    if settings.endpoint_url is None:
        if not _PUBLIC_REGION.fullmatch(settings.region):
            return None
        # The SDK's default for the oldest region.
        zone = "" if settings.region == "us-east-1" else f".{settings.region}"
        return _host(settings, "https", f"s3{zone}.amazonaws.com")
    return _host_of_endpoint(settings, settings.endpoint_url)


def _host_of_endpoint(settings: Settings, endpoint_url: str) -> Host | None:
    if not _PLAIN_REGION.fullmatch(settings.region) or settings.region == "aws-global":
        return None
    parts = urlsplit(endpoint_url)
    name = parts.hostname or ""
    # AWS's own hosts may be of the other kinds, such as accelerated or dual-stack ones.
    if parts.path not in ("", "/") or not _HOST_NAME.fullmatch(name) or "amazonaws" in name:
        return None
    if not settings.path_style and _is_address(name):
        return None
    try:
        port = parts.port
    except ValueError:
        return None
    if port is not None and port != _DEFAULT_PORTS[parts.scheme]:
        name = f"{name}:{port}"
    return _host(settings, parts.scheme, name)


def _host(settings: Settings, scheme: str, name: str) -> Host:
    if settings.path_style:
        return Host(scheme, name, f"/{settings.bucket}/")
    return Host(scheme, f"{settings.bucket}.{name}", "/")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
