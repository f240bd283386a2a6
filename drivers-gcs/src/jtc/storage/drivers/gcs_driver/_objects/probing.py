"""Probes of a store: whether it keeps conditions, as Google does and not all emulators do."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from jtc.storage import exceptions
from jtc.storage.drivers.gcs_driver._objects.conditions import if_version
from jtc.storage.drivers.gcs_driver._transport.operations import (
    delete_object,
    insert_object,
    patch_object,
    rewrite_object,
)

if TYPE_CHECKING:
    from jtc.storage.drivers.gcs_driver._transport.transport import Transport
    from jtc.storage.http_support.requests import Request

__all__ = ["check", "lost_conditions"]

logger = logging.getLogger("jtc.storage")


async def check(transport: Transport, path: str) -> None:
    """Probe the store below a path, once, and warn of what it does not keep.

    Raises:
        StorageException: The store failed.
    """
    if transport.learned.has_checked:
        return
    lost = await lost_conditions(transport, path)
    transport.learned.has_checked = True
    if lost:
        logger.warning(
            "The store of the bucket %r ignores conditions of requests of the kinds %s, which "
            "Google keeps: overwrite=False and if_match may lose files there",
            transport.settings.bucket,
            ", ".join(lost),
        )


async def lost_conditions(transport: Transport, path: str) -> list[str]:
    """Return the kinds of requests whose conditions the store does not keep.

    Args:
        transport: The bucket.
        path: A path that nothing uses; nothing is left there.

    Raises:
        StorageException: The store failed.
    """
    bucket, key = transport.settings.bucket, f"{path}/target"
    new, never = {"ifGenerationMatch": "0"}, if_version("")
    await transport.send(insert_object(bucket, {"name": key}, b"1", {}))
    lost: list[str] = []
    try:
        requests: dict[str, Request[Any]] = {
            "put": insert_object(bucket, {"name": key}, b"2", new),
            "copy": rewrite_object(bucket, key, bucket, key, None, new),
            "metadata": patch_object(bucket, key, {"contentType": "text/plain"}, never),
            "delete": delete_object(bucket, key, never),
        }
        for kind, request in requests.items():
            if await _is_made(transport, request):
                lost.append(kind)
    finally:
        await _is_made(transport, delete_object(bucket, key, {}))
    return lost


async def _is_made(transport: Transport, request: Request[Any]) -> bool:
    try:
        await transport.send(request)
    except (exceptions.PreconditionFailedException, exceptions.FileNotFoundException):
        return False
    return True
