"""The option `visibility`: the ACL that writes send, and that none is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest

from disk_calls import IN_PARTS, LARGE
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.exceptions import StorageConfigException
from scripted_store import ScriptedStore, StoredObject

if TYPE_CHECKING:
    from jtc.storage import Disk

MakeDisk = Callable[..., "Disk"]


async def chunks() -> AsyncIterator[bytes]:
    yield LARGE


async def written(disk: Disk) -> None:
    async with disk.open("a", "wb") as file:
        await file.write(b"new")


WRITES: dict[str, tuple[str, Callable[[Disk], Awaitable[object]]]] = {
    "put": ("PutObject", lambda disk: disk.put("a", b"new")),
    "driver": ("PutObject", lambda disk: disk.driver.put("a", b"new")),
    "parts": ("CreateMultipartUpload", lambda disk: disk.put("a", LARGE)),
    "stream": ("CreateMultipartUpload", lambda disk: disk.put("a", chunks())),
    "open": ("PutObject", written),
    "append": ("PutObject", lambda disk: disk.append("a", b"new")),
    "copy": ("CopyObject", lambda disk: disk.copy("b", "a")),
    "copy in parts": ("CreateMultipartUpload", lambda disk: disk.copy("large", "a")),
    "move": ("CopyObject", lambda disk: disk.move("b", "a")),
}


def filled(store: ScriptedStore) -> None:
    for path, content in (("a", b"old"), ("b", b"source"), ("large", LARGE)):
        store.objects[path] = StoredObject(content, {})
        store.objects[path].public = True


@pytest.mark.parametrize("way", WRITES)
async def test_write_without_a_visibility_asks_for_no_acl_and_sends_none(
    store: ScriptedStore, make_disk: MakeDisk, way: str
) -> None:
    filled(store)
    operation, write = WRITES[way]
    await write(make_disk(store, **IN_PARTS))
    [sent] = store.of(operation)
    assert "x-amz-acl" not in sent.headers
    assert not store.of("GetObjectAcl")
    assert not store.of("PutObjectAcl")


@pytest.mark.parametrize("way", WRITES)
@pytest.mark.parametrize(("visibility", "acl"), [("public", "public-read"), ("private", "private")])
async def test_write_sends_the_default_of_the_disk(
    store: ScriptedStore, make_disk: MakeDisk, way: str, visibility: str, acl: str
) -> None:
    filled(store)
    operation, write = WRITES[way]
    disk = make_disk(store, visibility=visibility, **IN_PARTS)
    await write(disk)
    [sent] = store.of(operation)
    assert sent.headers["x-amz-acl"] == acl
    assert await disk.visibility("a") == visibility


async def test_visibility_of_a_put_comes_before_the_default(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    disk = make_disk(store, visibility="public")
    await disk.put("a", b"1", visibility="private")
    [sent] = store.of("PutObject")
    assert sent.headers["x-amz-acl"] == "private"


async def test_set_metadata_leaves_a_private_file_private(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    store.objects["a"] = StoredObject(b"content", {})
    disk = make_disk(store, visibility="public")
    await disk.set_metadata("a", content_type="text/x")
    assert not store.objects["a"].public
    assert not store.of("PutObjectAcl")


async def test_presigned_uploads_have_the_default(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    disk = make_disk(store, visibility="public")
    request = await disk.temporary_upload_url("a", 60)
    assert request.headers["x-amz-acl"] == "public-read"
    assert "x-amz-acl" in request.url
    form = await disk.temporary_upload_form("a", 60, max_size=9)
    assert form.fields["acl"] == "public-read"
    assert "x-amz-acl" not in form.fields
    plain = await make_disk(store).temporary_upload_url("a", 60)
    assert "acl" not in plain.url + str(plain.headers)


@pytest.mark.parametrize("value", ["hidden", True, 1, ""])
def test_other_visibility_is_refused(value: Any) -> None:
    with pytest.raises(StorageConfigException, match="'visibility' is 'public' or 'private'"):
        S3Driver("bucket", "us-east-1", "key", "secret", visibility=value)
