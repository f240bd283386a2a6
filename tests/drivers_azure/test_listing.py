"""Directory listings: pages, order, names, and what marks a directory."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from jtc.storage import exceptions
from jtc.storage.drivers.azure_driver._objects import listing
from jtc.storage.models import DirectoryInfo, FileInfo
from jtc.storage.options import DeleteOptions, ListOptions
from scripted_store import ALWAYS, Answer, Rule

MODIFIED = "Fri, 26 Jun 2015 23:39:12 GMT"


@pytest.fixture
async def directory(driver, folder):
    for name in ("a/1", "a/2", "a-b", "b", "c/d/1", "e"):
        await driver.put(f"{folder}/{name}", b"1")
    return folder


async def names(driver, prefix, **options):
    entries = [each async for each in driver.list_entries(prefix, ListOptions(**options))]
    return [
        each.path.removeprefix(f"{prefix}/") + ("/" if isinstance(each, DirectoryInfo) else "")
        for each in entries
    ]


@pytest.mark.parametrize("page", [1, 2, 3, 5000])
async def test_pages_of_any_size_make_one_listing(driver, directory, monkeypatch, page):
    monkeypatch.setattr(listing, "PAGE", page)
    assert await names(driver, directory, recursive=False) == ["a-b", "a/", "b", "c/", "e"]
    everything = ["a-b", "a/1", "a/2", "b", "c/d/1", "e"]
    assert await names(driver, directory, recursive=True) == everything
    walked = ["a-b", "a/", "a/1", "a/2", "b", "c/", "c/d/", "c/d/1", "e"]
    assert await names(driver, directory, recursive=True, directories=True) == walked


@pytest.mark.parametrize("page", [2, 5000])
@pytest.mark.parametrize("recursive", [True, False])
async def test_listing_goes_on_after_each_of_its_entries(
    driver, directory, monkeypatch, page, recursive
):
    monkeypatch.setattr(listing, "PAGE", page)
    whole = await names(driver, directory, recursive=recursive, directories=recursive)
    for at, name in enumerate(whole, start=1):
        after = f"{directory}/{name}"
        options = {"recursive": recursive, "directories": recursive, "start_after": after}
        assert await names(driver, directory, **options) == whole[at:]


async def test_listing_begins_at_a_name_where_the_service_can(scripted, scripted_driver):
    page = document(blob("a/2"), blob("a/3"))
    scripted.rule(Rule(answer=Answer(200, {}, page), times=ALWAYS))
    driver = scripted_driver()
    assert await names(driver, "a", recursive=True, start_after="a/2") == ["3"]
    (request,) = scripted.requests
    assert parse_qs(urlsplit(request.target).query)["startFrom"] == ["a/2"]
    assert request.headers["x-ms-version"] == "2026-02-06"


async def test_listing_reads_on_where_the_service_cannot_begin_at_a_name(scripted, scripted_driver):
    old = Answer(400, {"x-ms-error-code": "InvalidHeaderValue"})
    scripted.rule(Rule(where=lambda each: "startFrom" in each.target, answer=old, times=ALWAYS))
    page = document(blob("a/1"), blob("a/2"), blob("a/3"))
    scripted.rule(Rule(answer=Answer(200, {}, page), times=ALWAYS))
    driver = scripted_driver()
    for _ in range(2):
        assert await names(driver, "a", recursive=True, start_after="a/2") == ["3"]
    assert len(scripted.requests) == 3  # it is known from then on


async def test_listing_reads_names_that_xml_cannot_hold(scripted, scripted_driver):
    page = document(
        blob("a/x%EF%BF%BFy", encoded=True),
        blob("a/%41"),
        "<BlobPrefix><Name>a/d/</Name></BlobPrefix>",
    )
    scripted.rule(Rule(answer=Answer(200, {}, page), times=ALWAYS))
    # The policy refuses the first one.
    assert await names(scripted_driver(), "a", recursive=False) == ["%41", "d/"]


async def test_metadata_named_as_a_property_changes_no_entry(scripted, scripted_driver):
    inside = "<Name>a/2</Name><Etag>0x9</Etag><NextMarker>a</NextMarker><Blob>1</Blob>"
    page = document(blob("a/1", inside=inside))
    scripted.rule(Rule(answer=Answer(200, {}, page), times=ALWAYS))
    entries = [each async for each in scripted_driver().list_entries("a", ListOptions())]
    assert [(each.path, each.etag) for each in entries] == [("a/1", '"0x1"')]


async def test_listing_that_goes_round_in_a_circle_ends(scripted, scripted_driver):
    page = document(blob("a/1"), marker="again")
    scripted.rule(Rule(answer=Answer(200, {}, page), times=ALWAYS))
    with pytest.raises(exceptions.StorageUnavailableException, match="circle"):
        await names(scripted_driver(), "a", recursive=True)


@pytest.mark.parametrize(
    "page",
    [
        b"no xml",
        b"<Other/>",
        b"<!DOCTYPE a><EnumerationResults/>",
        "<!DOCTYPE a><EnumerationResults/>".encode("utf-16"),
        b"<EnumerationResults><Blobs>",
        b"",
        b"<EnumerationResults><Blobs><Blob><Name>a/1</Name></Blob></Blobs></EnumerationResults>",
    ],
)
async def test_listing_that_cannot_be_understood_is_never_an_empty_one(
    scripted, scripted_driver, page
):
    scripted.rule(Rule(answer=Answer(200, {}, page), times=ALWAYS))
    with pytest.raises(exceptions.StorageUnavailableException, match="cannot be understood"):
        await names(scripted_driver(), "a", recursive=True)


async def test_reader_of_the_first_entry_requests_one_page(scripted, scripted_driver):
    scripted.rule(Rule(answer=Answer(200, {}, document(blob("a/1"), marker="more")), times=ALWAYS))
    entries = scripted_driver().list_entries("a", ListOptions())
    assert (await anext(entries)).path == "a/1"
    await entries.aclose()
    assert len(scripted.requests) == 1


async def test_empty_page_is_not_the_end(scripted, scripted_driver):
    scripted.rule(Rule(answer=Answer(200, {}, document(marker="more"))))
    scripted.rule(Rule(answer=Answer(200, {}, document(blob("a/1")))))
    assert await names(scripted_driver(), "a", recursive=True) == ["1"]


async def test_marker_of_hadoop_is_a_directory(driver, folder, azurite):
    headers = {"x-ms-blob-type": "BlockBlob", "x-ms-meta-hdi_isfolder": "true"}
    for name in ("d", "empty"):
        azurite.request("PUT", f"{azurite.container}/{folder}/{name}", None, headers)
    await driver.put(f"{folder}/d/1", b"1")
    await driver.put(f"{folder}/d-1", b"1")
    assert await names(driver, folder, recursive=False) == ["d-1", "d/", "empty/"]
    assert await names(driver, folder, recursive=True) == ["d-1", "d/1"]
    walked = await names(driver, folder, recursive=True, directories=True)
    assert walked == ["d-1", "d/", "d/1", "empty/"]
    assert not await driver.exists(f"{folder}/d")
    for call in (driver.get(f"{folder}/d"), driver.stat(f"{folder}/d"), driver.size(f"{folder}/d")):
        with pytest.raises(exceptions.FileNotFoundException):
            await call
    itself = driver.list_entries(f"{folder}/empty", ListOptions(itself=True))
    assert [each.path async for each in itself] == [f"{folder}/empty"]
    assert await driver.remove_empty_directory(f"{folder}/empty")
    assert not await driver.remove_empty_directory(f"{folder}/empty")
    with pytest.raises(exceptions.PathConflictException, match="not empty"):
        await driver.remove_empty_directory(f"{folder}/d")
    await driver.delete_directory(f"{folder}/d")
    assert await names(driver, folder, recursive=True, directories=True) == ["d-1"]


class Hierarchical:
    """Answers as an account that keeps directories: ``d`` with a file, ``e`` without."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    def __call__(self, request):
        query = {
            name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()
        }
        name = request.key.removeprefix("container").removeprefix("/")
        directory = {"etag": '"0x2"', "x-ms-meta-hdi_isfolder": "true", "last-modified": MODIFIED}
        if query.get("restype") == "account":
            return Answer(200, {"x-ms-is-hns-enabled": "true"})
        if query.get("comp") == "list":
            below = [blob("d/1")] if query["prefix"] == "d/" and "d/1" not in self.deleted else []
            return Answer(200, {}, document(*below))
        if request.method == "HEAD" and name in ("d", "e"):
            return Answer(200, directory)
        if request.method == "PUT" and name in ("d", "e"):
            return Answer(409, {"x-ms-error-code": "BlobAlreadyExists"})
        if request.method == "DELETE":
            if name == "d" and "d/1" not in self.deleted:
                return Answer(409, {"x-ms-error-code": "DirectoryIsNotEmpty"})
            self.deleted.append(name)
            return Answer(202)
        if request.method == "PUT":
            return Answer(201, {"etag": '"0x3"'})
        return Answer(404, {"x-ms-error-code": "BlobNotFound"})


