"""Files open for writing: they seek as io.BytesIO does, and warn when they are dropped."""

from __future__ import annotations

import asyncio
import gc
import io
import pickle
import subprocess
import sys
import tempfile
import threading
from typing import TYPE_CHECKING, Any

import aiofiles.threadpool.binary
import aiofiles.threadpool.text
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jtc.storage import (
    Disk,
    FileExistsException,
    PreconditionFailedException,
    RejectedException,
    StorageException,
    StorageManager,
)
from jtc.storage import _written_files as written_files
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.memory_driver import MemoryDriver
from small_drivers import EightMethods, Writing

if TYPE_CHECKING:
    from pathlib import Path

IN_MEMORY = 8 * 1024 * 1024


def disk_of(driver: Any) -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    return manager.disk("d")


@pytest.fixture
def disk() -> Disk:
    return disk_of(MemoryDriver())


steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.binary(max_size=30)),
        st.tuples(st.just("seek"), st.integers(0, 60)),
        st.tuples(st.just("seek"), st.integers(0, 10), st.just(io.SEEK_CUR)),
        st.tuples(st.just("seek"), st.just(0), st.just(io.SEEK_END)),
        st.tuples(st.just("read"), st.one_of(st.none(), st.integers(-1, 30))),
        st.tuples(st.just("truncate"), st.integers(0, 60)),
        st.tuples(st.just("truncate")),
    ),
    max_size=25,
)


@pytest.mark.parametrize("in_memory", [IN_MEMORY, 16, 0], ids=["memory", "both", "file"])
@given(steps=steps)
def test_written_file_seeks_as_a_file_of_the_system_does(
    in_memory: int, steps: list[tuple[Any, ...]]
) -> None:
    async def check() -> None:
        disk = disk_of(EightMethods())
        with tempfile.TemporaryFile() as model, pytest.MonkeyPatch.context() as patch:
            patch.setattr(written_files, "_MOST_IN_MEMORY", in_memory)
            async with disk.open("a", "wb") as file:
                assert await file.seek(0) == 0
                for name, *arguments in steps:
                    expected = getattr(model, name)(*arguments)
                    assert await getattr(file, name)(*arguments) == expected
                    assert file.tell() == model.tell()
            model.seek(0)
            assert await disk.get("a") == model.read()

    asyncio.run(check())


@pytest.mark.parametrize("kind", [EightMethods, Writing, MemoryDriver, LocalDriver])
async def test_written_file_seeks_in_memory_and_once_sought_at_any_length(
    kind: Any, tmp_path: Path
) -> None:
    disk = disk_of(kind(tmp_path) if kind is LocalDriver else kind())
    async with disk.open("small", "wb") as file:
        await file.write(b"????body")
        await file.seek(0)
        await file.write(b"head")
    async with disk.open("large", "wb") as file:
        await file.seek(0)
        for _ in range(3):
            await file.write(bytes(IN_MEMORY))
        assert file.seekable()
        assert await file.seek(-1, io.SEEK_END) == 3 * IN_MEMORY - 1
        await file.write(b"end")
        await file.seek(0)
        await file.write(b"head")
    assert await disk.get("small") == b"headbody"
    assert await disk.get("large") == b"head" + bytes(3 * IN_MEMORY - 5) + b"end"


async def test_written_file_is_streamed_where_it_was_not_sought() -> None:
    driver = Writing()
    disk = disk_of(driver)
    async with disk.open("a", "wb") as file:
        await file.write(bytes(IN_MEMORY))
        assert file.seekable()
        await file.write(b"more")
        assert not file.seekable()
        assert await file.seek(0, io.SEEK_CUR) == IN_MEMORY + 4
        assert await file.truncate() == IN_MEMORY + 4
        seeks = (file.seek(0), file.seek(9, io.SEEK_END))
        for refused in (*seeks, file.truncate(0), file.read(1)):
            with pytest.raises(io.UnsupportedOperation, match=r"'a'.*8 MiB.*call seek\(0\) before"):
                await refused
        await file.write(b" and more")
    assert driver.kept["a"] == bytes(IN_MEMORY) + b"more and more"


async def test_written_file_up_to_8_mib_is_one_put_of_known_length() -> None:
    seen = []

    class Watching(Writing):
        async def write_file(self, path: str, content: Any, options: Any, /) -> str | None:
            seen.append((type(content), options.size))
            return await super().write_file(path, content, options)

    async with disk_of(Watching()).open("a", "wb") as file:
        await file.writelines([b"one, ", bytearray(b"two, "), memoryview(b"three")])
    assert seen == [(bytes, 15)]


