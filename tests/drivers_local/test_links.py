"""Symbolic links below the root are refused on every way, and so is what is no file."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.exceptions import (
    FileNotFoundException,
    PathConflictException,
    StoragePermissionException,
)
from jtc.storage.models import Visibility
from jtc.storage.options import ListOptions, ReadOptions, WriteOptions
from local_ways import names_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

SECRET = b"secret"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(SECRET)
    return outside


@pytest.fixture
async def links(driver: LocalDriver, root: Path, outside: Path) -> Path:
    """A disk with links to a file, to a directory, to nothing and to a file of its own."""
    await driver.put("d/own", b"own")
    (root / "file").symlink_to(outside / "file")
    (root / "directory").symlink_to(outside)
    (root / "dangling").symlink_to(outside / "new")
    (root / "inside").symlink_to("d/own")
    (root / "d/inner").symlink_to(outside)
    return root


async def drain(listing: AsyncIterator[object]) -> list[object]:
    return [entry async for entry in listing]


async def stream() -> AsyncIterator[bytes]:
    yield b"x"


OPERATIONS: dict[str, Callable[[LocalDriver, str], Awaitable[object]]] = {
    "put": lambda driver, path: driver.put(path, b"x"),
    "put a stream": lambda driver, path: driver.put(path, stream()),
    "create": lambda driver, path: driver.write_file(path, b"x", WriteOptions(overwrite=False)),
    "replace": lambda driver, path: driver.write_file(path, b"x", WriteOptions(if_match="1-1-1")),
    "get": lambda driver, path: driver.get(path),
    "exists": lambda driver, path: driver.exists(path),
    "delete": lambda driver, path: driver.delete(path),
    "size": lambda driver, path: driver.size(path),
    "last_modified": lambda driver, path: driver.last_modified(path),
    "stat": lambda driver, path: driver.stat(path),
    "open_read": lambda driver, path: driver.open_read(path, ReadOptions()),
    "copy from": lambda driver, path: driver.copy_file(path, "new", WriteOptions()),
    "copy to": lambda driver, path: driver.copy_file("d/own", path, WriteOptions()),
    "copy to itself": lambda driver, path: driver.copy_file(path, path, WriteOptions()),
    "move from": lambda driver, path: driver.move_file(path, "new", WriteOptions()),
    "move to": lambda driver, path: driver.move_file("d/own", path, WriteOptions()),
    "visibility": lambda driver, path: driver.visibility(path),
    "set_visibility": lambda driver, path: driver.set_visibility(path, Visibility.PUBLIC),
    "make_directory": lambda driver, path: driver.make_directory(path),
    "delete_directory": lambda driver, path: driver.delete_directory(path),
    "list": lambda driver, path: drain(driver.list_entries(path, ListOptions())),
}
LINKS = [
    "file",
    "directory",
    "dangling",
    "inside",
    "directory/file",
    "directory/new",
    "d/inner/file",
]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("path", LINKS)
async def test_a_link_is_refused(
    driver: LocalDriver, links: Path, outside: Path, operation: str, path: str
) -> None:
    with pytest.raises(StoragePermissionException):
        await OPERATIONS[operation](driver, path)
    assert sorted([path.name for path in outside.iterdir()]) == ["file"]
    assert (outside / "file").read_bytes() == SECRET
    assert (links / "file").is_symlink()
    assert (links / "directory").is_symlink()
    assert (links / "inside").is_symlink()
    assert (links / "d/own").read_bytes() == b"own"


async def test_links_are_not_listed(driver: LocalDriver, links: Path) -> None:
    assert links.exists()
    names = [entry.path async for entry in driver.list_entries("", ListOptions())]
    assert names == ["d"]
    names = [entry.path async for entry in driver.list_entries("", ListOptions(recursive=True))]
    assert names == ["d/own"]


async def test_many_deletes_refuse_links_one_by_one(driver: LocalDriver, links: Path) -> None:
    results = await driver.delete_many(["file", "d/own"])
    assert isinstance(results["file"], StoragePermissionException)
    assert results["d/own"] is True
    assert (links / "file").is_symlink()


async def test_a_deleted_directory_takes_its_links_but_not_what_they_name(
    driver: LocalDriver, links: Path, outside: Path
) -> None:
    await driver.delete_directory("d")
    assert not (links / "d").exists()
    assert (outside / "file").read_bytes() == SECRET


async def test_the_root_itself_may_be_a_link(tmp_path: Path, root: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    root.symlink_to(real)
    driver = LocalDriver(root)
    await driver.put("d/a", b"1")
    assert await driver.get("d/a") == b"1"
    assert (real / "d/a").read_bytes() == b"1"
    assert driver.path("a") == str(root / "a")


async def test_a_root_that_is_a_dangling_link_is_not_made(tmp_path: Path, root: Path) -> None:
    root.symlink_to(tmp_path / "nowhere")
    with pytest.raises(PathConflictException):
        await LocalDriver(root).put("a", b"")


@pytest.fixture
def oddities(root: Path) -> list[str]:
    """A FIFO without a writer, and a socket."""
    root.mkdir()
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(root, os.O_RDONLY)
        try:
            listener.bind(f"/proc/self/fd/{here}/socket")  # a path of its own may be too long
        finally:
            os.close(here)
    return ["fifo", "socket"]


async def test_what_is_no_file_is_not_found_and_not_waited_for(
    driver: LocalDriver, root: Path, oddities: list[str]
) -> None:
    for path in oddities:
        assert await driver.exists(path) is False
        assert await driver.delete(path) is False
        for method in (driver.get, driver.size, driver.stat, driver.visibility):
            with pytest.raises(FileNotFoundException):
                await method(path)
        with pytest.raises(FileNotFoundException):
            await driver.open_read(path, ReadOptions())
        for carry in (driver.copy_file, driver.move_file):
            with pytest.raises(FileNotFoundException):
                await carry(path, "new", WriteOptions())
        with pytest.raises(PathConflictException):
            await driver.put(path, b"x")
    assert [entry.path async for entry in driver.list_entries("", ListOptions())] == []
    assert names_in(root) == oddities
