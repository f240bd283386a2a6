"""Copies between two drivers of one store, which are rewrites."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import StorageManager
from jtc.storage.drivers.gcs_driver._transport.operations import rewrite_object
from jtc.storage.exceptions import (
    FileExistsException,
    PreconditionFailedException,
    UnsupportedOperationException,
)
from jtc.storage.options import WriteOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from google_store import GoogleStore
    from jtc.storage import Disk
    from jtc.storage.drivers.gcs_driver import GCSDriver


@pytest.fixture
def disks(make_driver: Callable[..., GCSDriver]) -> tuple[Disk, Disk]:
    manager = StorageManager.isolated({})
    for name in ("one", "two"):
        manager.set_driver(make_driver(), name)
    return manager.disk("one").scoped("one"), manager.disk("two").scoped("two")


@pytest.mark.parametrize("operation", ["copy", "move"])
async def test_copy_to_another_disk_is_a_rewrite(
    store: GoogleStore, disks: tuple[Disk, Disk], operation: str
) -> None:
    one, two = disks
    await one.put("a", b"content", content_type="text/x", metadata={"k": "v"})
    await two.put("there", b"")
    store.requests.clear()
    with pytest.raises(FileExistsException) as exists:
        await getattr(one, operation)("a", "there", to=two, overwrite=False)
    with pytest.raises(PreconditionFailedException) as changed:
        await getattr(one, operation)("a", "b", to=two, if_source_match="1")
    assert (exists.value.disk, exists.value.path) == ("two", "there")
    assert (changed.value.disk, changed.value.path) == ("one", "a")
    await getattr(one, operation)("a", "b", to=two, overwrite=False)
    assert not [
        each for each in store.requests if "alt=media" in str(each) or "/upload/" in str(each)
    ]
    assert any("rewriteTo" in str(each) for each in store.requests)
    info = await two.stat("b")
    assert (await two.get("b"), info.content_type, info.metadata) == (
        b"content",
        "text/x",
        {"k": "v"},
    )
    assert await one.exists("a") is (operation == "copy")


def test_rewrite_goes_from_one_bucket_to_another() -> None:
    request = rewrite_object("from", "a/b", "to", "c/d", None, {})
    assert request.path == "/storage/v1/b/from/o/a%2Fb/rewriteTo/b/to/o/c%2Fd"


@pytest.mark.parametrize("options", [{"anonymous": True}, {"endpoint_url": "http://127.0.0.1:9"}])
async def test_copy_from_another_store_or_account_is_unsupported(
    make_driver: Callable[..., GCSDriver], options: dict[str, Any]
) -> None:
    source = make_driver(**options).copy_source("a")
    with pytest.raises(UnsupportedOperationException, match="different endpoints"):
        await make_driver().copy_from("b", source, WriteOptions())
