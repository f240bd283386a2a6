"""Every call on each kind of store, with the options that it needs and without them."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest

from disk_calls import CALLS, IN_PARTS, LARGE, fill
from jtc.storage import (
    FileExistsException,
    InvalidPathException,
    NotModifiedException,
    PreconditionFailedException,
    StorageException,
    UnsupportedOperationException,
)
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.drivers.s3_driver._objects.conditions import is_kept
from profiled_store import ProfiledStore
from scripted_store import ALWAYS, Rule, ScriptedStore, StoredObject, refusal
from store_profiles import PROFILES

if TYPE_CHECKING:
    from jtc.storage import Disk

MakeDisk = Callable[..., "Disk"]

KINDS = frozenset({"put", "parts", "copy", "delete"})

# What a call leaves in the store.
EFFECTS: dict[str, Callable[[ProfiledStore], bool]] = {
    "put": lambda store: store.content("new") == b"content",
    "put in parts": lambda store: store.content("new") == LARGE,
    "put if new": lambda store: store.content("new") == b"content",
    "append": lambda store: store.content("a") == b"contentmore",
    "make_directory": lambda store: any(key.startswith("new/") for key in store.objects),
    "delete": lambda store: "a" not in store.objects,
    "delete_many": lambda store: not store.objects.keys() & {"a", "large"},
    "delete_directory": lambda store: sorted(store.objects) == ["a", "large"],
    "copy": lambda store: store.content("new") == b"content",
    "copy in parts": lambda store: store.content("new") == LARGE,
    "move": lambda store: store.content("new") == b"content" and "a" not in store.objects,
    "move in parts": lambda store: store.content("new") == LARGE and "large" not in store.objects,
    "set_metadata": lambda store: store.objects["a"].headers["content-type"] == "text/html",
}


async def outcome(call: Callable[[Disk], Awaitable[object]], disk: Disk) -> str:
    """Return the text of a call's error; nothing where it succeeds."""
    try:
        await call(disk)
    except StorageException as error:
        return f"{'Retryable: ' if error.retryable else ''}{error}"
    return ""


@pytest.mark.parametrize("has_options", [True, False], ids=["with its options", "by default"])
@pytest.mark.parametrize("name", PROFILES)
async def test_calls_on_store_work_or_name_what_to_set(
    make_disk: MakeDisk, name: str, has_options: bool
) -> None:
    profile = PROFILES[name]
    refused = profile.refused if has_options else profile.by_default
    wrong: dict[str, str] = {}
    async with ProfiledStore(profile) as store:
        options = profile.options if has_options else {}
        disk = make_disk(store, **store.options(**IN_PARTS, **options))
        for call, make in CALLS.items():
            fill(store)
            said = await outcome(make, disk)
            expected = refused.get(call, refused.get("", ""))
            has_effect = said or EFFECTS.get(call, lambda _: True)(store)
            if bool(said) != bool(expected) or expected not in said or not has_effect:
                wrong[call] = said or "no effect"
        assert store.uploads == {}
    assert wrong == {}


@pytest.mark.parametrize("name", PROFILES)
async def test_check_finds_conditions_that_store_keeps(make_disk: MakeDisk, name: str) -> None:
    profile = PROFILES[name]
    async with ProfiledStore(profile) as store:
        options = {**profile.options, "conditions": None}
        disk = make_disk(store, **store.options(**IN_PARTS, **options))
        await disk.check()
        assert store.objects == {}
        assert store.uploads == {}
        transport = disk.driver_as(S3Driver)._transport
        assert {kind for kind in KINDS if is_kept(transport, kind)} == profile.conditions
        # From now on nothing is overwritten.
        for call, kind in (("put if new", "put"), ("copy if new", "copy")):
            fill(store)
            store.store("new", b"of another")
            with pytest.raises(StorageException) as caught:
                await CONDITIONAL[call](disk)
            assert isinstance(caught.value, FileExistsException) is (kind in profile.conditions)
            assert store.content("new") == b"of another"


