"""Conditions hold in a race, between tasks, loops and processes."""

from __future__ import annotations

import asyncio
import io
import threading
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.local_driver import _deleting as deleting
from jtc.storage.drivers.local_driver import _staged_file as staged_file
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    PreconditionFailedException,
    UnsupportedOperationException,
)
from jtc.storage.options import DeleteOptions, ListOptions, ReadOptions, WriteOptions
from local_ways import names_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


async def test_of_twenty_creators_one_wins(driver: LocalDriver, root: Path) -> None:
    for number in range(5):
        results = await asyncio.gather(
            *(
                driver.write_file(f"{number}/a", bytes([who]) * 1000, WriteOptions(overwrite=False))
                for who in range(20)
            ),
            return_exceptions=True,
        )
        winners = [who for who, result in enumerate(results) if isinstance(result, str)]
        assert len(winners) == 1
        losers = [result for result in results if not isinstance(result, str)]
        assert {type(result) for result in losers} == {FileExistsException}
        assert (root / f"{number}/a").read_bytes() == bytes(winners) * 1000


async def test_of_twenty_deleters_one_gets_true(driver: LocalDriver) -> None:
    for _ in range(10):
        await driver.put("a", b"")
        results = await asyncio.gather(*(driver.delete("a") for _ in range(20)))
        assert results.count(True) == 1


