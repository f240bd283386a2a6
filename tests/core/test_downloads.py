"""Downloads: a file of this machine is replaced whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from disk_ways import VERSIONED, WAYS, disk_of
from jtc.storage import (
    FileInfo,
    FileNotFoundException,
    IntegrityException,
    NotModifiedException,
    PreconditionFailedException,
    ReadOptions,
    ReadStream,
    StorageManager,
    StorageUnavailableException,
)
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.hookspecs import Failed, hookimpl
from small_drivers import Streaming

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

MIB = 1024 * 1024
LARGE = bytes(range(251)) * 12_000


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


class Paused(MemoryDriver):
    """Streams one chunk after the other, each when it is let through."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.waiting = asyncio.Event()
        self.go_on = asyncio.Event()
        self.closed = False
        self.options = ReadOptions()

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        self.options = options
        stream = await super().open_read(path, options)

        async def chunks() -> AsyncIterator[bytes]:
            async for chunk in stream:
                self.asked += 1
                yield chunk
                self.waiting.set()
                await self.go_on.wait()

        async def close() -> None:
            self.closed = True

        return ReadStream(stream.info, chunks(), close)


@pytest.mark.parametrize("way", [*WAYS, "local"])
@pytest.mark.parametrize("content", [b"content", b"", LARGE])
async def test_download_writes_the_whole_file(
    way: str, content: bytes, directory: Path, tmp_path: Path
) -> None:
    if way == "local":
        files = disk = disk_of(LocalDriver(tmp_path / "disk"))
    else:
        files, disk = WAYS[way]()
    await files.put("d/a.txt", content)
    info = await disk.download("/d/a.txt", directory / "copy")
    assert isinstance(info, FileInfo)
    assert (info.path, info.size) == ("d/a.txt", len(content))
    assert info.etag == (await files.stat("d/a.txt")).etag
    assert (directory / "copy").read_bytes() == content
    await files.put("d/a.txt", b"another")
    await disk.download("d/a.txt", str(directory / "copy"))
    assert (directory / "copy").read_bytes() == b"another"
    assert names(directory) == ["copy"]


@pytest.mark.parametrize("way", VERSIONED)
async def test_download_under_a_condition_keeps_the_local_file(way: str, directory: Path) -> None:
    files, disk = VERSIONED[way]()
    await files.put("a", b"content")
    target = directory / "copy"
    etag = (await disk.download("a", target)).etag
    assert etag is not None
    target.write_bytes(b"mine")
    with pytest.raises(NotModifiedException) as unchanged:
        await disk.download("a", target, if_none_match=etag)
    with pytest.raises(PreconditionFailedException) as other:
        await disk.download("a", target, if_match="another")
    with pytest.raises(FileNotFoundException) as missing:
        await disk.download("missing", target)
    for raised, path in ((unchanged, "a"), (other, "a"), (missing, "missing")):
        error = raised.value
        assert (error.operation, error.path, error.disk) == ("download", path, "d")
    assert target.read_bytes() == b"mine"
    await disk.download("a", target, if_match=etag, if_none_match="another")
    assert target.read_bytes() == b"content"
    assert names(directory) == ["copy"]


async def test_download_asks_for_large_chunks_that_may_be_read_ahead(directory: Path) -> None:
    driver = Paused()
    driver.go_on.set()
    disk = disk_of(driver)
    await disk.put("a", b"1")
    await disk.download("a", directory / "copy")
    assert (driver.options.read_ahead, driver.options.chunk_size) == (True, MIB)
    assert driver.closed


# The local file


async def test_download_has_the_mode_of_the_umask_or_of_the_file_before(directory: Path) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a", b"content")
    target = directory / "copy"
    before = os.umask(0o027)
    try:
        await disk.download("a", target)
        assert target.stat().st_mode & 0o777 == 0o640
        target.chmod(0o604)
        await disk.download("a", target)
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == 0o604


async def test_download_is_private_and_beside_its_target_until_it_is_complete(
    directory: Path,
) -> None:
    driver = Paused()
    disk = disk_of(driver)
    await disk.put("a", bytes(2 * MIB))
    target = directory / "copy"
    target.write_bytes(b"old")
    target.chmod(0o644)
    task = asyncio.create_task(disk.download("a", target))
    await driver.waiting.wait()
    while len(names(directory)) < 2:
        await asyncio.sleep(0.001)
    (temporary,) = set(names(directory)) - {"copy"}
    assert temporary.startswith(".jtc-tmp-")
    assert (directory / temporary).stat().st_mode & 0o777 == 0o600
    assert target.read_bytes() == b"old"
    driver.go_on.set()
    await task
    assert names(directory) == ["copy"]
    assert (target.stat().st_size, target.stat().st_mode & 0o777) == (2 * MIB, 0o644)


