"""The eight methods, options and copies, on a real store."""

from __future__ import annotations

import asyncio
import io
import json
import zlib
from importlib import resources

import pytest

from jtc.storage.driver_support.content import driver_content
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    InvalidPathException,
    PreconditionFailedException,
    UnsupportedOperationException,
)
from jtc.storage.models import Visibility
from jtc.storage.options import ListOptions, ReadOptions, WriteOptions

MIB = 1024 * 1024
PATHS = json.loads((resources.files("jtc.storage.testing") / "paths.json").read_text("utf-8"))
BIG = bytes(range(256)) * 4096 * 17 + b"the rest"


async def test_the_eight_methods_agree_with_each_other(driver, folder):
    path = f"{folder}/a b/ü+%20.txt"
    assert await driver.put("/" + path, "hällo") == path
    assert await driver.get(path) == "hällo".encode()
    assert await driver.exists(path) is True
    assert await driver.size(path) == 6
    assert await driver.last_modified(path) == (await driver.stat(path)).last_modified
    assert driver.path(path) == f"s3://test-bucket/{path}"
    assert await driver.delete(path) is True
    assert await driver.delete(path) is False
    assert await driver.exists(path) is False


async def test_a_missing_file_is_not_found_by_all_that_need_it(driver, folder):
    path = f"{folder}/missing"
    calls = [
        driver.get(path),
        driver.size(path),
        driver.last_modified(path),
        driver.stat(path),
        driver.open_read(path, ReadOptions()),
        driver.open_read(path, ReadOptions(start=-3, end=2)),
        driver.copy_file(path, f"{folder}/other", WriteOptions()),
        driver.copy_file(path, path, WriteOptions()),
        driver.move_file(path, path, WriteOptions()),
        driver.visibility(path),
        driver.set_visibility(path, Visibility.PUBLIC),
    ]
    for call in calls:
        with pytest.raises(FileNotFoundException) as caught:
            await call
        assert caught.value.path == path


async def test_a_directory_is_not_a_file(driver, folder):
    await driver.put(f"{folder}/file", b"1")
    await driver.make_directory(f"{folder}/empty")
    for directory in (folder, f"{folder}/empty"):
        assert await driver.exists(directory) is False
        assert await driver.delete(directory) is False
        assert await driver.delete_many([directory]) == {directory: False}
        with pytest.raises(FileNotFoundException):
            await driver.visibility(directory)
    entries = [entry.path async for entry in driver.list_entries(folder, ListOptions())]
    assert sorted(entries) == [f"{folder}/empty", f"{folder}/file"]


def contents():
    def chunks():
        yield b"one,"
        yield b""
        yield b"two"

    async def async_chunks():
        for chunk in chunks():
            yield chunk

    class AsyncFile:
        def __init__(self):
            self.file = io.BytesIO(b"one,two")

        async def read(self, size=-1):
            return self.file.read(size)

    return [
        b"one,two",
        bytearray(b"one,two"),
        memoryview(b"one,two"),
        "one,two",
        io.BytesIO(b"one,two"),
        chunks(),
        async_chunks(),
        AsyncFile(),
    ]


@pytest.mark.parametrize("number", range(len(contents())))
async def test_put_takes_every_kind_of_content(driver, folder, number):
    content = contents()[number]
    await driver.put(f"{folder}/file", content)
    assert await driver.get(f"{folder}/file") == b"one,two"
    if isinstance(content, io.BytesIO):
        assert not content.closed


async def test_put_takes_a_local_path(driver, folder, tmp_path):
    (tmp_path / "source").write_bytes(BIG)
    await driver.put(f"{folder}/file", tmp_path / "source")
    assert await driver.get(f"{folder}/file") == BIG


@pytest.mark.parametrize("size", [0, 5 * MIB, 5 * MIB + 1, 10 * MIB, 10 * MIB + 1, len(BIG)])
async def test_content_of_any_length_arrives_whole_from_any_source(make_driver, folder, size):
    driver = make_driver(multipart_threshold=5 * MIB, part_size=5 * MIB)
    content = BIG[:size]

    async def uneven_chunks():
        position, step = 0, 1
        while position < size:
            yield content[position : position + step]
            position, step = position + step, step * 3

    for source in (content, io.BytesIO(content), uneven_chunks()):
        await driver.put(f"{folder}/file", source)
        stat = await driver.stat(f"{folder}/file")
        assert stat.size == size
        assert stat.checksums["crc32"] == f"{zlib.crc32(content):08x}"
        assert await driver.get(f"{folder}/file") == content


async def test_every_path_of_the_policy_round_trips_or_is_refused(driver, folder):
    for case in PATHS:
        path = case["path"]
        if case["expect"] == "reject":
            for call in (driver.put(path, b"1"), driver.get(path), driver.delete(path)):
                with pytest.raises(InvalidPathException):
                    await call
            with pytest.raises(InvalidPathException):
                driver.url(path)
            continue
        checked = await driver.put(path, path.encode())
        assert await driver.get(path) == path.encode(), case
        assert await driver.exists(path), case
        await driver.copy_file(path, f"{folder}/copy", WriteOptions())
        assert await driver.get(f"{folder}/copy") == path.encode(), case
        parent = checked.rpartition("/")[0]
        assert checked in [
            entry.path async for entry in driver.list_entries(parent, ListOptions())
        ], case
        assert await driver.delete_many([path]) == {path: True}, case
        assert not await driver.exists(path), case


