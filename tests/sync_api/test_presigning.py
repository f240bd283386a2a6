"""Presigning by the sync API: in an event loop too, where nothing has to be waited for."""

from __future__ import annotations

import asyncio
import builtins
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import (
    InvalidPathException,
    SignOptions,
    StorageException,
    StorageManager,
    StorageTimeoutException,
    UnsupportedOperationException,
)
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.sync._portal import portal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jtc.storage import Disk
    from jtc.storage.sync import SyncDisk

NOW = 1_790_000_000.0
PATIENCE = 10
"""Seconds in which what hangs if it is wrong must be done."""
SIGNED = {"base_url": "https://files.test", "secret": "s" * 32}

CALLS: dict[str, Callable[[Any], Any]] = {
    "temporary_url": lambda d: d.temporary_url("a b.txt", 60, stable_for=3600),
    "temporary_urls": lambda d: d.temporary_urls(iter(["a", "/b"]), 60),
    "temporary_upload_url": lambda d: d.temporary_upload_url("a", 60, size=7),
    "temporary_upload_form": lambda d: d.temporary_upload_form("a", 60, max_size=7),
}
VIEWS: dict[str, Callable[[Disk], Disk]] = {
    "no layer": lambda d: d,
    "scoped": lambda d: d.scoped("tenants/1"),
    "read_only": lambda d: d.read_only(),
    "timeout": lambda d: d.with_layer("timeout"),
    "limit": lambda d: d.with_layer("limit", operations=1, bytes_per_second=1.0),
    "retry": lambda d: d.with_layer("retry", delay=0),
    "validate": lambda d: d.with_layer("validate", max_size=1),
    "otel": lambda d: d.with_layer("otel"),
    "all": lambda d: (
        d.with_layer("limit", operations=1)
        .with_layer("timeout")
        .with_layer("retry", delay=0)
        .with_layer("otel")
        .scoped("tenants/1")
    ),
}
WITHOUT_UPLOADS = {"read_only", "validate"}


@pytest.fixture(autouse=True)
def _one_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock, so that equal calls have equal results."""
    monkeypatch.setattr(time, "time", lambda: NOW)


@pytest.fixture(params=["memory", "local"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    """Return a disk that signs."""
    if request.param == "memory":
        return disk_of(MemoryDriver(**SIGNED))
    return disk_of(LocalDriver(root=tmp_path, **SIGNED))


@pytest.fixture
def _no_portal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse what would run in the loop of the sync API."""

    def run(coroutine: Any, _source: object = None) -> None:
        coroutine.close()
        pytest.fail("the sync API ran this in its own loop")

    monkeypatch.setattr(portal, "run", run)


def disk_of(driver: Any) -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    return manager.disk("d")


def calls_of(view: str) -> list[str]:
    return [name for name in CALLS if view not in WITHOUT_UPLOADS or "upload" not in name]


