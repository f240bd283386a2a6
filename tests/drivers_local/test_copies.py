"""Copies and moves."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.local_driver import _directories as directories
from jtc.storage.exceptions import FileNotFoundException, PreconditionFailedException
from jtc.storage.models import Visibility
from jtc.storage.options import WriteOptions
from local_ways import WAYS, names_in

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

DECLARED = WriteOptions(
    content_type="text/x-odd", metadata={"k": "ü"}, visibility=Visibility.PRIVATE
)


@pytest.mark.parametrize("size", [0, 10, 3_000_001])
async def test_a_copy_has_content_and_declared_metadata(driver: LocalDriver, size: int) -> None:
    content = os.urandom(size)
    await driver.write_file("a", content, DECLARED)
    etag = await driver.copy_file("a", "new/b", WriteOptions())
    assert await driver.get("a") == await driver.get("new/b") == content
    info = await driver.stat("new/b")
    assert info.etag == etag != (await driver.stat("a")).etag
    assert info.content_type == "text/x-odd"
    assert info.metadata == {"k": "ü"}
    assert await driver.visibility("new/b") is Visibility.PRIVATE


async def test_a_move_keeps_everything_but_the_name(driver: LocalDriver) -> None:
    etag = await driver.write_file("a", b"content", DECLARED)
    await driver.put("new/b", b"old")
    assert await driver.move_file("a", "new/b", WriteOptions()) == etag
    assert await driver.exists("a") is False
    info = await driver.stat("new/b")
    assert info.etag == etag
    assert info.metadata == {"k": "ü"}
    assert await driver.get("new/b") == b"content"


@pytest.mark.parametrize("method", ["copy_file", "move_file"])
async def test_the_new_file_may_be_declared_anew(driver: LocalDriver, method: str) -> None:
    await driver.write_file("a", b"content", DECLARED)
    options = WriteOptions(content_type="text/html", visibility=Visibility.PUBLIC)
    etag = await getattr(driver, method)("a", "b", options)
    info = await driver.stat("b")
    assert info.etag == etag
    assert info.content_type == "text/html"
    assert info.metadata == {"k": "ü"}
    assert await driver.visibility("b") is Visibility.PUBLIC
    assert await driver.exists("a") is (method == "copy_file")


@pytest.mark.parametrize("method", ["copy_file", "move_file"])
async def test_onto_itself_changes_nothing(driver: LocalDriver, method: str) -> None:
    options = WriteOptions()
    etag = await driver.write_file("a", b"content", DECLARED)
    assert await getattr(driver, method)("a", "/a", options) == etag
    assert await driver.get("a") == b"content"
    assert (await driver.stat("a")).content_type == "text/x-odd"
    with pytest.raises(FileNotFoundException):
        await getattr(driver, method)("missing", "missing", options)


@pytest.mark.parametrize("method", ["copy_file", "move_file"])
async def test_the_source_must_be_the_version_that_is_named(
    driver: LocalDriver, root: Path, method: str
) -> None:
    old = await driver.write_file("a", b"old", WriteOptions())
    new = await driver.write_file("a", b"new", WriteOptions())
    carry = getattr(driver, method)
    with pytest.raises(PreconditionFailedException):
        await carry("a", "to/b", WriteOptions(if_source_match=old))
    for missing in ("missing", "no/directory/a"):
        with pytest.raises(FileNotFoundException):
            await carry(missing, "to/b", WriteOptions(if_source_match=old))
    assert names_in(root) == ["a"]
    await carry("a", "to/b", WriteOptions(if_source_match=new))
    assert await driver.get("to/b") == b"new"


@pytest.mark.parametrize("method", ["copy_file", "move_file"])
async def test_a_missing_source_is_named_and_makes_no_directory(
    driver: LocalDriver, root: Path, method: str
) -> None:
    root.mkdir()
    with pytest.raises(FileNotFoundException) as caught:
        await getattr(driver, method)("a/missing", "new/b", WriteOptions())
    assert caught.value.path == "a/missing"
    assert names_in(root) == []


async def test_moves_in_both_directions_never_wait_for_each_other(driver: LocalDriver) -> None:
    await driver.put("one/a", b"a")
    await driver.put("two/b", b"b")

    async def shuttle(src: str, dst: str) -> None:
        for _ in range(40):
            etag = (await driver.stat(src)).etag
            await driver.move_file(src, dst, WriteOptions(if_source_match=etag, overwrite=False))
            src, dst = dst, src

    await asyncio.gather(shuttle("one/a", "two/a"), shuttle("two/b", "one/b"))
    assert await driver.get("one/a") == b"a"
    assert await driver.get("two/b") == b"b"


async def test_two_names_of_one_file_become_one(driver: LocalDriver, root: Path) -> None:
    await driver.put("a", b"content")
    os.link(root / "a", root / "b")
    await driver.move_file("a", "b", WriteOptions())
    assert names_in(root) == ["b"]


async def test_a_move_to_another_file_system_copies_and_deletes(
    driver: LocalDriver, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await driver.write_file("a", b"content", DECLARED)
    rename = os.rename

    def elsewhere(src: str, *args: Any, **kwargs: Any) -> None:
        if src == "a":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(src, *args, **kwargs)

    monkeypatch.setattr(os, "rename", elsewhere)
    await driver.move_file("a", "mount/b", WriteOptions())
    assert await driver.get("mount/b") == b"content"
    assert (await driver.stat("mount/b")).metadata == {"k": "ü"}
    assert names_in(root) == ["mount"]


async def test_without_copies_in_the_kernel_the_bytes_are_carried(
    driver: LocalDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> int:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", none)
    content = os.urandom(2_500_000)
    await driver.put("a", content)
    await driver.copy_file("a", "b", WriteOptions())
    assert await driver.get("b") == content


MIB = 1024 * 1024
GIB = 1024 * MIB
# What is written where, and the length of the file.
SPARSE = {
    "hole at the beginning": ({9 * GIB: b"end"}, 9 * GIB + 3),
    "hole at the end": ({0: b"begin"}, 10 * GIB),
    "holes between": ({0: b"a", 4 * MIB: b"b" * 100_000, 5 * GIB + 7: b"c"}, 10 * GIB),
    "one hole": ({}, 10 * GIB),
}


def make_sparse(path: Path, layout: str) -> None:
    pieces, length = SPARSE[layout]
    with path.open("wb") as file:
        for at, piece in pieces.items():
            file.seek(at)
            file.write(piece)
        file.truncate(length)


def assert_sparse(path: Path, layout: str) -> None:
    pieces, length = SPARSE[layout]
    assert path.stat().st_size == length
    assert path.stat().st_blocks * 512 < 2 * MIB
    with path.open("rb") as file:
        for at, piece in pieces.items():
            file.seek(at)
            assert file.read(len(piece)) == piece
            assert not file.read(1000).strip(b"\0")
        file.seek(2 * MIB)
        assert file.read(MIB) == bytes(MIB)


@pytest.mark.parametrize("in_kernel", [True, False], ids=["kernel copy", "no kernel copy"])
@pytest.mark.parametrize("layout", SPARSE)
async def test_copy_of_a_sparse_file_keeps_its_holes(
    driver: LocalDriver, root: Path, layout: str, in_kernel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> int:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    if not in_kernel:
        monkeypatch.setattr(os, "copy_file_range", none)
    root.mkdir()
    make_sparse(root / "a", layout)
    await driver.copy_file("a", "new/b", WriteOptions())
    assert_sparse(root / "new/b", layout)


@pytest.mark.parametrize("layout", SPARSE)
async def test_move_of_a_sparse_file_to_another_file_system_keeps_its_holes(
    driver: LocalDriver, root: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def elsewhere(src: str, *args: Any, **kwargs: Any) -> None:
        if src == "a":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(src, *args, **kwargs)

    monkeypatch.setattr(os, "rename", elsewhere)
    root.mkdir()
    make_sparse(root / "a", layout)
    await driver.move_file("a", "mount/b", WriteOptions())
    assert_sparse(root / "mount/b", layout)
    assert names_in(root) == ["mount"]


async def test_copy_of_a_sparse_file_takes_all_as_data_without_seek_data(
    driver: LocalDriver, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lseek = os.lseek

    def refuse(descriptor: int, position: int, how: int) -> int:
        if how in (os.SEEK_DATA, os.SEEK_HOLE):
            raise OSError(errno.EINVAL, "Invalid argument")
        return lseek(descriptor, position, how)

    monkeypatch.setattr(os, "lseek", refuse)
    root.mkdir()
    with (root / "a").open("wb") as file:
        file.seek(3 * MIB)
        file.write(b"end")
    await driver.copy_file("a", "b", WriteOptions())
    assert (root / "b").read_bytes() == bytes(3 * MIB) + b"end"


async def test_without_renameat2_a_link_decides(
    driver: LocalDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directories, "_exclusive_rename", lambda: None)
    await driver.put("a", b"a")
    results = await asyncio.gather(
        *(driver.move_file("a", f"to{who}", WriteOptions(overwrite=False)) for who in range(8)),
        *(driver.write_file("new", b"x", WriteOptions(overwrite=False)) for _ in range(8)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, str) for result in results[:8]) == 1
    assert sum(isinstance(result, str) for result in results[8:]) == 1


@pytest.mark.parametrize("driver", WAYS, indirect=True)  # by path there are no modes
async def test_the_permissions_of_a_copy_are_those_of_its_source(
    driver: LocalDriver, root: Path
) -> None:
    await driver.put("a", b"")
    (root / "a").chmod(0o640)
    await driver.copy_file("a", "b", WriteOptions())
    assert stat.S_IMODE((root / "b").stat().st_mode) == 0o640


async def test_a_cancelled_move_is_done_or_not(
    driver: LocalDriver, root: Path, workers_idle: Callable[[], Awaitable[None]]
) -> None:
    await driver.put("0", b"content")
    for number in range(40):
        (current,) = names_in(root)
        task = asyncio.create_task(driver.move_file(current, f"n{number}", WriteOptions()))
        await asyncio.sleep(0.000_02 * number)
        task.cancel()
        await asyncio.wait([task])
        names = names_in(root)
        assert names in ([current], [f"n{number}"])
    await workers_idle()
    assert names_in(root) == names
