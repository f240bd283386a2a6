"""Files as objects: versions, metadata, checksums, copies, visibility and what buckets refuse."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from jtc.storage import exceptions
from jtc.storage.drivers.gcs_driver import GCSDriver
from jtc.storage.models import Visibility

if TYPE_CHECKING:
    from collections.abc import Callable

    from google_store import GoogleStore
    from jtc.storage import Disk

MIB = 1024 * 1024


async def test_etag_is_the_same_from_put_stat_list_and_open(disk: Disk, store: GoogleStore) -> None:
    await disk.put("a", b"1")
    stored = store.objects["a"]
    etag = (await disk.stat("a")).etag
    assert etag == f"{stored.generation}.1"
    assert [each.etag async for each in disk.list("")] == [etag]  # type: ignore[union-attr]
    async with disk.stream("a") as stream:
        assert stream.info.etag == etag
    await disk.set_metadata("a", content_type="text/x-a")
    assert (await disk.stat("a")).etag == f"{stored.generation}.2"
    assert [each.etag async for each in disk.list("")] == [f"{stored.generation}.2"]  # type: ignore[union-attr]


async def test_etag_that_no_file_can_have_meets_none(disk: Disk) -> None:
    await disk.put("a", b"1")
    for etag in ("*", "0.1", "x", '"1.1"', "1.1, 2.2", "9" * 40):
        with pytest.raises(exceptions.PreconditionFailedException):
            await disk.put("a", b"2", if_match=etag)
        with pytest.raises(exceptions.PreconditionFailedException):
            await disk.delete("a", if_match=etag)
        with pytest.raises(exceptions.PreconditionFailedException):
            await disk.get("a", if_match=etag)
        assert not await disk.delete("missing", if_match=etag)
    assert await disk.get("a", if_none_match="x") == b"1"


async def test_set_metadata_replaces_all_names_while_others_change_them(
    disk: Disk, store: GoogleStore
) -> None:
    await disk.put("a", b"1", metadata={"old": "1"}, cache_control="no-store")
    changes = [disk.set_metadata("a", metadata={"name": f"{n}"}) for n in range(8)]
    await asyncio.gather(*changes)
    assert list(store.objects["a"].fields["metadata"]) == ["name"]
    assert store.objects["a"].fields["cacheControl"] == "no-store"
    assert store.objects["a"].metageneration >= 9
    await disk.set_metadata("a", metadata={})
    assert (await disk.stat("a")).metadata == {}


async def test_compressed_content_comes_as_it_is_stored(disk: Disk) -> None:
    packed = gzip.compress(b"text " * 1000)
    await disk.put("a.txt", packed, content_encoding="gzip")
    info = await disk.stat("a.txt")
    assert (info.content_encoding, info.content_type) == ("gzip", "text/plain")
    assert await disk.get("a.txt") == packed
    assert await disk.get_range("a.txt", 2, 9) == packed[2:9]
    async with disk.stream("a.txt", chunk_size=10) as stream:
        assert b"".join([chunk async for chunk in stream]) == packed


async def test_content_that_was_damaged_on_its_way_is_found(disk: Disk, store: GoogleStore) -> None:
    await disk.put("a", b"0123456789")
    stored = store.objects["a"]
    assert stored.crc32c == "KAwGng=="  # which is kept
    stored.content = b"0123456798"
    with pytest.raises(exceptions.IntegrityException):
        await disk.get("a")
    with pytest.raises(exceptions.IntegrityException):
        async with disk.stream("a") as stream:
            _ = [chunk async for chunk in stream]
    assert await disk.get_range("a", 0, 8) == b"01234567"  # a part has no checksum


async def test_store_that_keeps_something_else_is_found_and_what_it_kept_deleted(
    disk: Disk, store: GoogleStore
) -> None:
    def other(request: web.Request) -> web.Response | None:
        if request.method != "POST" or request.path == "/token":
            return None
        made = store._store("a", b"other", {}, {})
        return web.json_response(made.resource(store.bucket, "a"))

    store.before = other
    with pytest.raises(exceptions.IntegrityException):
        await disk.put("a", b"mine")
    assert store.objects == {}


@pytest.mark.parametrize("size", [0, 1, 3 * MIB, 3 * MIB + 1])
async def test_copy_is_made_in_as_many_rounds_as_the_store_wants(
    disk: Disk, store: GoogleStore, size: int
) -> None:
    await disk.put("a", b"x" * size, metadata={"one": "1"}, content_type="text/x-a")
    store.requests.clear()
    await disk.copy("a", "b")
    rounds = [each for each in store.requests if "/rewriteTo/" in each]
    assert len(rounds) == max(-(-size // MIB), 1)
    assert store.objects["b"].content == b"x" * size
    info = await disk.stat("b")
    assert (info.content_type, info.metadata) == ("text/x-a", {"one": "1"})


async def test_move_is_one_request_and_a_copy_where_the_store_has_none(
    disk: Disk, store: GoogleStore
) -> None:
    for knows_moves, asked in ((True, ["moveTo"]), (False, ["moveTo", "rewriteTo"])):
        store.knows_moves = knows_moves
        await disk.put("a", b"1")
        store.requests.clear()
        await disk.move("a", "b")
        assert [word for word in ("moveTo", "rewriteTo") if word in str(store.requests)] == asked
        assert store.objects.keys() == {"b"}
    store.requests.clear()
    await disk.move("b", "c")
    assert "moveTo" not in str(store.requests)  # it has learned that


async def test_move_to_a_new_name_never_replaces_a_file(disk: Disk, store: GoogleStore) -> None:
    for knows_moves in (True, False):
        store.knows_moves = knows_moves
        await disk.put("a", b"1")
        await disk.put("b", b"2")
        with pytest.raises(exceptions.FileExistsException):
            await disk.move("a", "b", overwrite=False)
        with pytest.raises(exceptions.PreconditionFailedException):
            await disk.move("a", "c", if_source_match="1.1")
        assert {name: each.content for name, each in store.objects.items()} == {
            "a": b"1",
            "b": b"2",
        }


async def test_visibility_is_the_acl(disk: Disk, make_disk: Callable[..., Disk]) -> None:
    await disk.put("a", b"1")
    assert await disk.visibility("a") is Visibility.PRIVATE
    await disk.set_visibility("a", "public")
    assert await disk.visibility("a") is Visibility.PUBLIC
    await disk.put("b", b"1", visibility="public")
    assert await disk.visibility("b") is Visibility.PUBLIC
    public = make_disk(visibility="public")
    await public.put("c", b"x" * 9 * MIB)
    await public.copy("a", "d")
    assert {await disk.visibility(name) for name in "cd"} == {Visibility.PUBLIC}


async def test_bucket_with_uniform_access_refuses_a_visibility(
    store: GoogleStore, disk: Disk
) -> None:
    store.uniform = True
    await disk.put("a", b"1")
    for call in (
        disk.visibility("a"),
        disk.set_visibility("a", "public"),
        disk.put("b", b"1", visibility="public"),
    ):
        with pytest.raises(exceptions.UnsupportedOperationException, match="uniform access"):
            await call


async def test_driver_options_are_fields_of_the_object(
    store: GoogleStore, make_disk: Callable[..., Disk]
) -> None:
    disk = make_disk(driver_options={"storageClass": "NEARLINE"})
    at = dt.datetime(2030, 1, 2, tzinfo=dt.UTC)
    await disk.put("a", b"1", driver_options={"customTime": at, "kmsKeyName": "key"})
    fields = store.objects["a"].fields
    assert fields["storageClass"] == "NEARLINE"
    assert fields["customTime"] == "2030-01-02T00:00:00.000000Z"
    assert fields["kmsKeyName"] == "key"
    await disk.copy("a", "b", content_type="text/x-b", driver_options={"storageClass": "COLDLINE"})
    fields = store.objects["b"].fields
    assert (fields["storageClass"], fields["contentType"]) == ("COLDLINE", "text/x-b")
    assert fields["customTime"] == "2030-01-02T00:00:00.000000Z"
    with pytest.raises(exceptions.UnsupportedOperationException, match="gcs has"):
        await disk.put("a", b"1", driver_options={"StorageClass": "x"})


async def test_held_file_stays_with_a_clear_error(disk: Disk, store: GoogleStore) -> None:
    await disk.put("a", b"1", driver_options={"temporaryHold": True})
    for call in (disk.delete("a"), disk.put("a", b"2"), disk.move("a", "b")):
        with pytest.raises(exceptions.StoragePermissionException, match="A hold keeps the file"):
            await call
    assert store.objects["a"].content == b"1"


async def test_requester_pays_names_the_project_in_each_request(
    store: GoogleStore, disk: Disk, make_disk: Callable[..., Disk]
) -> None:
    store.requester_pays = True
    with pytest.raises(exceptions.StorageConfigException, match="requester_pays"):
        await disk.put("a", b"1")
    paying = make_disk(requester_pays=True, project="ours")
    await paying.put("a", b"1")
    assert await paying.get("a") == b"1"
    assert [each.path async for each in paying.list("")] == ["a"]
    assert store.project == "ours"


async def test_missing_bucket_is_a_configuration_error_for_every_call(
    make_driver: Callable[..., GCSDriver],
) -> None:
    driver = make_driver(bucket="other-bucket")
    for call in (
        driver.exists("a"),
        driver.get("a"),
        driver.put("a", b"1"),
        driver.delete("a"),
        driver.stat("a"),
        driver.delete_directory("a"),
    ):
        with pytest.raises(exceptions.StorageConfigException, match="other-bucket"):
            await call


@pytest.mark.parametrize(
    ("status", "reason", "message", "kind"),
    [
        (401, "authError", "", exceptions.StoragePermissionException),
        (403, "forbidden", "", exceptions.StoragePermissionException),
        (403, "retentionPolicyNotMet", "", exceptions.StoragePermissionException),
        (403, "rateLimitExceeded", "", exceptions.StorageUnavailableException),
        (408, "", "", exceptions.StorageUnavailableException),
        (412, "orgPolicyConstraintFailed", "", exceptions.StoragePermissionException),
        (413, "uploadTooLarge", "", exceptions.RejectedException),
        (429, "rateLimitExceeded", "", exceptions.StorageUnavailableException),
        (400, "userProjectMissing", "", exceptions.StorageConfigException),
        (400, "invalid", "Bad", exceptions.StorageException),
        (500, "backendError", "", exceptions.StorageUnavailableException),
        (501, "notImplemented", "", exceptions.UnsupportedOperationException),
        (503, "", "", exceptions.StorageUnavailableException),
        (301, "", "", exceptions.StorageConfigException),
        (308, "", "", exceptions.StorageConfigException),
    ],
)
async def test_refusal_is_an_error_by_its_reason(
    store: GoogleStore,
    make_disk: Callable[..., Disk],
    status: int,
    reason: str,
    message: str,
    kind: type[Exception],
) -> None:
    error = {"code": status, "message": message, "errors": [{"reason": reason}]}
    store.before = lambda _: web.json_response(
        {"error": error}, status=status, headers={"location": "http://127.0.0.1:9/"}
    )
    disk = make_disk(anonymous=True, max_attempts=1)
    with pytest.raises(kind) as caught:
        await disk.put("a", b"1")
    with pytest.raises(kind):
        await disk.stat("a")
    assert caught.value.path == "a"  # type: ignore[attr-defined]
    assert str(getattr(caught.value.__cause__, "status", None)) == str(status)


async def test_refusals_of_a_moment_are_sent_again(store: GoogleStore, disk: Disk) -> None:
    failures = [429, 503]

    def busy(request: web.Request) -> web.Response | None:
        if request.path != "/token" and failures and len(store.requests) % 2:
            return web.Response(status=failures.pop(0), headers={"retry-after": "0"})
        return None

    await disk.put("a", b"1")
    store.before = busy
    for _ in range(2):
        assert await disk.get("a") == b"1"
        await disk.put("a", b"1")
    assert failures == []


async def test_check_warns_of_a_store_that_ignores_conditions(
    store: GoogleStore, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    await disk.check()
    assert caplog.text == ""
    assert store.objects == {}


async def test_directories_are_markers_and_prefixes(disk: Disk, store: GoogleStore) -> None:
    await disk.make_directory("a/b")
    assert store.objects.keys() == {"a/", "a/b/"}
    await disk.put("a/b/c.txt", b"1")
    assert await disk.directories("a") == ["a/b"]
    assert await disk.files("a/b") == ["a/b/c.txt"]
    await disk.delete_directory("a")
    assert store.objects == {}


@pytest.mark.parametrize(
    "answer",
    [b"", b"[]", b"{", b"{}", b'{"items": 5}', b'{"generation": "x"}', b"<xml/>"],
)
async def test_answer_that_is_not_googles_is_an_unavailable_store(
    store: GoogleStore, make_disk: Callable[..., Disk], answer: bytes
) -> None:
    disk = make_disk(anonymous=True)
    store.before = lambda _: web.Response(body=answer, content_type="application/json")
    for call in (disk.put("a", b"1"), disk.stat("a"), disk.copy("a", "b"), disk.move("a", "b")):
        with pytest.raises(exceptions.StorageUnavailableException, match="cannot be understood"):
            await call


async def test_redirection_to_another_host_is_not_followed(
    store: GoogleStore, make_disk: Callable[..., Disk]
) -> None:
    disk = make_disk(anonymous=True)
    asked: list[str] = []

    def elsewhere(request: web.Request) -> web.Response | None:
        if request.path == "/elsewhere":
            asked.append(request.path)
            return web.Response(body=b"of another host")
        return web.Response(status=307, headers={"location": f"{store.url}/elsewhere"})

    store.before = elsewhere
    for call in (disk.get("a"), disk.put("a", b"1"), disk.stat("a"), disk.put("a", b"x" * 9 * MIB)):
        with pytest.raises(exceptions.StorageConfigException, match="redirects"):
            await call
    assert asked == []


async def test_folders_of_a_hierarchical_namespace_stay_when_they_are_empty(
    store: GoogleStore, make_disk: Callable[..., Disk]
) -> None:
    store.hierarchical = True
    disk = make_disk(hierarchical_namespace=True)
    await disk.make_directory("a/b")
    await disk.make_directory("a/b")
    assert (store.folders, store.objects) == ({"a/", "a/b/"}, {})
    await disk.put("c/d.txt", b"1")
    assert await disk.directories("") == ["a", "c"]
    assert await disk.all_directories("") == ["a", "a/b", "c"]
    assert await disk.directory_exists("a/b")
    assert not await disk.directory_exists("a/c")
    await disk.delete("c/d.txt")
    assert await disk.directory_exists("c")
    assert await disk.all_files("") == []
    driver = disk.driver_as(GCSDriver)
    with pytest.raises(exceptions.PathConflictException, match="not empty"):
        await driver.remove_empty_directory("a")
    assert await driver.remove_empty_directory("c")
    assert not await driver.remove_empty_directory("c")
    await disk.put("c", b"1")
    with pytest.raises(exceptions.PathConflictException, match="A file is there"):
        await driver.remove_empty_directory("c")
    await disk.delete_directory("a")
    assert (store.folders, store.objects.keys()) == (set(), {"c"})