async def in_callback(call: Callable[[], Any]) -> Any:
    """Return the result of a call in a callback of the loop, where no task runs."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def callback() -> None:
        try:
            done.set_result(call())
        except Exception as error:
            done.set_exception(error)

    loop.call_soon(callback)
    return await done


@pytest.mark.usefixtures("_no_portal")
@pytest.mark.parametrize("view", VIEWS)
async def test_presigning_in_event_loop_is_that_of_async_api(disk: Disk, view: str) -> None:
    seen = VIEWS[view](disk)
    tasks = asyncio.all_tasks()
    for name in calls_of(view):
        expected = await CALLS[name](seen)
        assert CALLS[name](seen.sync) == expected
        assert await in_callback(lambda name=name: CALLS[name](seen.sync)) == expected  # type: ignore[misc]
    assert asyncio.all_tasks() == tasks


@pytest.mark.usefixtures("_no_portal")
@pytest.mark.parametrize("view", VIEWS)
def test_presigning_in_plain_thread_is_that_of_async_api(disk: Disk, view: str) -> None:
    seen = VIEWS[view](disk)

    async def call(name: str) -> Any:
        return await CALLS[name](seen)

    for name in calls_of(view):
        assert CALLS[name](seen.sync) == asyncio.run(call(name))


@pytest.mark.usefixtures("_no_portal")
@pytest.mark.parametrize("view", sorted(WITHOUT_UPLOADS))
async def test_presigning_that_layer_refuses_is_refused_in_event_loop(
    disk: Disk, view: str
) -> None:
    for name in ("temporary_upload_url", "temporary_upload_form"):
        with pytest.raises(UnsupportedOperationException):
            CALLS[name](VIEWS[view](disk).sync)


@pytest.mark.usefixtures("_no_portal")
async def test_presigning_of_default_disk_and_fake_works_in_event_loop() -> None:
    manager = StorageManager.isolated({})
    manager.set_driver(MemoryDriver(**SIGNED))
    assert manager.sync.temporary_url("a", 60) == await manager.temporary_url("a", 60)
    with manager.sync.fake() as fake:
        assert "a" in fake.temporary_url("a", 60)


@pytest.mark.usefixtures("_no_portal")
@pytest.mark.parametrize("view", sorted(VIEWS.keys() - {"validate"}))
async def test_presigning_error_is_raised_as_it_is(disk: Disk, view: str) -> None:
    sync = VIEWS[view](disk).sync

    def check() -> None:
        with pytest.raises(InvalidPathException) as raised:
            sync.temporary_url("../a", 60)
        assert (raised.value.disk, raised.value.operation) == ("d", "temporary_url")
        with pytest.raises(ValueError, match="printable ASCII"):
            sync.temporary_url("a", 60, content_type="ä")

    check()
    await asyncio.to_thread(check)


class Remote(MemoryDriver):
    """Waits for its backend before it signs, as often as `waits` says."""

    def __init__(self, waits: int = 1_000_000) -> None:
        super().__init__(**SIGNED)
        self.waits = waits
        self.begun: list[str] = []
        self.left = 0

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        timer = loop.call_later(0.001, answer.set_result, None)
        try:
            await answer
        finally:
            timer.cancel()
            self.left += 1

    async def _signed(self, path: str) -> None:
        self.begun.append(path)
        if self.waits:
            self.waits -= 1
            await self._wait()

    async def temporary_url(self, path: str, options: SignOptions, /) -> str:
        await self._signed(path)
        return await super().temporary_url(path, options)

    async def temporary_upload_url(self, path: str, options: SignOptions, /) -> Any:
        await self._signed(path)
        return await super().temporary_upload_url(path, options)

    async def temporary_upload_form(self, path: str, options: SignOptions, /) -> Any:
        await self._signed(path)
        return await super().temporary_upload_form(path, options)


@pytest.mark.parametrize("view", VIEWS)
async def test_presigning_that_waits_says_in_event_loop_how_to_await(view: str) -> None:
    driver = Remote()
    seen = VIEWS[view](disk_of(driver))
    tasks = asyncio.all_tasks()
    for name in calls_of(view):
        with pytest.raises(RuntimeError, match=rf"await disk\.{name}\(.*asyncio\.to_thread"):
            CALLS[name](seen.sync)
        assert driver.left == len(driver.begun), "the call was not closed"
        assert await CALLS[name](seen)
    assert asyncio.all_tasks() == tasks


@pytest.mark.parametrize("view", VIEWS)
def test_presigning_that_waits_works_in_plain_thread(view: str) -> None:
    driver = Remote()
    seen, quick = VIEWS[view](disk_of(driver)), VIEWS[view](disk_of(MemoryDriver(**SIGNED)))
    for name in calls_of(view):
        assert CALLS[name](seen.sync) == CALLS[name](quick.sync)
    assert driver.left > 0


def test_temporary_urls_that_wait_midway_has_all_of_an_iterator() -> None:
    class Midway(Remote):
        async def _signed(self, path: str) -> None:
            self.begun.append(path)
            if path == "c":
                await asyncio.sleep(0)

    driver = Midway()
    assert list(disk_of(driver).sync.temporary_urls(iter("abcd"), 60)) == list("abcd")
    assert driver.begun == [*"abc", *"abcd"]


async def test_presigning_waits_in_event_loop_only_until_keys_are_there() -> None:
    disk = disk_of(Remote(waits=2))
    with pytest.raises(RuntimeError, match=r"await disk\.temporary_url\("):
        disk.sync.temporary_url("a", 60)
    url = await disk.temporary_url("a", 60)
    assert disk.sync.temporary_url("a", 60) == url


async def test_presigning_that_waits_makes_cell_of_notebook_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = disk_of(Remote())
    monkeypatch.setattr(builtins, "__IPYTHON__", True, raising=False)
    assert disk.sync.temporary_url("a", 60) == await disk.temporary_url("a", 60)


async def test_presigning_whose_cleanup_waits_too_says_how_to_await() -> None:
    class Careful(Remote):
        async def _wait(self) -> None:
            try:
                await asyncio.sleep(0)
            finally:
                self.left += 1
                await asyncio.sleep(0)

    driver = Careful()
    with pytest.raises(RuntimeError, match=r"await disk\.temporary_url\("):
        disk_of(driver).sync.temporary_url("a", 60)
    assert driver.left == 1


def test_presigning_that_reports_lack_of_loop_in_own_words_works_in_plain_thread() -> None:
    class Wrapping(Remote):
        async def _wait(self) -> None:
            try:
                await super()._wait()
            except RuntimeError as error:
                raise StorageException("The backend failed") from error

    driver = Wrapping()
    assert disk_of(driver).sync.temporary_url("a", 60)
    assert driver.begun == ["a", "a"]


@pytest.mark.parametrize("failure", [RuntimeError("broken"), StorageException("broken")])
def test_presigning_that_fails_raises_its_own_error(failure: Exception) -> None:
    class Broken(Remote):
        async def _wait(self) -> None:
            raise failure

    driver = Broken()
    with pytest.raises(type(failure), match="broken"):
        disk_of(driver).sync.temporary_url("a", 60)
    # A RuntimeError may have been the lack of a loop.
    assert len(driver.begun) == (2 if isinstance(failure, RuntimeError) else 1)


def test_presigning_that_hangs_ends_in_time_under_timeout_layer() -> None:
    class Hanging(Remote):
        async def _wait(self) -> None:
            await asyncio.sleep(PATIENCE)

    disk = disk_of(Hanging()).with_layer("timeout", total=0.01)
    with pytest.raises(StorageTimeoutException):
        disk.sync.temporary_url("a", 60)


@pytest.mark.usefixtures("_no_portal")
def test_presigning_in_many_threads_has_each_its_own_results(disk: Disk) -> None:
    sync: SyncDisk = disk.with_layer("limit", operations=1).sync
    names = [f"{n}.txt" for n in range(64)]
    expected = {name: sync.temporary_url(name, 60) for name in names}
    found: list[dict[str, str]] = []

    def work() -> None:
        found.append({name: sync.temporary_url(name, 60) for name in names})

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 8
