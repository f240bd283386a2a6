"""The event loop of the sync API: one for all threads, from the first call to the process's end."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import IntegrityException, ReadOptions, StorageManager
from jtc.storage.driver import ReadStream
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.hookspecs import hookimpl
from jtc.storage.sync._portal import _Workers, portal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.seaweedfs import SeaweedFS

    from jtc.storage.sync import SyncDisk, SyncStorage

PATIENCE = 120
"""Seconds in which what hangs if it is wrong must be done."""


class Waiting(MemoryDriver):
    """Waits in `get`, and sets an event when that begins and when it is cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.cancelled = threading.Event()

    async def get(self, path: str, /) -> bytes:
        self.begun.set()
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)
            self.cancelled.set()
            raise
        return await super().get(path)


def test_all_calls_of_all_threads_run_in_one_loop(storage: SyncStorage) -> None:
    loops = set()

    class Driver(MemoryDriver):
        async def get(self, path: str, /) -> bytes:
            loops.add((id(asyncio.get_running_loop()), threading.current_thread().name))
            await asyncio.sleep(0)
            return await super().get(path)

    storage.set_driver(Driver(), "mine")
    disk = storage.disk("mine")
    barrier = threading.Barrier(16, timeout=PATIENCE)

    def work(n: int) -> None:
        barrier.wait()
        for m in range(50):
            disk.put(f"{n}/{m}", b"%d" % m)
            assert disk.get(f"{n}/{m}") == b"%d" % m

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    assert len(loops) == 1
    assert {name for _, name in loops} == {"jtc-storage-sync"}
    assert len(disk.all_files()) == 16 * 50


def test_s3_driver_opens_one_client_for_all_calls_and_threads(seaweedfs: SeaweedFS) -> None:
    manager = StorageManager.isolated()
    config = {"driver": "s3", "bucket": seaweedfs.bucket, **seaweedfs.options}
    with manager.sync.build(config) as disk:
        opened = disk.driver_as(S3Driver)._transport._clients.opened
        disk.put("sync/one", b"1")
        (client,) = opened.values()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: disk.put(f"sync/{n}", b"1"), range(64)))
        assert sorted(disk.files("sync"))[:2] == ["sync/0", "sync/1"]
        assert list(opened.values()) == [client]
        disk.delete_directory("sync")
    assert opened == {}


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_many_puts_that_read_from_disks_do_not_wait_for_each_other(
    storage: SyncStorage, kind: str
) -> None:
    """Each holds a worker thread that reads, and reading needs another one."""
    disk = storage.disk(kind)
    content = os.urandom(600_000)
    disk.put("from", content)

    def pieces() -> Iterator[bytes]:
        for chunk in disk.stream("from", chunk_size=100_000):
            barrier.wait()
            yield chunk

    def copy(n: int) -> None:
        disk.put(f"to/{n}", pieces())
        with disk.open("from") as file:
            disk.put(f"opened/{n}", file)

    at_once = 24
    barrier = threading.Barrier(at_once, timeout=PATIENCE)
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(copy, range(at_once)))
    for n in range(at_once):
        assert disk.get(f"to/{n}") == disk.get(f"opened/{n}") == content


async def test_in_an_event_loop_it_says_how_to_await(storage: SyncStorage) -> None:
    for call in (
        lambda: storage.get("a"),
        lambda: storage.open("a"),
        lambda: next(storage.stream("a")),
        lambda: next(storage.list()),
    ):
        with pytest.raises(RuntimeError, match=r"await disk\.get.*asyncio\.to_thread"):
            call()
    # What asks no storage is fine anywhere.
    assert storage.url("a") == "memory://a"
    assert storage.disk("local").scoped("b").name == "local"


async def test_in_a_worker_thread_of_an_event_loop_it_works(storage: SyncStorage) -> None:
    await asyncio.to_thread(storage.put, "a", b"1")
    assert await storage._behind.get("a") == b"1"


async def test_in_a_notebook_the_cell_waits(
    storage: SyncStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builtins, "__IPYTHON__", True, raising=False)
    storage.put("a", b"1")
    assert list(storage.stream("a")) == [b"1"]


