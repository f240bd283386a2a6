"""Deletions in one request, and of one version only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from jtc.storage import (
    PreconditionFailedException,
    StorageConfigException,
    UnsupportedOperationException,
)
from scripted_store import ALWAYS, Answer, Request, Rule, ScriptedStore, refusal

if TYPE_CHECKING:
    from jtc.storage import Disk

MakeDisk = Callable[..., "Disk"]

ALL = ["put", "parts", "copy", "delete", "delete_any", "delete_many"]


@pytest.fixture(params=["check", "option"])
async def trusting(request: pytest.FixtureRequest, store: ScriptedStore, make_disk: MakeDisk):
    """Return a disk that knows its store to say truthfully what it deleted."""
    disk = make_disk(store, conditions=ALL if request.param == "option" else None)
    await disk.check()
    store.requests.clear()
    return disk


def operations(store: ScriptedStore) -> list[str]:
    return [request.operation for request in store.requests]


async def test_delete_is_one_request_where_the_store_tells_what_was_there(
    store: ScriptedStore, trusting: Disk
) -> None:
    store.store("a", b"1")
    store.store("empty", b"")
    assert await trusting.delete("a") is True
    assert await trusting.delete("empty") is True
    assert await trusting.delete("a") is False
    assert operations(store) == ["DeleteObject"] * 3


async def test_delete_in_one_request_of_concurrent_deleters_one_gets_true(
    store: ScriptedStore, trusting: Disk
) -> None:
    store.store("a", b"1")
    deleted = await asyncio.gather(*(trusting.delete("a") for _ in range(8)))
    assert deleted.count(True) == 1
    assert operations(store) == ["DeleteObject"] * 8


async def test_delete_many_is_one_request_for_a_thousand_where_the_store_tells_what_was_there(
    store: ScriptedStore, trusting: Disk
) -> None:
    there = [f"f{number}" for number in range(1500)]
    for key in there:
        store.store(key, b"1")
    answers = await trusting.delete_many([*there, "missing"])
    assert answers == {**dict.fromkeys(there, True), "missing": False}
    assert operations(store) == ["DeleteObjects"] * 2


async def test_delete_many_sends_one_deletion_for_each_file_where_only_those_can_be_trusted(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    store.store("a", b"1")
    disk = make_disk(store, conditions=ALL[:-1])
    assert await disk.delete_many(["a", "missing"]) == {"a": True, "missing": False}
    assert operations(store) == ["DeleteObject"] * 2


async def test_delete_looks_first_where_nothing_is_known_of_the_store(
    store: ScriptedStore, disk: Disk
) -> None:
    store.store("a", b"1")
    assert await disk.delete("a") is True
    assert await disk.delete("a") is False
    assert operations(store) == ["HeadObject", "DeleteObject", "HeadObject"]


def removes_directories(store: ScriptedStore, operations: str) -> None:
    """Delete directories, as SeaweedFS does, where any version meets a deletion's condition."""

    def named(request: Request) -> list[str]:
        if request.operation == "DeleteObject":
            return [request.key] if request.headers.get("if-match") == "*" else []
        return [key for key in ("marked",) if f"{key}</Key><ETag>*".encode() in request.body]

    def apply(request: Request) -> bool:
        for key in named(request):
            if store.objects.pop(f"{key}/", None) is not None:
                store.store(key, b"")
        return False

    store.rules.insert(0, Rule(operations=operations, where=apply))


def answers_success(store: ScriptedStore) -> None:
    """Answer that something was deleted whatever the condition says."""
    store.rule(Rule(operations="DeleteObject", times=ALWAYS, ignore=("if-match",)))


def answers_success_to_races(store: ScriptedStore) -> None:
    """Answer success to what was deleted a moment before."""
    deleted: dict[str, int] = {}

    def is_late(request: Request) -> bool:
        if request.headers.get("if-match") != "*" or request.key.count("/") < 1:
            return False
        if request.key in store.objects:
            deleted[request.key] = 1
            return False
        return deleted.pop(request.key, 0) == 1

    store.rule(Rule(operations="DeleteObject", where=is_late, times=ALWAYS, answer=Answer(204)))


