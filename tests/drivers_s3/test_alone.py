"""Errors of the driver alone and through `Disk`, which are the same."""

from __future__ import annotations

import pytest

from faulty_proxy import Fault
from jtc.storage import StorageManager
from jtc.storage.exceptions import (
    FileNotFoundException,
    StorageException,
    StoragePermissionException,
)
from jtc.storage.models import Visibility
from jtc.storage.options import ListOptions, ReadOptions, SignOptions, WriteOptions

# What fails, by the driver alone and through a disk. The store refuses requests for `b`.
CALLS = {
    "put": (lambda d: d.put("b", b"1"), lambda d: d.put("b", b"1")),
    "write": (
        lambda d: d.write_file("b", b"1", WriteOptions(overwrite=False)),
        lambda d: d.put("b", b"1", overwrite=False),
    ),
    "get": (lambda d: d.get("b"), lambda d: d.get("b")),
    "exists": (lambda d: d.exists("b"), lambda d: d.exists("b")),
    "delete": (lambda d: d.delete("b"), lambda d: d.delete("b")),
    "size": (lambda d: d.size("b"), lambda d: d.size("b")),
    "last_modified": (lambda d: d.last_modified("b"), lambda d: d.last_modified("b")),
    "stat": (lambda d: d.stat("b"), lambda d: d.stat("b")),
    "stream": (
        lambda d: d.open_read("b", ReadOptions()),
        lambda d: d.stream("b"),
    ),
    "list": (
        lambda d: anext(d.list_entries("b", ListOptions())),
        lambda d: anext(d.list("b")),
    ),
    "make_directory": (lambda d: d.make_directory("b"), lambda d: d.make_directory("b")),
    "delete_directory": (lambda d: d.delete_directory("b"), lambda d: d.delete_directory("b")),
    "copy from": (
        lambda d: d.copy_file("b", "c", WriteOptions()),
        lambda d: d.copy("b", "c"),
    ),
    "copy to": (
        lambda d: d.copy_file("there", "b", WriteOptions()),
        lambda d: d.copy("there", "b"),
    ),
    "move from": (
        lambda d: d.move_file("b", "c", WriteOptions()),
        lambda d: d.move("b", "c"),
    ),
    "move to": (
        lambda d: d.move_file("there", "b", WriteOptions(overwrite=False)),
        lambda d: d.move("there", "b", overwrite=False),
    ),
    "visibility": (lambda d: d.visibility("b"), lambda d: d.visibility("b")),
    "set_visibility": (
        lambda d: d.set_visibility("b", Visibility.PUBLIC),
        lambda d: d.set_visibility("b", "public"),
    ),
}


@pytest.fixture
def disk_of():
    """Make a disk of a driver."""

    def disk(driver):
        manager = StorageManager.isolated()
        manager.set_driver(driver, "s3")
        return manager.disk("s3")

    return disk


async def raised_by(call):
    with pytest.raises(StorageException) as caught:
        await call
    error = caught.value
    return type(error), error.operation, error.path, error.message


@pytest.mark.parametrize("name", CALLS)
async def test_error_is_the_same_alone_and_through_disk(make_driver, proxy, disk_of, name):
    driver = make_driver(endpoint_url=proxy.endpoint_url, max_attempts=1)
    await make_driver().put("there", b"1")
    alone, through_disk = CALLS[name]
    raised = []
    for call in (lambda: alone(driver), lambda: through_disk(disk_of(driver))):
        # To the path that fails alone: a copy's other file is there.
        proxy.faults = [
            Fault(method, key=key, status=403)
            for method in ("GET", "HEAD", "PUT", "POST", "DELETE")
            for key in ("/b", "prefix=b")
        ]
        raised.append(await raised_by(call()))
    assert raised[0] == raised[1]
    assert raised[0][:3] == (StoragePermissionException, _operation(name), "b")


def _operation(name):
    return "put" if name == "write" else name.partition(" ")[0]


async def test_copy_names_its_target_where_visibility_is_refused(make_driver, proxy, folder):
    driver = make_driver(endpoint_url=proxy.endpoint_url, max_attempts=1)
    src, dst = f"{folder}/a", f"{folder}/b"
    for transfer in (driver.copy_file, driver.move_file):
        await driver.put(src, b"1")
        proxy.faults = [Fault("PUT", key="/b"), Fault("PUT", key="/b?acl", status=403)]
        error = await raised_by(transfer(src, dst, WriteOptions(visibility=Visibility.PUBLIC)))
        assert error[:3] == (StoragePermissionException, transfer.__name__[:4], dst)
        # Nothing is deleted whose copy is not what it should be.
        assert await driver.exists(src)


async def test_invalid_path_is_the_same_alone_and_through_disk(driver, disk_of):
    disk = disk_of(driver)
    sign = SignOptions(expires_in=60)
    pairs = [
        (driver.get("../a"), disk.get("../a")),
        (driver.put("../a", b""), disk.put("../a", b"")),
        (driver.copy_file("a", "../a", WriteOptions()), disk.copy("a", "../a")),
        (driver.open_read("../a", ReadOptions()), disk.stream("../a")),
        (anext(driver.list_entries("../a", ListOptions())), anext(disk.list("../a"))),
        (driver.temporary_url("../a", sign), disk.temporary_url("../a", 60)),
    ]
    for alone, through_disk in pairs:
        assert await raised_by(alone) == await raised_by(through_disk)
    for url in (driver.url, disk.url):
        with pytest.raises(StorageException) as caught:
            url("../a")
        assert (caught.value.operation, caught.value.path) == ("url", "../a")


async def test_delete_many_gives_the_same_errors_alone_and_through_disk(
    make_driver, proxy, disk_of
):
    driver = make_driver(endpoint_url=proxy.endpoint_url, max_attempts=1)
    found = []
    for delete_many in (driver.delete_many, disk_of(driver).delete_many):
        proxy.faults = [Fault("HEAD", key="/b", status=403)]
        results = await delete_many(["/b", "../x", "missing"])
        assert results.pop("missing") is False
        found.append(
            {
                path: (type(error), error.operation, error.path, error.message)
                for path, error in results.items()
            }
        )
    assert found[0] == found[1]
    assert found[0]["/b"][:3] == (StoragePermissionException, "delete_many", "/b")


async def test_missing_source_of_copy_is_named(driver, folder):
    with pytest.raises(FileNotFoundException) as caught:
        await driver.copy_file(f"{folder}/missing", f"{folder}/b", WriteOptions())
    assert caught.value.path == f"{folder}/missing"
