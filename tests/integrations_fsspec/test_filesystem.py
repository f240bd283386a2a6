"""What the methods of a file system do beyond fsspec's own tests."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
from fsspec.callbacks import Callback

from jtc.storage import (
    InvalidPathException,
    Storage,
    StorageConfigException,
    StorageManager,
    StorageUnavailableException,
)
from jtc.storage.fsspec import JtcFileSystem
from jtc.storage.fsspec._configurations import configurations
from small_drivers import EightMethods

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def memory() -> Iterator[JtcFileSystem]:
    """Return a file system of two disks in memory."""
    disks = {"media": {"driver": "memory"}, "backup": {"driver": "memory"}}
    yield fsspec.filesystem("jtc", config={"default": "media", "disks": disks})
    JtcFileSystem.clear_instance_cache()


def test_url_is_found_by_entry_point_and_stripped(memory: JtcFileSystem) -> None:
    assert fsspec.get_filesystem_class("jtc") is JtcFileSystem
    for url in ("jtc://media/a/b.txt", "/media/a/b.txt", "media/a/b.txt/", "jtc::media/a/b.txt"):
        assert memory._strip_protocol(url) == "media/a/b.txt"
    assert memory._strip_protocol(["jtc:///a", "jtc://"]) == ["default/a", ""]
    assert memory._strip_protocol(Path("media/a")) == "media/a"
    assert memory.unstrip_protocol("media/a/b.txt") == "jtc://media/a/b.txt"
    assert memory._get_kwargs_from_urls("jtc://media/a") == {}
    assert memory._parent("media") == ""


def test_url_without_disk_is_on_the_default_disk_or_the_option(memory: JtcFileSystem) -> None:
    config = memory.storage_options["config"]
    other = fsspec.filesystem("jtc", config=config, disk="backup")
    memory.pipe_file("jtc:///a.txt", b"1")
    other.pipe_file("jtc:///b.txt", b"2")
    assert memory.find("") == ["backup/b.txt", "media/a.txt"]
    assert other.ls("jtc:///", detail=False) == ["default/b.txt"]
    assert other != memory
    assert other.fsid != memory.fsid


@pytest.mark.parametrize(
    "name", ["a b.txt", "a?b=c#d%20.txt", "[a].txt", "a*.txt", "C:x", "日本.txt", "a::b", "{a,b}"]
)
def test_odd_names_are_literal(name: str, fs: JtcFileSystem, root: str) -> None:
    path = f"{root}/{name}"
    fs.pipe_file(path, b"content")
    assert fs.info(path)["name"] == path
    assert fs.find(root) == fs.ls(root, detail=False) == [path]
    with fs.open(path) as file:
        assert file.read() == b"content"
    assert fs.cat_file(path) == b"content"
    fs.rm_file(path)
    assert not fs.exists(path)


@pytest.mark.parametrize("path", ["media/../a", "media/a//b", "media/C:\\a", "media/.jtc/a", ""])
def test_paths_that_break_the_policy_are_refused(path: str, memory: JtcFileSystem) -> None:
    with pytest.raises(InvalidPathException):
        memory.cat_file(path)
    with pytest.raises(InvalidPathException):
        memory.open(path, "wb")


def test_unknown_disk_is_an_error_and_never_a_missing_file(memory: JtcFileSystem) -> None:
    for method in (memory.exists, memory.isfile, memory.isdir, memory.info, memory.ls, memory.find):
        with pytest.raises(StorageConfigException, match="No disk 'medja' is configured; did you"):
            method("medja/a.txt")


def test_store_that_cannot_be_reached_is_an_error_and_never_a_missing_file(
    memory: JtcFileSystem,
) -> None:
    driver = EightMethods()

    async def fail(path: str) -> Any:
        raise ConnectionRefusedError(path)

    driver.exists = driver.size = driver.get = fail  # type: ignore[method-assign]
    memory._disks().set_driver(driver, "down")
    for method in (memory.exists, memory.isfile, memory.isdir, memory.cat_file):
        with pytest.raises(StorageUnavailableException, match="disk 'down'"):
            method("down/a.txt")


def test_unknown_option_is_refused(memory: JtcFileSystem) -> None:
    with pytest.raises(TypeError, match="no storage option 'confg'"):
        fsspec.filesystem("jtc", confg="storage.toml")
    with pytest.raises(TypeError, match="content_typ"):
        memory.open("media/a", "wb", content_typ="a/b")
    with pytest.raises(StorageConfigException, match="cannot be read"):
        fsspec.filesystem("jtc", config="missing.toml")


def test_configurations_never_share_a_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "storage.toml").write_text('[disks.media]\ndriver = "memory"')
    monkeypatch.chdir(tmp_path / "one")
    one = fsspec.filesystem("jtc", config="storage.toml")
    monkeypatch.chdir(tmp_path / "two")
    two = fsspec.filesystem("jtc", config="storage.toml")
    one.pipe_file("media/a", b"1")
    assert not two.exists("media/a")
    assert one != two
    Path("storage.toml").write_text('[disks.other]\ndriver = "memory"')
    assert two.ls("", detail=False) == ["media"]
    assert fsspec.filesystem("jtc", config="storage.toml").ls("", detail=False) == ["other"]
    assert fsspec.filesystem("jtc", config=tmp_path / "one" / "storage.toml").exists("media/a")


@pytest.mark.parametrize(("one", "two"), [(1, True), ("1", 1), ([1], (2,)), (None, "None")])
def test_mappings_with_other_values_are_other_configurations(one: Any, two: Any) -> None:
    def disk(value: Any) -> StorageManager:
        return configurations.manager({"disks": {"a": {"driver": "memory", "x": value}}})

    assert disk(one) is disk(one)
    assert disk(one) is not disk(two)


def test_file_system_without_configuration_is_that_of_the_program() -> None:
    with Storage.fake("media") as fake:
        fsspec.filesystem("jtc").pipe_file("media/a.txt", b"content")
        assert fake.sync.get("a.txt") == b"content"


def test_info_has_what_tools_ask_for(fs: JtcFileSystem, root: str) -> None:
    fs.pipe_file(f"{root}/a.csv", b"content", content_type="text/csv")
    info = fs.info(f"{root}/a.csv")
    assert (info["name"], info["size"], info["type"]) == (f"{root}/a.csv", 7, "file")
    assert info["content_type"] == "text/csv"
    assert abs(fs.modified(f"{root}/a.csv") - dt.datetime.now(dt.UTC)).seconds < 60
    assert fs.info(root) == {"name": root, "size": 0, "type": "directory"}
    assert fs.du(root) == fs.size(f"{root}/a.csv") == 7
    with pytest.raises(NotImplementedError, match="modified"):
        fs.created(f"{root}/a.csv")
    with pytest.raises(IsADirectoryError):
        fs.modified(root)


def test_ukey_and_checksum_change_with_the_file(fs: JtcFileSystem, root: str) -> None:
    path = f"{root}/a"
    fs.pipe_file(path, b"one")
    before = fs.ukey(path), fs.checksum(path)
    assert (fs.ukey(path), fs.checksum(path)) == before
    fs.pipe_file(path, b"two")
    assert fs.ukey(path) != before[0]
    assert fs.checksum(path) != before[1]


def test_what_others_write_is_seen_at_once(fs: JtcFileSystem, root: str) -> None:
    other = fsspec.filesystem("jtc", config=fs.storage_options["config"])
    fs.pipe_file(f"{root}/a", b"1")
    assert len(fs.ls(root)) == 1
    other.pipe_file(f"{root}/b", b"1")
    assert len(fs.ls(root)) == 2


def test_listings_are_kept_where_that_is_asked_for(memory: JtcFileSystem) -> None:
    config = memory.storage_options["config"]
    keeping = fsspec.filesystem("jtc", config=config, use_listings_cache=True)
    assert keeping != memory
    memory.pipe_file("media/a/1", b"")
    assert len(keeping.ls("media/a")) == 1
    memory.pipe_file("media/a/2", b"")
    assert len(keeping.ls("media/a")) == 1
    assert len(keeping.ls("media/a", refresh=True)) == 2
    keeping.pipe_file("media/a/3", b"")
    assert len(keeping.ls("media/a")) == 3
    memory.pipe_file("media/a/4", b"")
    keeping.invalidate_cache()
    assert len(keeping.ls("media/a")) == 4
    with keeping.open("media/a/5", "wb") as file:
        assert len(keeping.ls("media/a")) == 4
        file.write(b"5")
    assert len(keeping.ls("media/a")) == 5


def test_find_glob_and_walk_agree(fs: JtcFileSystem, root: str) -> None:
    fs.pipe({f"{root}/{name}": b"12" for name in ("a.csv", "x/b.csv", "x/y/c.csv", "x/y/d.txt")})
    fs.makedirs(f"{root}/empty")
    assert [file.removeprefix(root) for file in fs.find(root)] == [
        "/a.csv",
        "/x/b.csv",
        "/x/y/c.csv",
        "/x/y/d.txt",
    ]
    assert set(fs.find(root, withdirs=True)) - set(fs.find(root)) == {
        root,
        *(f"{root}/{name}" for name in ("empty", "x", "x/y")),
    }
    assert fs.find(root, maxdepth=1) == [f"{root}/a.csv"]
    assert fs.find(f"{root}/a.csv") == [f"{root}/a.csv"]
    assert fs.find(f"{root}/missing") == []
    assert fs.glob(f"{root}/**/*.csv") == [
        f"{root}/{name}" for name in ("a.csv", "x/b.csv", "x/y/c.csv")
    ]
    assert {path: sorted(files) for path, _, files in fs.walk(f"{root}/x")} == {
        f"{root}/x": ["b.csv"],
        f"{root}/x/y": ["c.csv", "d.txt"],
    }
    assert fs.du(root, total=False, withdirs=True)[f"{root}/a.csv"] == 2
    assert set(fs.cat(root, recursive=True)) == set(fs.find(root))
    assert fs.ls(f"{root}/empty") == []
    with pytest.raises(FileNotFoundError):
        fs.ls(f"{root}/missing")


def test_cat_file_takes_ranges_as_slices_do(fs: JtcFileSystem, root: str) -> None:
    content = bytes(range(10))
    fs.pipe_file(f"{root}/a", content)
    for start in (None, 0, 3, -3, 20, -20):
        for end in (None, 0, 5, -2, 20, -20):
            assert fs.cat_file(f"{root}/a", start, end) == content[start:end], (start, end)


def test_cat_ranges_reads_several_of_several_files(fs: JtcFileSystem, root: str) -> None:
    fs.pipe({f"{root}/a": b"0123456789", f"{root}/b": b"abcdefghij"})
    paths = [f"{root}/{name}" for name in "abaab"]
    starts, ends = [0, 2, 8, None, -3], [2, None, 100, 1, None]
    assert fs.cat_ranges(paths, starts, ends) == [b"01", b"cdefghij", b"89", b"0", b"hij"]
    assert fs.cat_ranges(paths[:3], 1, 3) == [b"12", b"bc", b"12"]
    got = fs.cat_ranges([f"{root}/a", f"{root}/missing"], 0, 1)
    assert got[0] == b"0"
    assert isinstance(got[1], FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges([f"{root}/a", f"{root}/missing"], 0, 1, on_error="raise")
    with pytest.raises(ValueError, match="as many"):
        fs.cat_ranges([f"{root}/a"], [0, 1], [1, 2])


def test_get_and_put_file_are_whole_and_report_progress(
    fs: JtcFileSystem, root: str, tmp_path: Path
) -> None:
    source, target = tmp_path / "source", tmp_path / "below" / "target"
    source.write_bytes(os.urandom(300_000))
    callback = Callback()
    fs.put_file(str(source), f"{root}/a", callback=callback)
    assert (callback.size, callback.value) == (300_000, 300_000)
    callback = Callback()
    fs.get_file(f"{root}/a", str(target), callback=callback)
    assert target.read_bytes() == source.read_bytes()
    assert (callback.size, callback.value) == (300_000, 300_000)
    with (tmp_path / "file").open("wb") as file:
        fs.get_file(f"{root}/a", file)
    assert (tmp_path / "file").read_bytes() == source.read_bytes()
    with pytest.raises(FileExistsError):
        fs.put_file(str(source), f"{root}/a", mode="create")
    with pytest.raises(FileNotFoundError):
        fs.get_file(f"{root}/missing", str(tmp_path / "missing"))
    assert not (tmp_path / "missing").exists()


def test_copy_and_move_within_and_between_disks(memory: JtcFileSystem) -> None:
    memory.pipe_file("media/a", b"1")
    memory.cp_file("media/a", "backup/x/a")
    memory.mv("media/a", "media/b")
    memory.mv("media/b", "backup/x/")
    memory.pipe({"media/d/1": b"1", "media/d/e/2": b"2"})
    memory.mv("media/d", "backup/d", recursive=True)
    assert memory.find("") == ["backup/d/1", "backup/d/e/2", "backup/x/a", "backup/x/b"]
    memory.mv("backup/x/a", "backup/x/a")
    with pytest.raises(FileNotFoundError):
        memory.mv("media/missing", "media/other")
    assert memory.cat_file("backup/x/a") == b"1"


@pytest.mark.parametrize(
    ("source", "target"), [("d", "d/e"), ("d", "d/"), ("jtc://{root}/d", "d"), ("d/*", "d/")]
)
def test_mv_of_a_directory_into_itself_loses_nothing(
    fs: JtcFileSystem, root: str, source: str, target: str
) -> None:
    fs.pipe({f"{root}/d/1": b"1", f"{root}/d/e/2": b"2"})
    source = source.format(root=root) if "{" in source else f"{root}/{source}"
    with contextlib.nullcontext() if "*" in source else pytest.raises(OSError, match="into itself"):
        fs.mv(source, f"{root}/{target}", recursive=True)
    assert fs.cat(root, recursive=True) == {f"{root}/d/1": b"1", f"{root}/d/e/2": b"2"}


def test_mv_leaves_what_it_does_not_move(fs: JtcFileSystem, root: str) -> None:
    fs.pipe({f"{root}/d/1": b"1", f"{root}/d/e/2": b"2", f"{root}/f/3": b"3"})
    fs.mv(f"{root}/d", f"{root}/x", recursive=True, maxdepth=1)
    assert fs.cat_file(f"{root}/d/e/2") == b"2"
    with pytest.raises(IsADirectoryError):
        fs.mv(f"{root}/f", f"{root}/y")
    fs.mv(f"{root}/f", f"{root}/y", recursive=True)
    assert fs.find(f"{root}/y") == [f"{root}/y/3"]
    assert not fs.exists(f"{root}/f")


def test_rm_removes_files_and_directories(fs: JtcFileSystem, root: str) -> None:
    fs.pipe({f"{root}/{name}": b"" for name in ("a", "ab", "x/1", "x/y/2", "xy/3")})
    with pytest.raises(IsADirectoryError):
        fs.rm(f"{root}/x")
    for method in (fs.rm, fs.rm_file):
        with pytest.raises(FileNotFoundError):
            method(f"{root}/missing")
    fs.rm(f"{root}/x", recursive=True)
    assert [path.removeprefix(root) for path in fs.find(root)] == ["/a", "/ab", "/xy/3"]
    fs.rm(f"{root}/a*")
    fs.rm([f"{root}/xy"], recursive=True)
    assert fs.find(root) == []


def test_rm_of_everything_is_refused(memory: JtcFileSystem) -> None:
    memory.pipe_file("media/a", b"1")
    with pytest.raises((InvalidPathException, PermissionError)):
        memory.rm("", recursive=True)
    assert memory.exists("media/a")
    memory.rm("media", recursive=True)
    assert memory.ls("media") == []


def test_directories_are_made_and_removed(fs: JtcFileSystem, root: str) -> None:
    fs.mkdir(f"{root}/a/b")
    assert fs.isdir(f"{root}/a")
    with pytest.raises(FileExistsError):
        fs.mkdir(f"{root}/a/b")
    with pytest.raises(FileExistsError):
        fs.makedirs(f"{root}/a/b")
    fs.makedirs(f"{root}/a/b", exist_ok=True)
    with pytest.raises(FileNotFoundError):
        fs.mkdir(f"{root}/c/d", create_parents=False)
    fs.touch(f"{root}/a/file")
    with pytest.raises(OSError, match="not empty"):
        fs.rmdir(f"{root}/a")
    with pytest.raises(FileNotFoundError):
        fs.rmdir(f"{root}/missing")
    with pytest.raises(NotADirectoryError):
        fs.rmdir(f"{root}/a/file")
    fs.rmdir(f"{root}/a/b")
    assert not fs.exists(f"{root}/a/b")


def test_file_in_place_of_a_directory_is_the_error_of_an_operating_system(tmp_path: Path) -> None:
    disk = {"driver": "local", "root": str(tmp_path)}
    fs = fsspec.filesystem("jtc", config={"disks": {"media": disk}})
    fs.touch("media/a/b")
    for write in (fs.touch, lambda path: fs.open(path, "wb").close()):
        with pytest.raises(IsADirectoryError):
            write("media/a")
        with pytest.raises(NotADirectoryError):
            write("media/a/b/c")
    with pytest.raises(FileExistsError):
        fs.makedirs("media/a/b", exist_ok=True)


def test_touch_makes_empties_and_keeps(fs: JtcFileSystem, root: str) -> None:
    fs.touch(f"{root}/a", truncate=False)
    assert fs.cat_file(f"{root}/a") == b""
    fs.pipe_file(f"{root}/a", b"1")
    with pytest.raises(NotImplementedError):
        fs.touch(f"{root}/a", truncate=False)
    assert fs.cat_file(f"{root}/a") == b"1"
    fs.touch(f"{root}/a")
    assert fs.cat_file(f"{root}/a") == b""


def test_sign_and_url(memory: JtcFileSystem) -> None:
    memory._disks().set_driver(EightMethods(), "plain")
    with pytest.raises(NotImplementedError):
        memory.sign("plain/a.txt")
    config = {"driver": "memory", "base_url": "/files", "secret": "k" * 32}
    fs = fsspec.filesystem("jtc", config={"disks": {"media": config}})
    assert fs.url("media/a b.txt") == "/files/a%20b.txt"
    assert fs.sign("media/a.txt", expiration=60).startswith("/files/a.txt?")


def test_threads_share_a_file_system(fs: JtcFileSystem, root: str) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(5):
                fs.pipe_file(f"{root}/{number}", b"%d" % turn)
                assert fs.cat_file(f"{root}/{number}") == b"%d" % turn
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(fs.find(root)) == 8


def test_asynchronous_file_system_runs_in_each_loop_of_the_caller(
    config: dict[str, Any], root: str
) -> None:
    there = fsspec.filesystem("jtc", config=config, asynchronous=True)

    async def work() -> bytes:
        await there._pipe_file(f"{root}/a", b"content")
        async with await there.open_async(f"{root}/b", "wb") as file:
            await file.write(b"more")
        async with await there.open_async(f"{root}/b") as file:
            assert await file.read() == b"more"
        try:
            return await there._cat_file(f"{root}/a")
        finally:
            await there._disks().aclose()

    assert [asyncio.run(work()) for _ in range(2)] == [b"content"] * 2
    with pytest.raises(RuntimeError, match="asynchronous=True"):
        there.cat_file(f"{root}/a")
    with pytest.raises(ValueError, match="binary"):
        asyncio.run(there.open_async(f"{root}/a", "r"))


async def test_blocking_method_in_its_own_loop_is_refused(memory: JtcFileSystem) -> None:
    here = fsspec.filesystem(
        "jtc", config=memory.storage_options["config"], loop=asyncio.get_running_loop()
    )
    with pytest.raises(NotImplementedError, match="await the method"):
        here.cat_file("media/a")


async def test_cancelled_call_ends_in_its_driver(memory: JtcFileSystem) -> None:
    driver, ended = EightMethods(), []

    async def wait(path: str) -> bytes:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(path)
        return b""

    driver.get = wait  # type: ignore[method-assign]
    memory._disks().set_driver(driver, "slow")
    there = fsspec.filesystem("jtc", config=memory.storage_options["config"], asynchronous=True)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await there._cat(["slow/a", "slow/b"])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await there._cat_ranges(["slow/c", "slow/d"], None, None)
    assert sorted(ended) == ["a", "b", "c", "d"]