def refuses(store: ScriptedStore) -> None:
    """Take ``*`` for an etag, which no file has."""

    def is_any(request: Request) -> bool:
        return request.headers.get("if-match") == "*"

    answer = refusal(412, "PreconditionFailed")
    store.rule(Rule(operations="DeleteObject", where=is_any, times=ALWAYS, answer=answer))


@pytest.mark.parametrize(
    "untruthful",
    [
        lambda store: removes_directories(store, "DeleteObject"),
        answers_success,
        answers_success_to_races,
        refuses,
    ],
    ids=["directories", "ignores", "races", "refuses"],
)
async def test_check_finds_stores_that_do_not_tell_what_they_delete(
    store: ScriptedStore, disk: Disk, untruthful: Callable[[ScriptedStore], None]
) -> None:
    untruthful(store)
    await disk.check()
    assert store.objects == {}
    await disk.make_directory("marked")
    store.store("a", b"1")
    store.requests.clear()
    assert await disk.delete("marked") is False
    assert "marked/" in store.objects
    assert await disk.delete("a") is True
    assert operations(store) == ["HeadObject", "HeadObject", "DeleteObject"]


async def test_delete_many_keeps_directories_of_a_store_that_removes_them_in_bulk(
    store: ScriptedStore, disk: Disk
) -> None:
    removes_directories(store, "DeleteObjects")
    await disk.check()
    await disk.make_directory("marked")
    store.store("a", b"1")
    assert await disk.delete_many(["marked", "a"]) == {"marked": False, "a": True}
    assert list(store.objects) == ["marked/"]


async def test_delete_directory_deletes_kept_directories_of_several_pages(
    store: ScriptedStore, disk: Disk
) -> None:
    store.page_size = 2
    for name in ("", "a/", "b/", "b/c/", "d/", "e/", "f/"):
        store.store(f"kept/{name}", b"")
    # It says that it deleted them, and keeps them: directories are no keys to it.
    store.rule(Rule(operations="DeleteObjects", times=ALWAYS, answer=_all_deleted))
    await disk.delete_directory("kept")
    assert store.objects == {}


async def test_delete_many_of_concurrent_deleters_one_gets_true_though_etags_are_ignored_in_bulk(
    store: ScriptedStore, disk: Disk
) -> None:
    store.rule(Rule(operations="DeleteObjects", times=ALWAYS, answer=_all_deleted))
    await disk.check()
    store.store("a", b"1")
    both = await asyncio.gather(*(disk.delete_many(["a"]) for _ in range(4)))
    assert [each["a"] for each in both].count(True) == 1


async def test_delete_many_of_a_store_that_names_no_file_says_what_was_there(
    store: ScriptedStore, disk: Disk
) -> None:
    """As the gateway of JuiceFS answers."""
    rule = store.rule(
        Rule(
            operations="DeleteObjects",
            times=ALWAYS,
            apply=True,
            answer=Answer(body=b"<DeleteResult></DeleteResult>"),
        )
    )
    for _ in range(2):
        for key in "ab":
            store.store(key, b"1")
        assert await disk.delete_many(["a", "b", "c"]) == {"a": True, "b": True, "c": False}
        assert store.objects == {}
    assert rule.taken == 1  # then each file by itself


def _all_deleted(request: Request) -> Answer:
    keys = [part.partition(b"<")[0] for part in request.body.split(b"<Key>")[1:]]
    found = b"".join(b"<Deleted><Key>%b</Key></Deleted>" % key for key in keys)
    return Answer(body=b"<DeleteResult>" + found + b"</DeleteResult>")


# Answers that are lost


async def test_delete_in_one_request_whose_answer_is_lost_returns_true(
    store: ScriptedStore, trusting: Disk
) -> None:
    store.store("a", b"1")
    store.rule(Rule(operations="DeleteObject", close=True))
    assert await trusting.delete("a") is True
    assert operations(store) == ["DeleteObject"] * 2


async def test_delete_many_in_one_request_whose_answer_is_lost_returns_true(
    store: ScriptedStore, trusting: Disk
) -> None:
    store.store("a", b"1")
    store.rule(Rule(operations="DeleteObjects", close=True))
    assert await trusting.delete_many(["a"]) == {"a": True}


