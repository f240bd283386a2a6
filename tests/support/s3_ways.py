"""The two ways of the S3 driver: object calls of our own, and all by the SDK."""

from __future__ import annotations

from typing import Any

from jtc.storage.drivers.s3_driver import S3Driver

__all__ = ["WAYS", "clients_of", "send", "sessions_of"]

WAYS = ("direct", "sdk")


def send(driver: S3Driver, way: str) -> S3Driver:
    """Let a driver, not used so far, go this way; "direct" is what it finds out by itself."""
    if way == "sdk":
        driver._bucket._by_sdk = "a test"
    return driver


def clients_of(driver: S3Driver) -> Any:
    """Return what has the clients of a driver's way, a used one's."""
    assert driver._bucket._by_sdk is not None
    return driver._bucket._clients if driver._bucket._by_sdk else driver._bucket._direct


async def sessions_of(driver: S3Driver) -> list[Any]:
    """Return aiohttp's sessions of a used driver in this loop."""
    client = await clients_of(driver).get()
    if driver._bucket._by_sdk:
        return list(client._endpoint.http_session._sessions.values())
    return [client.session]
