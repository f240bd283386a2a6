"""Public URLs of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jtc.storage.drivers.s3_driver._transport.endpoint import endpoint_at

if TYPE_CHECKING:
    from jtc.storage.drivers.s3_driver._settings import Settings
    from jtc.storage.drivers.s3_driver._transport.endpoint import Endpoint

__all__ = ["base_url"]


def base_url(settings: Settings, endpoint: Endpoint | None) -> str:
    """Return what precedes a file's key in its URL, with a ``/`` at the end.

    Args:
        settings: `public_url` wins.
        endpoint: Where requests go; None where only the SDK's rules can say: then the URL is that
            of a plain bucket, by
            https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html.
    """
    if settings.public_url is not None:
        return settings.public_url.rstrip("/") + "/"
    return (endpoint or endpoint_at(settings, settings.endpoint_url, settings.region)).url
