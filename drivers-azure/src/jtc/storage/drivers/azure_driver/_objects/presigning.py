"""Presigned URLs: permissions for one file that expire.

With the account's key, nothing here waits, and nothing is sent.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from jtc.storage.drivers.azure_driver._transport.operations import check_name
from jtc.storage.drivers.azure_driver._transport.sas import signed_query
from jtc.storage.http_support.header_values import ascii_header
from jtc.storage.http_support.presigning import check_length, check_times
from jtc.storage.models import PresignedRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jtc.storage.drivers.azure_driver._transport.transport import Transport
    from jtc.storage.options import SignOptions

__all__ = ["check_options", "download_url", "upload_request"]


def check_options(options: SignOptions) -> None:
    """Check the times of options.

    Raises:
        ValueError: One is out of range.
    """
    check_times(options.expires_in, options.stable_for)


async def download_url(transport: Transport, path: str, options: SignOptions) -> str:
    """Return a presigned URL for GET.

    With `stable_for`, all URLs of a period end at the same time.

    Raises:
        ValueError: The time, the type or the disposition is invalid.
    """
    answered: dict[str, str] = {}
    for name, value in (("rscd", options.content_disposition), ("rsct", options.content_type)):
        if value is not None:
            option = "content_disposition" if name == "rscd" else "content_type"
            answered[name] = ascii_header(option, value)
    end = _end(options.expires_in, options.stable_for)
    return await _signed_url(transport, path, "r", end, answered)


async def upload_request(
    transport: Transport, path: str, options: SignOptions, headers: Mapping[str, str]
) -> PresignedRequest:
    """Return a presigned PUT request.

    Args:
        transport: The container.
        path: The file.
        options: The time, the type and the size.
        headers: What else the client must send: the disk's `driver_options`.

    Raises:
        ValueError: The time, the type or the size is invalid.
    """
    end = _end(options.expires_in)
    sent = {"x-ms-blob-type": "BlockBlob", **headers}
    if options.content_type is not None:
        sent["Content-Type"] = ascii_header("content_type", options.content_type)
    if options.size is not None:
        sent["Content-Length"] = str(check_length("size", options.size))
    # To make a file, and to write over one.
    url = await _signed_url(transport, path, "cw", end, {})
    return PresignedRequest(method="PUT", url=url, headers=sent, expires_at=float(end))


async def _signed_url(
    transport: Transport, path: str, permissions: str, end: int, answered: Mapping[str, str]
) -> str:
    check_name(path)
    settings = transport.settings
    endpoint = settings.signing_endpoint_url or settings.endpoint_url or ""
    query = signed_query(
        await transport.signing_key(end),
        settings.account or "",
        settings.container,
        path,
        permissions=permissions,
        ends=end,
        is_secure=endpoint.startswith("https:"),
        answered=answered,
    )
    return f"{endpoint.rstrip('/')}/{settings.container}/{quote(path, safe='/~')}?{query}"


def _end(expires_in: float, stable_for: float | None = None) -> int:
    """Return when a result ends, in whole seconds since 1970 UTC, as Azure writes times."""
    check_times(expires_in, stable_for)
    now = time.time()
    if stable_for is None:
        return math.ceil(now + expires_in)
    return math.ceil(now // stable_for * stable_for + stable_for + expires_in)
