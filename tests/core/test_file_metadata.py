"""Metadata of one file: the driver's own, and derived."""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

import pytest

from jtc.storage import Disk, FileInfo, ReadOptions, ReadStream, StorageManager
from jtc.storage.drivers.memory_driver import MemoryDriver
from small_drivers import EightMethods, Streaming

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def disk_of(driver: Any) -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    return manager.disk("d")


@pytest.fixture(params=[EightMethods, Streaming, MemoryDriver])
def disk(request: pytest.FixtureRequest) -> Disk:
    return disk_of(request.param())


async def test_stat_is_derived_from_size_and_time() -> None:
    disk = disk_of(EightMethods())
    await disk.put("a", b"123")
    assert await disk.stat("a") == FileInfo(path="a", size=3, last_modified=1_700_000_000.0)


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("a.txt", PNG, "image/png"),
        ("a.csv", b"a,b", "text/csv"),
        ("a.png", b"", "image/png"),
        ("a", b"\x00", "application/octet-stream"),
    ],
)
async def test_mime_type_is_inferred_from_content_before_the_name(
    disk: Disk, path: str, content: bytes, expected: str
) -> None:
    await disk.put(path, content)
    assert await disk.mime_type(path) == expected


async def test_a_declared_type_goes_first() -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a.txt", PNG, content_type="text/x-odd")
    assert await disk.mime_type("a.txt") == "text/x-odd"


@pytest.mark.parametrize("algorithm", ["sha256", "md5", "SHA1", "blake2b", "sha3_512"])
@pytest.mark.parametrize("size", [0, 5, 64 * 1024 + 1, 2_500_000])
async def test_a_checksum_is_that_of_the_content(disk: Disk, algorithm: str, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    await disk.put("a", content)
    assert await disk.checksum("a", algorithm) == hashlib.new(algorithm, content).hexdigest()
    assert await disk.checksum("a", "crc32") == f"{zlib.crc32(content):08x}"
    driver = disk.driver
    if isinstance(driver, Streaming):
        assert driver.opened == driver.closed == 2


async def test_checksum_is_sha256_by_default(disk: Disk) -> None:
    await disk.put("a", b"x")
    assert await disk.checksum("a") == hashlib.sha256(b"x").hexdigest()


@pytest.mark.parametrize("algorithm", ["", "sha", "crc64", "shake_128"])
async def test_an_unknown_algorithm_is_refused_with_those_there_are(
    disk: Disk, algorithm: str
) -> None:
    await disk.put("a", b"x")
    with pytest.raises(ValueError, match=r"there are crc32, blake2b, .*sha256"):
        await disk.checksum("a", algorithm)


async def test_a_checksum_that_the_backend_keeps_is_taken_and_nothing_read() -> None:
    class Keeping(Streaming):
        async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
            stream = await super().open_read(path, options)
            stream.info.checksums = {"sha256": "kept"}
            return stream

    driver = Keeping()
    driver.fail_after = 0  # reading would fail
    disk = disk_of(driver)
    await disk.put("a", b"x")
    assert await disk.checksum("a") == "kept"
    with pytest.raises(Exception, match="connection"):
        await disk.checksum("a", "md5")
    assert driver.opened == driver.closed == 2
