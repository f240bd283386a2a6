"""Transfers of many files without `await`."""

from __future__ import annotations

import gc
import io
import signal
import subprocess
import sys
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


def test_copy_directory_and_back_by_move_directory(storage: SyncStorage, disk: SyncDisk) -> None:
    files = {f"{number % 3}/{number}.txt": b"x" * number for number in range(1, 21)}
    local = storage.disk("local")
    local.put_many({f"src/{path}": content for path, content in files.items()}).wait()
    seen: list[TransferProgress] = []
    summary = local.copy_directory("src", "there", to=disk, progress=seen.append).wait()
    assert (summary.files, summary.bytes, seen[-1].files) == (20, 210, 20)
    local.put("src/0/3.txt", b"yyyy")
    actions = {r.path: r.action for r in local.copy_directory("src", "there", to=disk)}
    assert {path for path, action in actions.items() if action is Action.COPY} == {"src/0/3.txt"}
    in_one_step = disk.driver is local.driver
    assert disk.move_directory("there", "back", to=local).wait().files == (1 if in_one_step else 20)
    assert disk.all_files("there") == []
    expected = {f"back/{path}": content for path, content in files.items()}
    found = {r.path: r.content for r in local.get_many(local.all_files("back"))}
    assert found == expected | {"back/0/3.txt": b"yyyy"}


def test_copy_directory_interrupted_stops_before_the_interruption_is_raised(
    storage: SyncStorage,
) -> None:
    class Interrupting:
        calls = 0

        def __call__(self, _progress: TransferProgress) -> None:
            self.calls += 1
            if self.calls == 30:
                signal.raise_signal(signal.SIGINT)

    local, memory = storage.disk("local"), storage.disk("memory")
    local.put_many((f"src/{number}", b"abc") for number in range(200)).wait()
    with pytest.raises(KeyboardInterrupt):
        local.copy_directory("src", "dst", to=memory, progress=Interrupting()).wait()
    there = len(memory.all_files())
    assert there < 200
    assert local.copy_directory("src", "dst", to=memory).wait().skipped == there


FEW_DESCRIPTORS = """
import resource, sys
from jtc.storage import Storage
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
Storage.configure({"default": "one", "disks": {
    name: {"driver": "local", "root": f"{sys.argv[1]}/{name}"} for name in ("one", "two")}})
disk = Storage.disk("one").sync
disk.put_many({f"src/{n % 7}/{n}": b"x" * n for n in range(200)}, concurrency=100).wait()
disk.copy_directory("src", "dst", concurrency=100).wait()
print(disk.copy_directory("src", "dst", to="two", concurrency=100).wait().files)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no RLIMIT_NOFILE")
def test_directories_are_copied_with_few_descriptors(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FEW_DESCRIPTORS, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("200\n", "")
