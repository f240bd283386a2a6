"""Presigned URLs, of the services that have them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from jtc.storage.drivers.opendal_driver._metadata import key
from jtc.storage.exceptions import UnsupportedOperationException
from jtc.storage.models import PresignedRequest

if TYPE_CHECKING:
    from jtc.storage.drivers.opendal_driver._calls import Calls
    from jtc.storage.options import SignOptions

__all__ = ["download_url", "upload_request"]


async def download_url(calls: Calls, path: str, options: SignOptions) -> str:
    """Return a presigned URL that reads a file."""
    given = _given(
        calls,
        content_type=("read_with_override_content_type", options.content_type),
        content_disposition=("read_with_override_content_disposition", options.content_disposition),
    )
    seconds = _seconds(options)
    await asyncio.sleep(0)  # OpenDAL needs a loop, and the sync API first calls without one
    signed = await calls.send(
        lambda operator: operator.presign_read(key(calls, path), seconds, **given)
    )
    return signed.url


async def upload_request(calls: Calls, path: str, options: SignOptions) -> PresignedRequest:
    """Return a presigned PUT request that stores a file."""
    if options.size is not None:
        raise UnsupportedOperationException("OpenDAL signs no length of an upload")
    given = _given(calls, content_type=("write_with_content_type", options.content_type))
    seconds = _seconds(options)
    await asyncio.sleep(0)
    expires_at = time.time() + seconds
    signed = await calls.send(
        lambda operator: operator.presign_write(key(calls, path), seconds, **given)
    )
    headers = {name: text for name, text in signed.headers.items() if name.lower() != "host"}
    return PresignedRequest(
        method=signed.method, url=signed.url, headers=headers, expires_at=expires_at
    )


def _given(calls: Calls, **options: tuple[str, str | None]) -> dict[str, Any]:
    for name, (claim, value) in options.items():
        if value is not None and claim not in calls.claims:
            raise UnsupportedOperationException(
                f"OpenDAL's service {calls.settings.scheme!r} signs no {name}"
            )
    return {name: value for name, (_, value) in options.items() if value is not None}


def _seconds(options: SignOptions) -> int:
    if options.expires_in < 1:
        raise ValueError("expires_in is 1 second or more")
    return int(options.expires_in)