async def test_directory_of_an_account_that_keeps_them_is_no_file(scripted, scripted_driver):
    account = Hierarchical()
    scripted.rule(Rule(answer=account, times=ALWAYS))
    driver = scripted_driver()
    assert not await driver.delete("e")
    assert not await driver.delete_file("e", DeleteOptions())
    assert await driver.delete_many(["e", "x"]) == {"e": False, "x": False}
    assert account.deleted == []
    await driver.make_directory("e")
    await driver.make_directory("new")
    made = next(each for each in scripted.requests if each.key == "container/new")
    assert made.headers["x-ms-meta-hdi_isfolder"] == "true"
    with pytest.raises(exceptions.PathConflictException):
        await driver.remove_empty_directory("d")
    assert await driver.remove_empty_directory("e")
    await driver.delete_directory("d")
    assert account.deleted == ["e", "d/1", "d"]


async def test_account_that_cannot_be_asked_may_keep_directories(scripted, scripted_driver):
    denied = Answer(403, {"x-ms-error-code": "AuthorizationPermissionMismatch"})
    scripted.rule(Rule(where=lambda each: "restype=account" in each.target, answer=denied))
    missing = Answer(404, {"x-ms-error-code": "BlobNotFound"})
    scripted.rule(Rule(answer=missing, times=ALWAYS))
    assert not await scripted_driver().delete("a")
    assert [each.method for each in scripted.requests] == ["GET", "HEAD"]


async def test_listed_file_has_the_metadata_of_stat(driver, directory):
    (entry,) = [each async for each in driver.list_entries(f"{directory}/c/d", ListOptions())]
    there = await driver.stat(f"{directory}/c/d/1")
    assert isinstance(entry, FileInfo)
    assert (entry.size, entry.etag, entry.last_modified) == (
        there.size,
        there.etag,
        there.last_modified,
    )


def blob(name, *, encoded=False, inside=""):
    attribute = ' Encoded="true"' if encoded else ""
    return (
        f"<Blob><Name{attribute}>{name}</Name><Properties>"
        f"<Last-Modified>{MODIFIED}</Last-Modified><Etag>0x1</Etag>"
        f"<Content-Length>1</Content-Length></Properties><Metadata>{inside}</Metadata></Blob>"
    )


def document(*entries, marker=""):
    text = f"<Blobs>{''.join(entries)}</Blobs><NextMarker>{marker}</NextMarker>"
    declaration = '\ufeff<?xml version="1.0" encoding="utf-8"?>'
    return f"{declaration}<EnumerationResults>{text}</EnumerationResults>".encode()
