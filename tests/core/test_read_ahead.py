"""The hint `read_ahead`: which reads take all bytes as fast as they come."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import Disk, ReadOptions, ReadStream, StorageManager
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.hookspecs import BeforeGet, hookimpl

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Asked(MemoryDriver):
    """Remembers whether it may read ahead."""

    unsupported = MemoryDriver.unsupported | {"metadata_update", "ranges"}

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[bool] = []

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        self.asked.append(options.read_ahead)
        return await super().open_read(path, options)


async def streamed(disk: Disk) -> None:
    async for _ in disk.stream("a"):
        pass


async def opened(disk: Disk) -> None:
    async with disk.open("a") as file:
        await file.read()


async def downloaded(disk: Disk) -> None:
    with tempfile.TemporaryDirectory() as directory:
        await disk.download("a", f"{directory}/a")


READS: dict[str, tuple[Callable[[Disk], Awaitable[Any]], bool]] = {
    "get under a condition": (lambda disk: disk.get("a", if_none_match="another"), True),
    "get_range": (lambda disk: disk.get_range("a", 1), True),
    "download": (downloaded, True),
    "checksum": (lambda disk: disk.checksum("a"), True),
    "copy": (lambda disk: disk.copy("a", "b", to="other"), True),
    "move": (lambda disk: disk.move("a", "b", to="other"), True),
    "set_metadata by rewriting": (lambda disk: disk.set_metadata("a", metadata={}), True),
    "stream": (streamed, False),
    "open": (opened, False),
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("hooked", [False, True])
async def test_read_ahead_is_asked_of_readers_that_take_all(read: str, *, hooked: bool) -> None:
    manager = StorageManager.isolated({})
    driver = Asked()
    manager.set_driver(driver, "d")
    manager.set_driver(MemoryDriver(), "other")
    options: list[Any] = []

    class Listener:
        @hookimpl
        def storage_before_get(self, event: BeforeGet) -> None:
            options.append(event.options)

    if hooked:
        manager.hooks.register(Listener())
    disk = manager.disk("d")
    await disk.put("a", b"12345")
    method, takes_all = READS[read]
    await method(disk)
    assert driver.asked == [takes_all]
    # Events have what the caller passed.
    assert not any("read_ahead" in given for given in options)
