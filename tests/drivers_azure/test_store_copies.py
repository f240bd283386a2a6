"""Copies between two containers of one account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import StorageManager
from jtc.storage.exceptions import (
    FileExistsException,
    PreconditionFailedException,
    UnsupportedOperationException,
)
from jtc.storage.options import WriteOptions

if TYPE_CHECKING:
    from azure_fixtures import MakeDriver
    from azurite import Azurite
    from faulty_proxy import FaultyProxy


@pytest.fixture(scope="module")
def other_container(azurite: Azurite) -> str:
    azurite.make_container("other-container")
    return "other-container"


@pytest.mark.parametrize("operation", ["copy", "move"])
@pytest.mark.parametrize("declared", [{}, {"content_type": "text/y"}], ids=["at once", "of blocks"])
async def test_copy_to_another_container_passes_no_byte_through_this_process(
    azurite: Azurite,
    make_driver: MakeDriver,
    proxy: FaultyProxy,
    folder: str,
    other_container: str,
    operation: str,
    declared: dict[str, Any],
) -> None:
    # The account's name is in the path, so that a proxy in front of it changes no signature.
    endpoint = azurite.endpoint_url.rstrip("/")
    options = {"endpoint_url": proxy.endpoint_url + endpoint[endpoint.find("/", 8) :]}
    manager = StorageManager.isolated({})
    manager.set_driver(make_driver(**options), "one")
    manager.set_driver(make_driver(container=other_container, **options), "two")
    one, two = (manager.disk(name).scoped(folder) for name in ("one", "two"))
    transfer = getattr(one, operation)
    await one.put("a", bytes(1_000_000), content_type="text/x", metadata={"k": "v"})
    await two.put("there", b"")
    with pytest.raises(FileExistsException) as exists:
        await transfer("a", "there", to=two, overwrite=False, **declared)
    with pytest.raises(PreconditionFailedException) as changed:
        await transfer("a", "b", to=two, if_source_match="1", **declared)
    assert (exists.value.disk, exists.value.path) == ("two", "there")
    assert (changed.value.disk, changed.value.path) == ("one", "a")
    proxy.body_bytes = 0
    await transfer("a", "b", to=two, overwrite=False, **declared)
    assert proxy.body_bytes < 4096 + 1_000_000  # Azurite reads the source by its own URL
    info = await two.stat("b")
    expected = declared.get("content_type", "text/x")
    assert (info.size, info.content_type, info.metadata) == (1_000_000, expected, {"k": "v"})
    assert await one.exists("a") is (operation == "copy")


async def test_copy_from_another_account_is_unsupported(make_driver: MakeDriver) -> None:
    source = make_driver(endpoint_url="http://127.0.0.1:9/account").copy_source("a")
    with pytest.raises(UnsupportedOperationException, match="different accounts"):
        await make_driver().copy_from("b", source, WriteOptions())
