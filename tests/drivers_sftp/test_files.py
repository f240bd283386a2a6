"""Files at a server: links, modes, staged files, and servers without OpenSSH's extensions."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jtc.storage import Visibility
from jtc.storage.drivers.sftp_driver import SFTPDriver
from jtc.storage.exceptions import (
    FileExistsException,
    FileNotFoundException,
    InvalidPathException,
    PathConflictException,
    StorageException,
    StoragePermissionException,
    UnsupportedOperationException,
)
from jtc.storage.options import ListOptions, WriteOptions
from openssh import SSHD, OpenSSH

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from jtc.storage import Disk

needs_sshd = pytest.mark.skipif(SSHD is None, reason="needs sshd: tests/install_tools.sh")

ON_A_LINK: dict[str, Callable[[Disk, str], Any]] = {
    "get": lambda disk, path: disk.get(path),
    "put": lambda disk, path: disk.put(path, b"x"),
    "put_new": lambda disk, path: disk.put(path, b"x", overwrite=False),
    "exists": lambda disk, path: disk.exists(path),
    "stat": lambda disk, path: disk.stat(path),
    "delete": lambda disk, path: disk.delete(path),
    "copy": lambda disk, path: disk.copy(path, "copied"),
    "copy_to": lambda disk, path: disk.copy("real", path),
    "move": lambda disk, path: disk.move(path, "moved"),
    "move_to": lambda disk, path: disk.move("real", path),
    "set_visibility": lambda disk, path: disk.set_visibility(path, "public"),
    "get_ranges": lambda disk, path: disk.get_ranges(path, [(0, 1)]),
}


def names_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


@pytest.mark.parametrize("name", ON_A_LINK)
@pytest.mark.parametrize("path", ["link", "links/secret"])
async def test_symbolic_link_below_the_root_is_refused(
    openssh: OpenSSH, disk: Disk, name: str, path: str
) -> None:
    outside = openssh.folder / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "secret").write_text("secret")
    (outside / "secret").chmod(0o600)
    (openssh.files / "link").symlink_to(outside / "secret")
    (openssh.files / "links").symlink_to(outside)
    (openssh.files / "real").write_text("real")
    with pytest.raises(StoragePermissionException, match="symbolic link"):
        await ON_A_LINK[name](disk, path)
    assert (outside / "secret").read_text() == "secret"
    assert (outside / "secret").stat().st_mode & 0o777 == 0o600
    assert (openssh.files / "link").is_symlink()
    assert (openssh.files / "real").read_text() == "real"


async def test_listing_has_no_links_and_no_special_files(
    openssh: OpenSSH, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    (openssh.files / "a").write_text("1")
    (openssh.files / "link").symlink_to("/etc")
    os.mkfifo(openssh.files / "pipe")
    (openssh.files / os.fsdecode(b"not-\xff-utf8")).write_text("2")
    caplog.set_level(logging.WARNING, "jtc.storage")
    assert [entry.path async for entry in disk.list()] == ["a"]
    assert "1 names" in caplog.text


async def test_named_pipe_is_no_file_and_stops_nothing(openssh: OpenSSH, disk: Disk) -> None:
    os.mkfifo(openssh.files / "pipe")
    assert await disk.exists("pipe") is False
    with pytest.raises(FileNotFoundError):
        await disk.get("pipe")
    with pytest.raises(PathConflictException):
        await disk.put("pipe", b"x")


async def test_delete_directory_removes_links_and_follows_none(
    openssh: OpenSSH, disk: Disk
) -> None:
    outside = openssh.folder / "kept"
    outside.mkdir(exist_ok=True)
    (outside / "file").write_text("kept")
    (openssh.files / "a" / "b").mkdir(parents=True)
    (openssh.files / "a" / "b" / "link").symlink_to(outside)
    await disk.delete_directory("a")
    assert not (openssh.files / "a").exists()
    assert (outside / "file").read_text() == "kept"


async def test_put_keeps_the_mode_of_the_file_it_replaces(openssh: OpenSSH, disk: Disk) -> None:
    (openssh.files / "a").write_text("old")
    (openssh.files / "a").chmod(0o640)
    await disk.put("a", b"new")
    assert (openssh.files / "a").stat().st_mode & 0o7777 == 0o640
    await disk.put("a", b"new", visibility=Visibility.PRIVATE)
    assert (openssh.files / "a").stat().st_mode & 0o7777 == 0o600


async def test_new_files_and_directories_have_the_modes_of_the_options(openssh: OpenSSH) -> None:
    driver = SFTPDriver(
        **openssh.options,
        visibility="public",
        file_modes={"public": 0o666},
        directory_modes={"public": "0777"},
    )
    await driver.put("d/a", b"x")
    assert (openssh.files / "d" / "a").stat().st_mode & 0o777 == 0o666
    assert (openssh.files / "d").stat().st_mode & 0o777 == 0o777
    await driver.aclose()


async def test_staged_files_are_in_the_reserved_directory_of_this_user_alone(
    openssh: OpenSSH, disk: Disk
) -> None:
    await disk.put("a", b"x")
    staging = openssh.files / ".jtc"
    assert staging.stat().st_mode & 0o777 == 0o700
    assert list(staging.iterdir()) == []
    assert await disk.files() == ["a"]


async def test_reserved_directory_that_is_a_link_is_not_used(openssh: OpenSSH, disk: Disk) -> None:
    outside = openssh.folder / "elsewhere"
    outside.mkdir(exist_ok=True)
    (openssh.files / ".jtc").symlink_to(outside)
    await disk.put("d/a", b"x")
    await disk.put("d/b", b"x", overwrite=False)
    assert list(outside.iterdir()) == []
    assert names_in(openssh.files / "d") == ["a", "b"]


async def test_orphans_of_killed_processes_are_swept_and_younger_ones_kept(
    openssh: OpenSSH, disk: Disk
) -> None:
    (openssh.files / "d").mkdir()
    (openssh.files / ".jtc").mkdir()
    old, young = openssh.files / ".jtc" / ".jtc-tmp-0", openssh.files / ".jtc" / ".jtc-tmp-1"
    beside, other = openssh.files / "d" / ".jtc-tmp-2", openssh.files / ".jtc" / "other"
    for path in (old, young, beside, other):
        path.write_text("x")
    for path in (old, beside, other):
        os.utime(path, (time.time(), time.time() - 90_000))
    await disk.put("a", b"x")
    assert await disk.files("d") == []
    deadline = time.monotonic() + 10
    while (old.exists() or beside.exists()) and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    assert names_in(openssh.files / ".jtc") == [".jtc-tmp-1", "other"]
    assert names_in(openssh.files / "d") == []


async def test_root_may_be_missing_and_is_made_at_the_first_write(openssh: OpenSSH) -> None:
    driver = SFTPDriver(**{**openssh.options, "root": f"{openssh.files}/not/yet"})
    assert await driver.exists("a") is False
    await driver.put("a", b"x")
    assert (openssh.files / "not" / "yet" / "a").read_bytes() == b"x"
    await driver.aclose()


async def test_durable_put_is_synced_at_the_server(openssh: OpenSSH, limited: OpenSSH) -> None:
    driver = SFTPDriver(**openssh.options, durable=True)
    await driver.put("a", b"x")
    assert await driver.get("a") == b"x"
    await driver.aclose()
    lacking = SFTPDriver(**limited.options, durable=True)
    with pytest.raises(UnsupportedOperationException):
        await lacking.put("a", b"x")
    assert names_in(limited.files / ".jtc") == []
    await lacking.aclose()


async def test_put_of_a_new_file_is_whole_without_extensions(
    limited: OpenSSH, limited_driver: SFTPDriver
) -> None:
    content = os.urandom(1_000_000)
    await limited_driver.put("d/a", content)
    assert await limited_driver.get("d/a") == content
    await limited_driver.copy_file("d/a", "b", WriteOptions())
    await limited_driver.move_file("b", "c", WriteOptions())
    assert await limited_driver.get("c") == content
    assert names_in(limited.files) == [".jtc", "c", "d"]


async def test_put_over_a_file_is_refused_without_posix_rename(
    limited: OpenSSH, limited_driver: SFTPDriver
) -> None:
    await limited_driver.put("a", b"old")
    with pytest.raises(UnsupportedOperationException, match="replace_by_removal"):
        await limited_driver.put("a", b"new")
    with pytest.raises(UnsupportedOperationException, match="hardlink"):
        await limited_driver.write_file("b", b"new", WriteOptions(overwrite=False))
    assert await limited_driver.get("a") == b"old"
    assert names_in(limited.files / ".jtc") == []


async def test_put_over_a_file_replaces_it_by_removal_where_that_is_chosen(
    limited: OpenSSH,
) -> None:
    driver = SFTPDriver(**limited.options, replace_by_removal=True)
    await driver.put("a", b"old")
    await driver.put("a", b"new")
    assert await driver.get("a") == b"new"
    assert names_in(limited.files / ".jtc") == []
    await driver.aclose()


async def test_exclusive_puts_have_one_winner_over_two_connections(openssh: OpenSSH) -> None:
    drivers = [SFTPDriver(**openssh.options) for _ in range(2)]
    for number in range(10):
        path, options = f"{number}", WriteOptions(overwrite=False)
        ended = await asyncio.gather(
            *(
                driver.write_file(path, f"{index}{each}".encode() * 100, options)
                for each in range(4)
                for index, driver in enumerate(drivers)
            ),
            return_exceptions=True,
        )
        assert sum(each is None for each in ended) == 1
        assert sum(isinstance(each, FileExistsException) for each in ended) == 7
        assert len(set(await drivers[0].get(path))) <= 2
    for driver in drivers:
        await driver.aclose()
    assert names_in(openssh.files / ".jtc") == []


@needs_sshd
async def test_server_that_denies_writing_is_a_permission_error() -> None:
    with OpenSSH(arguments=("-R",)) as server:
        (server.files / "a").write_text("kept")
        driver = SFTPDriver(**server.options)
        assert await driver.get("a") == b"kept"
        for change in (
            driver.put("a", b"x"),
            driver.delete("a"),
            driver.make_directory("d"),
            driver.set_visibility("a", Visibility.PRIVATE),
            driver.move_file("a", "b", WriteOptions()),
        ):
            with pytest.raises(StoragePermissionException):
                await change
        assert names_in(server.files) == ["a"]
        await driver.aclose()


@needs_sshd
async def test_move_whose_old_name_cannot_be_removed_says_that_it_has_both() -> None:
    with OpenSSH(arguments=("-P", "remove")) as server:
        (server.files / "a").write_bytes(b"1")
        driver = SFTPDriver(**server.options)
        with pytest.raises(StoragePermissionException, match="it has both"):
            await driver.move_file("a", "b", WriteOptions(overwrite=False))
        await driver.aclose()
        assert (server.files / "a").exists()
        assert (server.files / "b").exists()


async def test_error_of_the_content_passes_unchanged_and_leaves_nothing(
    openssh: OpenSSH, disk: Disk
) -> None:
    async def content() -> Any:
        yield b"x" * 1_000_000
        raise ConnectionResetError("of the source")

    with pytest.raises(ConnectionResetError, match="of the source"):
        await disk.put("a", content())
    assert names_in(openssh.files / ".jtc") == []
    with pytest.raises(StorageException):
        await disk.get("a")


async def test_move_directory_refuses_links_and_files_in_the_way(
    openssh: OpenSSH, driver: SFTPDriver
) -> None:
    await driver.put("d/1", b"1")
    await driver.put("file", b"1")
    (openssh.files / "link").symlink_to("d")
    for src, dst, error in (
        ("link", "m", StoragePermissionException),
        ("d", "link", StoragePermissionException),
        ("d", "link/m", StoragePermissionException),
        ("d", "file/m", PathConflictException),
        ("file/below", "m", FileNotFoundException),
    ):
        with pytest.raises(error):
            await driver.move_directory(src, dst)
    assert {*names_in(openssh.files)} - {".jtc"} == {"d", "file", "link"}


async def test_move_directory_needs_no_extension(limited_driver: SFTPDriver) -> None:
    await limited_driver.make_directory("d/empty")
    await limited_driver.make_directory("m")
    with pytest.raises(FileExistsException):
        await limited_driver.move_directory("d", "m")
    await limited_driver.move_directory("d", "one/m")
    assert await limited_driver.remove_empty_directory("one/m/empty") is True


@needs_sshd
async def test_move_directory_that_the_server_refuses_says_what_to_do() -> None:
    with OpenSSH(arguments=("-P", "rename")) as server:
        (server.files / "d").mkdir()
        driver = SFTPDriver(**server.options)
        with pytest.raises(StoragePermissionException):
            await driver.move_directory("d", "m")
        await driver.aclose()
        assert names_in(server.files) == ["d"]


async def test_listing_reports_directory_that_may_not_be_read(
    unprivileged: OpenSSH, caplog: pytest.LogCaptureFixture
) -> None:
    files = unprivileged.files
    for path in ("a", "b/closed/1", "b/z"):
        (files / path).parent.mkdir(parents=True, exist_ok=True)
        (files / path).write_bytes(b"")
    Path(os.fsdecode(os.fsencode(files) + b"/b/\xff")).write_bytes(b"")
    (files / "b/closed").chmod(0)
    driver = SFTPDriver(**unprivileged.options)
    reported: dict[str, StorageException] = {}
    try:
        options = ListOptions(recursive=True, left_out=reported.__setitem__)
        listed = [entry.path async for entry in driver.list_entries("", options)]
        assert listed == ["a", "b/z"]
        assert {key: type(error) for key, error in reported.items()} == {
            "b/closed/": StoragePermissionException,
            "b/\udcff": InvalidPathException,
        }
        assert reported["b/closed/"].path == "b/closed"
        assert not caplog.records
        with caplog.at_level(logging.WARNING, "jtc.storage"):
            _ = [each async for each in driver.list_entries("", ListOptions(recursive=True))]
        assert "1 directories below '' that may not be read: 'b/closed'" in caplog.text
        assert "1 names below '' that break the path policy" in caplog.text
    finally:
        await driver.aclose()
        (files / "b/closed").chmod(0o755)