async def test_written_file_seek_before_the_beginning_or_by_an_unknown_whence(disk: Disk) -> None:
    async with disk.open("a", "wb") as file:
        await file.write(b"abc")
        with pytest.raises(ValueError, match="before the file's beginning"):
            await file.seek(-4, io.SEEK_CUR)
        with pytest.raises(ValueError, match="SEEK_END"):
            await file.seek(0, 7)
        with pytest.raises(ValueError, match="less than 0"):
            await file.truncate(-1)
        assert file.tell() == 3


async def test_written_file_says_where_its_temporary_file_failed(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    await disk.put("a", b"old")
    with pytest.raises(StorageException, match="Set TMPDIR to one"):  # noqa: PT012 - the block is
        async with disk.open("a", "wb") as file:
            await file.seek(0)
            await file.write(bytes(IN_MEMORY + 1))
    assert await disk.get("a") == b"old"


async def test_written_file_write_that_is_cancelled_has_written_nothing(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written_files, "_MOST_IN_MEMORY", 0)
    go_on = threading.Event()
    async with disk.open("a", "wb") as file:
        await file.seek(0)
        write = file._write_spool
        monkeypatch.setattr(file, "_write_spool", lambda *given: (go_on.wait(), write(*given)))
        first = asyncio.create_task(file.write(b"one"))
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.sleep(0.01)
        assert not first.done()  # it waits for the thread, which writes nothing afterwards
        go_on.set()
        await asyncio.wait([first])
        assert first.cancelled()
        assert file.tell() == 0
        await file.write(b"1")
    assert await disk.get("a") == b"1"


async def test_written_file_that_two_tasks_close_is_stored_once(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    puts = []
    put = disk._put

    async def slow_put(*given: Any) -> None:
        puts.append(given)
        await asyncio.sleep(0.01)
        await put(*given)

    monkeypatch.setattr(Disk, "_put", lambda _, *given: slow_put(*given))
    file = await disk.open("a", "wb")
    await file.write(b"content")
    await asyncio.gather(file.close(), file.close())
    await file.close()
    assert len(puts) == 1
    assert await disk.get("a") == b"content"


async def test_written_file_whose_close_failed_says_so_again(disk: Disk) -> None:
    file = await disk.open("a", "wb", max_size=1)
    await file.write(b"content")
    with pytest.raises(RejectedException):
        await file.close()
    with pytest.raises(StorageException, match=r"earlier close\(\) failed"):
        await file.close()
    await file.abort()
    await file.close()
    assert await disk.missing("a")


async def test_written_file_that_is_aborted_while_a_thread_writes_leaves_nothing_open(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written_files, "_MOST_IN_MEMORY", 0)
    file = await disk.open("a", "wb")
    await file.seek(0)
    go_on = threading.Event()
    change = file._use_file
    monkeypatch.setattr(file, "_use_file", lambda *given: (go_on.wait(), change(*given)))
    write = asyncio.create_task(file.write(b"late"))
    await asyncio.sleep(0.01)
    await file.abort()
    go_on.set()
    with pytest.raises(ValueError, match="closed meanwhile"):
        await write
    assert file._spool.closed
    assert await disk.missing("a")


async def test_written_file_writes_of_several_tasks_are_all_stored(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written_files, "_MOST_IN_MEMORY", 0)
    pieces = [b"%03d" % n for n in range(50)]
    async with disk.open("a", "wb") as file:
        await file.seek(0)
        await asyncio.gather(*map(file.write, pieces))
    assert await disk.get("a") == b"".join(pieces)


@pytest.mark.parametrize("options", [{"mode": "xb"}, {"mode": "x"}, {"overwrite": False}])
async def test_open_to_write_a_new_file_fails_early_and_without_a_race(
    disk: Disk, options: Any
) -> None:
    options = {"mode": "wb"} | options
    with pytest.raises(FileExistsException) as raised:
        async with disk.open("a", **options):
            await disk.put("a", b"meanwhile")
    assert await disk.get("a") == b"meanwhile"
    with pytest.raises(FileExistsException) as raised:
        await disk.open("a", **options)
    assert (raised.value.operation, raised.value.path) == ("open", "a")


async def test_open_if_match_fails_early_and_without_a_race(disk: Disk) -> None:
    await disk.put("a", b"old")
    etag = (await disk.stat("a")).etag
    with pytest.raises(PreconditionFailedException):  # noqa: PT012 - the block is what raises
        async with disk.open("a", "wb", if_match=etag) as file:
            await file.write(b"mine")
            await disk.put("a", b"meanwhile")
    assert await disk.get("a") == b"meanwhile"
    for path in ("a", "missing"):
        with pytest.raises(PreconditionFailedException) as raised:
            await disk.open(path, "wb", if_match=etag)
        assert (raised.value.operation, raised.value.path) == ("open", path)


async def test_open_to_write_only_where_reading_is_forbidden() -> None:
    class WriteOnly(MemoryDriver):
        async def exists(self, path: str, /) -> bool:
            raise PermissionError(path)

    disk = disk_of(WriteOnly())
    async with disk.open("a", "xb") as file:
        await file.write(b"new")
    assert await disk.get("a") == b"new"
    with pytest.raises(FileExistsException):
        async with disk.open("a", "xb"):
            pass


async def test_open_wrong_options_fail_early(disk: Disk) -> None:
    with pytest.raises(TypeError, match="content_type"):
        await disk.open("a", "wb", contenttype="text/plain")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"open\(\) has no option 'buffering'"):
        await disk.open("a", "wb", buffering=0)  # type: ignore[call-overload]


@pytest.mark.parametrize("kind", [EightMethods, Writing, MemoryDriver])
async def test_open_ab_adds_to_the_end(kind: Any) -> None:
    disk = disk_of(kind())
    for n in range(3):
        async with disk.open("log", "ab") as file:
            assert file.tell() == 5 * n
            assert not file.seekable()
            await file.write(b"line\n")
            assert file.tell() == 5 * (n + 1)
            for refused in (file.seek(0), file.truncate(0), file.read()):
                with pytest.raises(io.UnsupportedOperation, match="open for appending"):
                    await refused
    assert await disk.get("log") == b"line\n" * 3
    with pytest.raises(KeyError):  # noqa: PT012 - the block is what raises
        async with disk.open("log", "ab") as file:
            await file.write(b"half")
            raise KeyError
    assert await disk.get("log") == b"line\n" * 3


async def test_open_ab_keeps_what_others_append_meanwhile_and_the_metadata(disk: Disk) -> None:
    await disk.put("log", b"0", content_type="text/x-log", metadata={"a": "b"})
    async with disk.open("log", "ab") as one, disk.open("log", "ab") as other:
        await one.write(b"1" * (IN_MEMORY + 1))
        await other.write(b"2")
    assert await disk.get("log") == b"02" + b"1" * (IN_MEMORY + 1)
    info = await disk.stat("log")
    assert (info.content_type, info.metadata) == ("text/x-log", {"a": "b"})


@pytest.mark.parametrize("length", [3, IN_MEMORY + 1, 3 * IN_MEMORY])
@pytest.mark.parametrize("sought", [False, True])
async def test_written_file_that_is_dropped_warns_and_is_not_stored(
    disk: Disk, length: int, *, sought: bool
) -> None:
    await disk.put("a", b"old")
    file = await disk.open("a", "wb")
    if sought:
        await file.seek(0)
    await file.write(bytes(length))
    message = r"unclosed file 'a' of mode 'wb', so .* not stored"
    with pytest.warns(ResourceWarning, match=message) as caught:  # noqa: PT031 - a thread has it
        del file
        async with asyncio.timeout(30):
            while not caught.list:
                await asyncio.sleep(0.01)
    await asyncio.sleep(0.01)
    assert await disk.get("a") == b"old"
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("mode", ["rb", "r", "w", "a"])
async def test_open_file_that_is_dropped_warns(disk: Disk, mode: Any) -> None:
    await disk.put("a", b"old")
    file = await disk.open("a", mode)
    with pytest.warns(ResourceWarning, match=f"unclosed file 'a' of mode '{mode[0]}b'"):
        del file
    assert await disk.get("a") == b"old"


async def test_open_file_that_was_closed_or_aborted_does_not_warn(disk: Disk) -> None:
    file = await disk.open("a", "wb")
    await file.close()
    file = await disk.open("a", "wb")
    await file.abort()
    reader = await disk.open("a")
    await reader.close()
    del file, reader
    gc.collect()  # warnings are errors


def test_open_file_left_at_exit_warns_and_is_not_stored(tmp_path: Path) -> None:
    script = f"""
import asyncio
from jtc.storage import StorageManager
disk = StorageManager.isolated(
    {{"disks": {{"d": {{"driver": "local", "root": {str(tmp_path)!r}}}}}}}
).disk("d")
async def main():
    global small, large, text, pending
    small = await disk.open("small", "wb")
    await small.write(b"half")
    large = await disk.open("large", "wb")
    await large.write(bytes(9_000_000))
    text = await disk.open("text", "w")
    await text.write("half")
    pending = disk.open("never", "wb")
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", script], capture_output=True, text=True, check=True
    )
    for name in ("small", "large", "text"):
        assert f"ResourceWarning: unclosed file '{name}' of mode 'wb'" in done.stderr
    assert done.stderr.count("Warning") == 3, done.stderr
    assert "Exception" not in done.stderr
    assert "Traceback" not in done.stderr
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


async def test_generator_that_is_closed_in_the_block_stores_nothing(disk: Disk) -> None:
    async def work() -> Any:
        async with disk.open("a", "wb") as file:
            await file.write(b"half")
            yield
            await file.write(b"whole")

    steps = work()
    await anext(steps)
    await steps.aclose()
    assert await disk.missing("a")


async def test_task_that_is_cancelled_in_the_block_stores_nothing(disk: Disk) -> None:
    async def work() -> None:
        async with disk.open("a", "wb") as file:
            await file.write(b"half")
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert await disk.missing("a")


@pytest.mark.parametrize("mode", ["rb", "wb", "ab", "r", "w", "a"])
async def test_open_file_is_closed_twice_and_not_used_after(disk: Disk, mode: Any) -> None:
    await disk.put("a", b"old")
    file: Any = await disk.open("a", mode)
    assert not file.closed
    assert (file.name, file.mode, file.isatty()) == ("a", mode, False)
    assert (file.readable(), file.writable()) == (mode[0] == "r", mode[0] != "r")
    await file.flush()
    await file.close()
    await file.close()
    assert file.closed
    uses = ["flush", "seek 0", "tell", "isatty", "__aenter__", "write", "writelines", "read"]
    uses += ["read1", "readall", "readline", "readlines", "peek", "__anext__", "readinto"]
    for use in uses:
        name, *numbers = use.split()
        arguments: list[Any] = [int(number) for number in numbers]
        data = b"new" if "b" in mode else "new"
        given = {"write": [data], "writelines": [[data]], "readinto": [bytearray(3)]}
        arguments += given.get(name, [])
        if hasattr(file, name) and not (name.startswith("read") and "r" not in mode):
            with pytest.raises((ValueError, io.UnsupportedOperation), match=r"closed|open for"):
                await _awaited(getattr(file, name)(*arguments))


async def _awaited(result: Any) -> Any:
    return await result if hasattr(result, "__await__") else result


@pytest.mark.parametrize("mode", ["rb", "wb", "r", "w"])
async def test_open_file_has_no_descriptor_and_is_not_pickled(disk: Disk, mode: Any) -> None:
    await disk.put("a", b"old")
    async with disk.open("a", mode) as file:
        with pytest.raises(io.UnsupportedOperation, match=r"'a'.*no descriptor"):
            file.fileno()
        with pytest.raises(TypeError, match="cannot be pickled: pass the path 'a'"):
            pickle.dumps(file)
        assert "'a'" in repr(file)


async def test_open_file_that_was_awaited_can_be_entered(disk: Disk) -> None:
    async with await disk.open("a", "wb") as file:
        await file.write(b"whole")
    with pytest.raises(KeyError):  # noqa: PT012 - the block is what raises
        async with await disk.open("a", "w") as text:
            await text.write("half")
            raise KeyError
    async with await disk.open("a") as read:
        assert await read.read() == b"whole"


async def test_open_file_tell_may_be_awaited(disk: Disk) -> None:
    async with disk.open("a", "wb") as file:
        await file.write(b"abc")
        assert await file.tell() == file.tell() == 3


ABSENT = {"raw", "detach"}
"""There is no other file below ours."""


@pytest.mark.parametrize(
    ("mode", "theirs"),
    [
        ("rb", aiofiles.threadpool.binary.AsyncBufferedReader),
        ("wb", aiofiles.threadpool.binary.AsyncBufferedIOBase),
        ("r", aiofiles.threadpool.text.AsyncTextIOWrapper),
        ("w", aiofiles.threadpool.text.AsyncTextIOWrapper),
    ],
)
async def test_open_files_have_what_aiofiles_have(disk: Disk, mode: Any, theirs: Any) -> None:
    await disk.put("a", b"")
    wanted = {name for name in dir(theirs) if not name.startswith("_")} - ABSENT
    if mode == "rb":
        wanted -= {"write", "writelines"}
    if mode == "wb":
        wanted = {name for name in wanted if not name.startswith("read")} | {"readable"}
    async with disk.open("a", mode) as file:
        assert {name for name in wanted if not hasattr(file, name)} == set()


async def test_open_file_of_another_loop_is_refused(disk: Disk) -> None:
    file = await disk.open("a", "wb")

    def elsewhere() -> None:
        async def write() -> None:
            await file.write(b"x")

        with pytest.raises(StorageException, match="another loop"):
            asyncio.run(write())

    await asyncio.to_thread(elsewhere)
    await file.write(b"mine")
    await file.close()
    assert await disk.get("a") == b"mine"


async def test_open_file_is_the_content_of_a_put(disk: Disk) -> None:
    await disk.put("a", b"content")
    async with disk.open("a") as file:
        await disk.put("b", file)
    assert await disk.get("b") == b"content"