@pytest.mark.parametrize("notebook", [False, True])
def test_hook_that_would_wait_for_its_own_loop_gets_an_error(
    storage: SyncStorage, monkeypatch: pytest.MonkeyPatch, *, notebook: bool
) -> None:
    class Plugin:
        @hookimpl
        def storage_before_put(self) -> None:
            storage.exists("b")

    if notebook:
        monkeypatch.setattr(builtins, "__IPYTHON__", True, raising=False)
    storage.hooks.register(Plugin())
    with pytest.raises(RuntimeError, match="An event loop runs in this thread"):
        storage.put("a", b"1")
    assert storage.missing("a")


async def test_files_can_be_closed_where_a_loop_runs(storage: SyncStorage) -> None:
    """As the garbage collector does it, in whichever thread it runs."""
    disk = storage.disk("local")
    await asyncio.to_thread(disk.put, "a", b"1")
    file = await asyncio.to_thread(disk.open, "a")
    stream = disk.stream("a")
    await asyncio.to_thread(next, stream)
    file.close()
    stream.close()
    written = await asyncio.to_thread(disk.open, "b", "wb")
    written.abort()
    assert file.closed
    assert written.closed


def test_an_interrupted_call_is_cancelled_and_waited_for(storage: SyncStorage) -> None:
    driver = Waiting()
    storage.set_driver(driver, "waiting")
    disk = storage.disk("waiting")

    def interrupt() -> None:
        driver.begun.wait(PATIENCE)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            disk.get("a")
        assert driver.cancelled.is_set()
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert disk.missing("a")


def test_an_interrupted_upload_leaves_the_old_file(storage: SyncStorage) -> None:
    disk = storage.disk("local")
    disk.put("a", b"old")

    async def endless() -> AsyncIterator[bytes]:
        yield b"new"
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        await asyncio.sleep(PATIENCE)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            disk.put("a", endless())
    finally:
        signal.signal(signal.SIGINT, before)
    assert disk.get("a") == b"old"
    assert disk.files() == ["a"]


def test_a_call_costs_no_thread_of_its_own(storage: SyncStorage) -> None:
    storage.put("a", b"1")
    before = threading.active_count()
    for _ in range(200):
        storage.get("a")
    # Idle threads of other tests may end meanwhile.
    assert threading.active_count() <= before


def run_program(program: str, *arguments: str, seconds: int = PATIENCE) -> str:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    # In its debug mode asyncio reports what held up the loop, on a busy machine anything.
    noise = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert (done.returncode, noise) == (0, []), done.stderr
    return done.stdout


LEFT_OPEN = """
import atexit, json, sys, warnings
warnings.filterwarnings("ignore", "unclosed file '[ab]' of mode", ResourceWarning)
from jtc.storage import Storage

Storage.configure(json.loads(sys.argv[1]))
# Registered before the first call, so it runs when the loop is gone.
def late():
    try:
        disk.get("a")
    except RuntimeError as error:
        print(error)
atexit.register(late)
disk = Storage.sync
disk.put("a", b"1" * 1_000_000)
# Registered after it: everything still works.
atexit.register(lambda: print(len(disk.get("a"))))
stream = disk.stream("a", chunk_size=1000)
next(stream)
begun = disk.stream("a")
begun.__enter__()
dropped = disk.stream("a", chunk_size=1000)
next(dropped)
del dropped
entries = disk.list()
next(entries)
reading = disk.open("a")
reading.read(10)
writing = disk.open("b", "wb")
writing.write(b"2" * 1_000_000)
"""