@pytest.mark.parametrize("name", PROFILES)
async def test_deletions_after_a_check_say_what_was_there(make_disk: MakeDisk, name: str) -> None:
    profile = PROFILES[name]
    async with ProfiledStore(profile) as store:
        disk = make_disk(store, **store.options(**{**profile.options, "conditions": None}))
        await disk.check()
        fill(store)
        assert [await disk.delete(path) for path in ("a", "a", "d")] == [True, False, False]
        assert await disk.delete_many(["d/1", "missing", "d"]) == {
            "d/1": True,
            "missing": False,
            "d": False,
        }
        with pytest.raises((PreconditionFailedException, UnsupportedOperationException)):
            await disk.delete("large", if_match='"of-another-version"')
        assert "large" in store.objects
        assert not store.objects.keys() & {"a", "d/1"}


CONDITIONAL: dict[str, Callable[[Disk], Awaitable[Any]]] = {
    "put if new": CALLS["put if new"],
    "copy if new": lambda disk: disk.copy("a", "new", overwrite=False),
}


@pytest.mark.parametrize("name", PROFILES)
def test_options_of_profile_agree_with_its_conditions(name: str) -> None:
    profile = PROFILES[name]
    kept = profile.options.get("conditions")
    assert kept is None or frozenset(kept) == profile.conditions
    assert profile.deviations
    for deviation in profile.deviations:
        assert all(url.startswith("https://") for url in deviation.evidence)
        assert deviation.evidence


async def test_append_after_delete_on_store_that_ignores_conditions_of_deletes(
    make_disk: MakeDisk,
) -> None:
    async with ProfiledStore(PROFILES["Ceph RGW"]) as store:
        disk = make_disk(store, **store.options())
        fill(store)
        # It takes the etag of a read in quotes, and any etag of a delete.
        await disk.delete("d/1")
        await disk.append("a", b"more")
        assert store.content("a") == b"contentmore"


async def test_put_in_parts_has_parts_of_one_size(make_disk: MakeDisk) -> None:
    content = bytes(5 * 1024**2) * 2 + b"rest"
    async with ProfiledStore(PROFILES["Cloudflare R2"]) as store:
        disk = make_disk(store, **store.options(part_size=5 * 1024**2, multipart_threshold=1))

        async def pieces() -> Any:
            for at in range(0, len(content), 700_001):
                yield content[at : at + 700_001]

        await disk.put("new", pieces())
        assert len(store.of("UploadPart")) == 3
        assert store.content("new") == content


async def test_compressed_file_comes_as_it_was_stored(make_disk: MakeDisk) -> None:
    compressed = gzip.compress(b"content")
    async with ProfiledStore(PROFILES["Google Cloud Storage"]) as store:
        disk = make_disk(store, **store.options())
        await disk.put("a", compressed, content_encoding="gzip", content_type="text/plain")
        assert await disk.get("a") == compressed
        assert await disk.get_range("a", 0, 2) == compressed[:2]
        assert (await disk.stat("a")).size == len(compressed)


@pytest.mark.parametrize("name", ["Cloudflare R2", "Scaleway"])
async def test_unmodified_file_with_checksum_is_unmodified(make_disk: MakeDisk, name: str) -> None:
    async with ProfiledStore(PROFILES[name]) as store:
        disk = make_disk(store, **store.options(**PROFILES[name].options))
        store.objects["a"] = StoredObject(b"content")
        with pytest.raises(NotModifiedException):
            await disk.get("a", if_none_match=store.objects["a"].etag)


async def test_second_put_of_throttled_key_that_exists_is_refused_as_existing(
    make_disk: MakeDisk,
) -> None:
    async with ProfiledStore(PROFILES["Cloudflare R2"]) as store:
        disk = make_disk(store, **store.options(region="auto"))
        await disk.put("a", b"first")
        # Throttled, and sent again: what is refused then was not made before.
        with pytest.raises(FileExistsException):
            await disk.put("a", b"first", overwrite=False)
        assert len(store.of("PutObject")) == 3


