"""Conformance tests of a third party's layer, and tests of what it stores."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# Its distribution is not installed here; tests/packaging shows that it can be.
sys.path.insert(0, str(Path(__file__).parents[1] / "plugins" / "acme_audit" / "src"))

from acme_audit import Deflate

from jtc.storage import (
    IntegrityException,
    ReadOptions,
    StorageManager,
    UnsupportedOperationException,
)
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.testing import DriverConformance
from small_drivers import EightMethods

# Coverage doubles the time, and would measure no line that other tests do not measure.
pytestmark = pytest.mark.no_cover


class TestDeflateOnMemory(DriverConformance):
    stands_alone = False  # it leaves paths, and content of other kinds, to `Disk`
    gives_urls = False

    def make_driver(self) -> Deflate:
        return Deflate(MemoryDriver())


async def test_deflate_stores_compressed_content_and_reads_the_original() -> None:
    memory = MemoryDriver()
    manager = StorageManager.isolated({})
    for name, driver in {"eight": EightMethods(), "memory": memory}.items():
        manager.set_driver(driver, name)
        disk = manager.disk(name).with_layer(Deflate, level=9)
        content = b"line\n" * 200_000
        await disk.put("log.txt", [content])
        assert await manager.disk(name).size("log.txt") < 5000
        assert await disk.size("log.txt") == (await disk.stat("log.txt")).size == 1_000_000
        assert await disk.get_range("log.txt", 500_000, 500_010) == b"line\nline\n"
        ranges = [(0, 4), (500_000, 500_005)]
        assert await disk.get_ranges("log.txt", ranges) == [b"line", b"line\n"]
        assert await disk.get("log.txt") == content
    assert [entry.size async for entry in disk.list()] == [1_000_000]  # type: ignore[union-attr]
    await disk.copy("log.txt", "copy.txt")
    assert await memory.get("copy.txt") == await memory.get("log.txt")
    await disk.set_metadata("copy.txt", content_type="text/x-log")
    assert (await disk.stat("copy.txt")).content_type == "text/x-log"
    assert await disk.get("copy.txt") == content


def test_deflate_has_no_urls() -> None:
    layer = Deflate(MemoryDriver())
    assert not hasattr(layer, "temporary_url")
    with pytest.raises(UnsupportedOperationException):
        layer.url("a")


@pytest.mark.parametrize("damage", ["cut", "head cut", "flipped", "grown", "not ours", "longer"])
async def test_damaged_file_is_an_integrity_error(damage: str) -> None:
    memory = MemoryDriver()
    layer = Deflate(memory)
    content = bytes(range(256)) * 1000
    await layer.put("a", content)
    stored = await memory.get("a")
    flipped = bytearray(stored)
    flipped[len(stored) // 2] ^= 1
    await memory.put(
        "a",
        {
            "cut": stored[:-5],
            "head cut": stored[:7],
            "flipped": bytes(flipped),
            "grown": stored[:4] + (len(content) - 1).to_bytes(8, "big") + stored[12:],
            "not ours": content,
            "longer": stored[:4] + (len(content) + 1).to_bytes(8, "big") + stored[12:],
        }[damage],
    )
    with pytest.raises(IntegrityException):
        await layer.get("a")
    with pytest.raises(IntegrityException):
        await read_all(layer)


async def read_all(layer: Deflate) -> None:
    stream = await layer.open_read("a", ReadOptions(chunk_size=1000))
    async for _ in stream:
        pass
