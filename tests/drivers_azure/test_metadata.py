"""What is declared of files, copies of it, and its changes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from faulty_proxy import Fault
from jtc.storage import exceptions
from jtc.storage.drivers.azure_driver._objects import copying
from jtc.storage.options import WriteOptions

DECLARED = {
    "content_type": "text/x-own",
    "cache_control": "max-age=7",
    "content_disposition": 'attachment; filename="a"',
    "content_encoding": "gzip",
    "metadata": {"a-b": "ü", "1": "one", "-x": "two", "hdi-isfolder": "true", "empty": ""},
}


@pytest.fixture
async def path(driver, folder):
    options = WriteOptions(**DECLARED, driver_options={"Tags": {"k": "v w"}, "AccessTier": "Cool"})
    await driver.write_file(f"{folder}/file", b"content", options)
    return f"{folder}/file"


def declared(info):
    return {name: getattr(info, name) for name in DECLARED}


def stored(azurite, path):
    headers, _ = azurite.request("HEAD", f"{azurite.container}/{path}")
    return headers


def tags(azurite, path):
    return azurite.request("GET", f"{azurite.container}/{path}", {"comp": "tags"})[1].decode()


async def test_all_that_is_declared_comes_back(azurite, driver, path):
    info = await driver.stat(path)
    assert declared(info) == DECLARED
    assert info.checksums == {"md5": "9a0364b9e99bb480dd25e1f0284c8555"}
    assert stored(azurite, path)["x-ms-access-tier"] == "Cool"
    assert "<Value>v w</Value>" in tags(azurite, path)


async def test_metadata_of_other_programs_is_read_as_it_is(azurite, driver, folder):
    headers = {"x-ms-blob-type": "BlockBlob", "x-ms-meta-Their_Name": "=? no word"}
    azurite.request("PUT", f"{azurite.container}/{folder}/theirs", None, headers)
    assert (await driver.stat(f"{folder}/theirs")).metadata == {"their-name": "=? no word"}


@pytest.mark.parametrize(
    "changes",
    [
        {"content_type": "text/x-new"},
        {"metadata": {"new": "1"}},
        {"metadata": {}},
        {"content_type": "text/x-new", "metadata": {"new": "1"}},
        {"cache_control": "no-store", "metadata": {}},
    ],
)
async def test_update_of_metadata_keeps_all_else(azurite, driver, path, changes):
    before = await driver.stat(path)
    etag = await driver.update_metadata(path, WriteOptions(**changes, if_match=before.etag))
    after = await driver.stat(path)
    assert after.etag == etag != before.etag
    assert declared(after) == DECLARED | changes
    assert after.checksums == before.checksums
    assert await driver.get(path) == b"content"
    assert stored(azurite, path)["x-ms-access-tier"] == "Cool"
    assert "<Value>v w</Value>" in tags(azurite, path)


async def test_update_of_headers_and_metadata_is_never_seen_half(driver, path):
    seen = set()

    async def watch():
        while True:
            info = await driver.stat(path)
            seen.add((info.content_type, info.metadata["n"]))

    await driver.update_metadata(path, WriteOptions(content_type="text/0", metadata={"n": "0"}))
    watching = asyncio.create_task(watch())
    for number in range(1, 6):
        options = WriteOptions(content_type=f"text/{number}", metadata={"n": str(number)})
        await driver.update_metadata(path, options)
    watching.cancel()
    assert all(kind == f"text/{number}" for kind, number in seen)
    assert len(seen) > 1


async def test_update_of_empty_file_needs_no_blocks(driver, folder):
    path = f"{folder}/empty"
    await driver.put(path, b"")
    await driver.update_metadata(path, WriteOptions(content_type="text/x", metadata={"a": "1"}))
    info = await driver.stat(path)
    assert (info.size, info.content_type, info.metadata) == (0, "text/x", {"a": "1"})


@pytest.mark.parametrize("both", [True, False])
async def test_update_of_a_file_that_is_replaced_meanwhile_fails(
    make_driver, proxy, driver, path, both
):
    async def replace():
        await driver.put(path, b"other")

    key = "comp=blocklist" if both else "comp=metadata"
    proxy.faults = [Fault("PUT", key, before=replace)]
    url = f"{proxy.endpoint_url}/{Path(proxy.target).name}"
    options = WriteOptions(metadata={"a": "1"}, content_type="text/x" if both else None)
    # What the store copies it reads at its own URL, which is the proxy's here.
    with pytest.raises(exceptions.PreconditionFailedException, match="replaced"):
        await make_driver(endpoint_url=url).update_metadata(path, options)
    assert await driver.get(path) == b"other"


async def test_update_of_missing_file_is_not_found(driver, folder):
    for options in (WriteOptions(metadata={}), WriteOptions(metadata={}, if_match='"0x1"')):
        with pytest.raises(exceptions.FileNotFoundException):
            await driver.update_metadata(f"{folder}/missing", options)


@pytest.mark.parametrize("changes", [{}, {"metadata": {"n": "1"}}, {"content_type": "text/x-new"}])
@pytest.mark.parametrize("limit", [256 * 2**20, 3])
async def test_copy_has_what_was_declared_but_for_the_changes(
    azurite, driver, path, folder, monkeypatch, changes, limit
):
    monkeypatch.setattr(copying, "_COPIED_AT_ONCE", limit)
    etag = await driver.copy_file(path, f"{folder}/copy", WriteOptions(**changes))
    info = await driver.stat(f"{folder}/copy")
    assert info.etag == etag
    assert declared(info) == DECLARED | changes
    assert await driver.get(f"{folder}/copy") == b"content"
    assert "<Value>v w</Value>" in tags(azurite, f"{folder}/copy")


async def test_copy_has_driver_options_of_its_own(azurite, driver, path, folder):
    options = WriteOptions(driver_options={"AccessTier": "Hot", "ContentLanguage": "de"})
    await driver.copy_file(path, f"{folder}/copy", options)
    headers = stored(azurite, f"{folder}/copy")
    assert (headers["x-ms-access-tier"], headers["content-language"]) == ("Hot", "de")


async def test_copy_in_blocks_is_of_one_version(driver, path, folder, monkeypatch):
    monkeypatch.setattr(copying, "_COPIED_AT_ONCE", 0)
    recomposed = copying._recomposed

    async def raced(*arguments):
        await driver.put(path, b"replaced")
        return await recomposed(*arguments)

    monkeypatch.setattr(copying, "_recomposed", raced)
    with pytest.raises(exceptions.PreconditionFailedException, match="source was replaced"):
        await driver.copy_file(path, f"{folder}/copy", WriteOptions())
    assert not await driver.exists(f"{folder}/copy")


async def test_move_of_a_file_that_is_replaced_meanwhile_leaves_both(
    driver, path, folder, monkeypatch
):
    copied = copying._copied

    async def raced(*arguments):
        etag = await copied(*arguments)
        await driver.put(path, b"replaced")
        return etag

    monkeypatch.setattr(copying, "_copied", raced)
    with pytest.raises(exceptions.PreconditionFailedException, match="the copy stays"):
        await driver.move_file(path, f"{folder}/moved", WriteOptions())
    assert await driver.get(path) == b"replaced"
    assert await driver.get(f"{folder}/moved") == b"content"


@pytest.mark.parametrize("how", ["sas_token", "account_key"])
async def test_copies_work_with_each_way_to_sign(make_driver, folder, how, container_sas):
    options = {"sas_token": container_sas, "account_key": None} if how == "sas_token" else {}
    driver = make_driver(**options)
    await driver.put(f"{folder}/a", b"1")
    await driver.copy_file(f"{folder}/a", f"{folder}/b", WriteOptions())
    await driver.move_file(f"{folder}/b", f"{folder}/c", WriteOptions(content_type="text/x"))
    assert await driver.get(f"{folder}/c") == b"1"
