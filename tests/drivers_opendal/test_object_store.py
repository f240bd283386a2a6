"""The OpenDAL driver on an object store: conditions, parts, and presigned URLs."""

from __future__ import annotations

import asyncio
import itertools
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import (
    Disk,
    FileExistsException,
    PreconditionFailedException,
    StorageManager,
    UnsupportedOperationException,
)
from jtc.storage.drivers.opendal_driver import OpenDALDriver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from seaweedfs import SeaweedFS

_numbers = itertools.count(1)


@pytest.fixture
def disk(seaweedfs: SeaweedFS) -> Disk:
    driver = OpenDALDriver(
        "s3",
        bucket=seaweedfs.bucket,
        region="us-east-1",
        endpoint=seaweedfs.endpoint_url,
        access_key_id=seaweedfs.access_key,
        secret_access_key=seaweedfs.secret_key,
        root=f"opendal-{next(_numbers)}",
    )
    manager = StorageManager.isolated()
    manager.set_driver(driver, "store")
    return manager.disk("store")


async def test_conditions_of_writes_hold(disk: Disk) -> None:
    await disk.put("a", b"old", content_type="text/x-own", metadata={"one": "1"})
    found = await disk.stat("a")
    assert (found.content_type, found.metadata) == ("text/x-own", {"one": "1"})
    assert [entry.etag async for entry in disk.list()] == [found.etag]  # type: ignore[union-attr]
    with pytest.raises(FileExistsException):
        await disk.put("a", b"new", overwrite=False)
    with pytest.raises(PreconditionFailedException):
        await disk.put("a", b"new", if_match='"another"')
    await disk.put("a", b"new", if_match=found.etag)
    with pytest.raises(PreconditionFailedException):
        await disk.get("a", if_match=found.etag)
    assert await disk.get("a") == b"new"


async def test_stream_is_sent_in_parts_and_missing_where_its_source_fails(disk: Disk) -> None:
    async def pieces(*, fails: bool = False) -> AsyncIterator[bytes]:
        for _ in range(10):
            yield bytes(1_000_000)
        if fails:
            raise ZeroDivisionError

    await disk.put("large", pieces())
    assert await disk.get("large") == bytes(10_000_000)
    assert await disk.get_range("large", 9_999_990, 10_000_010) == bytes(10)
    with pytest.raises(ZeroDivisionError):
        await disk.put("other", pieces(fails=True))
    assert await disk.exists("other") is False


async def test_presigned_urls_read_and_store_a_file(disk: Disk) -> None:
    await disk.put("a b", b"content")
    assert await asyncio.to_thread(_opened, await disk.temporary_url("a b", 60)) == b"content"
    # Without a loop, the sync API has one of its own wait.
    assert "X-Amz-Signature" in await asyncio.to_thread(disk.sync.temporary_url, "a b", 60)
    request = await disk.temporary_upload_url("up", 60, content_type="text/x-own")
    upload = urllib.request.Request(
        request.url, data=b"new", method=request.method, headers=dict(request.headers)
    )
    await asyncio.to_thread(_opened, upload)
    assert await disk.get("up") == b"new"
    with pytest.raises(UnsupportedOperationException, match="length"):
        await disk.temporary_upload_url("up", 60, size=3)


async def test_copies_listings_and_directories_are_the_stores(disk: Disk) -> None:
    await disk.put("d/a", b"content")
    await disk.make_directory("m/n")
    assert await disk.copy("d/a", "b") == "b"
    assert await disk.move("b", "c") == "c"
    assert await disk.all_files() == ["c", "d/a"]
    assert await disk.directories() == ["d", "m"]
    assert await disk.directory_exists("m/n") is True
    await disk.delete_directory("d")
    assert await disk.all_files() == ["c"]


def _opened(request: Any) -> bytes:
    with urllib.request.urlopen(request, timeout=30) as answer:
        content: bytes = answer.read()
    return content