async def test_options_come_back_as_they_were_given(driver, folder):
    metadata = {
        "plain": "some text, 50% =?",
        "empty": "",
        "unicode": "zürich 東京 🎉",
        "spaces": "  two  ",
        "encoded": "=?UTF-8?B?w7w=?=",
        "percent": "%C3%BC",
        "lines": "a\nb\tc",
    }
    options = WriteOptions(
        content_type="text/x-test; charset=utf-8",
        cache_control="max-age=3600",
        content_disposition='attachment; filename="a.txt"',
        metadata=metadata,
    )
    etag = await driver.write_file(f"{folder}/file", b"1", options)
    stat = await driver.stat(f"{folder}/file")
    assert stat.content_type == "text/x-test; charset=utf-8"
    assert stat.cache_control == "max-age=3600"
    assert stat.content_disposition == 'attachment; filename="a.txt"'
    assert stat.metadata == metadata
    assert stat.etag == etag
    assert (await driver.open_read(f"{folder}/file", ReadOptions())).info == stat


async def test_a_content_type_is_inferred_where_none_is_declared(driver, folder):
    await driver.put(f"{folder}/a.css", b"p {}")
    await driver.put(f"{folder}/image", b"\x89PNG\r\n\x1a\n" + b"\0" * 100)
    assert (await driver.stat(f"{folder}/a.css")).content_type == "text/css"
    assert (await driver.stat(f"{folder}/image")).content_type == "image/png"


async def test_a_header_that_http_cannot_carry_is_refused(driver, folder):
    options = WriteOptions(content_disposition="attachment; filename=ü")
    with pytest.raises(ValueError, match="RFC 6266"):
        await driver.write_file(f"{folder}/file", b"1", options)
    assert not await driver.exists(f"{folder}/file")


async def test_driver_options_reach_the_store_and_unknown_ones_are_refused(
    driver, folder, store_client
):
    options = WriteOptions(driver_options={"ContentLanguage": "de", "Tagging": "a=b"})
    await driver.write_file(f"{folder}/file", b"1", options)
    tags = store_client.get_object_tagging(Bucket="test-bucket", Key=f"{folder}/file")
    assert tags["TagSet"] == [{"Key": "a", "Value": "b"}]
    with pytest.raises(UnsupportedOperationException, match="'StorageClas'"):
        await driver.write_file(
            f"{folder}/file", b"1", WriteOptions(driver_options={"StorageClas": "GLACIER"})
        )


@pytest.mark.parametrize("size", [1, 11 * MIB])
async def test_conditions_hold_for_small_and_for_large_files(
    make_driver, folder, uploads_below, size
):
    driver = make_driver(multipart_threshold=5 * MIB, part_size=5 * MIB)
    path, content = f"{folder}/file", BIG[:size]
    with pytest.raises(PreconditionFailedException):
        await driver.write_file(path, content, WriteOptions(if_match='"0"'))
    etag = await driver.write_file(path, content, WriteOptions(overwrite=False))
    with pytest.raises(FileExistsException) as caught:
        await driver.write_file(path, content, WriteOptions(overwrite=False))
    assert caught.value.path == path
    with pytest.raises(PreconditionFailedException):
        await driver.write_file(path, content, WriteOptions(if_match='"0"'))
    listed = [entry async for entry in driver.list_entries(folder, ListOptions())]
    assert [entry.etag for entry in listed] == [etag]
    await driver.write_file(path, content[::-1], WriteOptions(if_match=etag))
    assert await driver.get(path) == content[::-1]
    assert uploads_below(folder) == []


async def test_one_of_many_creators_wins_and_one_of_many_deleters(driver, folder):
    for round_number in range(5):
        path = f"{folder}/{round_number}"
        creators = [
            driver.write_file(path, f"{n}".encode(), WriteOptions(overwrite=False))
            for n in range(6)
        ]
        results = await asyncio.gather(*creators, return_exceptions=True)
        assert sum(isinstance(result, FileExistsException) for result in results) == 5
        assert sum(isinstance(result, str) for result in results) == 1
        deleters = await asyncio.gather(*(driver.delete(path) for _ in range(6)))
        assert sorted(deleters) == [False] * 5 + [True]


async def test_error_of_the_content_comes_unchanged_and_the_old_file_stays(
    make_driver, folder, uploads_below
):
    driver = make_driver(multipart_threshold=5 * MIB, part_size=5 * MIB)
    path = f"{folder}/file"
    await driver.put(path, b"old")
    error = OSError("mine")

    async def failing():
        for _ in range(12):
            yield BIG[:MIB]
        raise error

    def failing_blocking():
        yield BIG[: 11 * MIB]
        raise error

    for source in (failing(), failing_blocking()):
        with pytest.raises(OSError, match="mine") as caught:
            await driver.put(path, source)
        assert caught.value is error
    assert await driver.get(path) == b"old"
    assert uploads_below(folder) == []


