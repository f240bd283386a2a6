"""Answers that are no success, that lack headers, and that never end."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from disk_calls import CALLS, IN_PARTS, LARGE, fill
from jtc.storage import (
    IntegrityException,
    StorageException,
    StorageManager,
    StoragePermissionException,
    StorageUnavailableException,
)
from jtc.storage.drivers.local_driver import LocalDriver
from scripted_store import ALWAYS, Answer, Request, Rule, ScriptedStore, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from jtc.storage import Disk

MakeDisk = Callable[..., "Disk"]

MIB = 1024 * 1024

HTML = Answer(200, {"content-type": "text/html"}, b"<html><body>Log in</body></html>")
NO_SUCCESS = {
    "nothing": Answer(200),
    "a page": HTML,
    "an error": refusal(200, "InternalError"),
    "another document": Answer(200, {}, b'<Other><ETag>"1"</ETag></Other>'),
    "half a document": Answer(200, {}, b"<CopyObjectResult><ETag>"),
    "no etag": Answer(
        200,
        {},
        b"<CopyObjectResult><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
        b"</CopyObjectResult>",
    ),
    "an empty etag": Answer(200, {}, b"<CopyObjectResult><ETag></ETag></CopyObjectResult>"),
}


async def test_put_in_parts_takes_upload_id_from_a_document_of_the_operations_name(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    def named_otherwise(_: Request) -> Answer:
        (upload_id,) = store.uploads
        body = (
            f"<InitiateMultipartUpload><UploadId>{upload_id}</UploadId></InitiateMultipartUpload>"
        )
        return Answer(200, {}, body.encode())

    store.rule(Rule(operations="CreateMultipartUpload", apply=True, answer=named_otherwise))
    await make_disk(store, **IN_PARTS).put("large", LARGE)
    assert store.content("large") == LARGE


async def test_make_directory_needs_no_etag_of_a_store_and_no_other_answer_makes_one(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    disk = make_disk(store)
    without_etag = Answer(200, {"x-amz-request-id": "1"})
    store.rule(Rule(operations="PutObject", apply=True, answer=without_etag))
    await disk.make_directory("d")
    assert await disk.directory_exists("d")
    store.rule(Rule(operations="PutObject", times=ALWAYS, answer=HTML))
    with pytest.raises(StorageException):
        await disk.make_directory("e")


async def test_make_directory_makes_its_parents_which_stay_without_it(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    disk = make_disk(store)
    await disk.make_directory("one/two")
    await disk.delete_directory("one/two")
    assert await disk.all_directories() == ["one"]


# No success without its etag


@pytest.mark.parametrize("answer", NO_SUCCESS)
@pytest.mark.parametrize(
    ("name", "operation"), [("move", "CopyObject"), ("move in parts", "UploadPartCopy")]
)
async def test_move_keeps_the_source_unless_the_copy_has_an_etag(
    store: ScriptedStore, make_disk: MakeDisk, name: str, operation: str, answer: str
) -> None:
    fill(store)
    store.rule(Rule(operations=operation, times=ALWAYS, answer=NO_SUCCESS[answer]))
    with pytest.raises(StorageException):
        await CALLS[name](make_disk(store, **IN_PARTS))
    assert {"a", "large"} <= set(store.objects)
    assert store.of("DeleteObject") == []


@pytest.mark.parametrize("answer", NO_SUCCESS)
@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("copy", "CopyObject"),
        ("copy in parts", "UploadPartCopy"),
        ("copy in parts", "CompleteMultipartUpload"),
        ("put", "PutObject"),
        ("put in parts", "CreateMultipartUpload"),
        ("put in parts", "UploadPart"),
        ("put in parts", "CompleteMultipartUpload"),
        ("move in parts", "CompleteMultipartUpload"),
        ("set_metadata", "CopyObject PutObject"),
        ("append", "PutObject"),
    ],
)
async def test_write_without_an_etag_in_the_answer_is_an_error(
    store: ScriptedStore, make_disk: MakeDisk, name: str, operation: str, answer: str
) -> None:
    fill(store)
    store.rule(Rule(operations=operation, times=ALWAYS, answer=NO_SUCCESS[answer]))
    with pytest.raises(StorageException):
        await CALLS[name](make_disk(store, **IN_PARTS))
    assert "new" not in store.objects
    assert store.content("a") == b"content"
    assert store.content("large") == LARGE


async def test_copy_that_fails_within_a_200_is_retried(store: ScriptedStore, disk: Disk) -> None:
    store.store("a", b"content")
    store.rule(Rule(operations="CopyObject", answer=refusal(200, "InternalError")))
    await disk.copy("a", "new")
    assert store.content("new") == b"content"
    assert len(store.of("CopyObject")) == 2


@pytest.mark.parametrize("answer", [Answer(200), HTML], ids=["nothing", "a page"])
@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("list", "ListObjectsV2"),
        ("directory_exists", "ListObjectsV2"),
        ("delete_directory", "ListObjectsV2"),
        ("visibility", "GetObjectAcl"),
        ("abort_stale_uploads", "ListMultipartUploads"),
    ],
)
async def test_answer_without_its_document_is_an_error(
    store: ScriptedStore, disk: Disk, name: str, operation: str, answer: Answer
) -> None:
    fill(store)
    store.rule(Rule(operations=operation, times=ALWAYS, answer=answer))
    with pytest.raises(StorageException):
        await CALLS[name](disk)


# Listings


@pytest.mark.parametrize("tokens", [True, False])
@pytest.mark.parametrize("is_recursive", [True, False])
async def test_list_of_a_store_without_tokens_is_complete(
    make_disk: MakeDisk, *, tokens: bool, is_recursive: bool
) -> None:
    async with ScriptedStore(tokens=tokens, page_size=3) as store:
        for number in range(5):
            store.store(f"file {number}", b"")
            store.store(f"d{number}/inner", b"")
            store.store(f"d{number}/\U0010fffd", b"")
        disk = make_disk(store)
        paths = [entry.path async for entry in disk.list("", recursive=is_recursive)]
        assert len(paths) == len(set(paths))
        directories = [f"d{number}" for number in range(5)]
        if is_recursive:
            assert {path for path in paths if path not in directories} == set(store.objects)
        else:
            assert sorted(paths) == sorted([*directories, *(f"file {n}" for n in range(5))])


async def test_delete_directory_of_a_store_without_tokens_deletes_all(make_disk: MakeDisk) -> None:
    async with ScriptedStore(tokens=False) as store:
        for number in range(2500):
            store.store(f"d/{number:04}", b"")
        store.store("e", b"")
        disk = make_disk(store)
        assert len(await disk.files("d")) == 2500
        await disk.delete_directory("d")
        assert set(store.objects) == {"e"}


async def test_list_without_tokens_and_keys_is_an_error(store: ScriptedStore, disk: Disk) -> None:
    body = b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"
    store.rule(Rule(times=50, answer=Answer(200, {}, body)))
    with pytest.raises(StorageException):
        await disk.files("")
    assert len(store.requests) < 10


@pytest.mark.parametrize("tokens", [[""], ["A"], ["A", "B"], ["A", "B", "C"]], ids="".join)
async def test_list_of_a_store_that_goes_round_in_a_circle_is_an_error(
    store: ScriptedStore, disk: Disk, tokens: list[str]
) -> None:
    following = itertools.cycle(tokens)
    entry = (
        "<Contents><Key>a</Key><Size>1</Size><LastModified>2026-01-02T03:04:05Z</LastModified>"
        "</Contents>"
    )

    def page(_: Request) -> Answer:
        token = next(following)
        token = token and f"<NextContinuationToken>{token}</NextContinuationToken>"
        text = f"<IsTruncated>true</IsTruncated>{token}{entry}"
        return Answer(200, {}, f"<ListBucketResult>{text}</ListBucketResult>".encode())

    store.rule(Rule(operations="ListObjectsV2", times=50, answer=page))
    with pytest.raises(StorageException, match="circle"):
        await disk.files("")
    assert len(store.requests) < 20


def _listed(*keys: str) -> Answer:
    dated = "<Size>1</Size><LastModified>2026-01-02T03:04:05Z</LastModified>"
    entries = "".join(f"<Contents><Key>{key}</Key>{dated}</Contents>" for key in keys)
    return Answer(200, {}, f"<ListBucketResult>{entries}</ListBucketResult>".encode())


async def test_delete_directory_of_a_store_that_lists_other_keys_deletes_none(
    store: ScriptedStore, disk: Disk
) -> None:
    for key in ("pre/a", "other"):
        store.store(key, b"1")
    store.rule(Rule(operations="ListObjectsV2", times=50, answer=_listed("other", "pre/a")))
    for call in (disk.delete_directory("pre"), disk.all_files("pre")):
        with pytest.raises(StorageException, match="keys that are not below 'pre/'"):
            await call
    assert sorted(store.objects) == ["other", "pre/a"]


async def test_list_out_of_order_has_file_whose_name_begins_another_one(
    store: ScriptedStore, disk: Disk
) -> None:
    store.rule(Rule(operations="ListObjectsV2", answer=_listed("ab", "a", "b")))
    assert sorted(await disk.all_files()) == ["a", "ab", "b"]


async def test_sync_copies_no_answer_that_is_not_of_the_planned_version(
    store: ScriptedStore, disk: Disk, tmp_path: Path
) -> None:
    target = StorageManager.isolated()
    target.set_driver(LocalDriver(tmp_path), "copy")
    copy = target.disk("copy")
    await copy.put("a", b"before")
    await disk.put("a", b"content")
    plan = await disk.plan_sync(to=copy)
    store.rule(Rule(operations="GetObject", times=ALWAYS, answer=HTML))
    (result,) = [each async for each in plan.run()]
    assert isinstance(result.error, StorageUnavailableException)
    assert await copy.get("a") == b"before"


# Ranges


VERSION = {"etag": '"1"', "last-modified": "Fri, 02 Jan 2026 03:04:05 GMT"}
PARTIAL = {
    "a part": {"content-range": "bytes 0-4/10"},
    "no range": {},
}


@pytest.mark.parametrize("headers", PARTIAL)
@pytest.mark.parametrize("name", ["get", "stream"])
async def test_get_refuses_a_part_that_it_did_not_ask_for(
    store: ScriptedStore, disk: Disk, name: str, headers: str
) -> None:
    answer = Answer(206, {**VERSION, **PARTIAL[headers]}, b"12345")
    store.rule(Rule(operations="GetObject", times=ALWAYS, answer=answer))
    with pytest.raises(IntegrityException):
        await CALLS[name](disk)


async def test_get_range_of_a_store_without_ranges_is_that_range(
    store: ScriptedStore, disk: Disk
) -> None:
    store.store("a", b"0123456789")
    store.rule(Rule(operations="GetObject", times=ALWAYS, ignore=("range",)))
    try:
        content = await disk.get_range("a", 2, 4)
    except StorageException:
        return
    assert content == b"23"


@pytest.mark.parametrize("first", [0, 2])
async def test_get_range_asks_again_where_an_answer_does_not_say_which_range_it_is(
    store: ScriptedStore, disk: Disk, first: int
) -> None:
    store.store("a", b"0123456789")
    store.rule(Rule(operations="GetObject", edit={"content-range": None}))
    assert await disk.get_range("a", first, 4) == b"0123456789"[first:4]


async def test_get_range_refuses_another_range(store: ScriptedStore, disk: Disk) -> None:
    store.store("a", b"0123456789")
    edit: dict[str, str | None] = {"content-range": "bytes 3-6/10"}
    store.rule(Rule(operations="GetObject", times=ALWAYS, edit=edit))
    with pytest.raises(IntegrityException):
        await disk.get_range("a", 2, 4)


@pytest.mark.parametrize(
    "edit", [{}, {"etag": None}, {"etag": 'W/"1"'}], ids=["etag", "no etag", "weak etag"]
)
async def test_get_range_of_a_store_without_conditions_mixes_no_versions(
    store: ScriptedStore, disk: Disk, edit: dict[str, str | None]
) -> None:
    store.store("a", bytes(4 * MIB))

    def replaced(_: Request) -> bool:
        store.store("a", b"\1" * (5 * MIB))
        return True

    store.rule(Rule(operations="GetObject", cut=MIB, edit=edit))
    ignored = ("if-match",)
    store.rule(Rule(operations="GetObject", where=replaced, edit=edit, ignore=ignored))
    with pytest.raises(IntegrityException, match="replaced"):
        await disk.get_range("a", 1, 4 * MIB)


# Answers that lack headers

LACKING: dict[str, dict[str, str | None]] = {
    "etag": {"etag": None},
    "weak etag": {"etag": 'W/"1"'},
    "last-modified": {"last-modified": None},
    "content-type": {"content-type": None},
    "date and last-modified": {"last-modified": None, "date": None},
}
READING = "GetObject HeadObject"


@pytest.mark.parametrize("lacking", LACKING)
async def test_files_of_a_store_that_lacks_headers_can_be_used(
    store: ScriptedStore, disk: Disk, lacking: str
) -> None:
    store.store("a", b"content")
    store.rule(Rule(operations=READING, times=ALWAYS, edit=LACKING[lacking]))
    assert await disk.get("a") == b"content"
    assert b"".join([chunk async for chunk in disk.stream("a")]) == b"content"
    assert await disk.get_range("a", 1, 4) == b"ont"
    found = await disk.stat("a")
    assert found.size == 7
    assert found.last_modified > 0
    if lacking == "etag":
        assert found.etag is None
    assert await disk.exists("a")
    await disk.copy("a", "b")
    assert store.content("b") == b"content"
    await disk.move("b", "c")
    assert store.content("c") == b"content"
    assert "b" not in store.objects
    assert await disk.delete("a")
    assert "a" not in store.objects
    assert await disk.delete_many(["c", "none"]) == {"c": True, "none": False}


async def test_files_whose_length_a_head_lacks_can_be_used(
    store: ScriptedStore, disk: Disk
) -> None:
    store.store("a", b"content")
    store.rule(Rule(operations="HeadObject", times=ALWAYS, edit={"content-length": None}))
    assert await disk.exists("a")
    await disk.copy("a", "b")
    await disk.move("b", "c")
    assert store.content("c") == b"content"
    assert await disk.delete("a")
    try:
        assert (await disk.stat("c")).size == 7
    except StorageException as error:
        assert not error.retryable  # noqa: PT017 - a store that says nothing else


@pytest.mark.parametrize("chunked", [True, False])
async def test_get_without_content_length_returns_the_content(
    store: ScriptedStore, disk: Disk, *, chunked: bool
) -> None:
    store.store("a", b"content")
    store.rule(
        Rule(
            operations=READING,
            times=ALWAYS,
            edit={"content-length": None},
            chunked=chunked,
        )
    )
    assert await disk.get("a") == b"content"
    assert b"".join([chunk async for chunk in disk.stream("a")]) == b"content"


async def test_get_without_content_length_that_breaks_off_is_an_error(
    store: ScriptedStore, disk: Disk
) -> None:
    store.store("a", b"content")
    store.rule(Rule(operations="GetObject", times=ALWAYS, chunked=True, cut=3))
    with pytest.raises(StorageUnavailableException):
        await disk.get("a")


async def test_delete_of_a_file_with_a_weak_etag_is_not_called_retryable(
    store: ScriptedStore, disk: Disk
) -> None:
    store.store("a", b"content").etag = 'W/"1"'
    # RFC 9110: a weak etag never matches If-Match.
    refused = refusal(412, "PreconditionFailed")
    store.rule(Rule(where=lambda request: "W/" in str(request.headers), times=9, answer=refused))
    assert await disk.delete("a")
    assert "a" not in store.objects


# Answers that never end

OVERFULL = {
    "list": "ListObjectsV2",
    "delete_directory": "DeleteObjects",
    "delete_many": "DeleteObjects",
    "copy": "CopyObject",
    "copy in parts": "UploadPartCopy",
    "put in parts": "CreateMultipartUpload",
    "move in parts": "CompleteMultipartUpload",
    "visibility": "GetObjectAcl",
    "abort_stale_uploads": "ListMultipartUploads",
}


@pytest.mark.parametrize("name", OVERFULL)
async def test_answer_that_never_ends_is_given_up(
    store: ScriptedStore, make_disk: MakeDisk, name: str
) -> None:
    fill(store)
    rule = store.rule(Rule(operations=OVERFULL[name], fill=48 * MIB))
    with pytest.raises(StorageException):
        await CALLS[name](make_disk(store, max_attempts=1, **IN_PARTS))
    assert rule.taken == 1
    assert 0 < rule.sent < rule.fill


@pytest.mark.parametrize("status", [400, 403, 404, 412, 503])
async def test_error_that_never_ends_is_given_up(
    store: ScriptedStore, make_disk: MakeDisk, status: int
) -> None:
    rule = store.rule(Rule(answer=refusal(status, "Code"), fill=48 * MIB))
    with pytest.raises(StorageException):
        await make_disk(store, max_attempts=1).get("a")
    assert rule.sent < rule.fill


async def test_listing_of_the_longest_keys_is_no_answer_too_long(
    store: ScriptedStore, disk: Disk
) -> None:
    # A thousand bytes, most of them sent as three.
    keys = [f"{number:04}" + 4 * f"/{120 * chr(0xFC)}" for number in range(1000)]
    for key in keys:
        store.store(key, b"")
    assert await disk.all_files("") == keys
    assert len(store.requests) == 1


# What an error says


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal(403, "AccessDenied", "Ask the owner"), StoragePermissionException),
        (refusal(503, "SlowDown", "Ask the owner"), StorageUnavailableException),
        (refusal(400, "OddCode", "Ask the owner"), StorageException),
    ],
    ids=["403", "503", "400"],
)
@pytest.mark.parametrize("name", ["get", "list", "put", "put in parts", "copy", "delete_many"])
async def test_error_has_the_store_s_words_in_its_cause(
    store: ScriptedStore,
    make_disk: MakeDisk,
    name: str,
    answer: Answer,
    expected: type[StorageException],
) -> None:
    fill(store)
    store.rule(Rule(where=lambda request: request.method != "HEAD", times=ALWAYS, answer=answer))
    with pytest.raises(expected) as caught:
        await CALLS[name](make_disk(store, **IN_PARTS))
    cause = caught.value.__cause__
    code = answer.body.partition(b"<Code>")[2].partition(b"<")[0].decode()
    assert getattr(cause, "status", None) == answer.status
    assert getattr(cause, "code", None) == code
    assert getattr(cause, "request_id", None) == "REQUEST-ID"
    assert getattr(cause, "message", None) == "Ask the owner"
    assert "SECRET-KEY" not in f"{cause!r} {caught.value!r}"


async def test_error_of_a_head_has_status_and_request_id_in_its_cause(
    store: ScriptedStore, disk: Disk
) -> None:
    store.rule(Rule(answer=Answer(403, {"x-amz-request-id": "REQUEST-ID"})))
    with pytest.raises(StoragePermissionException) as caught:
        await disk.exists("a")
    assert getattr(caught.value.__cause__, "status", None) == 403
    assert getattr(caught.value.__cause__, "request_id", None) == "REQUEST-ID"


ODD_DATES = [
    "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    "Mon, 01 Jan 2020 00:00:00 +9999999999999",
]


@pytest.mark.parametrize("date", ODD_DATES)
async def test_answer_with_a_date_beyond_all_numbers_is_read(
    store: ScriptedStore, make_disk: MakeDisk, date: str
) -> None:
    store.store("a", b"content")
    disk = make_disk(store, max_attempts=1)
    store.rule(Rule(operations="HeadObject", edit={"last-modified": date, "date": date}))
    assert (await disk.stat("a")).size == 7
    odd = {"date": date, "retry-after": date}
    store.rule(Rule(operations="GetObject", answer=refusal(503, "SlowDown"), edit=odd))
    with pytest.raises(StorageUnavailableException):
        await disk.get("a")


async def test_answer_with_a_size_beyond_all_numbers_is_an_error(
    store: ScriptedStore, disk: Disk
) -> None:
    store.store("a", b"content")
    odd = {"content-range": f"bytes 0-6/{'9' * 5000}"}
    answer = Answer(206, {"etag": '"1"'}, b"content")
    store.rule(Rule(operations="GetObject", answer=answer, edit=odd, times=ALWAYS))
    with pytest.raises(StorageException):
        await disk.get_range("a", 0, 7)


async def test_list_answered_by_an_error_with_status_200_is_a_typed_error(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    document = b"<Error><Code>NoSuchKey</Code><Message>m</Message></Error>"
    store.rule(Rule(operations="ListObjectsV2", times=ALWAYS, answer=Answer(200, {}, document)))
    disk = make_disk(store, max_attempts=1)
    for call in (disk.files("d"), disk.delete_directory("d")):
        with pytest.raises(StorageUnavailableException, match="NoSuchKey"):
            await call
