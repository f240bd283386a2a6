"""What `Disk` derives or passes on for the S3 driver, on a real store."""

from __future__ import annotations

import asyncio
import base64
import json

import httpx
import pytest

from faulty_proxy import Fault
from jtc.storage import StorageManager
from jtc.storage.exceptions import (
    FileNotFoundException,
    NotModifiedException,
    PreconditionFailedException,
)
from jtc.storage.models import DirectoryInfo, FileInfo, Usage, Visibility
from s3_fixtures import open_connections

CONTENT = bytes(range(256)) * 3000


@pytest.fixture
def disk_of():
    """Make a disk of a driver."""

    def disk(driver):
        manager = StorageManager.isolated()
        manager.set_driver(driver, "s3")
        return manager.disk("s3")

    return disk


@pytest.fixture
def disk(driver, disk_of, folder):
    return disk_of(driver).scoped(folder)


async def test_if_none_match_raises_not_modified_for_the_version_that_is_there(disk, driver):
    await disk.put("file", CONTENT)
    etag = (await disk.stat("file")).etag
    for call in (
        disk.get("file", if_none_match=etag),
        disk.get_range("file", 5, 9, if_none_match=etag),
        disk.stat("file", if_none_match=etag),
        disk.stream("file", if_none_match=etag),
    ):
        with pytest.raises(NotModifiedException) as caught:
            await call
        assert caught.value.path == "file"
    await asyncio.sleep(0)
    assert open_connections(driver) == 0
    assert await disk.get("file", if_none_match='"0"') == CONTENT
    assert (await disk.stat("file", if_none_match='"0"')).etag == etag
    assert b"".join([chunk async for chunk in disk.stream("file", if_none_match='"0"')]) == CONTENT


async def test_get_ranges_returns_each_range_of_one_version(disk):
    await disk.put("file", CONTENT)
    etag = (await disk.stat("file")).etag
    ranges = [(700_000, None), (0, 10), (5, 20), (-3, None), (900_000, 900_001)]
    expected = [CONTENT[start:end] for start, end in ranges]
    assert await disk.get_ranges("file", ranges) == expected
    assert await disk.get_ranges("file", ranges, if_match=etag) == expected
    with pytest.raises(PreconditionFailedException):
        await disk.get_ranges("file", ranges, if_match='"0"')
    with pytest.raises(NotModifiedException):
        await disk.get_ranges("file", ranges, if_none_match=etag)


async def test_set_metadata_replaces_what_is_given_and_keeps_the_rest(disk):
    await disk.put(
        "file", CONTENT, content_type="a/b", cache_control="no-cache", metadata={"x": "ü"}
    )
    await disk.set_visibility("file", "public")
    before = await disk.stat("file")
    await disk.set_metadata("file", metadata={"y": "z"}, if_match=before.etag)
    after = await disk.stat("file")
    assert (after.content_type, after.cache_control) == ("a/b", "no-cache")
    assert after.metadata == {"y": "z"}
    assert await disk.visibility("file") is Visibility.PUBLIC
    assert await disk.get("file") == CONTENT
    with pytest.raises(PreconditionFailedException):
        await disk.set_metadata("file", metadata={}, if_match='"0"')
    with pytest.raises(FileNotFoundException):
        await disk.set_metadata("missing", metadata={})


async def test_set_metadata_leaves_a_file_that_is_replaced_meanwhile(
    make_driver, proxy, disk, disk_of, folder
):
    faulty = disk_of(make_driver(endpoint_url=proxy.endpoint_url)).scoped(folder)
    await disk.put("file", b"old")
    proxy.faults = [Fault("PUT", before=lambda: disk.put("file", b"new"))]
    with pytest.raises(PreconditionFailedException):
        await faulty.set_metadata("file", content_type="a/b")
    assert await disk.get("file") == b"new"


async def test_set_metadata_works_in_a_bucket_without_acls(
    make_driver, proxy, disk, disk_of, folder
):
    faulty = disk_of(make_driver(endpoint_url=proxy.endpoint_url)).scoped(folder)
    await disk.put("file", CONTENT)
    # AWS says what the ACL is, and refuses any request that sets one.
    refusal = b"<Error><Code>AccessControlListNotSupported</Code></Error>"
    proxy.faults = [Fault("PUT", status=400, body=refusal)]
    await faulty.set_metadata("file", content_type="a/b")
    assert proxy.faults == []
    assert (await disk.stat("file")).content_type == "a/b"
    assert await disk.get("file") == CONTENT


@pytest.fixture
async def tree(disk):
    for name in ("a.csv", "a/1.csv", "a/b/2.csv", "a/b/3.txt", "z"):
        await disk.put(name, name.encode())
    await disk.make_directory("made")


@pytest.mark.usefixtures("tree")
async def test_glob_and_usage_go_through_a_whole_tree(disk):
    assert sorted(await disk.glob("**/*.csv")) == ["a.csv", "a/1.csv", "a/b/2.csv"]
    assert await disk.glob("a/*.csv") == ["a/1.csv"]
    assert await disk.usage() == Usage(files=5, bytes=5 + 7 + 9 + 9 + 1)
    assert await disk.usage("a/b") == Usage(files=2, bytes=18)
    assert await disk.usage("missing") == Usage(files=0, bytes=0)


@pytest.mark.usefixtures("tree")
async def test_entry_is_a_file_a_directory_or_none(disk):
    file = await disk.entry("a/1.csv")
    assert isinstance(file, FileInfo)
    assert file.size == 7
    for directory in ("a", "a/b", "made"):
        assert await disk.entry(directory) == DirectoryInfo(path=directory)
    for missing in ("b", "a/1", "a/1.csv/x"):
        assert await disk.entry(missing) is None


@pytest.mark.usefixtures("tree")
async def test_list_directories_yields_each_before_its_entries(disk):
    async def keys(**options):
        entries = disk.list(recursive=True, directories=True, **options)
        return [each.path + "/" * isinstance(each, DirectoryInfo) async for each in entries]

    everything = await keys()
    assert sorted(everything) == sorted(
        ["a.csv", "a/", "a/1.csv", "a/b/", "a/b/2.csv", "a/b/3.txt", "made/", "z"]
    )
    for key in everything:
        parent = key.removesuffix("/").rpartition("/")[0]
        assert not parent or everything.index(f"{parent}/") < everything.index(key)
    for number, key in enumerate(everything, start=1):
        assert await keys(start_after=key) == everything[number:], key


async def test_temporary_url_with_stable_for_reads_the_file(disk):
    await disk.put("file", b"content")
    url = await disk.temporary_url("file", 60, stable_for=24 * 3600)
    async with httpx.AsyncClient() as client:
        assert (await client.get(url)).content == b"content"


async def test_temporary_upload_form_has_its_sizes_in_the_policy(disk):
    form = await disk.temporary_upload_form("file", 60, min_size=1, max_size=5)
    policy = json.loads(base64.b64decode(form.fields["policy"]))
    assert ["content-length-range", 1, 5] in policy["conditions"]
    form = await disk.temporary_upload_form("file", 60, max_size=5)
    policy = json.loads(base64.b64decode(form.fields["policy"]))
    assert ["content-length-range", 0, 5] in policy["conditions"]
