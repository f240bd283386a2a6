"""Deleting on stores that cannot do all that AWS can, and while others write."""

from __future__ import annotations

import pytest

from faulty_proxy import Fault
from jtc.storage.exceptions import StoragePermissionException, StorageUnavailableException
from jtc.storage.options import ListOptions


@pytest.fixture
def faulty(make_driver, proxy):
    return make_driver(endpoint_url=proxy.endpoint_url, max_attempts=1)


async def test_a_store_without_conditional_deletes_deletes_without_the_condition(
    faulty, proxy, driver, folder
):
    await driver.put(f"{folder}/a", b"1")
    proxy.faults = [Fault("DELETE", status=501)]
    assert await faulty.delete(f"{folder}/a") is True
    assert await driver.exists(f"{folder}/a") is False


async def test_a_file_that_is_replaced_meanwhile_is_deleted_as_it_is_then(
    faulty, proxy, driver, folder
):
    path = f"{folder}/a"
    await driver.put(path, b"old")

    async def replace():
        await driver.put(path, b"new")

    proxy.faults = [Fault("DELETE", before=replace)]
    assert await faulty.delete(path) is True
    assert await driver.exists(path) is False


async def test_delete_returns_false_for_file_deleted_meanwhile(faulty, proxy, driver, folder):
    path = f"{folder}/a"
    await driver.put(path, b"old")

    async def delete():
        await driver.delete(path)

    proxy.faults = [Fault("DELETE", before=delete)]
    assert await faulty.delete(path) is False


async def test_a_store_without_bulk_deletion_deletes_one_by_one(faulty, proxy, driver, folder):
    paths = [f"{folder}/{name}" for name in "abc"]
    for path in paths[:2]:
        await driver.put(path, b"1")
    proxy.faults = [Fault("POST", status=501)]
    assert await faulty.delete_many(paths) == dict(zip(paths, (True, True, False), strict=True))
    assert not [entry async for entry in driver.list_entries(folder, ListOptions(recursive=True))]


async def test_what_is_wrong_with_one_file_is_its_own_answer(faulty, proxy, driver, folder):
    paths = [f"{folder}/{name}" for name in "ab"]
    for path in paths:
        await driver.put(path, b"1")
    proxy.faults = [Fault("HEAD", status=403)]
    answers = await faulty.delete_many(paths)
    assert sorted(type(answer).__name__ for answer in answers.values()) == [
        "StoragePermissionException",
        "bool",
    ]


async def test_files_that_change_during_a_bulk_deletion_are_deleted_as_they_are_then(
    faulty, proxy, driver, folder
):
    paths = [f"{folder}/{name}" for name in "abc"]
    for path in paths:
        await driver.put(path, b"old")

    async def change():
        await driver.put(paths[0], b"new")
        await driver.delete(paths[1])

    proxy.faults = [Fault("POST", before=change)]
    answers = await faulty.delete_many(paths)
    assert answers[paths[0]] is True
    assert answers[paths[2]] is True
    assert not [entry async for entry in driver.list_entries(folder, ListOptions(recursive=True))]


async def test_a_bulk_deletion_that_fails_as_a_whole_says_so(faulty, proxy, driver, folder):
    await driver.put(f"{folder}/a", b"1")
    proxy.faults = [Fault("POST", status=503)]
    with pytest.raises(StorageUnavailableException):
        await faulty.delete_many([f"{folder}/a"])
    assert await driver.exists(f"{folder}/a")


async def test_a_directory_is_deleted_one_by_one_where_there_is_no_bulk_deletion(
    faulty, proxy, driver, folder
):
    for name in ("d/a", "d/b/c", "dd"):
        await driver.put(f"{folder}/{name}", b"1")
    proxy.faults = [Fault("POST", status=501)]
    await faulty.delete_directory(f"{folder}/d")
    left = [entry.path async for entry in driver.list_entries(folder, ListOptions(recursive=True))]
    assert left == [f"{folder}/dd"]


async def test_a_directory_that_may_not_be_deleted_is_refused(faulty, proxy, driver, folder):
    await driver.put(f"{folder}/d/a", b"1")
    proxy.faults = [Fault("POST", status=403)]
    with pytest.raises(StoragePermissionException):
        await faulty.delete_directory(f"{folder}/d")
    assert await driver.exists(f"{folder}/d/a")


async def test_delete_after_a_check_keeps_a_directory_of_that_name(driver, folder):
    await driver.check(f"{folder}/check")
    await driver.make_directory(f"{folder}/marked")
    for path in ("emptied/a", "full/a"):
        await driver.put(f"{folder}/{path}", b"1")
    await driver.delete(f"{folder}/emptied/a")
    paths = [f"{folder}/{name}" for name in ("marked", "emptied", "full", "missing")]
    assert [await driver.delete(path) for path in paths] == [False] * 4
    assert await driver.delete_many(paths) == dict.fromkeys(paths, False)
    names = {entry.path async for entry in driver.list_entries(folder, ListOptions())}
    assert {f"{folder}/marked", f"{folder}/full"} <= names
