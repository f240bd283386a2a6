"""Deletions under the condition of a version: `if_match`."""

from __future__ import annotations

from typing import Any

import pytest

from disk_ways import disk_of
from jtc.storage import (
    PreconditionFailedException,
    ReadOnlyException,
    StorageManager,
    UnsupportedOperationException,
)
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.hookspecs import AfterDelete, BeforeDelete, Failed, hookimpl
from small_drivers import EightMethods


@pytest.fixture(params=["memory", "local", "scoped", "fake"])
def disk(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    driver: Any = LocalDriver(tmp_path) if request.param == "local" else MemoryDriver()
    if request.param == "fake":
        manager = StorageManager.isolated({"disks": {"d": {"driver": "local", "root": tmp_path}}})
        return manager.fake("d")
    disk = disk_of(driver)
    return disk.scoped("s") if request.param == "scoped" else disk


async def test_delete_if_match_deletes_this_version_only(disk: Any) -> None:
    await disk.put("a", b"old")
    old = (await disk.stat("a")).etag
    await disk.put("a", b"newer")
    with pytest.raises(PreconditionFailedException, match="if_match") as raised:
        await disk.delete("a", if_match=old)
    assert (raised.value.path, raised.value.operation, raised.value.disk) == ("a", "delete", "d")
    assert await disk.get("a") == b"newer"
    assert await disk.delete("a", if_match=(await disk.stat("a")).etag) is True
    assert await disk.delete("a", if_match=old) is False
    assert await disk.exists("a") is False


async def test_delete_if_match_is_refused_where_the_driver_lacks_it() -> None:
    disk = disk_of(EightMethods())
    await disk.put("a", b"1")
    with pytest.raises(
        UnsupportedOperationException,
        match=r"'EightMethods' does not have the capability 'conditional_delete'; "
        r"delete without if_match, where no one else may replace the file meanwhile",
    ):
        await disk.delete("a", if_match="etag")
    assert await disk.delete("a", if_match=None) is True


async def test_delete_if_match_is_refused_by_a_read_only_view() -> None:
    for driver in (MemoryDriver(), EightMethods()):
        with pytest.raises(ReadOnlyException):
            await disk_of(driver).read_only().delete("a", if_match="etag")


@pytest.mark.parametrize(("etag", "error"), [(1, TypeError), ("a\nb", ValueError)])
async def test_delete_if_match_of_a_wrong_type_or_value_is_an_error(
    disk: Any, etag: Any, error: type[Exception]
) -> None:
    await disk.put("a", b"1")
    with pytest.raises(error, match="if_match"):
        await disk.delete("a", if_match=etag)
    assert await disk.exists("a") is True


async def test_delete_events_have_the_condition() -> None:
    events: list[Any] = []

    class Listener:
        @hookimpl
        def storage_before_delete(self, event: BeforeDelete) -> None:
            events.append(event)

        @hookimpl
        def storage_after_delete(self, event: AfterDelete) -> None:
            events.append(event)

        @hookimpl
        def storage_failed(self, event: Failed) -> None:
            events.append(event.before)

    manager = StorageManager.isolated({})
    manager.set_driver(MemoryDriver(), "d")
    manager.hooks.register(Listener())
    disk = manager.disk("d")
    await disk.put("a", b"1")
    etag = (await disk.stat("a")).etag
    with pytest.raises(PreconditionFailedException):
        await disk.delete("a", if_match="another")
    await disk.delete("a", if_match=etag)
    await disk.delete("a")
    conditions = [event.options for event in events]
    assert conditions == [{"if_match": "another"}] * 2 + [{"if_match": etag}] * 2 + [{}, {}]
