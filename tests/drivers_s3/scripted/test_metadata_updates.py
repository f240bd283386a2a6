"""Changes of metadata, which are copies of an object onto itself, and moves that lose a race."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from disk_calls import IN_PARTS, LARGE
from jtc.storage import (
    FileExistsException,
    PreconditionFailedException,
    StorageException,
    UnsupportedOperationException,
)
from jtc.storage.options import WriteOptions
from scripted_store import ALWAYS, Answer, Request, Rule, ScriptedStore, StoredObject, refusal

if TYPE_CHECKING:
    from jtc.storage import Disk

MakeDisk = Callable[..., "Disk"]

HEADERS = {
    "content-type": "text/x-old",
    "cache-control": "max-age=1",
    "content-disposition": "inline",
    "content-encoding": "gzip",
    "content-language": "de",
    "expires": "Tue, 01 Jan 2030 00:00:00 GMT",
    "x-amz-meta-one": "=?UTF-8?B?w7w=?=",
    "x-amz-storage-class": "STANDARD_IA",
    "x-amz-server-side-encryption": "aws:kms",
    "x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:key",
    "x-amz-server-side-encryption-bucket-key-enabled": "true",
    "x-amz-website-redirect-location": "/other",
}
SENT_BY = {"a": "CopyObject", "large": "CreateMultipartUpload"}


@pytest.fixture
def disk(store: ScriptedStore, make_disk: MakeDisk) -> Disk:
    store.objects["a"] = StoredObject(b"content", dict(HEADERS))
    store.objects["large"] = StoredObject(LARGE, dict(HEADERS))
    return make_disk(store, **IN_PARTS)


@pytest.mark.parametrize("path", SENT_BY)
async def test_set_metadata_sends_all_that_it_does_not_change(
    store: ScriptedStore, disk: Disk, path: str
) -> None:
    content = store.content(path)
    await disk.set_metadata(path, cache_control="no-store")
    [sent] = store.of(SENT_BY[path])
    assert sent.headers.items() >= {**HEADERS, "cache-control": "no-store"}.items()
    assert "x-amz-acl" not in sent.headers
    assert store.content(path) == content
    assert store.uploads == {}


async def test_set_metadata_on_store_that_answers_with_content_in_place_of_an_acl(
    store: ScriptedStore, disk: Disk
) -> None:
    content = Answer(200, {}, store.content("a"))
    store.rule(Rule(operations="GetObjectAcl", times=ALWAYS, answer=content))
    await disk.set_metadata("a", cache_control="no-store")
    assert (await disk.stat("a")).cache_control == "no-store"
    with pytest.raises(UnsupportedOperationException, match="ACL"):
        await disk.visibility("a")


@pytest.mark.parametrize("path", SENT_BY)
async def test_set_metadata_keeps_a_public_file_public(
    store: ScriptedStore, disk: Disk, path: str
) -> None:
    store.objects[path].public = True
    await disk.set_metadata(path, metadata={})
    assert store.objects[path].public
    assert not any(name.startswith("x-amz-meta-") for name in store.objects[path].headers)


@pytest.mark.parametrize(
    "answer",
    [
        refusal(400, "AccessControlListNotSupported"),
        refusal(403, "AccessDenied"),
        refusal(501, "NotImplemented"),
    ],
    ids=lambda answer: str(answer.status),
)
async def test_set_metadata_sends_no_acl_where_none_can_be_read(
    store: ScriptedStore, disk: Disk, answer: Any
) -> None:
    store.rule(Rule(operations="GetObjectAcl PutObjectAcl", times=ALWAYS, answer=answer))
    await disk.set_metadata("a", content_type="text/x-new")
    assert store.objects["a"].headers["content-type"] == "text/x-new"


@pytest.mark.parametrize("path", SENT_BY)
async def test_set_metadata_does_not_bring_back_what_was_replaced_meanwhile(
    store: ScriptedStore, disk: Disk, path: str
) -> None:
    def replaced(request: Request) -> bool:
        if request.operation == SENT_BY[path]:
            store.store(path, b"newer and as long as the one before" + bytes(20))
        return False

    store.rule(Rule(where=replaced))
    with pytest.raises(PreconditionFailedException):
        await disk.set_metadata(path, content_type="text/x-new")
    assert (store.content(path) or b"").startswith(b"newer")
    assert store.uploads == {}


async def test_set_metadata_works_where_a_copy_has_no_condition_of_its_target(
    store: ScriptedStore, disk: Disk
) -> None:
    unknown = Rule(
        operations="CopyObject",
        where=lambda request: "if-match" in request.headers,
        times=ALWAYS,
        answer=refusal(501, "NotImplemented"),
    )
    store.rule(unknown)
    await disk.set_metadata("a", content_type="text/x-new")
    assert unknown.taken == 1
    assert store.objects["a"].headers["content-type"] == "text/x-new"
    etag = store.objects["a"].etag
    assert [each.headers["x-amz-copy-source-if-match"] for each in store.of("CopyObject")] == [
        etag,
        etag,
    ]


@pytest.mark.parametrize("method", ["copy_file", "move_file"])
async def test_copy_onto_itself_changes_what_options_declare(
    store: ScriptedStore, disk: Disk, method: str
) -> None:
    transfer = getattr(disk.driver, method)
    etag = store.objects["a"].etag
    assert await transfer("a", "a", WriteOptions()) == etag
    assert store.of("CopyObject", "DeleteObject") == []
    with pytest.raises(FileExistsException):
        await transfer("a", "a", WriteOptions(overwrite=False))
    await transfer("a", "a", WriteOptions(metadata={"two": "2"}, content_type="text/x-new"))
    found = await disk.stat("a")
    assert (found.content_type, found.metadata) == ("text/x-new", {"two": "2"})
    assert found.cache_control == "max-age=1"
    assert store.content("a") == b"content"


async def test_move_deletes_no_newer_file_though_the_store_ignores_the_condition(
    store: ScriptedStore, make_disk: MakeDisk, disk: Disk
) -> None:
    def replaced(request: Request) -> bool:
        if request.operation == "CopyObject":
            replacements.append(request)
        elif replacements:
            store.store("a", b"newer")
        return False

    replacements: list[Request] = []
    store.rule(Rule(where=replaced))
    store.rule(Rule(operations="DeleteObject", times=ALWAYS, ignore=("if-match",)))
    disk = make_disk(store, conditions=["put", "parts", "copy"])
    with pytest.raises(PreconditionFailedException, match="the copy stays"):
        await disk.move("a", "b")
    assert (store.content("a"), store.content("b")) == (b"newer", b"content")


# Conflicts of conditional writes


@pytest.mark.parametrize("options", [{}, {"overwrite": False}], ids=["plain", "conditional"])
async def test_put_that_meets_another_one_is_sent_again(
    store: ScriptedStore, disk: Disk, options: Any
) -> None:
    conflict = refusal(409, "ConditionalRequestConflict")
    store.rule(Rule(operations="PutObject", times=2, answer=conflict))
    await disk.put("new", b"1", **options)
    assert store.content("new") == b"1"
    assert len(store.of("PutObject")) == 3
    store.rule(Rule(operations="PutObject", times=ALWAYS, answer=conflict))
    with pytest.raises(StorageException) as caught:
        await disk.put("newer", b"1", **options)
    assert caught.value.retryable
    assert "newer" not in store.objects


async def test_set_metadata_keeps_headers_that_are_no_utf_8(
    store: ScriptedStore, disk: Disk
) -> None:
    headers = {"x-amz-meta-place": "caf\xe9", "content-disposition": 'inline; filename="\xe9"'}
    store.store("a", b"content", **headers)
    info = await disk.stat("a")
    assert info.metadata == {"place": "café"}
    assert info.content_disposition == 'inline; filename="é"'
    await disk.set_metadata("a", cache_control="no-cache")
    assert (await disk.stat("a")).metadata == {"place": "café"}