async def test_of_twenty_movers_one_wins(driver: LocalDriver) -> None:
    for overwrite in (True, False):
        await driver.put("a", b"content")
        results = await asyncio.gather(
            *(
                driver.move_file("a", f"to/{overwrite}/{who}", WriteOptions(overwrite=overwrite))
                for who in range(20)
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(result, str) for result in results) == 1
        assert sum(isinstance(result, FileNotFoundException) for result in results) == 19


async def increment(driver: LocalDriver, times: int) -> None:
    for _ in range(times):
        while True:
            stream = await driver.open_read("counter", ReadOptions())
            etag = stream.info.etag
            number = int(b"".join([chunk async for chunk in stream]))
            await stream.aclose()
            try:
                content = str(number + 1).encode()
                await driver.write_file("counter", content, WriteOptions(if_match=etag))
            except PreconditionFailedException:
                continue
            break


async def test_no_increment_is_lost_between_tasks_and_threads(driver: LocalDriver) -> None:
    await driver.put("counter", b"0")
    await asyncio.gather(
        *(increment(driver, 20) for _ in range(4)),
        *(asyncio.to_thread(asyncio.run, increment(driver, 20)) for _ in range(4)),
    )
    assert await driver.get("counter") == b"160"


async def test_a_plain_put_is_not_lost_to_a_conditional_one(driver: LocalDriver) -> None:
    # Were a plain put to come between the comparison and the rename, it would be lost.
    await driver.put("counter", b"0")
    plain: set[str] = set()

    async def put() -> None:
        for number in range(1000, 200_000, 1000):
            etag = await driver.write_file("counter", str(number).encode(), WriteOptions())
            assert etag is not None
            assert etag not in plain
            plain.add(etag)

    putting = asyncio.create_task(put())
    last = 0
    while not putting.done():
        await increment(driver, 1)
        number = int(await driver.get("counter"))
        assert number // 1000 >= last // 1000
        last = number
    await putting


async def test_a_plain_put_waits_while_a_conditional_one_compares_and_replaces(
    driver: LocalDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    etag = await driver.write_file("a", b"old", WriteOptions())
    compared, overtaken = threading.Event(), threading.Event()
    check_place = staged_file.check_place

    def slow(directory: int, name: str, options: WriteOptions) -> bool:
        taken = check_place(directory, name, options)
        if options.if_match is not None:
            compared.set()
            assert not overtaken.wait(0.1)
        return taken

    async def plain() -> None:
        await driver.put("a", b"plain")
        overtaken.set()

    monkeypatch.setattr(staged_file, "check_place", slow)
    conditional = asyncio.create_task(
        driver.write_file("a", b"conditional", WriteOptions(if_match=etag))
    )
    await asyncio.to_thread(compared.wait)
    await asyncio.gather(plain(), conditional)
    assert await driver.get("a") == b"plain"


async def test_delete_if_match_deletes_no_file_that_replaced_it_while_it_waited(
    driver: LocalDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await driver.write_file("a", b"old", WriteOptions())
    looked, replaced = threading.Event(), threading.Event()
    look = deleting.look

    def slow(directory: int, name: str) -> Any:
        found = look(directory, name)
        if not looked.is_set():  # before the lock
            looked.set()
            assert replaced.wait(10)
        return found

    monkeypatch.setattr(deleting, "look", slow)
    deletion = asyncio.create_task(driver.delete_file("a", DeleteOptions(if_match=old)))
    await asyncio.to_thread(looked.wait)
    await driver.put("a", b"new")
    replaced.set()
    with pytest.raises(PreconditionFailedException):
        await deletion
    assert await driver.get("a") == b"new"


async def test_put_waits_while_a_conditional_deletion_compares_and_deletes(
    driver: LocalDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    etag = await driver.write_file("a", b"old", WriteOptions())
    compared, overtaken = threading.Event(), threading.Event()
    check_etag = deleting._check_etag

    def slow(directory: int, name: str, if_match: str) -> None:
        check_etag(directory, name, if_match)
        compared.set()
        assert not overtaken.wait(0.1)

    async def plain() -> None:
        await driver.put("a", b"new")
        overtaken.set()

    monkeypatch.setattr(deleting, "_check_etag", slow)
    deletion = asyncio.create_task(driver.delete_file("a", DeleteOptions(if_match=etag)))
    await asyncio.to_thread(compared.wait)
    _, deleted = await asyncio.gather(plain(), deletion)
    assert deleted is True
    assert await driver.get("a") == b"new"


async def test_every_version_has_an_etag_of_its_own(driver: LocalDriver) -> None:
    etags = [await driver.write_file("a", b"1234", WriteOptions()) for _ in range(300)]
    assert len(set(etags)) == 300
    assert (await driver.stat("a")).etag == etags[-1]
    listed = [entry async for entry in driver.list_entries("", ListOptions())]
    assert [entry.etag for entry in listed] == [etags[-1]]  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", [bytes, io.BytesIO])
async def test_if_match_names_the_file_that_is_there(
    driver: LocalDriver, root: Path, kind: Any
) -> None:
    etag = await driver.write_file("d/a", b"old", WriteOptions())
    await driver.write_file("d/a", kind(b"new"), WriteOptions(if_match=etag))
    with pytest.raises(PreconditionFailedException):
        await driver.write_file("d/a", b"newer", WriteOptions(if_match=etag))
    assert await driver.get("d/a") == b"new"
    for path in ("missing", "no/directory/a"):
        with pytest.raises(PreconditionFailedException):
            await driver.write_file(path, b"new", WriteOptions(if_match=etag))
    assert names_in(root) == ["d"]
    assert names_in(root / "d") == ["a"]


async def test_overwrite_false_keeps_the_file_there(
    driver: LocalDriver, temporaries: Callable[[], list[str]]
) -> None:
    await driver.put("a", b"old")
    await driver.put("b", b"other")
    refuse = WriteOptions(overwrite=False)
    for attempt in (
        driver.write_file("a", b"new", refuse),
        driver.copy_file("b", "a", refuse),
        driver.move_file("b", "a", refuse),
    ):
        with pytest.raises(FileExistsException):
            await attempt
    assert await driver.get("a") == b"old"
    assert await driver.get("b") == b"other"
    assert temporaries() == []


async def test_without_locks_only_conditions_are_refused(
    driver: LocalDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    etag = await driver.write_file("a", b"old", WriteOptions())

    def none(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    monkeypatch.setattr(fcntl, "fcntl", none)
    with pytest.raises(UnsupportedOperationException):
        await driver.write_file("a", b"new", WriteOptions(if_match=etag))
    with pytest.raises(UnsupportedOperationException):
        await driver.delete_file("a", DeleteOptions(if_match=etag))
    await driver.put("a", b"new")
    assert await driver.get("a") == b"new"
    assert await driver.delete("a") is True
