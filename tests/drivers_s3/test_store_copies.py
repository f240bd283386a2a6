"""Copies between two buckets of one store: no byte of the file passes through this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from faulty_proxy import Fault
from jtc.storage import Disk, StorageManager
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    PreconditionFailedException,
    UnsupportedOperationException,
)
from jtc.storage.options import WriteOptions

if TYPE_CHECKING:
    from faulty_proxy import FaultyProxy
    from jtc.storage.drivers.s3_driver import S3Driver
    from seaweedfs import SeaweedFS

MakeDriver = Callable[..., "S3Driver"]

OTHER = "other-bucket"
SIZE = 6 * 1024 * 1024
DOCUMENTS = 4096
"""More than the answers to the requests for a copy have."""


@pytest.fixture
def buckets(
    make_driver: MakeDriver, proxy: FaultyProxy, store_client: Any, folder: str
) -> tuple[Disk, Disk]:
    """Return a disk of each bucket, both through one proxy, which counts."""
    if OTHER not in [each["Name"] for each in store_client.list_buckets()["Buckets"]]:
        store_client.create_bucket(Bucket=OTHER)
    manager = StorageManager.isolated({})
    options = {"endpoint_url": proxy.endpoint_url, "copy_threshold": 5 * 1024 * 1024}
    manager.set_driver(make_driver(**options), "source")
    manager.set_driver(make_driver(bucket=OTHER, **options), "target")
    return manager.disk("source").scoped(folder), manager.disk("target").scoped(folder)


@pytest.mark.parametrize("operation", ["copy", "move"])
@pytest.mark.parametrize("size", [1_000_000, SIZE], ids=["whole", "in parts"])
async def test_copy_to_another_bucket_passes_no_byte_through_this_process(
    buckets: tuple[Disk, Disk], proxy: FaultyProxy, operation: str, size: int
) -> None:
    source, target = buckets
    content = bytes(range(250)) * (size // 250)
    await source.put("a", content, content_type="text/x", metadata={"k": "v"})
    proxy.requests.clear()
    proxy.body_bytes = 0
    assert await getattr(source, operation)("a", "d/b", to=target) == "d/b"
    assert proxy.body_bytes < DOCUMENTS
    assert not [each for each in proxy.requests if each.startswith("GET") and "?acl" not in each]
    info = await target.stat("d/b")
    assert (info.size, info.content_type, info.metadata) == (len(content), "text/x", {"k": "v"})
    assert await target.get("d/b") == content
    assert await source.exists("a") is (operation == "copy")


@pytest.mark.parametrize("size", [1_000_000, SIZE], ids=["whole", "in parts"])
async def test_copy_to_another_bucket_keeps_its_conditions(
    buckets: tuple[Disk, Disk], proxy: FaultyProxy, size: int
) -> None:
    source, target = buckets
    await source.put("a", b"old")
    old = (await source.stat("a")).etag
    await source.put("a", bytes(size))
    await target.put("b", b"there")
    proxy.body_bytes = 0
    for transfer in (source.copy, source.move):
        with pytest.raises(FileExistsException) as exists:
            await transfer("a", "b", to=target, overwrite=False)
        with pytest.raises(PreconditionFailedException) as changed:
            await transfer("a", "c", to=target, if_source_match=old)
        with pytest.raises(FileNotFoundException) as missing:
            await transfer("x", "c", to=target)
        assert (exists.value.disk, exists.value.path) == ("target", "b")
        assert (changed.value.disk, changed.value.path) == ("source", "a")
        assert (missing.value.disk, missing.value.path) == ("source", "x")
    assert (await target.get("b"), await target.exists("c")) == (b"there", False)
    current = (await source.stat("a")).etag
    await source.copy("a", "c", to=target, if_source_match=current, overwrite=False)
    assert proxy.body_bytes < 2 * DOCUMENTS
    assert await target.size("c") == size


async def test_copy_that_the_store_refuses_is_read_and_written(
    buckets: tuple[Disk, Disk], proxy: FaultyProxy, folder: str
) -> None:
    source, target = buckets
    await source.put("a", b"content", content_type="text/x")
    denied = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    proxy.faults = [Fault("PUT", f"/{OTHER}/{folder}/b", status=403, body=denied)]
    await source.copy("a", "b", to=target, overwrite=False)
    assert proxy.faults == []
    assert (await target.get("b"), (await target.stat("b")).content_type) == (b"content", "text/x")


@pytest.mark.parametrize(
    "options",
    [
        {"access_key": "AKIDOTHER", "secret_key": "OTHER-SECRET"},
        {"endpoint_url": "http://127.0.0.1:9"},
        {"anonymous": True, "access_key": None, "secret_key": None},
    ],
    ids=["other keys", "another endpoint", "no keys"],
)
async def test_copy_from_a_bucket_of_another_store_or_keys_is_unsupported(
    driver: S3Driver, make_driver: MakeDriver, folder: str, options: dict[str, Any]
) -> None:
    other = make_driver(bucket=OTHER, **options)
    with pytest.raises(UnsupportedOperationException, match="different endpoints or keys"):
        await driver.copy_from(f"{folder}/b", other.copy_source("a"), WriteOptions())


async def test_copy_has_the_visibility_of_the_target(
    make_driver: MakeDriver, proxy: FaultyProxy, folder: str
) -> None:
    manager = StorageManager.isolated({})
    endpoint = proxy.endpoint_url
    manager.set_driver(make_driver(endpoint_url=endpoint), "plain")
    manager.set_driver(make_driver(endpoint_url=endpoint, visibility="public"), "public")
    plain, public = (manager.disk(name).scoped(folder) for name in ("plain", "public"))
    await plain.put("a", b"1")
    await plain.copy("a", "b", to=public)
    await public.copy("b", "c", to=plain)
    await public.copy("b", "d", visibility="private")
    assert await plain.visibility("b") == "public"
    assert await plain.visibility("c") == await plain.visibility("d") == "private"


async def test_move_to_the_same_bucket_by_another_name_of_its_host_deletes_nothing(
    make_driver: MakeDriver, seaweedfs: SeaweedFS, folder: str
) -> None:
    other_name = seaweedfs.endpoint_url.replace("127.0.0.1", "localhost")
    assert other_name != seaweedfs.endpoint_url
    manager = StorageManager.isolated({})
    manager.set_driver(make_driver(), "source")
    manager.set_driver(make_driver(endpoint_url=other_name), "target")
    source, target = manager.disk("source").scoped(folder), manager.disk("target").scoped(folder)
    await source.put("d/a", b"kept")
    with pytest.raises(PreconditionFailedException, match="may have one backend"):
        await source.move("d/a", "d/a", to=target)
    assert await source.get("d/a") == b"kept"
    results = [result async for result in source.move_directory("d", "d", to=target)]
    assert [type(result.error) for result in results] == [PreconditionFailedException]
    assert await source.get("d/a") == b"kept"
