"""Endpoints: the host, path and signing region of a bucket."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from jtc.storage.drivers.s3_driver._settings import REGION
from jtc.storage.drivers.s3_driver._transport.sdk_keys import import_sdk
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest

    from jtc.storage.drivers.s3_driver._settings import Settings

__all__ = ["Endpoint", "endpoint_at", "endpoint_by_sdk", "endpoint_of"]

_REGIONS = re.compile(
    r"(?:us|eu|ap|sa|ca|me|af|il|mx|us-gov)-(?!gov|iso)[a-z]+-[0-9]|cn-[a-z]+-[0-9]"
)
"""Those of AWS's own and Chinese partitions; the others are left to the SDK."""

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_SCOPE = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/]+/[0-9]+/([a-z0-9-]+)/s3/aws4_request,")

_KEY = "key"


class _NotSentError(Exception):
    """Keeps a request from being sent."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a bucket is.

    Attributes:
        scheme: ``"http"`` or ``"https"``.
        host: The Host header's value, with the port where it is not the scheme's own.
        base: What stands before a key in the path: ``"/"``, or the bucket between two.
        region: The region that signatures name.
    """

    scheme: str
    host: str
    base: str
    region: str

    @property
    def url(self) -> str:
        """The URL that keys follow."""
        return f"{self.scheme}://{self.host}{self.base}"


def endpoint_of(
    settings: Settings, *, signing: bool = False, region: str | None = None
) -> Endpoint | None:
    """Return where the bucket is, or None where the SDK's rules are needed to say.

    Args:
        settings: The disk's.
        signing: For presigned URLs, whose host may be another.
        region: Another region than that of the settings. It changes the host on AWS; at an
            endpoint of the settings only what signatures name.

    Raises:
        StorageConfigException: The region cannot be one.
    """
    region = region or settings.region
    if not REGION.fullmatch(region):  # the store named it
        raise StorageConfigException(f"The store names a region that is none: {region[:64]!r}")
    if ":" in settings.bucket or settings.bucket.endswith("--op-s3"):
        return None
    url = settings.endpoint_for(signing=signing)
    is_special = settings.use_dualstack or settings.use_fips or settings.use_accelerate
    if url is None and (is_special or not _REGIONS.fullmatch(region)):
        return None
    return endpoint_at(settings, url, region)


def endpoint_at(settings: Settings, url: str | None, region: str) -> Endpoint:
    """Return where a plain bucket is, by the URL of its store; None is AWS."""
    is_path = settings.uses_path(url)
    if url is None:
        # The SDK's default for the oldest region.
        zone = "" if region == "us-east-1" else f".{region}"
        url = f"https://s3{zone}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"
    parts = urlsplit(url)
    host = parts.netloc.lower().rstrip(":").removesuffix(_DEFAULT_PORTS[parts.scheme])
    base = f"{parts.path.rstrip('/')}/"
    if not settings.holds_bucket(url):
        if is_path:
            base = f"{base}{quote(settings.bucket, safe='')}/"
        else:
            host = f"{settings.bucket}.{host}"
    return Endpoint(parts.scheme, host, base, region)


def endpoint_by_sdk(
    settings: Settings, *, signing: bool = False, region: str | None = None
) -> Endpoint:
    """Return where a request of the SDK would go, without sending it. Blocks for about a second.

    Args:
        settings: The disk's.
        signing: For presigned URLs, whose host may be another.
        region: Another region than that of the settings.

    Raises:
        StorageConfigException: The SDK is not installed, refuses the settings, or would not sign
            as we do.
    """
    url, authorization = _captured(settings, signing=signing, region=region or settings.region)
    scope = _SCOPE.search(authorization)
    if scope is None:
        reason = "needs other signatures than those of S3"
        raise StorageConfigException(f"The bucket {settings.bucket!r} {reason}")
    parts = urlsplit(url)
    return Endpoint(parts.scheme, parts.netloc, parts.path.removesuffix(_KEY), scope[1])


def _captured(settings: Settings, *, signing: bool, region: str) -> list[str]:
    """Return the URL and the Authorization header of the SDK's request for an object."""
    captured: list[str] = []

    def capture(request: AWSPreparedRequest, **_: object) -> None:
        captured.extend((request.url, str(request.headers["Authorization"])))
        raise _NotSentError

    url = settings.endpoint_for(signing=signing)
    style = "path" if settings.uses_path(url) else "virtual"
    # Nothing of the environment and the files: the settings have what those say.
    values = {
        **dict.fromkeys(("config_file", "credentials_file"), os.devnull),
        "profile": None,
        "ignore_configured_endpoint_urls": True,
        "use_dualstack_endpoint": settings.use_dualstack,
        "use_fips_endpoint": settings.use_fips,
        "s3": {"addressing_style": style, "use_accelerate_endpoint": settings.use_accelerate},
    }
    keys = {"aws_access_key_id": "id", "aws_secret_access_key": "secret"}
    sdk = import_sdk("botocore.session")
    session = sdk.Session({name: (None, None, value, None) for name, value in values.items()})
    try:
        client = session.create_client("s3", region_name=region, endpoint_url=url, **keys)
        client.meta.events.register("before-send.s3.GetObject", capture)
        client.get_object(Bucket=settings.bucket, Key=_KEY)
    except _NotSentError:
        pass
    except (import_sdk("botocore.exceptions").BotoCoreError, ValueError) as error:
        raise StorageConfigException(f"The SDK refuses these settings: {error}") from error
    return captured
