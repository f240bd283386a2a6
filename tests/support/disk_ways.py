"""One disk in each way that serves a call: native, derived, views, layer, fake, sync API."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from jtc.storage import ByteStream, Disk, Layer, StorageManager
from jtc.storage.drivers.memory_driver import MemoryDriver
from small_drivers import EightMethods, Streaming, Versioned

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage.sync import SyncDisk

__all__ = ["VERSIONED", "WAYS", "Way", "disk_of", "whole"]


class Way(NamedTuple):
    """A disk to write the test's files with, and what the test calls.

    `disk` has every method of a `Disk`; the sync API is called in a worker thread.
    """

    files: Disk
    disk: Any


class Unchanged(Layer, guards={"content"}, passes={"stat", "size", "url"}):
    """Guards content, so that everything but whole files is derived through it."""

    async def put(self, path: str, content: bytes | str | BinaryIO, /) -> str:
        return await self.inner.put(path, content)

    async def get(self, path: str, /) -> bytes:
        return await self.inner.get(path)


class Awaited:
    """The sync API of a disk with the signatures of the async one."""

    def __init__(self, disk: SyncDisk) -> None:
        self._disk = disk

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._disk, name)

        async def call(*args: Any, **options: Any) -> Any:
            return await asyncio.to_thread(lambda: _whole(method(*args, **options)))

        return call


def _whole(result: Any) -> Any:
    """Read a stream in the thread that made it, since nothing happens before."""
    return b"".join(result) if hasattr(result, "__next__") else result


async def whole(stream: Any) -> bytes:
    """Return everything that `stream` of a way's disk reads."""
    if isinstance(stream, ByteStream):
        return b"".join([chunk async for chunk in stream])
    content: bytes = await stream
    return content


def disk_of(driver: Any) -> Disk:
    """Return a disk ``d`` with a driver."""
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    return manager.disk("d")


def _same(disk: Disk) -> Way:
    return Way(disk, disk)


def _read_only() -> Way:
    disk = disk_of(MemoryDriver())
    return Way(disk, disk.read_only())


def _sync() -> Way:
    disk = disk_of(MemoryDriver())
    return Way(disk, Awaited(disk.sync))


def _fake() -> Way:
    # Never restored: the manager is this test's own.
    manager = StorageManager.isolated({})
    manager.set_driver(MemoryDriver(), "d")
    return _same(manager.fake("d"))


VERSIONED: dict[str, Callable[[], Way]] = {
    "memory": lambda: _same(disk_of(MemoryDriver())),
    "streams": lambda: _same(disk_of(Streaming())),
    "stat": lambda: _same(disk_of(Versioned())),
    "scope": lambda: _same(disk_of(MemoryDriver()).scoped("s/t")),
    "scope of streams": lambda: _same(disk_of(Streaming()).scoped("s/t")),
    "read-only": _read_only,
    "layer": lambda: _same(disk_of(MemoryDriver()).with_layer(Unchanged)),
    "fake": _fake,
    "sync": _sync,
}
"""Ways whose files have etags."""

WAYS = {"eight methods": lambda: _same(disk_of(EightMethods())), **VERSIONED}
"""All ways."""
