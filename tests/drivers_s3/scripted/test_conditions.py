"""Conditional requests to stores that ignore conditions, or compare etags in a way of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import pytest

from disk_calls import CALLS, IN_PARTS, LARGE, fill
from jtc.storage import (
    FileExistsException,
    NotModifiedException,
    PreconditionFailedException,
    StorageException,
    UnsupportedOperationException,
)
from scripted_store import ALWAYS, Answer, Request, Rule, ScriptedStore, StoredObject, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from jtc.storage import Disk

MakeDisk = Callable[..., "Disk"]

CONDITIONS = ("if-match", "if-none-match")


def ignore_conditions(store: ScriptedStore, operations: str) -> Rule:
    return store.rule(Rule(operations=operations, times=ALWAYS, ignore=CONDITIONS))


# Conditions that are ignored


@pytest.mark.parametrize("method", ["get", "get_range", "get_ranges", "download"])
async def test_read_holds_to_its_conditions_though_the_store_ignores_them(
    store: ScriptedStore, make_disk: MakeDisk, tmp_path: Path, method: str
) -> None:
    store.store("a", b"content")
    ignore_conditions(store, "GetObject HeadObject")
    disk = make_disk(store)
    arguments = {"get_range": (1, 3), "get_ranges": ([(1, 3)],), "download": (tmp_path / "a",)}
    read = partial(getattr(disk, method), "a", *arguments.get(method, ()))
    with pytest.raises(PreconditionFailedException):
        await read(if_match='"other"')
    await read(if_match=store.objects["a"].etag)
    if method in {"get", "download"}:
        with pytest.raises(NotModifiedException):
            await read(if_none_match=store.objects["a"].etag)
        await read(if_none_match='"other"')


async def test_check_of_a_store_that_fails_at_conditional_deletions_of_directories(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    def is_of_directory(request: Request) -> bool:
        below = f"{request.key}/"
        return "if-match" in request.headers and any(key.startswith(below) for key in store.objects)

    store.rule(
        Rule(
            operations="DeleteObject",
            where=is_of_directory,
            times=ALWAYS,
            answer=refusal(500, "InternalError"),
        )
    )
    ignore_conditions(store, "DeleteObject DeleteObjects")
    disk = make_disk(store)
    await disk.check()
    await disk.put("a", b"content")
    assert await disk.delete("a")
    assert store.objects == {}


@pytest.mark.parametrize("source", ["a", "large"], ids=["whole", "in parts"])
@pytest.mark.parametrize("method", ["copy", "move"])
async def test_copy_overwrite_false_refuses_existing_file_though_the_store_ignores_it(
    store: ScriptedStore, make_disk: MakeDisk, method: str, source: str
) -> None:
    fill(store)
    store.store("there", b"of another")
    ignore_conditions(store, "CopyObject CompleteMultipartUpload")
    disk = make_disk(store, **IN_PARTS)
    with pytest.raises(FileExistsException):
        await getattr(disk, method)(source, "there", overwrite=False)
    assert store.content("there") == b"of another"
    assert source in store.objects
    # Where nothing is in the way it does what it should.
    await getattr(disk, method)(source, "new", overwrite=False)
    assert "new" in store.objects


async def test_put_in_parts_refuses_existing_file_though_the_store_ignores_it(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    etag = store.store("there", b"of another").etag
    ignore_conditions(store, "CompleteMultipartUpload")
    disk = make_disk(store, **IN_PARTS)
    with pytest.raises(FileExistsException):
        await disk.put("there", LARGE, overwrite=False)
    with pytest.raises(PreconditionFailedException):
        await disk.put("there", LARGE, if_match='"0"')
    assert store.content("there") == b"of another"
    assert store.uploads == {}
    await disk.put("there", LARGE, if_match=etag)
    assert store.content("there") == LARGE


NEEDS: dict[str, tuple[str, str, Callable[[Disk], Awaitable[object]]]] = {
    "put": ("put", "PutObject", lambda disk: disk.put("new", b"1", overwrite=False)),
    "append": ("put", "PutObject", lambda disk: disk.append("a", b"1")),
    "put in parts": (
        "parts",
        "CompleteMultipartUpload",
        lambda disk: disk.put("new", LARGE, overwrite=False),
    ),
    "append to a large file": (
        "parts",
        "CompleteMultipartUpload",
        lambda disk: disk.append("large", b"1"),
    ),
    "copy": ("copy", "CopyObject", lambda disk: disk.copy("a", "new", overwrite=False)),
    "move": ("copy", "CopyObject", lambda disk: disk.move("a", "new", overwrite=False)),
    "copy in parts": (
        "parts",
        "CompleteMultipartUpload",
        lambda disk: disk.copy("large", "new", overwrite=False),
    ),
}
KINDS = {"put", "parts", "copy", "delete"}


@pytest.mark.parametrize("name", NEEDS)
async def test_check_finds_ignored_conditions_and_calls_that_need_them_are_refused(
    store: ScriptedStore, make_disk: MakeDisk, name: str
) -> None:
    fill(store)
    _, operation, call = NEEDS[name]
    ignore_conditions(store, operation)
    disk = make_disk(store, **IN_PARTS)
    before = dict(store.objects)
    await disk.check()
    assert store.objects == before
    assert store.uploads == {}
    with pytest.raises(UnsupportedOperationException, match="conditions"):
        await call(disk)
    assert store.objects == before
    assert store.uploads == {}
    # What needs no condition works as before.
    await disk.put("new", b"content")
    await disk.copy("new", "other")
    await disk.put("large", LARGE)


async def test_check_finds_conditions_that_hold_only_where_writes_do_not_meet(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    began_without_file = False

    def meets_another(request: Request) -> bool:
        nonlocal began_without_file
        if request.operation == "CreateMultipartUpload":
            began_without_file = request.key not in store.objects
        return request.operation == "CompleteMultipartUpload" and began_without_file

    store.rule(Rule(where=meets_another, times=ALWAYS, ignore=CONDITIONS))
    disk = make_disk(store, **IN_PARTS)
    await disk.check()
    with pytest.raises(UnsupportedOperationException, match="conditions"):
        await disk.put("new", LARGE, overwrite=False)
    assert store.objects == store.uploads == {}
    await disk.put("new", b"1", overwrite=False)


async def test_check_probes_a_store_once(store: ScriptedStore, disk: Disk) -> None:
    await disk.check()
    assert store.of("CompleteMultipartUpload") != []
    store.requests.clear()
    await disk.check()
    assert store.of("CompleteMultipartUpload") == []
    assert store.of("GetObject") != []


@pytest.mark.parametrize("name", NEEDS)
async def test_conditions_option_refuses_the_calls_that_need_others(
    store: ScriptedStore, make_disk: MakeDisk, name: str
) -> None:
    fill(store)
    kind, operation, call = NEEDS[name]
    disk = make_disk(store, conditions=sorted(KINDS - {kind}), **IN_PARTS)
    with pytest.raises(UnsupportedOperationException, match="conditions"):
        await call(disk)
    assert store.of(operation) == []
    await call(make_disk(store, conditions=[kind, "delete"], **IN_PARTS))
    assert len(store.of(operation)) == 1


async def test_check_of_a_store_that_keeps_all_conditions_refuses_nothing(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    for name in NEEDS:
        fill(store)
        disk = make_disk(store, **IN_PARTS)
        await disk.check()
        await NEEDS[name][2](disk)


async def test_delete_works_where_the_store_ignores_its_condition(
    store: ScriptedStore, disk: Disk
) -> None:
    ignore_conditions(store, "DeleteObject DeleteObjects")
    store.store("a", b"1")
    store.store("b", b"1")
    await disk.check()
    assert await disk.delete("a")
    assert await disk.delete_many(["b"]) == {"b": True}
    assert store.objects == {}


# Etags without quotes


async def test_append_works_on_a_store_that_compares_etags_without_quotes(
    make_disk: MakeDisk,
) -> None:
    async with ScriptedStore(unquoted_etags=True) as store:
        store.store("a", b"1")
        disk = make_disk(store)
        await disk.append("a", b"2")
        assert store.content("a") == b"12"
        sent = [request.headers["if-match"][:1] == '"' for request in store.of("PutObject")]
        assert sent == [True, False]
        # It is remembered.
        await disk.append("a", b"3")
        assert store.content("a") == b"123"
        assert len(store.of("PutObject")) == 3


@pytest.mark.parametrize("name", ["delete", "delete_many", "move"])
async def test_delete_works_on_a_store_that_compares_etags_without_quotes(
    make_disk: MakeDisk, name: str
) -> None:
    async with ScriptedStore(unquoted_etags=True) as store:
        fill(store)
        await CALLS[name](make_disk(store))
        assert "a" not in store.objects
        assert ("new" in store.objects) == (name == "move")


async def test_reads_and_parts_work_on_a_store_that_compares_etags_without_quotes(
    make_disk: MakeDisk,
) -> None:
    async with ScriptedStore(unquoted_etags=True) as store:
        etag = store.store("a", b"content").etag
        disk = make_disk(store, **IN_PARTS)
        assert await disk.get_range("a", 1, 3, if_match=etag) == b"on"
        await disk.put("a", LARGE, if_match=etag)
        assert store.content("a") == LARGE
        with pytest.raises(PreconditionFailedException):
            await disk.get_range("a", 1, 3, if_match=etag)


@pytest.mark.parametrize("unquoted", [True, False])
async def test_put_if_match_refuses_another_version(make_disk: MakeDisk, *, unquoted: bool) -> None:
    async with ScriptedStore(unquoted_etags=unquoted) as store:
        store.store("a", b"1")
        disk = make_disk(store)
        with pytest.raises(PreconditionFailedException):
            await disk.put("a", b"2", if_match='"0"')
        assert store.content("a") == b"1"
        # Not sent without quotes: the file is another version.
        assert [request.headers["if-match"] for request in store.of("PutObject")] == ['"0"']


# Answers that are lost


@pytest.mark.parametrize("several", ["*", " * ", '"{}", "x"', 'W/"x",{}'])
async def test_if_match_names_one_version_and_never_any(disk: Disk, several: str) -> None:
    await disk.put("a", b"1")
    etag = several.replace("{}", (await disk.stat("a")).etag or "")
    for call in (
        lambda: disk.put("a", b"2", if_match=etag),
        lambda: disk.get("a", if_match=etag),
        lambda: disk.get_range("a", 0, 1, if_match=etag),
        lambda: disk.copy("a", "b", if_source_match=etag),
        lambda: disk.set_metadata("a", metadata={}, if_match=etag),
    ):
        with pytest.raises(PreconditionFailedException):
            await call()
    assert await disk.get("a", if_none_match=etag) == b"1"


@pytest.mark.parametrize("answer", [None, refusal(503, "SlowDown")], ids=["lost", "too busy"])
@pytest.mark.parametrize("name", ["put in parts", "copy in parts", "move in parts"])
async def test_upload_whose_completion_is_lost_is_stored(
    store: ScriptedStore, make_disk: MakeDisk, name: str, answer: Answer | None
) -> None:
    fill(store)
    lost = Rule(operations="CompleteMultipartUpload", apply=True, answer=answer)
    lost.close = answer is None
    store.rule(lost)
    await CALLS[name](make_disk(store, **IN_PARTS))
    assert lost.taken == 1
    assert store.content("new") == LARGE
    assert store.uploads == {}
    assert ("large" in store.objects) == (not name.startswith("move"))


async def test_upload_whose_completion_is_lost_and_whose_file_is_another_one_is_an_error(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    def overtaken(_: Request) -> bool:
        # After the first completion, and before the second one.
        if "new" in store.objects:
            store.objects["new"] = StoredObject(b"other" * 8)
        return False

    assert len(b"other" * 8) == len(LARGE)
    store.rules = [
        Rule(where=overtaken),
        Rule(operations="CompleteMultipartUpload", close=True),
    ]
    with pytest.raises(StorageException):
        await make_disk(store, **IN_PARTS).put("new", LARGE)
    assert store.content("new") == b"other" * 8


async def test_upload_that_another_process_aborted_is_an_error(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    def aborted(request: Request) -> bool:
        if request.operation == "CompleteMultipartUpload":
            store.uploads.clear()
        return False

    store.rule(Rule(where=aborted))
    with pytest.raises(StorageException):
        await make_disk(store, **IN_PARTS).put("new", LARGE)
    assert "new" not in store.objects
