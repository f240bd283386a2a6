"""Listings and directories, on a real store."""

from __future__ import annotations

import asyncio
import logging
from xml.sax.saxutils import escape

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.drivers.s3_driver._objects import listing
from jtc.storage.drivers.s3_driver._transport.xml import continuation_of, read_page
from jtc.storage.exceptions import InvalidPathException
from jtc.storage.models import DirectoryInfo, FileInfo
from jtc.storage.options import ListOptions


async def names(driver, prefix, **arguments):
    return [
        entry.path.removeprefix(f"{prefix}/") + ("/" if isinstance(entry, DirectoryInfo) else "")
        async for entry in driver.list_entries(prefix, ListOptions(**arguments))
    ]


@pytest.fixture
async def tree(driver, folder):
    files = ["a!x", "a-b", "a.txt", "a/1", "a/b/c", "a/b-c", "a-dir/x", "z", "ü/y"]
    await asyncio.gather(*(driver.put(f"{folder}/{name}", b"12") for name in files))
    await driver.make_directory(f"{folder}/made")
    return files


async def test_a_listing_has_each_entry_once(driver, folder, tree):
    shallow = await names(driver, folder)
    assert sorted(shallow) == ["a!x", "a-b", "a-dir/", "a.txt", "a/", "made/", "z", "ü/"]
    deep = await names(driver, folder, recursive=True)
    assert sorted(deep) == sorted(tree)
    assert await names(driver, f"{folder}/nothing") == []
    assert await names(driver, f"{folder}/made") == []


@pytest.mark.usefixtures("tree")
async def test_a_prefix_is_of_whole_parts(driver, folder):
    assert sorted(await names(driver, f"{folder}/a")) == ["1", "b-c", "b/"]


async def test_listed_entry_has_the_metadata_of_stat(driver, folder):
    await driver.put(f"{folder}/file", b"12")
    stat = await driver.stat(f"{folder}/file")
    (entry,) = [entry async for entry in driver.list_entries(folder, ListOptions())]
    assert isinstance(entry, FileInfo)
    assert (entry.path, entry.size, entry.etag) == (stat.path, 2, stat.etag)
    assert entry.last_modified == stat.last_modified


@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.usefixtures("tree")
async def test_a_listing_goes_on_after_each_of_its_keys(driver, folder, recursive):
    everything = await names(driver, folder, recursive=recursive)
    for number, name in enumerate(everything, start=1):
        rest = await names(driver, folder, recursive=recursive, start_after=f"{folder}/{name}")
        assert rest == everything[number:], name


@pytest.mark.usefixtures("tree")
async def test_a_start_outside_of_the_directory_is_before_or_after_all(driver, folder):
    everything = await names(driver, folder)
    assert await names(driver, folder, start_after="a") == everything
    assert await names(driver, folder, start_after="zzz") == []
    assert (
        await names(driver, folder, start_after=f"{folder}/a/b/c")
        == everything[everything.index("a/") + 1 :]
    )


@pytest.mark.usefixtures("tree")
async def test_listed_pages_are_joined_in_one_order(driver, folder, monkeypatch):
    for recursive in (False, True):
        everything = await names(driver, folder, recursive=recursive)
        # Not 1: SeaweedFS takes a page of the directory's own marker alone for the last one.
        for size in (2, 3):
            monkeypatch.setattr(listing, "PAGE", size)
            assert await names(driver, folder, recursive=recursive) == everything
        monkeypatch.undo()


async def test_more_than_a_page_is_listed_and_deleted(driver, folder):
    keys = [f"{folder}/{number:04}" for number in range(1050)]
    slots = asyncio.Semaphore(32)

    async def put(key):
        async with slots:
            await driver.put(key, b"")

    await asyncio.gather(*map(put, keys))
    await driver.put(f"{folder}bar", b"stays")
    listed = [
        entry.path async for entry in driver.list_entries(folder, ListOptions(recursive=True))
    ]
    assert listed == keys
    results = await driver.delete_many([*keys[:1010], f"{folder}/missing", f"/{keys[0]}"])
    assert [path for path, result in results.items() if result is not True] == [f"{folder}/missing"]
    assert results[f"{folder}/missing"] is False
    assert len(await names(driver, folder)) == 40
    await driver.delete_directory(folder)
    assert await names(driver, folder) == []
    assert await driver.get(f"{folder}bar") == b"stays"