async def test_download_replaces_a_symbolic_link_and_not_its_target(directory: Path) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a", b"content")
    (directory / "real").write_bytes(b"mine")
    (directory / "link").symlink_to("real")
    (directory / "dangling").symlink_to("nowhere")
    (directory / "loop").symlink_to("loop")
    for name in ("link", "dangling", "loop"):
        await disk.download("a", directory / name)
        assert not (directory / name).is_symlink()
        assert (directory / name).read_bytes() == b"content"
    assert (directory / "real").read_bytes() == b"mine"


async def test_download_below_a_link_that_leads_to_itself_says_so(directory: Path) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a", b"content")
    (directory / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="leads to itself") as raised:
        await disk.download("a", directory / "loop" / "copy")
    assert (raised.value.errno, raised.value.filename) == (
        errno.ELOOP,
        str(directory / "loop" / "copy"),
    )


async def test_download_takes_a_relative_path(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(directory)
    disk = disk_of(MemoryDriver())
    await disk.put("a", b"content")
    await disk.download("a", "copy")
    assert (directory / "copy").read_bytes() == b"content"


async def test_download_takes_the_longest_name_that_the_file_system_does(directory: Path) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a", b"content")
    await disk.download("a", directory / ("n" * 255))
    assert (directory / ("n" * 255)).read_bytes() == b"content"


WRONG: dict[str, tuple[str, int, str]] = {
    "missing directory": ("nowhere/copy", errno.ENOENT, "no such directory .* make it first"),
    "missing directory, as a directory": ("nowhere/", errno.ENOENT, "no such directory"),
    "directory": ("d", errno.EISDIR, "A directory is there: name the file in it"),
    "directory with a slash": ("d/", errno.EISDIR, "A directory is there: name the file in it"),
    "link to a directory": ("link", errno.EISDIR, "A directory is there: name the file in it"),
    "below a file": ("file/copy", errno.ENOTDIR, "A file is in the way"),
    "pipe": ("pipe", errno.EINVAL, "A device or a pipe is there"),
    "long name": ("n" * 256, errno.ENAMETOOLONG, "cannot be written: File name too long"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("hooked", [False, True])
async def test_download_names_the_local_path_and_what_to_do(
    wrong: str, directory: Path, *, hooked: bool
) -> None:
    name, number, message = WRONG[wrong]
    (directory / "d").mkdir()
    (directory / "link").symlink_to("d")
    (directory / "file").write_bytes(b"mine")
    os.mkfifo(directory / "pipe")
    failures: list[Any] = []

    class Listener:
        @hookimpl
        def storage_failed(self, event: Failed) -> None:
            failures.append(event)

    manager = StorageManager.isolated({})
    manager.set_driver(MemoryDriver(), "d")
    if hooked:
        manager.hooks.register(Listener())
    disk = manager.disk("d")
    await disk.put("a", LARGE)
    there = names(directory)
    target = f"{directory}/{name}"
    with pytest.raises(OSError, match=message) as raised:
        await disk.download("a", target)
    assert (raised.value.errno, raised.value.filename) == (number, target)
    assert target in str(raised.value)
    assert not hasattr(raised.value, "disk")  # it is no error of the storage
    assert [event.error for event in failures] == [raised.value] * hooked
    assert names(directory) == there


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_download_into_a_directory_of_others_says_so(directory: Path) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a", b"content")
    directory.chmod(0o500)
    with pytest.raises(PermissionError, match="name a directory that it may write to"):
        await disk.download("a", directory / "copy")
    directory.chmod(0o700)


@contextlib.contextmanager
def longest_file(size: int) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("limit", [MIB // 2, 5 * MIB // 2])
async def test_download_without_room_leaves_the_old_file(limit: int, directory: Path) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a", LARGE)
    target = directory / "copy"
    target.write_bytes(b"old")
    with (
        longest_file(limit),
        pytest.raises(OSError, match="There is no room for the file: free some") as raised,
    ):
        await disk.download("a", target)
    assert raised.value.filename == str(target)
    assert names(directory) == ["copy"]
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("target", "error"), [(b"/tmp/x", TypeError), (1, TypeError), ("", ValueError)]
)
async def test_download_refuses_what_is_no_path(target: Any, error: type[Exception]) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a", b"1")
    with pytest.raises(error):
        await disk.download("a", target)


async def test_download_refuses_a_null_character(directory: Path) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a", b"1")
    with pytest.raises(ValueError, match="null"):
        await disk.download("a", f"{directory}/a\0b")
    assert names(directory) == []


# Failures and cancellation


@pytest.mark.parametrize("after", [0, 2])
async def test_download_that_breaks_off_leaves_nothing(after: int, directory: Path) -> None:
    driver = Streaming()
    disk = disk_of(driver)
    await disk.put("a", LARGE)
    driver.fail_after = after
    with pytest.raises(StorageUnavailableException) as raised:
        await disk.download("a", directory / "copy")
    assert (raised.value.path, raised.value.operation) == ("a", "download")
    assert names(directory) == []
    assert driver.opened == driver.closed


async def test_download_of_a_short_body_is_refused(directory: Path) -> None:
    driver = Streaming()
    disk = disk_of(driver)
    await disk.put("a", LARGE)
    driver.short = 1
    with pytest.raises(IntegrityException, match=f"{len(LARGE)} bytes, but {len(LARGE) - 1}"):
        await disk.download("a", directory / "copy")
    assert names(directory) == []


@pytest.mark.parametrize("size", [10, 3 * MIB])
async def test_download_that_is_cancelled_leaves_nothing(size: int, directory: Path) -> None:
    descriptors = len(names(Path("/proc/self/fd")))
    for _ in range(5):
        driver = Paused()
        disk = disk_of(driver)
        await disk.put("a", bytes(size))
        task = asyncio.create_task(disk.download("a", directory / "copy"))
        await driver.waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert driver.closed
        assert names(directory) == []
    assert len(names(Path("/proc/self/fd"))) <= descriptors + 2  # of the first use of a thread


async def test_download_reads_while_it_writes(directory: Path) -> None:
    driver = Paused()
    driver.go_on.set()
    disk = disk_of(driver)
    await disk.put("a", bytes(4 * MIB))
    busy = threading.Event()
    executor = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(executor)
    executor.submit(busy.wait)
    task = asyncio.create_task(disk.download("a", directory / "copy"))
    while driver.asked < 2:  # the first chunk waits for the thread
        await asyncio.sleep(0.001)
    assert names(directory) == []
    busy.set()
    await task
    assert (directory / "copy").stat().st_size == 4 * MIB


async def test_download_that_is_cancelled_waits_for_no_busy_thread(directory: Path) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a", bytes(10))
    busy = threading.Event()
    executor = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(executor)
    executor.submit(busy.wait)
    task = asyncio.create_task(disk.download("a", directory / "copy"))
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    busy.set()
    await asyncio.to_thread(lambda: None)  # what was queued has run
    assert names(directory) == []


async def test_download_without_threads_is_a_typed_error_and_leaves_nothing(
    directory: Path,
) -> None:
    driver = Paused()
    disk = disk_of(driver)
    await disk.put("a", bytes(2 * MIB))
    executor = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(executor)
    task = asyncio.create_task(disk.download("a", directory / "copy"))
    while not names(directory):
        await asyncio.sleep(0.001)
    await asyncio.to_thread(lambda: None)  # the first chunk is written
    executor.shutdown()
    driver.go_on.set()
    with pytest.raises(StorageUnavailableException, match="thread") as raised:
        await task
    assert (raised.value.path, raised.value.operation) == ("a", "download")
    assert names(directory) == []


KILLED = """
import asyncio, os, sys
from jtc.storage import ReadStream, StorageManager
from jtc.storage.drivers.memory_driver import MemoryDriver

class Endless(MemoryDriver):
    async def open_read(self, path, options, /):
        stream = await super().open_read(path, options)
        async def chunks():
            async for chunk in stream:
                yield chunk
            while not [name for name in os.listdir(sys.argv[1]) if name.startswith(".jtc-tmp-")]:
                await asyncio.sleep(0.001)
            os.kill(os.getpid(), 9)
        return ReadStream(stream.info, chunks())

async def main():
    manager = StorageManager.isolated({})
    manager.set_driver(Endless(), "d")
    await manager.disk("d").put("a", bytes(2 * 1024 * 1024))
    await manager.disk("d").download("a", sys.argv[1] + "/copy")

asyncio.run(main())
"""


async def test_download_of_a_killed_process_leaves_the_old_file(directory: Path) -> None:
    (directory / "copy").write_bytes(b"old")
    run = subprocess.run([sys.executable, "-c", KILLED, str(directory)], check=False)
    assert run.returncode == -9
    assert (directory / "copy").read_bytes() == b"old"
    (temporary,) = set(names(directory)) - {"copy"}
    assert temporary.startswith(".jtc-tmp-")
    disk = disk_of(LocalDriver(directory))
    assert await disk.files() == ["copy"]  # a disk there does not list it


# Progress


@pytest.mark.parametrize("way", WAYS)
async def test_download_reports_its_progress(way: str, directory: Path) -> None:
    files, disk = WAYS[way]()
    await files.put("a", LARGE)
    seen: list[tuple[int, int | None]] = []
    await disk.download("a", directory / "copy", progress=lambda *numbers: seen.append(numbers))
    assert seen == [(MIB, len(LARGE)), (2 * MIB, len(LARGE)), (len(LARGE), len(LARGE))]


async def test_download_progress_that_raises_stops_it(directory: Path) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a", LARGE)

    def progress(done: int, _total: int | None) -> None:
        raise LookupError(done)

    with pytest.raises(LookupError):
        await disk.download("a", directory / "copy", progress=progress)
    assert names(directory) == []


async def test_download_progress_is_a_plain_function(directory: Path) -> None:
    disk = disk_of(MemoryDriver())
    await disk.put("a", b"1")

    async def progress(_done: int, _total: int | None) -> None: ...

    with pytest.raises(TypeError, match="progress is a plain function"):
        await disk.download("a", directory / "copy", progress=progress)
    assert names(directory) == []