@pytest.mark.parametrize("kind", ["memory", "local", "s3"])
def test_a_program_that_leaves_everything_open_ends_without_a_warning(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    config: dict[str, Any] = {"driver": kind}
    if kind == "local":
        config["root"] = str(tmp_path / "files")
    elif kind == "s3":
        store = request.getfixturevalue("seaweedfs")
        layers = [{"name": "scoped", "prefix": "sync-exit"}]
        config |= {"bucket": store.bucket, "layers": layers, **store.options}
    said = run_program(LEFT_OPEN, json.dumps({"default": "d", "disks": {"d": config}}))
    assert said == "1000000\nThe process ends: the sync API is closed\n"
    if kind == "local":
        assert [path.name for path in (tmp_path / "files").iterdir()] == ["a"]


ENDS_MEANWHILE = """
import asyncio, threading
from jtc.storage import Storage
from jtc.storage.drivers.memory_driver import MemoryDriver

begun = threading.Event()

class Endless(MemoryDriver):
    async def get(self, path, /):
        begun.set()
        await asyncio.sleep(3600)

def wait():
    try:
        Storage.sync.get("a")
    except RuntimeError as error:
        print(error, flush=True)

Storage.set_driver(Endless())
thread = threading.Thread(target=wait, daemon=True)
thread.start()
begun.wait()
"""


def test_a_program_that_ends_waits_for_no_operation() -> None:
    run_program(ENDS_MEANWHILE)


FORKS = """
import json, os, sys, threading, time, warnings
warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork")
from jtc.storage import Storage

Storage.configure(json.loads(sys.argv[1]))
disk = Storage.sync
disk.put("a", b"parent")
disk.put("large", b"1" * 1_000_000)
kept = disk.stream("large", chunk_size=1000)
next(kept)
entries = disk.list()
next(entries)
reading = disk.open("large")
reading.read(1)
writing = disk.open("written", "wb")
writing.write(b"1" * 1_500_000)

def refused(call):
    try:
        call()
    except RuntimeError as error:
        assert "opened before the process forked" in str(error), error
    else:
        raise AssertionError

stop = threading.Event()
def busy():
    while not stop.is_set():
        disk.get("a")
        disk.scoped("b").exists("c")
threads = [threading.Thread(target=busy) for _ in range(3)]
for thread in threads:
    thread.start()

children = []
for n in range(int(sys.argv[2])):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            refused(lambda: next(kept))
            refused(lambda: next(entries))
            refused(lambda: reading.read(1_000_000))
            refused(lambda: writing.write(b"1" * 3_000_000))
            writing.abort()
            reading.close()
            entries.close()
            kept.close()
            disk.put(f"child-{n}", b"child")
            assert disk.get("a") == b"parent"
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    children.append(pid)
assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * len(children)
stop.set()
for thread in threads:
    thread.join()
assert disk.get("a") == b"parent"
assert b"".join(kept) == b"1" * 999_000
assert len(list(entries)) > 0
assert reading.read() == b"1" * 999_999
writing.close()
assert disk.size("written") == 1_500_000
print(sum(path.startswith("child-") for path in disk.files()), flush=True)
pid = os.fork()
if pid == 0:
    assert disk.exists("a")
    sys.exit(0)  # an orderly end in the child, too
assert os.waitpid(pid, 0)[1] == 0
reading.close()
"""


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_a_forked_child_has_a_loop_of_its_own_while_the_parent_goes_on(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    config: dict[str, Any] = {"driver": "local", "root": str(tmp_path / "files")}
    if kind == "s3":
        store = request.getfixturevalue("seaweedfs")
        layers = [{"name": "scoped", "prefix": "sync-fork"}]
        config = {"driver": "s3", "bucket": store.bucket, "layers": layers, **store.options}
    text = json.dumps({"default": "d", "disks": {"d": config}})
    assert run_program(FORKS, text, "8", seconds=2 * PATIENCE) == "8\n"


# CPython's own modules do not bear it: those that are imported before.
IMPORTED_BESIDE_A_FORK = """
import concurrent.futures.thread, logging, os, sys, threading

forking, imported = threading.Event(), threading.Event()


def wait_for_import():
    forking.set()
    imported.wait(10)


def import_it():
    forking.wait()
    import jtc.storage.sync._portal
    imported.set()


os.register_at_fork(before=wait_for_import)
thread = threading.Thread(target=import_it)
thread.start()
pid = os.fork()
if pid == 0:
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
thread.join()
from jtc.storage import StorageManager
manager = StorageManager.isolated({"default": "d", "disks": {"d": {"driver": "memory"}}})
with manager.sync as storage:
    print(storage.disk("d").put("a", b"1"))
"""


def test_the_sync_api_may_be_imported_while_another_thread_forks() -> None:
    assert run_program(IMPORTED_BESIDE_A_FORK, seconds=PATIENCE) == "a\n"


def test_a_fork_does_not_wait_for_a_loop_that_is_stuck(storage: SyncStorage) -> None:
    release = threading.Event()

    class Stuck(MemoryDriver):
        async def get(self, path: str, /) -> bytes:
            stuck.set()
            release.wait(PATIENCE)
            return await super().get(path)

    stuck = threading.Event()
    storage.set_driver(Stuck(), "stuck")
    storage.disk("stuck").put("a", b"1")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(storage.disk("stuck").get, "a")
        assert stuck.wait(PATIENCE)
        portal.before_fork()
        portal.after_fork_in_parent()
        assert not waiting.done()
        release.set()
        assert waiting.result(PATIENCE) == b"1"
    assert storage.missing("b")


def test_async_api_may_close_what_the_sync_api_opened(disk: SyncDisk) -> None:
    disk.put("a", b"1")
    asyncio.run(disk._behind._manager.aclose())
    assert disk.put("a", b"2") == "a"
    assert disk.get("a") == b"2"


class Interrupted(Exception):
    pass


# Between its making and its run a coroutine belongs to the interpreter alone: an interruption there
# leaves it, and nothing that it began.
bears_interruptions = pytest.mark.filterwarnings(
    "ignore:coroutine '.*' was never awaited:RuntimeWarning"
)


@contextlib.contextmanager
def interrupted_often() -> Iterator[list[bool]]:
    """Interrupt this thread every two milliseconds; while the list that is given is not empty."""
    stop = threading.Event()
    main = threading.main_thread().ident or 0

    def interrupt() -> None:
        while not stop.wait(0.002):
            signal.pthread_kill(main, signal.SIGUSR1)

    def handle(*_: object) -> None:
        if armed:
            armed.pop()
            raise Interrupted

    armed: list[bool] = []
    before = signal.signal(signal.SIGUSR1, handle)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        yield armed
    finally:
        armed.clear()
        stop.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)


@bears_interruptions
def test_an_interruption_at_any_place_leaves_nothing_behind(storage: SyncStorage) -> None:
    """Signals arrive before, while and after a call is passed to the loop."""
    storage.put("a", b"1")
    interrupted = 0
    with interrupted_often() as armed:
        for _ in range(400):
            try:
                armed.append(True)
                while armed:
                    storage.get("a")
            except Interrupted:
                interrupted += 1
    assert interrupted == 400
    assert storage.get("a") == b"1"


@bears_interruptions
def test_an_interrupted_write_is_not_written_twice(storage: SyncStorage) -> None:
    """Either `tell` is the length of what was taken, and that is the file, or close fails."""
    disk = storage.disk("local")
    refused = interrupted = 0
    # Where an interruption falls is chance: all of the first may be at a moment that refuses.
    for n in range(64):
        if n >= 8 and interrupted > refused:
            break
        taken = 0
        with interrupted_often() as armed:
            file = disk.open(f"a{n}", "wb")
            while taken < 6_000_000:
                try:
                    armed.append(True)
                    file.write(b"%07d," % (taken // 8) * 25_000)
                except Interrupted:
                    interrupted += 1
                finally:
                    armed.clear()
                taken = file.tell()
        try:
            file.close()
        except IntegrityException:
            refused += 1
            assert disk.missing(f"a{n}")
        else:
            numbers = [b"%07d," % number for number in range(0, taken // 8, 25_000)]
            assert disk.get(f"a{n}") == b"".join(number * 25_000 for number in numbers)
    assert interrupted > refused


def test_what_comes_with_an_interruption_is_not_lost(storage: SyncStorage) -> None:
    """The read is done when it is interrupted: its bytes are kept for the next one."""
    main = threading.main_thread().ident or 0
    content = b"".join(b"%07d," % n for n in range(100_000))

    class Interrupting(MemoryDriver):
        async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
            stream = await super().open_read(path, options)

            async def chunks() -> AsyncIterator[bytes]:
                async for chunk in stream:
                    if armed:
                        armed.pop()
                        signal.pthread_kill(main, signal.SIGUSR1)
                    yield chunk

            return ReadStream(stream.info, chunks())

    def handle(*_: object) -> None:
        raise Interrupted

    armed: list[bool] = []
    storage.set_driver(Interrupting(), "interrupting")
    disk = storage.disk("interrupting")
    disk.put("a", content)
    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with disk.open("a") as file:
            armed.append(True)
            with pytest.raises(Interrupted):
                file.read(8)
            assert file.read() == content
        stream = disk.stream("a", chunk_size=1_000)
        armed.append(True)
        with pytest.raises(Interrupted):
            next(stream)
        disk.put("b", stream)
        # It goes on, or it has ended if it was cancelled; it leaves nothing out.
        assert disk.get("b") in {content, b""}
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_work_for_which_no_thread_can_be_started_is_not_done_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")  # as CPython says it where the system has none

    done: list[str] = []
    with _Workers() as workers:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError, match="new thread"):
                workers.submit(done.append, "first")
        workers.submit(done.append, "second").result()
    assert done == ["first", "second"]
