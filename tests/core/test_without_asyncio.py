"""Disks under trio, under gevent, and without any event loop."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from disk_methods import CALLS
from jtc.storage import Disk, StorageManager
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.sync import SyncDisk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

trio = pytest.importorskip("trio")
anyio = pytest.importorskip("anyio")

ASYNC = sorted(set(CALLS) - {"path", "url"})
SIGNING = {name for name in CALLS if name.startswith("temporary_")}


@pytest.fixture
def manager(tmp_path: Path) -> StorageManager:
    """Return a manager of a disk of each driver."""
    signed = {"secret": "x" * 32, "base_url": "/files"}
    store = {"endpoint_url": "http://127.0.0.1:9", "access_key": "a", "secret_key": "b"}
    return StorageManager.isolated(
        {
            "disks": {
                "local": {"driver": "local", "root": str(tmp_path), **signed},
                "s3": {"driver": "s3", "bucket": "b", **store},
                "memory": {"driver": "memory"},
            }
        }
    )


def without_loop(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run an async function to its first wait, in no event loop."""
    coroutine = function(*arguments)
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    finally:
        coroutine.close()
    raise AssertionError("It waits for something, and no event loop runs")


RUNNERS = {
    "trio": trio.run,
    "anyio on trio": lambda *call: anyio.run(*call, backend="trio"),
    "no event loop": without_loop,
}


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("name", sorted(set(ASYNC) - SIGNING))
@pytest.mark.parametrize("disk", ["local", "s3"])
def test_async_method_without_asyncio_names_the_sync_api(
    manager: StorageManager, disk: str, name: str, runner: str
) -> None:
    with pytest.raises(RuntimeError, match="the async API is for asyncio only") as raised:
        RUNNERS[runner](CALLS[name], manager.disk(disk))
    assert "use the sync API, as in 'disk.sync." in str(raised.value)
    assert "trio.to_thread.run_sync()" in str(raised.value)


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("name", sorted(SIGNING))
@pytest.mark.parametrize("disk", ["local", "s3"])
def test_presigning_needs_no_asyncio(
    manager: StorageManager, disk: str, name: str, runner: str
) -> None:
    RUNNERS[runner](CALLS[name], manager.disk(disk))


@pytest.mark.parametrize("runner", RUNNERS)
def test_driver_that_is_used_alone_names_asyncio(tmp_path: Path, runner: str) -> None:
    driver = LocalDriver(tmp_path)
    with pytest.raises(RuntimeError, match=r"put\(\) needs an event loop of asyncio"):
        RUNNERS[runner](driver.put, "a", b"1")


@pytest.mark.parametrize("runner", RUNNERS)
def test_memory_disk_works_where_nothing_waits(manager: StorageManager, runner: str) -> None:
    async def work(disk: Disk) -> None:
        await disk.put("a", b"1")
        assert await disk.get("a") == b"1"
        with pytest.raises(RuntimeError, match=r"stream\(\) needs an event loop of asyncio"):
            await disk.stream("a")
        with pytest.raises(RuntimeError, match=r"open\(\) needs an event loop of asyncio"):
            await disk.open("a", "wb")

    RUNNERS[runner](work, manager.disk("memory"))


def test_sync_api_works_in_threads_of_trio_and_refuses_to_block_it(
    manager: StorageManager,
) -> None:
    disk = manager.disk("local").sync

    async def work(disk: SyncDisk) -> None:
        with pytest.raises(RuntimeError, match=r"by trio\.to_thread\.run_sync\(\)"):
            disk.put("a", b"1")
        await trio.to_thread.run_sync(disk.put, "a", b"1")
        assert await trio.to_thread.run_sync(disk.get, "a") == b"1"
        assert disk.temporary_url("a", 60)

    trio.run(work, disk)
    assert disk.get("a") == b"1"


GEVENT = """
    from gevent import monkey
    monkey.patch_all({})
    from jtc.storage import Storage
    import gevent

    def work(number):
        Storage.sync.put(f"{{number}}.txt", "x")
        return Storage.sync.get(f"{{number}}.txt")

    greenlets = [gevent.spawn(work, number) for number in range(3)]
    for greenlet in greenlets:
        print(greenlet.get(timeout=30))
"""


def run_under_gevent(tmp_path: Path, patches: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("gevent")
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(GEVENT).format(patches)],
        env={"FILESYSTEM_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_sync_api_under_gevent_says_what_to_do(tmp_path: Path) -> None:
    done = run_under_gevent(tmp_path, "")
    assert "RuntimeError: gevent has replaced the threads of this process by greenlets" in (
        done.stderr
    )
    assert "gthread in gunicorn" in done.stderr


def test_sync_api_under_gevent_works_with_real_threads(tmp_path: Path) -> None:
    patches = "thread=False, select=False, socket=False, queue=False"
    done = run_under_gevent(tmp_path, patches)
    assert done.stdout.split() == ["b'x'"] * 3, done.stderr


def test_manager_closes_without_asyncio(manager: StorageManager) -> None:
    manager.disk("s3").url("a")
    trio.run(manager.aclose)
