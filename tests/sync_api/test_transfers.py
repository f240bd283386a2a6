"""Transfers of many files without `await`."""

from __future__ import annotations

import gc
import io
import threading
import time
from typing import TYPE_CHECKING

import pytest

from jtc.storage.exceptions import TransferException
from jtc.storage.transfers import Action, TransferProgress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jtc.storage.sync import SyncDisk, SyncStorage


def test_put_many_waits_for_all_and_returns_numbers(disk: SyncDisk) -> None:
    summary = disk.put_many({f"{number}.txt": b"abc" for number in range(20)}).wait()
    assert (summary.files, summary.bytes) == (20, 60)
    assert len(disk.all_files()) == 20


def test_put_many_takes_all_kinds_of_content(storage: SyncStorage, tmp_path: Path) -> None:
    local, memory = storage.disk("local"), storage.disk("memory")
    local.put("source", b"from a stream")
    (tmp_path / "path").write_bytes(b"from a path")
    with local.open("source") as opened:
        files = {
            "stream": local.stream("source"),
            "open": opened,
            "path": tmp_path / "path",
            "file": io.BytesIO(b"from a file"),
            "iterator": iter([b"from ", b"an iterator"]),
            "text": "from text",
        }
        assert memory.put_many(files).wait().files == 6
    assert memory.get("stream") == memory.get("open") == b"from a stream"
    assert memory.get("iterator") == b"from an iterator"


def test_put_many_reads_an_iterator_in_the_callers_thread(disk: SyncDisk) -> None:
    threads = set()
    begun = []

    def pairs() -> Iterator[tuple[str, bytes]]:
        for number in range(30):
            threads.add(threading.current_thread())
            begun.append(number)
            yield f"{number}", b""

    taken = 0
    for result in disk.put_many(pairs(), concurrency=3):
        assert result.action is Action.PUT
        assert len(begun) <= taken + 3
        taken += 1
    assert taken == 30
    assert threads == {threading.current_thread()}


def test_put_many_raises_what_its_iterator_raises_after_the_files_before_it(
    disk: SyncDisk,
) -> None:
    def pairs() -> Iterator[tuple[str, bytes]]:
        yield "a", b""
        raise LookupError("no more rows")

    with pytest.raises(LookupError, match="no more rows"):
        disk.put_many(pairs()).wait()
    assert disk.all_files() == ["a"]


def test_put_many_iterator_that_is_interrupted_stops_all(storage: SyncStorage) -> None:
    def pairs() -> Iterator[tuple[str, bytes]]:
        yield "a", b""
        raise KeyboardInterrupt

    transfers = storage.put_many(pairs(), concurrency=1)
    assert next(transfers).path == "a"
    with pytest.raises(KeyboardInterrupt):
        next(transfers)
    assert list(transfers) == []


def test_get_many_and_copy_many_return_results(storage: SyncStorage) -> None:
    memory = storage.disk("memory")
    memory.put_many([("a", b"1"), ("b", b"2")]).wait()
    contents = {r.path: r.content for r in memory.get_many(iter(["a", "b"]))}
    assert contents == {"a": b"1", "b": b"2"}
    seen: list[TransferProgress] = []
    local = storage.disk("local")
    assert memory.copy_many({"a": "x", "b": "y"}, to=local, progress=seen.append).wait().bytes == 2
    assert seen[-1].files == 2
    assert local.get("y") == b"2"
    with pytest.raises(TransferException, match=r"1 of 2 files failed in copy_many\(\)"):
        storage.copy_many([("a", "c"), ("none", "d")], to="local").wait()


def test_transfers_closed_early_stop(storage: SyncStorage) -> None:
    memory = storage.disk("memory")
    with memory.put_many((f"{number}", b"") for number in range(1000)) as transfers:
        next(transfers)
    stored = len(memory.all_files())
    assert stored < 100
    assert list(transfers) == []
    time.sleep(0.01)
    assert len(memory.all_files()) == stored


def test_transfers_dropped_early_stop(storage: SyncStorage) -> None:
    memory = storage.disk("memory")
    for _ in memory.put_many((f"{number}", b"") for number in range(1000)):
        break
    gc.collect()
    assert len(memory.all_files()) < 100


def test_transfers_refuse_wrong_arguments_at_once(storage: SyncStorage) -> None:
    with pytest.raises(TypeError, match="has no option 'sise'"):
        storage.put_many(iter([("a", b"")]), sise=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        storage.get_many("a")
    with pytest.raises(ValueError, match="concurrency"):
        storage.get_many(iter("a"), concurrency=0)
