"""Permission bits: of new files, of replaced ones, and what they say of the visibility."""

from __future__ import annotations

import asyncio
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import StorageManager
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.local_driver._staged_file import StagedFile
from jtc.storage.drivers.local_driver._worker_calls import CancelToken
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.exceptions import StorageConfigException
from jtc.storage.models import Visibility
from jtc.storage.options import WriteOptions
from local_ways import WAYS, local_driver, temporaries_below

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from jtc.storage import Disk

# Coverage doubles the time, and would measure no line that other tests do not measure.
pytestmark = pytest.mark.no_cover

SIGNING: dict[str, Any] = {"base_url": "/files", "secret": "s" * 32}


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def disk_of(driver: Any, name: str = "disk") -> Disk:
    manager = StorageManager.isolated()
    manager.set_driver(driver, name)
    return manager.disk(name)


async def chunks() -> AsyncIterator[bytes]:
    for _ in range(3):
        yield b"x" * 600_000


async def written(disk: Disk) -> None:
    async with disk.open("a", "wb") as file:
        await file.write(b"new")


async def conditional(disk: Disk) -> None:
    await disk.put("a", b"new", if_match=(await disk.stat("a")).etag)


REPLACING: dict[str, Callable[[Disk], Awaitable[object]]] = {
    "put": lambda disk: disk.put("a", b"new"),
    "stream": lambda disk: disk.put("a", chunks()),
    "open": written,
    "append": lambda disk: disk.append("a", b"new"),
    "if_match": conditional,
    "set_metadata": lambda disk: disk.set_metadata("a", content_type="text/x-new"),
}


@pytest.mark.parametrize("replace", REPLACING)
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o666, 0o755, 0o4755, 0o2775])
@pytest.mark.parametrize("options", [{}, SIGNING, {"visibility": "public"}, {"durable": True}])
async def test_replacing_keeps_the_mode_without_setuid(
    tmp_path: Path, way: str, options: dict[str, Any], mode: int, replace: str
) -> None:
    disk = disk_of(local_driver(tmp_path, way, **options))
    await disk.put("a", b"old")
    (tmp_path / "a").chmod(mode)
    await REPLACING[replace](disk)
    kept = mode if replace == "set_metadata" else mode & 0o777  # that changes the file in place
    assert mode_of(tmp_path / "a") == kept


async def test_new_files_have_what_the_umask_leaves(tmp_path: Path, way: str) -> None:
    driver = local_driver(tmp_path, way)
    await driver.put("d/a", b"1")
    os.umask(0o027)
    await driver.put("e/a", b"1")
    assert [mode_of(tmp_path / name) for name in ("d/a", "d", "e/a", "e")] == [
        0o644, 0o755, 0o640, 0o750,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "file", "directory"),
    [
        (SIGNING, 0o600, 0o755),
        ({"visibility": "public"}, 0o644, 0o755),
        ({"visibility": "private"}, 0o600, 0o700),
        ({**SIGNING, "visibility": "public"}, 0o644, 0o755),
        ({"file_modes": {"public": "0664"}}, 0o644, 0o755),
        ({"file_modes": {"public": "0664"}, "visibility": "public"}, 0o664, 0o755),
        ({"file_modes": {"private": 0o640}, "visibility": "private"}, 0o640, 0o700),
        ({"directory_modes": {"public": "775"}}, 0o644, 0o775),
        ({"directory_modes": {"private": 0o750}, **SIGNING}, 0o600, 0o750),
    ],
)
@pytest.mark.parametrize("umask_now", [0o022, 0o077])
async def test_new_files_and_directories_have_the_modes_of_the_options(
    tmp_path: Path, way: str, options: dict[str, Any], file: int, directory: int, umask_now: int
) -> None:
    os.umask(umask_now)
    driver = local_driver(tmp_path / "root", way, **options)
    await driver.put("a", b"1")
    await driver.write_file("d/e/a", chunks(), WriteOptions())
    await driver.make_directory("made")
    files = {mode_of(tmp_path / "root" / name) for name in ("a", "d/e/a")}
    directories = {mode_of(tmp_path / "root" / name) for name in (".", "d", "d/e", "made")}
    if "visibility" not in options and options is not SIGNING and "secret" not in options:
        file &= ~umask_now
    if options is SIGNING or options.keys() == {"file_modes"}:
        directory &= ~umask_now
    assert (files, directories) == ({file}, {directory})


