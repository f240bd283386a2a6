"""What each method of the local driver does, with what only Linux has and without."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jtc.storage import StorageManager
from jtc.storage._capabilities import resolve
from jtc.storage.driver import CAPABILITIES
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.local_driver import _safe_open as safe_open
from jtc.storage.drivers.local_driver._system_calls import has_openat2
from jtc.storage.exceptions import (
    FileNotFoundException,
    InvalidPathException,
    PathConflictException,
    RejectedException,
    StorageConfigException,
    StoragePermissionException,
    UnsupportedOperationException,
)
from jtc.storage.models import Visibility
from jtc.storage.options import ListOptions, ReadOptions, WriteOptions
from local_ways import WAYS, names_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from jtc.storage.driver_support.content import Content


async def chunks(*given: bytes) -> AsyncIterator[bytes]:
    for chunk in given:
        yield chunk


class AsyncFile:
    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    async def read(self, size: int = -1) -> bytes:
        return self._file.read(size)


def test_capabilities_are_all_but_presigned_urls_health_check_and_close() -> None:
    lacking = {"temporary_urls", "temporary_uploads", "upload_forms", "health_check", "close"}
    assert resolve(LocalDriver()).capabilities.names == set(CAPABILITIES) - lacking


def test_it_is_made_from_the_environment(tmp_path: Path) -> None:
    driver = LocalDriver.from_env(
        {"FILESYSTEM_ROOT": str(tmp_path), "FILESYSTEM_URL": "https://x.test/f/"}
    )
    assert driver.path("a.txt") == str(tmp_path / "a.txt")
    assert driver.url("a.txt") == "https://x.test/f/a.txt"


def test_an_empty_environment_gives_the_defaults() -> None:
    driver = LocalDriver.from_env({"FILESYSTEM_ROOT": ""})
    assert driver.path("a.txt") == str(Path.cwd() / "storage/app/a.txt")
    assert driver.url("a.txt") == "/storage/a.txt"


def test_a_relative_root_stays_when_the_working_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    driver = LocalDriver("files")
    monkeypatch.chdir("/")
    assert driver.path("/a.txt") == str(tmp_path / "files/a.txt")


def test_repr_shows_root_and_url() -> None:
    assert repr(LocalDriver("/x", "/y/")) == "LocalDriver(root='/x', base_url='/y')"


def test_url_is_percent_encoded(driver: LocalDriver) -> None:
    assert driver.url("/a b/ü?#%.txt") == "/storage/a%20b/%C3%BC%3F%23%25.txt"


@pytest.mark.parametrize("method", ["url", "path"])
def test_url_and_path_check_the_path(driver: LocalDriver, method: str) -> None:
    with pytest.raises(InvalidPathException) as caught:
        getattr(driver, method)("../x")
    assert caught.value.operation == method


@pytest.mark.skipif(not has_openat2(), reason="this kernel has no openat2")
def test_linux_opens_with_one_system_call(root: Path) -> None:
    assert LocalDriver(root)._root._open_below is safe_open._open_by_openat2


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lambda _: b"content", id="bytes"),
        pytest.param(lambda _: bytearray(b"content"), id="bytearray"),
        pytest.param(lambda _: memoryview(b"content"), id="memoryview"),
        pytest.param(lambda _: "content", id="str"),
        pytest.param(lambda _: io.BytesIO(b"content"), id="binary file"),
        pytest.param(lambda _: AsyncFile(b"content"), id="async file"),
        pytest.param(lambda _: [b"con", b"", b"tent"], id="iterable"),
        pytest.param(lambda _: chunks(b"con", b"", b"tent"), id="async iterable"),
        pytest.param(lambda path: path, id="path"),
    ],
)
async def test_every_kind_of_content_is_stored(
    driver: LocalDriver, tmp_path: Path, content: Callable[[Path], Content]
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content")
    assert await driver.put("/d/a.txt", content(source)) == "d/a.txt"
    assert await driver.get("d/a.txt") == b"content"


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 5 * 1024 * 1024 + 7])
async def test_every_length_comes_back(driver: LocalDriver, size: int) -> None:
    content = os.urandom(size)
    await driver.put("bytes", content)
    await driver.put("file", io.BytesIO(content))
    await driver.put(
        "stream", chunks(*(content[at : at + 99_999] for at in range(0, size, 99_999)))
    )
    for path in ("bytes", "file", "stream"):
        assert await driver.get(path) == content
        assert await driver.size(path) == size


async def test_put_stores_a_file_from_its_beginning_and_leaves_it_open(driver: LocalDriver) -> None:
    file = io.BytesIO(b"0123456789")
    file.seek(4)
    await driver.put("a", file)
    assert await driver.get("a") == b"0123456789"
    assert not file.closed


async def test_what_is_missing_is_missing_everywhere(driver: LocalDriver) -> None:
    await driver.put("file", b"")
    for path in ("missing", "no/such/directory", "file/below"):
        assert await driver.exists(path) is False
        assert await driver.delete(path) is False
        for method in (
            driver.get,
            driver.size,
            driver.last_modified,
            driver.stat,
            driver.visibility,
        ):
            with pytest.raises(FileNotFoundException) as caught:
                await method(path)
            assert caught.value.path == path
        with pytest.raises(FileNotFoundException):
            await driver.open_read(path, ReadOptions())
        for move in (driver.copy_file, driver.move_file):
            with pytest.raises(FileNotFoundException):
                await move(path, "new", WriteOptions())
        assert await driver.exists("new") is False


async def test_everything_is_missing_before_the_first_put(driver: LocalDriver, root: Path) -> None:
    assert await driver.exists("a") is False
    assert await driver.delete("a") is False
    assert [entry async for entry in driver.list_entries("", ListOptions())] == []
    assert await driver.delete_many(["a"]) == {"a": False}
    await driver.delete_directory("d")
    with pytest.raises(FileNotFoundException):
        await driver.get("a")
    assert not root.exists()


async def test_a_directory_is_no_file(driver: LocalDriver) -> None:
    await driver.put("d/a", b"")
    assert await driver.exists("d") is False
    assert await driver.delete("d") is False
    for method in (driver.get, driver.size, driver.last_modified, driver.stat, driver.visibility):
        with pytest.raises(FileNotFoundException):
            await method("d")
    with pytest.raises(FileNotFoundException):
        await driver.copy_file("d", "e", WriteOptions())
    with pytest.raises(FileNotFoundException):
        await driver.move_file("d", "e", WriteOptions())
    assert await driver.exists("d/a") is True


async def test_file_and_directory_of_one_name_are_a_conflict(driver: LocalDriver) -> None:
    await driver.put("a", b"old")
    await driver.put("d/x", b"old")
    for path in ("a/b", "a/b/c", "d"):
        with pytest.raises(PathConflictException) as caught:
            await driver.put(path, b"new")
        assert caught.value.path == path
        with pytest.raises(PathConflictException):
            await driver.copy_file("d/x", path, WriteOptions())
        with pytest.raises(PathConflictException):
            await driver.move_file("d/x", path, WriteOptions())
    with pytest.raises(PathConflictException):
        await driver.make_directory("a")
    assert await driver.get("a") == b"old"
    assert await driver.get("d/x") == b"old"


async def test_a_root_that_is_a_file_is_a_conflict_and_not_missing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    driver = LocalDriver(tmp_path / "file")
    for method in (driver.exists, driver.get, driver.delete):
        with pytest.raises(PathConflictException):
            await method("a")
    with pytest.raises(PathConflictException):
        await driver.put("a", b"")


async def test_a_root_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PathConflictException):
        await LocalDriver(tmp_path / "file/root").put("a", b"")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"root": ""}, "'root' is empty"),
        ({"root": "${NO_DIRECTORY:-}"}, "'root' is empty"),
        ({"root": "a", "durable": "false"}, "'durable' is true or false, not 'false'"),
    ],
)
async def test_an_option_that_would_mean_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    manager = StorageManager.isolated({"disks": {"d": {"driver": "local"} | options}})
    with pytest.raises(StorageConfigException, match=message):
        await manager.disk("d").put("a.txt", b"")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("driver", WAYS, indirect=True)  # it opens no files by path
async def test_exists_is_never_false_for_another_failure(
    driver: LocalDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await driver.put("a", b"")

    def refuse(*_: object) -> int:
        raise PermissionError(13, "no")

    monkeypatch.setattr(driver._root, "_open_below", refuse)
    with pytest.raises(StoragePermissionException):
        await driver.exists("a")


async def test_what_is_declared_comes_back(driver: LocalDriver) -> None:
    options = WriteOptions(
        content_type="text/x-odd",
        cache_control="no-store",
        content_disposition='attachment; filename="ü"',
        metadata={"k": "any text: \u0000 ü 🎉 \n", "empty": ""},
    )
    etag = await driver.write_file("a.txt", b"content", options)
    info = await driver.stat("a.txt")
    assert info.path == "a.txt"
    assert info.size == 7
    assert info.etag == etag
    assert info.content_type == options.content_type
    assert info.cache_control == options.cache_control
    assert info.content_disposition == options.content_disposition
    assert info.metadata == options.metadata
    assert info.last_modified == await driver.last_modified("a.txt")


async def test_what_was_declared_goes_with_its_content(driver: LocalDriver) -> None:
    await driver.write_file("a", b"1", WriteOptions(content_type="text/x-odd"))
    await driver.put("a", b"2")
    assert (await driver.stat("a")).content_type is None


async def test_an_attribute_of_another_program_is_no_failure(
    driver: LocalDriver, root: Path
) -> None:
    for attribute in (b"no json", b"[1]", b'{"content_type": 1, "metadata": {"a": 2}}'):
        await driver.put("a", b"1")
        os.setxattr(root / "a", "user.jtc.storage", attribute)
        assert (await driver.stat("a")).content_type is None
        assert (await driver.stat("a")).metadata == {}


async def test_too_much_metadata_is_refused_and_changes_nothing(
    driver: LocalDriver, temporaries: Callable[[], list[str]]
) -> None:
    await driver.put("a", b"old")
    with pytest.raises(RejectedException) as caught:
        await driver.write_file("a", b"new", WriteOptions(metadata={"k": "x" * 100_000}))
    assert caught.value.reason == "metadata"
    assert await driver.get("a") == b"old"
    assert temporaries() == []


async def test_without_extended_attributes_only_declarations_are_refused(
    driver: LocalDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", none)
    monkeypatch.setattr(os, "getxattr", none)
    with pytest.raises(UnsupportedOperationException, match="content_type"):
        await driver.write_file("a", b"1", WriteOptions(content_type="text/plain"))
    assert await driver.exists("a") is False
    await driver.put("a", b"1")
    assert (await driver.stat("a")).content_type is None


async def test_the_umask_is_respected(driver: LocalDriver, root: Path) -> None:
    before = os.umask(0o027)
    try:
        await driver.put("d/a", b"")
        await driver.put("d/a", b"again")
    finally:
        os.umask(before)
    assert stat.S_IMODE((root / "d/a").stat().st_mode) == 0o640
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o750


@pytest.mark.parametrize("driver", WAYS, indirect=True)  # by path there are no modes
async def test_visibility_is_kept_in_the_mode(driver: LocalDriver, root: Path) -> None:
    await driver.write_file("a", b"", WriteOptions(visibility=Visibility.PRIVATE))
    assert stat.S_IMODE((root / "a").stat().st_mode) == 0o600
    assert await driver.visibility("a") is Visibility.PRIVATE
    before = (await driver.stat("a")).etag
    await driver.set_visibility("a", Visibility.PUBLIC)
    assert stat.S_IMODE((root / "a").stat().st_mode) == 0o644
    assert await driver.visibility("a") is Visibility.PUBLIC
    assert (await driver.stat("a")).etag == before
    with pytest.raises(FileNotFoundException):
        await driver.set_visibility("missing", Visibility.PUBLIC)


async def test_directories_are_made_and_deleted(driver: LocalDriver, root: Path) -> None:
    await driver.make_directory("a/b/c")
    await driver.make_directory("a/b/c")
    assert (root / "a/b/c").is_dir()
    await driver.put("a/b/1", b"")
    await driver.put("ab/1", b"")
    await driver.put("a.txt", b"")
    await driver.delete_directory("a")
    await driver.delete_directory("a")
    await driver.delete_directory("no/such")
    await driver.delete_directory("a.txt")
    assert names_in(root) == ["a.txt", "ab"]
    assert [path.name for path in (root / "ab").iterdir()] == ["1"]


@pytest.mark.parametrize("path", ["", "/", ".", "..", "a/", "a/../.."])
async def test_the_root_is_never_deleted(driver: LocalDriver, root: Path, path: str) -> None:
    await driver.put("a/b", b"")
    with pytest.raises(InvalidPathException):
        await driver.delete_directory(path)
    assert (root / "a/b").exists()


@pytest.mark.parametrize("driver", WAYS, indirect=True)  # by path it takes seconds
async def test_a_deep_tree_is_deleted(driver: LocalDriver, root: Path) -> None:
    await driver.put("d/" * 500 + "file", b"")
    await driver.delete_directory("d")
    assert names_in(root) == []


async def test_many_files_are_deleted_in_one_call(driver: LocalDriver) -> None:
    await driver.put("a", b"")
    await driver.put("d/b", b"")
    results = dict(await driver.delete_many(["a", "missing", "../x", "d/b", "d", "a"]))
    refused = results.pop("../x")
    assert isinstance(refused, InvalidPathException)
    assert refused.path == "../x"
    assert results == {"a": True, "missing": False, "d/b": True, "d": False}


async def test_a_reserved_name_is_refused(driver: LocalDriver) -> None:
    with pytest.raises(InvalidPathException):
        await driver.put(".jtc-tmp-x", b"")


async def test_durable_writes_sync_the_file_then_name_it_then_sync_the_directory(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root.mkdir()
    (root / "a").write_bytes(b"old")
    done = []
    fsync, rename = os.fsync, os.rename

    def synced(descriptor: int) -> None:
        done.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def renamed(*args: object, **kwargs: object) -> None:
        done.append("rename")
        rename(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    await LocalDriver(root, durable=True).put("a", b"new")
    assert done == ["file", "rename", "directory"]