@pytest.mark.usefixtures("tree")
async def test_a_deleted_directory_is_gone_with_all_below_it(driver, folder):
    await driver.make_directory(f"{folder}/a/deep/er")
    await driver.delete_directory(f"{folder}/a")
    left = await names(driver, folder)
    assert sorted(left) == ["a!x", "a-b", "a-dir/", "a.txt", "made/", "z", "ü/"]
    await driver.delete_directory(f"{folder}/a")
    await driver.delete_directory(folder)
    assert folder not in [entry.path async for entry in driver.list_entries("", ListOptions())]


async def test_the_root_is_no_directory_to_make_or_delete(driver):
    for call in (driver.make_directory(""), driver.delete_directory("")):
        with pytest.raises(InvalidPathException):
            await call


@pytest.mark.parametrize("recursive", [False, True])
async def test_names_that_the_policy_refuses_are_left_out_with_one_warning(
    driver, folder, store_client, caplog, recursive
):
    for name in ("fine", "zero\u200bwidth", "bidi\u202ename", "dir\u2066/x"):
        store_client.put_object(Bucket="test-bucket", Key=f"{folder}/{name}", Body=b"")
    with caplog.at_level(logging.WARNING, "jtc.storage"):
        assert await names(driver, folder, recursive=recursive) == ["fine"]
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage().startswith("Left out 3 names below")


XML_TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
)


@given(st.one_of(XML_TEXTS, st.from_regex(r"\A[0-9A-Za-z+/=]+\Z")), st.booleans())
async def test_continuation_is_found_before_page_is_parsed(token, first):
    item = "<CommonPrefixes><Prefix>k/</Prefix></CommonPrefixes>"
    following = f"<NextContinuationToken>{escape(token)}</NextContinuationToken>"
    inner = following + item if first else item + following
    document = f"<ListBucketResult>{inner}</ListBucketResult>".encode()
    assert (await read_page(document)).continuation == token
    plain = token.isascii() and "&" not in escape(token)
    assert continuation_of(document) == (token if plain else None)


async def test_a_page_that_says_it_is_the_last_is_believed_whatever_token_it_has():
    asked = []

    async def answer(request):
        asked.append(token := request.query.get("continuation-token", "0"))
        if "encoding-type" not in request.query or int(token) > 1:
            await asyncio.Event().wait()
        return web.Response(
            text=f"""<ListBucketResult><IsTruncated>{str(token == "0").lower()}</IsTruncated>
            <Contents><Key>d/{token}</Key><Size>1</Size>
            <LastModified>2026-01-02T03:04:05.678Z</LastModified></Contents>
            <NextContinuationToken>{int(token) + 1}</NextContinuationToken></ListBucketResult>"""
        )

    application = web.Application()
    application.router.add_get("/bucket", answer)
    async with TestServer(application) as server:
        driver = S3Driver(
            "bucket",
            region="us-east-1",
            access_key="key",
            secret_key="secret",
            endpoint_url=str(server.make_url("")),
        )
        assert await names(driver, "d") == ["0", "1"]
        await driver.aclose()
    # A third page may have been asked for early, and was called off.
    assert asked in (["0", "1"], ["0", "1", "2"])


async def test_directory_exists_is_what_the_listing_of_its_parent_says(driver, folder):
    await driver.make_directory(f"{folder}/marked")
    for path in ("full/a", "emptied/a", "deep/b/c", "file"):
        await driver.put(f"{folder}/{path}", b"1")
    await driver.delete(f"{folder}/emptied/a")
    above = [entry async for entry in driver.list_entries(folder, ListOptions())]
    listed = {entry.path for entry in above if isinstance(entry, DirectoryInfo)}
    for name in ("marked", "full", "emptied", "deep", "deep/b", "file", "missing"):
        path = f"{folder}/{name}"
        itself = [each async for each in driver.list_entries(path, ListOptions(itself=True))]
        expected = [DirectoryInfo(path=path)] if path in listed or name == "deep/b" else []
        assert itself == expected, name