@pytest.mark.parametrize("status", [429, 503])
async def test_delete_of_missing_file_returns_false_though_the_store_first_was_too_busy(
    store: ScriptedStore, trusting: Disk, status: int
) -> None:
    store.rule(Rule(operations="DeleteObject DeleteObjects", answer=refusal(status, "SlowDown")))
    assert await trusting.delete("missing") is False
    store.rules[0].taken = 0
    assert await trusting.delete_many(["missing"]) == {"missing": False}


async def test_delete_of_file_that_is_gone_returns_true_though_a_proxy_lost_the_answer(
    store: ScriptedStore, trusting: Disk
) -> None:
    # As Envoy answers when the connection to the store breaks.
    store.rule(Rule(operations="DeleteObject", answer=Answer(503, body=b"upstream reset")))
    assert await trusting.delete("missing") is True


async def test_delete_in_one_request_tells_a_missing_bucket_from_a_missing_file(
    store: ScriptedStore, make_disk: MakeDisk
) -> None:
    disk = make_disk(store, conditions=ALL)
    store.rule(Rule(operations="DeleteObject", times=ALWAYS, answer=Answer(404)))
    store.rule(Rule(times=ALWAYS, answer=refusal(404, "NoSuchBucket")))
    with pytest.raises(StorageConfigException, match="no bucket"):
        await disk.delete("a")


# One version


async def test_delete_if_match_is_one_request_where_the_store_keeps_the_condition(
    store: ScriptedStore, trusting: Disk
) -> None:
    etag = store.store("a", b"1").etag
    assert await trusting.delete("a", if_match=etag) is True
    assert await trusting.delete("a", if_match=etag) is False
    assert operations(store) == ["DeleteObject"] * 2


async def test_delete_if_match_keeps_another_version_on_a_store_of_which_nothing_is_known(
    store: ScriptedStore, disk: Disk
) -> None:
    answers_success(store)
    store.store("a", b"1")
    with pytest.raises(PreconditionFailedException):
        await disk.delete("a", if_match='"0"')
    assert store.content("a") == b"1"
    assert operations(store) == ["HeadObject"]


async def test_delete_if_match_is_refused_where_the_store_ignores_the_condition(
    store: ScriptedStore, disk: Disk
) -> None:
    answers_success(store)
    etag = store.store("a", b"1").etag
    await disk.check()
    with pytest.raises(UnsupportedOperationException, match="conditions"):
        await disk.delete("a", if_match=etag)
    assert store.content("a") == b"1"


async def test_delete_if_match_is_refused_where_the_store_does_not_keep_it_in_a_race(
    store: ScriptedStore, disk: Disk
) -> None:
    etags: dict[str, str] = {}

    def is_late(request: Request) -> bool:
        wanted = request.headers.get("if-match", "*")
        if request.key in store.objects:
            etags[request.key] = store.objects[request.key].etag
        return (
            wanted != "*"
            and request.key not in store.objects
            and (etags.get(request.key) == wanted)
        )

    store.rule(Rule(operations="DeleteObject", where=is_late, times=ALWAYS, answer=Answer(204)))
    await disk.check()
    etag = store.store("a", b"1").etag
    with pytest.raises(UnsupportedOperationException, match="conditions"):
        await disk.delete("a", if_match=etag)


@pytest.mark.parametrize("is_there", [True, False], ids=["replaced", "gone"])
async def test_delete_if_match_whose_answer_is_lost(
    store: ScriptedStore, trusting: Disk, *, is_there: bool
) -> None:
    etag = store.store("a", b"1").etag

    def replace(request: Request) -> bool:
        if is_there and request.key not in store.objects:
            store.store("a", b"another")
        return False

    store.rules = [Rule(operations="DeleteObject", where=replace)]
    store.rule(Rule(operations="DeleteObject", close=True))
    if is_there:
        with pytest.raises(PreconditionFailedException):
            await trusting.delete("a", if_match=etag)
    else:
        assert await trusting.delete("a", if_match=etag) is True