async def test_new_directory_keeps_the_setgid_bit_of_its_parent(tmp_path: Path, way: str) -> None:
    tmp_path.chmod(0o2775)
    await local_driver(tmp_path, way, visibility="public").put("d/a", b"")
    assert mode_of(tmp_path / "d") == 0o2755


@pytest.mark.parametrize(
    ("mode", "visibility"),
    [
        (0o660, "public"), (0o640, "public"), (0o600, "private"), (0o644, "public"),
        (0o620, "private"), (0o604, "public"), (0o610, "private"), (0o400, "private"),
    ],
)  # fmt: skip
async def test_visibility_is_read_by_the_modes_of_the_disk(
    tmp_path: Path, mode: int, visibility: str
) -> None:
    driver = LocalDriver(tmp_path, file_modes={"public": "0640"})
    await driver.put("a", b"1")
    (tmp_path / "a").chmod(mode)
    assert await driver.visibility("a") == visibility


async def test_set_visibility_sets_the_modes_of_the_disk(tmp_path: Path) -> None:
    driver = LocalDriver(tmp_path, file_modes={"public": 0o664, "private": "660"})
    await driver.put("a", b"1")
    for visibility, mode in ((Visibility.PRIVATE, 0o660), (Visibility.PUBLIC, 0o664)):
        await driver.set_visibility("a", visibility)
        assert mode_of(tmp_path / "a") == mode
        assert await driver.visibility("a") is visibility
        await driver.write_file("b", b"1", WriteOptions(visibility=visibility))
        assert mode_of(tmp_path / "b") == mode


async def test_private_disk_writes_no_byte_that_others_may_read(tmp_path: Path) -> None:
    driver = local_driver(tmp_path, "portable", visibility="private", durable=True)
    staged = StagedFile(driver._root, "a", CancelToken())
    try:
        staged.write(b"content")
        (name,) = temporaries_below(tmp_path)
        assert mode_of(tmp_path / name) == 0o600
    finally:
        staged.close()


@pytest.mark.parametrize(
    ("options", "visibility"),
    [({}, "private"), ({"visibility": "public"}, "public"), (SIGNING, "private")],
)
async def test_copy_from_another_disk_is_private_or_as_the_disk_says(
    tmp_path: Path, way: str, options: dict[str, Any], visibility: str
) -> None:
    source = disk_of(MemoryDriver(visibility="public"))
    target = disk_of(local_driver(tmp_path, way, **options))
    await source.put("a", b"content")
    await source.copy("a", "copied", to=target)
    await source.copy("a", "asked", to=target, visibility="public")
    await source.move("a", "moved", to=target)
    found = [str(await target.visibility(path)) for path in ("copied", "asked", "moved")]
    assert found == [visibility, "public", visibility]


@pytest.mark.parametrize("kept", ["public", "private"])
async def test_copy_from_another_disk_keeps_what_it_replaces(tmp_path: Path, kept: str) -> None:
    local, memory = disk_of(LocalDriver(tmp_path)), disk_of(MemoryDriver())
    for source, target in ((local, memory), (memory, local)):
        await source.put("a", b"new", visibility="public")
        await target.put("b", b"old", visibility=kept)
        await source.copy("a", "b", to=target)
        assert await target.visibility("b") == kept


