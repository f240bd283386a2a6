"""Copies between two disks of a store that answers falsely, ignores conditions, or refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from disk_calls import IN_PARTS, LARGE, fill
from jtc.storage import FileExistsException, StorageException
from jtc.storage.drivers.s3_driver import S3Driver
from scripted_store import ALWAYS, Answer, Rule, ScriptedStore, refusal

if TYPE_CHECKING:
    from jtc.storage import Disk

MakeDisk = Callable[..., "Disk"]

WAYS = {"a": "CopyObject", "large": "UploadPartCopy"}
NO_SUCCESS = {
    "nothing": Answer(200),
    "a page": Answer(200, {"content-type": "text/html"}, b"<html><body>Log in</body></html>"),
    "an error": refusal(200, "InternalError"),
    "an empty etag": Answer(200, {}, b"<CopyObjectResult><ETag></ETag></CopyObjectResult>"),
}


@pytest.fixture
def disks(store: ScriptedStore, make_disk: MakeDisk) -> tuple[Disk, Disk]:
    fill(store)
    return make_disk(store, **IN_PARTS), make_disk(store, **IN_PARTS)


@pytest.mark.parametrize("answer", NO_SUCCESS)
@pytest.mark.parametrize("path", WAYS)
async def test_move_to_another_disk_keeps_the_source_unless_the_copy_has_an_etag(
    store: ScriptedStore, disks: tuple[Disk, Disk], path: str, answer: str
) -> None:
    one, two = disks
    store.rule(Rule(operations=WAYS[path], times=ALWAYS, answer=NO_SUCCESS[answer]))
    with pytest.raises(StorageException):
        await one.move(path, "new", to=two)
    assert {"a", "large"} <= set(store.objects)
    assert "new" not in store.objects
    assert store.of("DeleteObject") == []


@pytest.mark.parametrize("path", WAYS)
async def test_copy_to_another_disk_overwrite_false_keeps_a_file_though_the_store_ignores_it(
    store: ScriptedStore, make_disk: MakeDisk, path: str
) -> None:
    fill(store)
    store.store("there", b"kept")
    ignored = ("if-match", "if-none-match")
    operations = "CopyObject CompleteMultipartUpload PutObject"
    store.rule(Rule(operations=operations, times=ALWAYS, ignore=ignored))
    one, two = make_disk(store, **IN_PARTS), make_disk(store, **IN_PARTS)
    for transfer in (one.copy, one.move):
        with pytest.raises(FileExistsException):
            await transfer(path, "there", to=two, overwrite=False)
    assert store.content("there") == b"kept"
    assert {"a", "large"} <= set(store.objects)


@pytest.mark.parametrize("path", WAYS)
@pytest.mark.parametrize(
    "answer",
    [refusal(403, "AccessDenied"), refusal(404, "NoSuchKey"), refusal(501, "NotImplemented")],
    ids=["denied", "not visible", "unknown"],
)
async def test_copy_that_the_store_refuses_is_read_and_written(
    store: ScriptedStore, disks: tuple[Disk, Disk], path: str, answer: Answer
) -> None:
    one, two = disks
    content = store.content(path)
    store.rule(Rule(operations=WAYS[path], times=ALWAYS, answer=answer))
    await one.copy(path, "new", to=two, overwrite=False)
    await one.move(path, "other", to=two)
    assert store.content("new") == store.content("other") == content
    assert path not in store.objects


async def test_copy_to_another_disk_asks_once_for_an_acl_where_there_are_none(
    store: ScriptedStore, disks: tuple[Disk, Disk]
) -> None:
    one, two = disks
    store.rule(Rule(operations="GetObjectAcl", times=ALWAYS, answer=refusal(501, "NotImplemented")))
    for number in range(3):
        await one.copy("a", f"new-{number}", to=two)
    assert len(store.of("GetObjectAcl")) == 1
    assert len(store.of("HeadObject")) == len(store.of("CopyObject")) == 3


async def test_copy_to_another_disk_sends_no_content(
    store: ScriptedStore, disks: tuple[Disk, Disk]
) -> None:
    one, two = disks
    await one.copy("large", "new", to=two)
    assert store.content("new") == LARGE
    assert store.of("GetObject") == store.of("UploadPart") == store.of("PutObject") == []
    assert two.driver_as(S3Driver) is not one.driver_as(S3Driver)