@pytest.mark.parametrize("threshold", [5 * MIB, 64 * MIB])
async def test_copy_keeps_everything_but_what_options_change(
    make_driver, folder, uploads_below, threshold
):
    driver = make_driver(copy_threshold=threshold)
    src, dst = f"{folder}/ü source", f"{folder}/a+b/target"
    content = BIG[: 11 * MIB]
    await driver.write_file(
        src,
        content,
        WriteOptions(content_type="a/b", cache_control="no-cache", metadata={"x": "ü"}),
    )
    etag = await driver.copy_file(src, dst, WriteOptions())
    stat = await driver.stat(dst)
    assert (stat.etag, stat.size) == (etag, len(content))
    assert (stat.content_type, stat.cache_control) == ("a/b", "no-cache")
    assert stat.metadata == {"x": "ü"}
    assert await driver.get(dst) == content
    await driver.copy_file(src, dst, WriteOptions(content_type="c/d"))
    stat = await driver.stat(dst)
    assert (stat.content_type, stat.cache_control) == ("c/d", "no-cache")
    assert stat.metadata == {"x": "ü"}
    await driver.copy_file(src, dst, WriteOptions(metadata={"y": "z"}))
    assert (await driver.stat(dst)).metadata == {"y": "z"}
    with pytest.raises(FileExistsException) as caught:
        await driver.copy_file(src, dst, WriteOptions(overwrite=False))
    assert caught.value.path == dst
    await driver.copy_file(src, f"{folder}/new", WriteOptions(overwrite=False))
    with pytest.raises(PreconditionFailedException):
        await driver.copy_file(src, dst, WriteOptions(if_source_match='"0"'))
    assert uploads_below(folder) == []


async def test_a_move_leaves_one_file_and_onto_itself_changes_nothing(driver, folder):
    src, dst = f"{folder}/a", f"{folder}/b"
    etag = await driver.write_file(src, b"1", WriteOptions(metadata={"x": "y"}))
    assert await driver.move_file(src, src, WriteOptions()) == etag
    assert await driver.get(src) == b"1"
    await driver.put(dst, b"there")
    with pytest.raises(FileExistsException):
        await driver.move_file(src, dst, WriteOptions(overwrite=False))
    assert await driver.get(src) == b"1"
    await driver.move_file(src, dst, WriteOptions(if_source_match=etag))
    assert not await driver.exists(src)
    assert await driver.get(dst) == b"1"
    assert (await driver.stat(dst)).metadata == {"x": "y"}


async def test_a_file_replaced_while_it_is_moved_is_not_deleted(make_driver, proxy, folder):
    from faulty_proxy import Fault

    driver, direct = make_driver(endpoint_url=proxy.endpoint_url), make_driver()
    await direct.put(f"{folder}/a", b"old")
    proxy.faults = [Fault(method="DELETE", before=lambda: direct.put(f"{folder}/a", b"new"))]
    with pytest.raises(PreconditionFailedException, match="the copy stays"):
        await driver.move_file(f"{folder}/a", f"{folder}/b", WriteOptions())
    assert await direct.get(f"{folder}/a") == b"new"
    assert await direct.get(f"{folder}/b") == b"old"


async def test_visibility_is_what_was_asked_for(make_driver, folder):
    driver = make_driver()
    for visibility in (Visibility.PUBLIC, Visibility.PRIVATE):
        path = f"{folder}/{visibility}"
        await driver.write_file(path, b"1", WriteOptions(visibility=visibility))
        assert await driver.visibility(path) is visibility
        await driver.copy_file(path, f"{path} copy", WriteOptions(visibility=Visibility.PUBLIC))
        assert await driver.visibility(f"{path} copy") is Visibility.PUBLIC
    await driver.set_visibility(f"{folder}/public", Visibility.PRIVATE)
    assert await driver.visibility(f"{folder}/public") is Visibility.PRIVATE


async def test_new_files_have_the_visibility_of_the_disk(make_driver, folder):
    driver, plain = make_driver(visibility="public"), make_driver()
    await driver.put(f"{folder}/put", b"1")
    await driver.write_file(f"{folder}/written", b"1", WriteOptions())
    await plain.put(f"{folder}/private", b"1")
    await driver.copy_file(f"{folder}/private", f"{folder}/copied", WriteOptions())
    for name in ("put", "written", "copied"):
        assert await driver.visibility(f"{folder}/{name}") is Visibility.PUBLIC
    await driver.put(f"{folder}/private", b"2")
    assert await driver.visibility(f"{folder}/private") is Visibility.PUBLIC


async def test_write_file_takes_what_driver_content_makes(driver, folder):
    content = driver_content(io.BytesIO(b"rest of a file"))
    assert await driver.write_file(f"{folder}/file", content, WriteOptions())
    assert await driver.get(f"{folder}/file") == b"rest of a file"