@pytest.mark.parametrize("durable", [False, True])
async def test_put_of_a_name_that_another_took_meanwhile_keeps_its_visibility(
    tmp_path: Path, durable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = LocalDriver(tmp_path, visibility="public", durable=durable)
    link, other = os.link, tmp_path / "a"

    def late(*args: Any, **kwargs: Any) -> None:
        if not other.exists():
            other.write_bytes(b"other")
            other.chmod(0o600)
        link(*args, **kwargs)

    monkeypatch.setattr(os, "link", late)
    await driver.put("a", b"mine")
    assert other.read_bytes() == b"mine"
    assert mode_of(other) == 0o600


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"visibility": "hidden"}, "'visibility' is 'public' or 'private'"),
        ({"file_modes": 0o644}, "'file_modes' is a table"),
        ({"file_modes": {"secret": 0o600}}, "'file_modes' is a table"),
        ({"file_modes": {"public": 644}}, "'file_modes' has 644, and takes octal"),
        ({"file_modes": {"public": "0888"}}, "'file_modes' has '0888'"),
        ({"file_modes": {"public": "rw-r--r--"}}, "'file_modes' has 'rw-r--r--'"),
        ({"file_modes": {"public": 0o4644}}, "'file_modes' has 2468"),
        ({"file_modes": {"public": -1}}, "'file_modes' has -1"),
        ({"file_modes": {"public": True}}, "'file_modes' has True"),
        ({"file_modes": {"public": 0o444}}, "'file_modes' has 0444, and at least 0600"),
        ({"file_modes": {"public": 0o600}}, "'file_modes' permits for 'public' nothing"),
        ({"directory_modes": {"private": 0o600}}, "'directory_modes' has 0600, and at least 0700"),
        ({"directory_modes": ["0700"]}, "'directory_modes' is a table"),
        ({"base_url": "javascript:alert(1)"}, "'base_url' begins with"),
        ({"base_url": "/files\n"}, "'base_url' ends in a newline"),
        ({"root": "~/files"}, "'root' begins with '~'.*'./~/files'"),
        ({"root": "$HOME/files"}, r"'root' begins with '\$HOME'.*whole path"),
        ({"root": "${DATA}/files"}, r"'root' begins with '\$\{DATA'.*whole path"),
        ({"root": "%APPDATA%/files"}, "'root' begins with '%APPDATA%'"),
        ({"root": " /srv/files"}, "'root' begins or ends with a space"),
        ({"root": "/srv/files "}, "'root' begins or ends with a space"),
        ({"root": "file:///srv/files"}, "'root' is a path, not a URL"),
        ({"base_url": '/files"onload="x'}, "'base_url' contains '\"'"),
        ({"base_url": "/<b>"}, "'base_url' contains '<'"),
        ({"root": "storage\n"}, "'root' ends in a newline"),
        ({"root": "a\0b"}, "'root' contains"),
        ({"root": ""}, "'root' is empty"),
        ({"root": b"storage"}, "'root' is a path as text, not bytes"),
        ({"root": None}, "'root' is a path as text, not NoneType"),
        ({"durable": "yes"}, "'durable' is true or false"),
        ({"secret": "s" * 32}, "A 'secret' needs a 'base_url'"),
        ({"secret": "s" * 32 + "\n", "base_url": "/f"}, "'secret' begins or ends with"),
    ],
)
def test_invalid_option_is_refused_when_the_driver_is_made(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(StorageConfigException, match=f"(?s)^{message}"):
        LocalDriver(**options)


async def test_from_env_reads_the_visibility(tmp_path: Path) -> None:
    environ = {"FILESYSTEM_ROOT": str(tmp_path), "FILESYSTEM_VISIBILITY": "private"}
    await LocalDriver.from_env(environ).put("a", b"")
    assert mode_of(tmp_path / "a") == 0o600
    with pytest.raises(StorageConfigException, match="'visibility'"):
        LocalDriver.from_env({"FILESYSTEM_VISIBILITY": "hidden"})


async def test_modes_may_come_from_a_configuration(tmp_path: Path) -> None:
    disk = {
        "driver": "local",
        "root": str(tmp_path),
        "visibility": "public",
        "file_modes": {"public": "0640"},
        "directory_modes": {"public": 0o750},
    }
    manager = StorageManager.isolated({"disks": {"m": disk}})
    await manager.disk("m").put("d/a", b"1")
    assert (mode_of(tmp_path / "d/a"), mode_of(tmp_path / "d")) == (0o640, 0o750)


@pytest.mark.parametrize("other", ["put", "set_visibility"])
async def test_put_never_makes_public_again_what_is_made_private_meanwhile(
    tmp_path: Path, way: str, other: str
) -> None:
    driver = local_driver(tmp_path, way)

    async def made_private() -> None:
        if other == "put":
            await driver.write_file("a", b"p", WriteOptions(visibility=Visibility.PRIVATE))
        else:
            await driver.set_visibility("a", Visibility.PRIVATE)

    await driver.put("a", b"")
    for _ in range(100):
        await driver.set_visibility("a", Visibility.PUBLIC)
        puts = [driver.put("a", b"1"), driver.put("a", b"2")]
        await asyncio.gather(puts[0], made_private(), puts[1])
        assert await driver.visibility("a") is Visibility.PRIVATE
