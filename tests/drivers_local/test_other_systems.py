"""The local driver where Python has what it has on Windows and on macOS.

This shows the driver's side alone; no file system of those systems is under it.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import other_systems
from jtc.storage.drivers.local_driver import LocalDriver, _directories, _sharing, _system_calls
from jtc.storage.drivers.local_driver._path_root import PathRoot
from jtc.storage.drivers.local_driver._windows_names import name_error
from jtc.storage.drivers.local_driver._worker_calls import CancelToken
from jtc.storage.exceptions import (
    InvalidPathException,
    StoragePermissionException,
    StorageUnavailableException,
)
from jtc.storage.options import WriteOptions
from local_ways import local_driver
from mounts import mounted

if TYPE_CHECKING:
    from collections.abc import Iterator

TOUR = """
import asyncio, os, sys
from jtc.storage import Storage
from jtc.storage.drivers import local_driver
from jtc.storage.drivers.local_driver import LocalDriver, _sharing
from jtc.storage.exceptions import *
from jtc.storage.models import Visibility

_sharing._WAIT_SECONDS = 0.1

async def chunks():
    for _ in range(3):
        yield b"x" * 1_000_000

async def tour(disk):
    assert await disk.put("d/a.txt", b"content", content_type="text/x-own", metadata={"k": "v"})
    assert await disk.get("d/a.txt") == b"content"
    info = await disk.stat("d/a.txt")
    found = info.content_type, dict(info.metadata), info.size
    assert found == ("text/x-own", {"k": "v"}, 7), found
    await disk.set_metadata("d/a.txt", metadata={"k": "new"})
    assert (await disk.stat("d/a.txt")).content_type == "text/x-own"
    assert (await disk.stat("d/a.txt")).metadata == {"k": "new"}
    await disk.set_visibility("d/a.txt", Visibility.PRIVATE)
    assert await disk.visibility("d/a.txt") is Visibility.PRIVATE
    await disk.put("d/a.txt", b"other")
    assert await disk.visibility("d/a.txt") is Visibility.PRIVATE
    assert (await disk.stat("d/a.txt")).metadata == {}
    await disk.put("d/large", chunks())
    assert await disk.size("d/large") == 3_000_000
    async with disk.stream("d/large", start=5, end=2_000_005) as stream:
        assert sum([len(chunk) async for chunk in stream]) == 2_000_000
    await disk.copy("d/a.txt", "e/f/b.txt")
    assert await disk.visibility("e/f/b.txt") is Visibility.PRIVATE
    await disk.move("e/f/b.txt", "e/c.txt")
    assert await disk.get("e/c.txt") == b"other"
    try:
        await disk.put("e/c.txt", b"", overwrite=False)
        raise AssertionError
    except FileExistsException:
        pass
    etag = (await disk.stat("e/c.txt")).etag
    await disk.put("e/c.txt", b"third", if_match=etag)
    try:
        await disk.put("e/c.txt", b"", if_match=etag)
        raise AssertionError
    except PreconditionFailedException:
        pass
    listed = [entry.path async for entry in disk.list(recursive=True)]
    assert listed == ["d/a.txt", "d/large", "e/c.txt"], listed
    await asyncio.gather(*(disk.put("d/many", str(n)) for n in range(50)))
    assert await disk.delete("d/a.txt") is True
    assert await disk.delete("d/a.txt") is False
    await disk.delete_directory("d")
    assert not await disk.exists("d/large")
    assert await disk.get("e/c.txt") == b"third"

for durable in (False, True):
    Storage.configure({"disks": {"d": {"driver": "local", "root": ROOT, "durable": durable}}})
    asyncio.run(tour(Storage.disk("d")))
    asyncio.run(tour(Storage.disk("d")))
"""


# What differs: the rest is as on the way by paths, which runs in this process.
CONFORMANCE = """
from jtc.storage.drivers.local_driver import LocalDriver, _sharing
from jtc.storage.testing._groups.conditional_writes import ConditionalWriteTests
from jtc.storage.testing._groups.copies import CopyTests
from jtc.storage.testing._groups.declared_metadata import DeclaredMetadataTests
from jtc.storage.testing._groups.metadata_updates import MetadataUpdateTests
from jtc.storage.testing._groups.streams import StreamTests
from jtc.storage.testing._groups.visibility import VisibilityTests
import pytest, sys

_sharing._WAIT_SECONDS = 0.2