async def test_file_stays_where_store_takes_its_acl_for_the_file(make_disk: MakeDisk) -> None:
    async with ProfiledStore(PROFILES["Supabase"]) as store:
        disk = make_disk(store, **store.options(**PROFILES["Supabase"].options))
        fill(store)
        with pytest.raises(UnsupportedOperationException, match="visibility"):
            await disk.set_visibility("a", "public")
        assert store.content("a") == b"content"
        await disk.put("b", b"of b", visibility="public")
        assert store.content("b") == b"of b"
        assert not store.of("PutObjectAcl")


async def test_set_visibility_without_permission_to_read_acls(
    store: ScriptedStore, disk: Disk
) -> None:
    fill(store)
    denied = refusal(403, "AccessDenied")
    store.rule(Rule(operations="GetObjectAcl", times=ALWAYS, answer=denied))
    await disk.set_visibility("a", "public")
    await disk.set_visibility("a", "private")
    assert len(store.of("GetObjectAcl")) == 1
    assert len(store.of("PutObjectAcl")) == 2


async def test_reads_of_store_with_codes_of_its_own(make_disk: MakeDisk) -> None:
    async with ProfiledStore(PROFILES["Supabase"]) as store:
        disk = make_disk(store, **store.options(**PROFILES["Supabase"].options))
        store.store("a", b"content")
        store.store("empty", b"")
        with pytest.raises(PreconditionFailedException):
            await disk.get("a", if_match='"of-another-version"')
        assert await disk.get_range("a", 100, 110) == b""
        assert await disk.get_range("empty", 0, 10) == b""
        assert await disk.exists("b") is False


async def test_name_that_store_refuses_is_an_invalid_path(make_disk: MakeDisk) -> None:
    async with ProfiledStore(PROFILES["Supabase"]) as store:
        disk = make_disk(store, **store.options(**PROFILES["Supabase"].options))
        with pytest.raises(InvalidPathException, match="refuses such a name") as caught:
            await disk.put("münchen.txt", b"content")
        assert caught.value.path == "münchen.txt"
        await disk.put("muenchen (1).txt", b"content")


@pytest.mark.parametrize("start_after", [None, "d/2", "d/3/x"])
async def test_long_listing_of_store_that_knows_the_first_version_only(
    make_disk: MakeDisk, start_after: str | None
) -> None:
    names = ["a", "d/1", "d/2", "d/3/x", "d/3/y", "d/4", "e"]
    async with ProfiledStore(PROFILES["Huawei OBS"]) as store:
        store.page_size = 2
        disk = make_disk(store, **store.options(**PROFILES["Huawei OBS"].options))
        for name in names:
            store.store(name, b"")
        listed = [
            entry.path async for entry in disk.list("", recursive=True, start_after=start_after)
        ]
        assert listed == [name for name in names if name > (start_after or "")]
        shallow = [entry.path async for entry in disk.list("d")]
        assert shallow == ["d/1", "d/2", "d/3", "d/4"]
        await disk.delete_directory("d")
        assert sorted(store.objects) == ["a", "e"]


async def test_put_public_on_store_without_acls_says_so(make_disk: MakeDisk) -> None:
    async with ProfiledStore(PROFILES["Cloudflare R2"]) as store:
        disk = make_disk(store, **store.options(region="auto"))
        with pytest.raises(UnsupportedOperationException, match="visibility"):
            await disk.put("a", b"content", visibility="public")


@pytest.mark.parametrize("name", ["Cloudflare R2", "Backblaze B2"])
async def test_presigned_form_of_store_without_forms_names_urls(
    make_disk: MakeDisk, name: str
) -> None:
    async with ProfiledStore(PROFILES[name]) as store:
        disk = make_disk(store, **store.options(**PROFILES[name].options))
        with pytest.raises(UnsupportedOperationException, match="temporary_upload_url"):
            await disk.temporary_upload_form("a", 60, max_size=1000)
        assert (await disk.temporary_upload_url("a", 60)).method == "PUT"
