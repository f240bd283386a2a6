"""Public URLs of files."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from jtc.storage.drivers.s3_driver._settings import Settings

__all__ = ["base_url"]


def base_url(settings: Settings) -> str:
    """Return what precedes a file's key in its URL, with a ``/`` at the end.

    The forms are those of https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
    and, for an endpoint, its URL with the bucket where `addressing_style` puts it.

    Args:
        settings: `public_url` wins; then the endpoint; then AWS's host for the region.
    """
    if settings.public_url is not None:
        return settings.public_url.rstrip("/") + "/"
    bucket = quote(settings.bucket, safe="")
    if settings.endpoint_url is not None:
        endpoint = settings.endpoint_url.rstrip("/")
        if settings.path_style:
            return f"{endpoint}/{bucket}/"
        parts = urlsplit(endpoint)
        return f"{parts.scheme}://{bucket}.{parts.netloc}{parts.path}/"
    domain = "amazonaws.com.cn" if settings.region.startswith("cn-") else "amazonaws.com"
    if settings.path_style:
        return f"https://s3.{settings.region}.{domain}/{bucket}/"
    if settings.region == "us-east-1":
        return f"https://{bucket}.s3.{domain}/"
    return f"https://{bucket}.s3.{settings.region}.{domain}/"
