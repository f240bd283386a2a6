"""Answers that are lost, cut or of another version than was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from faulty_proxy import Fault
from jtc.storage import exceptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from faulty_proxy import FaultyProxy
    from google_store import GoogleStore
    from jtc.storage import Disk

MIB = 1024 * 1024


@pytest.fixture
def faulty(proxy: FaultyProxy, make_disk: Callable[..., Disk]) -> Disk:
    return make_disk(endpoint_url=proxy.endpoint_url, anonymous=True)


async def test_put_whose_answer_is_lost_is_made_once_more(
    faulty: Disk, proxy: FaultyProxy, store: GoogleStore
) -> None:
    proxy.faults.append(Fault("POST", lose=True))
    await faulty.put("a", b"1")
    assert store.objects["a"].content == b"1"


async def test_conditional_put_whose_answer_is_lost_does_not_claim_to_be_refused(
    faulty: Disk, proxy: FaultyProxy, store: GoogleStore
) -> None:
    proxy.faults.append(Fault("POST", lose=True))
    with pytest.raises(exceptions.StorageUnavailableException, match="may be the one") as caught:
        await faulty.put("a", b"1", overwrite=False)
    assert not caught.value.retryable
    assert store.objects["a"].content == b"1"
    proxy.faults.append(Fault("POST", lose=True))
    with pytest.raises(exceptions.FileExistsException):  # that is another one's file
        await faulty.put("a", b"2", overwrite=False)


async def test_deletion_whose_answer_is_lost_has_deleted(
    faulty: Disk, proxy: FaultyProxy, store: GoogleStore
) -> None:
    for conditional in (False, True):
        await faulty.put("a", b"1")
        etag = (await faulty.stat("a")).etag if conditional else None
        proxy.faults.append(Fault("DELETE", lose=True))
        assert await faulty.delete("a", if_match=etag)
        assert store.objects == {}


async def test_change_of_metadata_whose_answer_is_lost_is_made(
    faulty: Disk, proxy: FaultyProxy, store: GoogleStore
) -> None:
    await faulty.put("a", b"1", metadata={"old": "1"})
    for options in ({"metadata": {"new": "1"}}, {"content_type": "text/x-a"}):
        etag = (await faulty.stat("a")).etag
        proxy.faults.append(Fault("PATCH", lose=True))
        await faulty.set_metadata("a", if_match=etag, **options)  # type: ignore[arg-type]
    assert store.objects["a"].fields["metadata"] == {"new": "1"}
    assert store.objects["a"].fields["contentType"] == "text/x-a"


@pytest.mark.parametrize("knows_moves", [True, False])
async def test_move_whose_answer_is_lost_loses_no_file(
    faulty: Disk, proxy: FaultyProxy, store: GoogleStore, *, knows_moves: bool
) -> None:
    store.knows_moves = knows_moves
    await faulty.put("a", b"1")
    proxy.faults.append(Fault("POST", key="moveTo" if knows_moves else "rewriteTo", lose=True))
    if knows_moves:
        with pytest.raises(exceptions.StorageUnavailableException, match="may be the one"):
            await faulty.move("a", "b")
    else:
        await faulty.move("a", "b")
    assert {name: each.content for name, each in store.objects.items()} == {"b": b"1"}


@pytest.mark.parametrize("fault", [{"cut": 2 * MIB}, {"truncate": 3 * MIB}])
async def test_read_that_breaks_off_goes_on_with_the_same_version(
    faulty: Disk, proxy: FaultyProxy, store: GoogleStore, fault: dict[str, int]
) -> None:
    content = bytes(range(256)) * (4 * MIB // 256)
    await faulty.put("a", content)
    proxy.faults.append(Fault("GET", **fault))  # type: ignore[arg-type]
    assert await faulty.get("a") == content

    async def replace() -> None:
        store._store("a", b"other" * MIB, {}, {})

    proxy.faults.append(Fault("GET", cut=MIB, meanwhile=replace))
    with pytest.raises(exceptions.IntegrityException, match="replaced"):
        await faulty.get("a")


async def test_bit_that_flips_on_the_way_is_found(
    faulty: Disk, proxy: FaultyProxy, store: GoogleStore
) -> None:
    for size in (1000, 2 * MIB):
        await faulty.put("a", b"x" * size)
        proxy.faults.append(Fault("GET", flip=500))
        with pytest.raises(exceptions.IntegrityException, match="checksum"):
            await faulty.get("a")
    assert len(store.objects) == 1


async def test_store_that_ignores_conditions_of_reads_is_held_to_them(
    store: GoogleStore, make_disk: Callable[..., Disk]
) -> None:
    disk = make_disk(anonymous=True)
    await disk.put("a", b"1")
    etag = (await disk.stat("a")).etag
    await disk.put("a", b"2")

    def ignoring(request: web.Request) -> web.Response | None:
        if request.path.startswith("/storage/"):
            return None
        stored = store.objects["a"]
        headers = {"x-goog-generation": str(stored.generation), "x-goog-metageneration": "1"}
        return web.Response(body=stored.content, headers=headers)

    store.before = ignoring
    with pytest.raises(exceptions.PreconditionFailedException):
        await disk.get("a", if_match=etag)


async def test_copy_of_which_nothing_more_is_made_ends(
    store: GoogleStore, make_disk: Callable[..., Disk]
) -> None:
    disk = make_disk(anonymous=True)
    await disk.put("a", b"1")

    def stalling(request: web.Request) -> web.Response | None:
        if "rewriteTo" not in request.path:
            return None
        said = {"done": False, "rewriteToken": "t", "totalBytesRewritten": "0"}
        return web.json_response(said)

    store.before = stalling
    with pytest.raises(exceptions.StorageUnavailableException, match="copies no more"):
        await disk.copy("a", "b")


@pytest.mark.parametrize("status", [200, 403])
async def test_answer_that_is_nested_too_deep_is_an_error_of_the_store(
    store: GoogleStore, make_disk: Callable[..., Disk], status: int
) -> None:
    disk = make_disk(anonymous=True)
    store.before = lambda _: web.Response(status=status, text='{"a":' * 20_000)
    with pytest.raises(exceptions.StorageException):
        await disk.stat("a")
