"""Stores that lack bulk deletes or checksums, and say so in words of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from disk_calls import CALLS, IN_PARTS, fill
from jtc.storage import (
    FileNotFoundException,
    StorageException,
    StoragePermissionException,
    StorageUnavailableException,
)
from scripted_store import ALWAYS, Answer, Request, Rule, ScriptedStore, refusal, until

if TYPE_CHECKING:
    from jtc.storage import Disk

MakeDisk = Callable[..., "Disk"]

NO_BULK_DELETE = [
    (400, "InvalidArgument"),
    (400, "InvalidRequest"),
    (400, "MalformedXML"),
    (400, "MissingArgument"),
    (400, "MissingContentMD5"),
    (404, "NotFound"),
    (405, "MethodNotAllowed"),
    (411, "MissingContentLength"),
    (501, "NotImplemented"),
]


@pytest.mark.parametrize(("status", "code"), NO_BULK_DELETE)
async def test_delete_without_bulk_deletes_is_one_by_one(
    store: ScriptedStore, disk: Disk, status: int, code: str
) -> None:
    fill(store)
    store.rule(Rule(operations="DeleteObjects", times=ALWAYS, answer=refusal(status, code)))
    await disk.delete_directory("d")
    assert sorted(store.objects) == ["a", "large"]
    assert await disk.delete_many(["a", "large", "none"]) == {
        "a": True,
        "large": True,
        "none": False,
    }
    assert store.objects == {}


async def test_delete_one_by_one_is_concurrent(store: ScriptedStore, disk: Disk) -> None:
    for number in range(20):
        store.store(f"d/{number}", b"")
    both = asyncio.Event()
    store.rule(
        Rule(operations="DeleteObjects", times=ALWAYS, answer=refusal(501, "NotImplemented"))
    )
    rule = store.rule(Rule(operations="DeleteObject", times=ALWAYS, hold=both))
    deletion = asyncio.ensure_future(disk.delete_directory("d"))
    await until(lambda: rule.taken >= 2)
    both.set()
    await deletion
    assert store.objects == {}


async def test_delete_of_keys_that_a_bulk_answer_leaves_out_is_one_by_one(
    store: ScriptedStore, disk: Disk
) -> None:
    fill(store)
    empty = Answer(body=b"<DeleteResult></DeleteResult>")
    store.rule(Rule(operations="DeleteObjects", times=ALWAYS, answer=empty))
    await disk.delete_directory("d")
    assert sorted(store.objects) == ["a", "large"]
    assert await disk.delete_many(["a", "large"]) == {"a": True, "large": True}
    assert store.objects == {}


@pytest.mark.parametrize("name", ["delete_directory", "delete_many"])
async def test_bulk_delete_that_is_forbidden_is_not_tried_one_by_one(
    store: ScriptedStore, disk: Disk, name: str
) -> None:
    fill(store)
    store.rule(Rule(operations="DeleteObjects", times=ALWAYS, answer=refusal(403, "AccessDenied")))
    with pytest.raises(StoragePermissionException):
        await CALLS[name](disk)
    assert store.of("DeleteObject") == []


def has_checksum(request: Request) -> bool:
    return any(
        name.startswith(("x-amz-checksum-", "x-amz-sdk-checksum", "x-amz-trailer"))
        for name in request.headers
    )


NO_CHECKSUMS = [
    (400, "InvalidArgument", "Header x-amz-checksum-crc32 is not supported"),
    (400, "InvalidRequest", "Unsupported header 'x-amz-checksum-crc32' received"),
    (400, "InvalidRequest", "Checksum algorithm provided is unsupported"),
    (501, "NotImplemented", "Header 'x-amz-checksum-algorithm' with value 'CRC32' not implemented"),
]


@pytest.mark.parametrize(("status", "code", "message"), NO_CHECKSUMS)
@pytest.mark.parametrize("name", ["put", "put in parts", "append"])
async def test_put_that_is_refused_for_its_checksum_names_the_option(
    store: ScriptedStore, make_disk: MakeDisk, name: str, status: int, code: str, message: str
) -> None:
    fill(store)
    store.rule(
        Rule(
            where=lambda request: request.method in ("PUT", "POST") and has_checksum(request),
            times=ALWAYS,
            answer=refusal(status, code, message),
        )
    )
    with pytest.raises(StorageException, match="checksums = false") as caught:
        await CALLS[name](make_disk(store, **IN_PARTS))
    assert not caught.value.retryable
    await CALLS[name](make_disk(store, checksums=False, **IN_PARTS))


async def test_put_that_is_refused_for_another_argument_does_not_name_checksums(
    store: ScriptedStore, disk: Disk
) -> None:
    answer = refusal(400, "InvalidArgument", "The storage class is not valid")
    store.rule(Rule(operations="PutObject", times=ALWAYS, answer=answer))
    with pytest.raises(StorageException) as caught:
        await disk.put("a", b"content")
    assert "checksums" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(404, "NoSuchKey", FileNotFoundException), (403, "AccessDenied", StoragePermissionException)],
)
async def test_refusal_of_a_file_that_is_called_checksums_does_not_name_the_option(
    store: ScriptedStore, disk: Disk, status: int, code: str, kind: type[StorageException]
) -> None:
    named = "<Key>checksums.txt</Key><Resource>/bucket/checksums.txt</Resource>"
    store.rule(Rule(times=ALWAYS, answer=refusal(status, code, inside=named)))
    with pytest.raises(kind):
        await disk.get("checksums.txt")


async def test_unreachable_store_says_which_options_and_variables_to_check(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    disk = make_disk(store, endpoint_url="http://127.0.0.1:1")
    said = r"check endpoint_url \(AWS_URL in the environment\), region and the network"
    with pytest.raises(StorageUnavailableException, match=said):
        await disk.get("a.txt")