class TestElsewhere(
    ConditionalWriteTests, CopyTests, DeclaredMetadataTests, MetadataUpdateTests, StreamTests,
    VisibilityTests,
):
    stands_alone = False

    @pytest.fixture
    def driver(self, tmp_path):
        return LocalDriver(str(tmp_path / "root"))

    def refuses_path(self, path):
        return sys.platform == "win32" and any(mark in path for mark in '?"<>')
"""


def run_as(platform: str, code: str, root: Path, **environment: str) -> str:
    """Run code as on another system; return what it prints."""
    command = [sys.executable, other_systems.__file__, platform, textwrap.dedent(code), str(root)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr + done.stdout[-10_000:]
    return done.stdout


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_conformance_where_another_system_differs(tmp_path: Path, platform: str) -> None:
    (tmp_path / "test_elsewhere.py").write_text(CONFORMANCE)
    code = """
    import pytest, sys
    options = "-q -s -x --tb=native -p pytest_asyncio.plugin -o asyncio_mode=auto"
    without = "-p no:cacheprovider -p no:faulthandler"
    places = ["--rootdir", ROOT, f"--basetemp={ROOT}/t", ROOT]
    sys.exit(pytest.main([*options.split(), *without.split(), *places]))
    """
    said = run_as(platform, code, tmp_path, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert int(said.rpartition(" passed")[0].rsplit(None, 1)[-1]) > 200


def test_tour_as_on_windows(tmp_path: Path) -> None:
    run_as("win32", TOUR, tmp_path / "root")
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(name.rpartition(":")[2] for name in left) == ["c.txt", "jtc.storage", "lock"]


def test_tour_as_on_macos(tmp_path: Path) -> None:
    run_as("darwin", TOUR, tmp_path / "root")


@pytest.fixture
def ntfs(tmp_path: Path) -> Iterator[Path]:
    yield from mounted("NTFS with streams", tmp_path)


@pytest.fixture
def ignoring_case(tmp_path: Path) -> Iterator[Path]:
    yield from mounted("NTFS", tmp_path)


def test_streams_of_ntfs_go_with_their_files(ntfs: Path) -> None:
    # Each file has a name of its own: Linux remembers which stream a name had before.
    code = """
    import asyncio
    from jtc.storage.drivers.local_driver import LocalDriver
    from jtc.storage.models import Visibility
    from jtc.storage.options import WriteOptions
    async def tour(disk):
        own = WriteOptions(content_type="text/x-own", visibility=Visibility.PRIVATE)
        await disk.write_file("a", b"content", own)
        await disk.copy_file("a", "d/b", WriteOptions(metadata={"k": "v"}))
        await disk.move_file("a", "d/c", WriteOptions(overwrite=False))
        for path, metadata in (("d/b", {"k": "v"}), ("d/c", {})):
            info = await disk.stat(path)
            assert (info.content_type, info.metadata) == ("text/x-own", metadata), info
            assert await disk.visibility(path) is Visibility.PRIVATE
        assert await disk.delete("d/b") is True
    asyncio.run(tour(LocalDriver(ROOT)))
    """
    run_as("win32 on NTFS", code, ntfs / "root")
    with (ntfs / "root/d/c:jtc.storage").open("rb") as stream:
        assert stream.read() == b'{"content_type":"text/x-own","mode":"0600"}'
    assert [path.name for path in (ntfs / "root/d").iterdir()] == ["c"]


@pytest.mark.parametrize("way", ["portable", "by path"])
async def test_move_to_another_case_keeps_the_file_where_case_is_ignored(
    ignoring_case: Path, way: str
) -> None:
    driver = local_driver(ignoring_case / "root", way)
    await driver.put("a.txt", b"content")
    await driver.move_file("a.txt", "A.txt", WriteOptions())
    assert await driver.get("A.txt") == b"content"
    assert await driver.get("a.txt") == b"content"


def test_sync_on_macos_reaches_the_drive(tmp_path: Path) -> None:
    code = """
    import fcntl, os
    asked, call = [], fcntl.fcntl
    def full(descriptor, command, *rest):
        asked.append(command)
        return 0 if command == fcntl.F_FULLFSYNC else call(descriptor, command, *rest)
    fcntl.fcntl = full
    from jtc.storage.drivers.local_driver import LocalDriver
    import asyncio
    asyncio.run(LocalDriver(ROOT, durable=True).put("a", b"content"))
    print(asked.count(fcntl.F_FULLFSYNC))
    """
    assert run_as("darwin", code, tmp_path / "root") == "2\n"  # the file and its directory


@pytest.mark.parametrize(
    "name",
    ["CON", "nul", "Aux.txt", "com1.tar.gz", "LPT\u00b9", "NUL .txt", "conin$", "a.", "a ", "a:b",
     "a*", "a?", '"', "<", ">", "|"],
)  # fmt: skip
async def test_name_that_windows_takes_for_something_else_is_refused(
    tmp_path: Path, name: str
) -> None:
    driver = local_driver(tmp_path / "root", "by path")
    for path in (name, f"{name}/x", f"d/{name}"):
        with pytest.raises(InvalidPathException, match="On Windows"):
            await driver.put(path, b"")
        with pytest.raises(InvalidPathException, match="On Windows"):
            driver.path(path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["CONFIG", "com10", "nul1", "a.b", ".a", "a~1 b", "aux-1", "ü"])
def test_other_names_are_names_on_windows(name: str) -> None:
    assert name_error(name) is None


async def test_short_name_of_another_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = local_driver(tmp_path, "by path")
    await driver.put("letter~1.txt", b"a name like others")
    assert await driver.get("letter~1.txt") == b"a name like others"
    lstat = os.lstat
    (tmp_path / "a long name.txt").write_bytes(b"")

    def with_short_names(path: str) -> os.stat_result:
        return lstat(path.replace("ALONGN~1.TXT", "a long name.txt"))

    monkeypatch.setattr(os, "lstat", with_short_names)
    with pytest.raises(InvalidPathException, match="short name"):
        await driver.exists("ALONGN~1.TXT")


def test_long_path_has_the_prefix_that_windows_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    long = "x" * 250
    assert _directories.full_name("C:\\x") == "C:\\x"
    assert _directories.full_name(f"C:\\{long}") == f"\\\\?\\C:\\{long}"
    assert _directories.full_name(f"\\\\host\\{long}") == f"\\\\?\\UNC\\host\\{long}"


@pytest.mark.parametrize(
    ("tag", "is_link"),
    [(0xA0000003, True), (0xA000000C, True), (0x9000001A, False), (0, False)],
    ids=["junction", "symbolic link", "file in a cloud", "none"],
)
def test_reparse_point_that_stands_for_another_name_is_a_link(tag: int, *, is_link: bool) -> None:
    status: Any = SimpleNamespace(st_mode=0o40777, st_reparse_tag=tag)
    assert _system_calls.is_link(status) is is_link


class Held:
    """Refuses a step as Windows refuses to replace an open file."""

    def __init__(self, winerror: int, times: int) -> None:
        self.left = times
        self._winerror = winerror

    def __call__(self) -> str:
        self.left -= 1
        if self.left < 0:
            return "done"
        error = PermissionError(errno.EACCES, "held")
        error.winerror = self._winerror  # type: ignore[attr-defined]
        raise error


@pytest.mark.parametrize("winerror", [5, 32, 33])
def test_step_is_taken_once_an_open_file_is_closed(winerror: int) -> None:
    assert _sharing.patiently(CancelToken(), Held(winerror, 3)) == "done"


@pytest.mark.parametrize(
    ("winerror", "error"), [(32, StorageUnavailableException), (5, PermissionError)]
)
def test_step_that_a_file_stays_open_for_fails_after_a_while(
    winerror: int, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sharing, "_WAIT_SECONDS", 0.02)
    with pytest.raises(error):
        _sharing.patiently(CancelToken(), Held(winerror, 10_000))


def test_refusal_of_another_system_is_not_repeated() -> None:
    held = Held(0, 2)
    with pytest.raises(PermissionError):
        _sharing.patiently(CancelToken(), held)
    assert held.left == 1


async def test_links_below_a_root_by_paths_are_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_bytes(b"secret")
    driver = LocalDriver(tmp_path / "root")
    driver._root = PathRoot(str(tmp_path / "root"))
    await driver.put("a", b"")
    (tmp_path / "root/link").symlink_to(tmp_path / "outside")
    (tmp_path / "root/file").symlink_to(tmp_path / "outside/secret")
    for path in ("link/secret", "file"):
        with pytest.raises(StoragePermissionException):
            await driver.get(path)
        with pytest.raises(StoragePermissionException):
            await driver.put(path, b"")
        with pytest.raises(StoragePermissionException):
            await driver.delete(path)
    assert (tmp_path / "outside/secret").read_bytes() == b"secret"
