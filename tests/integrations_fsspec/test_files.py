"""Open files: whole or not at all, one version, in constant memory; and transactions."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import os
import pickle
import signal
import subprocess
import sys
import threading
import tracemalloc
from typing import TYPE_CHECKING, Any

import fsspec
import pandas as pd
import pytest

from jtc.storage import FileExistsException, PreconditionFailedException, StorageFullException
from jtc.storage.fsspec import JtcFileSystem
from small_drivers import EightMethods

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MIB = 1024 * 1024


class Stop(Exception):
    pass


@pytest.fixture
def memory() -> Iterator[JtcFileSystem]:
    config = {"disks": {"media": {"driver": "memory"}}}
    yield fsspec.filesystem("jtc", config=config)
    JtcFileSystem.clear_instance_cache()


@contextlib.contextmanager
def closed_at_the_end(file: Any) -> Iterator[Any]:
    """Close a file as helpers do that know nothing of its `__exit__`."""
    try:
        yield file
    finally:
        file.close()


def bare(fs: JtcFileSystem, path: str, mode: str) -> Any:
    return fs.open(path, mode)


def of_fsspec(fs: JtcFileSystem, path: str, mode: str) -> Any:
    return fsspec.open(f"jtc://{path}", mode, config=fs.storage_options["config"])


def of_fsspec_compressed(fs: JtcFileSystem, path: str, mode: str) -> Any:
    config = fs.storage_options["config"]
    return fsspec.open(f"jtc://{path}", mode, compression="gzip", config=config)


def compressed(fs: JtcFileSystem, path: str, mode: str) -> Any:
    return fs.open(path, mode, compression="gzip")


def closing(fs: JtcFileSystem, path: str, mode: str) -> Any:
    return contextlib.closing(fs.open(path, mode))


def by_a_generator(fs: JtcFileSystem, path: str, mode: str) -> Any:
    return closed_at_the_end(fs.open(path, mode))


def on_a_stack(fs: JtcFileSystem, path: str, mode: str) -> Any:
    stack = contextlib.ExitStack()
    file = stack.enter_context(fs.open(path, mode))
    return Entered(stack, file)


class Entered:
    def __init__(self, stack: contextlib.ExitStack, file: Any) -> None:
        self._stack = stack
        self._file = file

    def __enter__(self) -> Any:
        return self._file

    def __exit__(self, *exc_info: object) -> None:
        self._stack.__exit__(*exc_info)  # type: ignore[arg-type]


OPENERS = [
    bare,
    of_fsspec,
    of_fsspec_compressed,
    compressed,
    closing,
    by_a_generator,
    on_a_stack,
]


@pytest.mark.parametrize("mode", ["wb", "w"])
@pytest.mark.parametrize("opener", OPENERS)
def test_write_is_whole_at_the_end_and_nothing_after_an_exception(
    opener: Callable[[JtcFileSystem, str, str], Any], mode: str, memory: JtcFileSystem
) -> None:
    content: Any = "text" * 10 if mode == "w" else b"text" * 10
    with opener(memory, "media/a", mode) as file:
        file.write(content)
    before = memory.cat_file("media/a")
    compression = "gzip" if "compressed" in opener.__name__ else None
    with memory.open("media/a", mode.replace("w", "r"), compression=compression) as file:
        assert file.read() == content
    for path in ("media/a", "media/new"):
        with contextlib.suppress(Stop), opener(memory, path, mode) as file:
            file.write(content[:8])
            raise Stop
    assert memory.cat_file("media/a") == before
    assert not memory.exists("media/new")
    gc.collect()  # nothing is stored then, nor warned of


def test_file_closed_while_an_exception_is_handled_is_stored(memory: JtcFileSystem) -> None:
    file = memory.open("media/a", "wb")
    try:
        raise Stop
    except Stop:
        file.write(b"by the handler")
        file.close()
    try:
        raise Stop
    except Stop:
        with fsspec.open("jtc://media/b", "wb", config=memory.storage_options["config"]) as file:
            file.write(b"by the handler")
    assert set(memory.cat(["media/a", "media/b"]).values()) == {b"by the handler"}


def test_pandas_that_fails_in_the_middle_stores_nothing(memory: JtcFileSystem) -> None:
    class Refusing:
        def __str__(self) -> str:
            raise Stop

    frame = pd.DataFrame({"a": ["x", Refusing()]})
    with pytest.raises(Stop):
        frame.to_csv("jtc://media/a.csv", storage_options=memory.storage_options)
    assert memory.ls("media") == []


def test_dropped_file_is_not_stored_and_warns(memory: JtcFileSystem) -> None:
    def write() -> None:
        file = memory.open("media/a", "wb")
        file.write(b"half of")

    with pytest.warns(ResourceWarning, match="is not stored"):
        write()  # whose file is dropped at its end
    assert not memory.exists("media/a")


def test_modes_that_write(fs: JtcFileSystem, root: str) -> None:
    path = f"{root}/a"
    with fs.open(path, "xb") as file:
        file.write(b"one")
    with pytest.raises(FileExistsError):
        fs.open(path, "xb")
    with fs.open(path, "ab") as file:
        assert file.tell() == 3
        file.write(b" two")
        assert file.tell() == 7
    with fs.open(path, "a") as text:
        text.write("\nthree")
    with fs.open(path, "r") as text:
        assert text.readlines() == ["one two\n", "three"]
    with fs.open(path, "wb", content_type="text/x-own") as file:
        file.writelines([b"1", b"2"])
        with pytest.raises(OSError, match="read mode"):
            file.seek(0)
        with pytest.raises(ValueError, match="read mode"):
            file.read()
    with pytest.raises(ValueError, match="closed"):
        file.write(b"3")
    assert fs.info(path)["content_type"] == "text/x-own"
    assert fs.cat_file(path) == b"12"
    with pytest.raises(NotImplementedError):
        fs.open(path, "r+b")


def test_race_for_a_new_file_has_one_winner(fs: JtcFileSystem, root: str) -> None:
    one, two = fs.open(f"{root}/a", "xb"), fs.open(f"{root}/a", "xb")
    one.write(b"one")
    two.write(b"two")
    one.close()
    with pytest.raises(FileExistsError):
        two.close()
    assert fs.cat_file(f"{root}/a") == b"one"


@pytest.mark.parametrize("size", [0, 1, 23 * MIB + 1])
@pytest.mark.parametrize("chunk", [300_001, 30 * MIB])
def test_large_file_is_written_and_read_in_pieces(
    size: int, chunk: int, fs: JtcFileSystem, root: str
) -> None:
    content = os.urandom(1024) * (size // 1024) + b"x" * (size % 1024)
    with fs.open(f"{root}/a", "wb") as file:
        for start in range(0, size, chunk):
            assert file.write(memoryview(content)[start : start + chunk]) == min(
                chunk, size - start
            )
            assert file.tell() == min(start + chunk, size)
    with fs.open(f"{root}/a", block_size=MIB) as file:
        assert file.size == size
        read = b"".join(iter(lambda: file.read(300_001), b""))
    assert read == content


@pytest.mark.parametrize("cache", ["none", "readahead", "bytes", "blockcache", "all", "background"])
def test_seeks_and_reads_with_each_cache_of_blocks(
    cache: str, fs: JtcFileSystem, root: str
) -> None:
    fs.pipe_file(f"{root}/a", bytes(range(256)) * 16)
    with fs.open(f"{root}/a", block_size=100, cache_type=cache) as file:
        plain = io.BytesIO(bytes(range(256)) * 16)
        for where, length in ((4000, 50), (0, 10), (90, 200), (4090, 100), (5000, 1), (7, -1)):
            assert file.seek(where) == plain.seek(where)
            assert file.read(length) == plain.read(length)
        assert file.seek(-5, 2) == plain.seek(-5, 2)
        assert file.readline() == plain.readline()
        buffer = bytearray(3)
        file.seek(1)
        assert file.readinto(buffer) == 3
        assert buffer == b"\x01\x02\x03"


def test_open_file_is_one_version(fs: JtcFileSystem, root: str) -> None:
    fs.pipe_file(f"{root}/a", b"1" * 1000)
    with fs.open(f"{root}/a", block_size=10) as file:
        assert file.read(10) == b"1" * 10
        fs.pipe_file(f"{root}/a", b"2" * 1000)
        file.seek(500)
        with pytest.raises(PreconditionFailedException):
            file.read(10)


def test_missing_file_and_directory_are_refused_at_once(fs: JtcFileSystem, root: str) -> None:
    with pytest.raises(FileNotFoundError):
        fs.open(f"{root}/missing")
    fs.touch(f"{root}/directory/a")
    with pytest.raises(IsADirectoryError):
        fs.open(f"{root}/directory")


def test_store_that_fails_in_the_middle_keeps_the_file_before(memory: JtcFileSystem) -> None:
    class Full(EightMethods):
        async def put(self, path: str, content: Any) -> str:
            if not isinstance(content, bytes) or content == b"more":
                raise StorageFullException("no space is left")
            return await super().put(path, content)

    memory._disks().set_driver(Full(), "full")
    memory.pipe_file("full/a", b"before")
    file = memory.open("full/a", "wb")
    file.write(b"more")
    with pytest.raises(StorageFullException):
        file.close()
    assert file.closed
    with pytest.raises(StorageFullException), memory.open("full/a", "wb") as file:
        file.writelines([b"0" * MIB] * 20)
    with pytest.raises(StorageFullException):
        memory.pipe_file("full/a", b"more")
    assert memory.cat_file("full/a") == b"before"


def test_interrupted_call_is_cancelled_in_its_loop(memory: JtcFileSystem) -> None:
    driver, ended = EightMethods(), threading.Event()

    async def wait(_path: str) -> bytes:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return b""

    def interrupt(*_: Any) -> None:
        raise Stop

    driver.get = wait  # type: ignore[method-assign]
    memory._disks().set_driver(driver, "slow")
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(Stop):
            # A signal handler is set in the main thread, and the timer by the other.
            memory.cat_file("slow/a")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert ended.wait(5)


def test_large_file_is_read_and_written_in_constant_memory(tmp_path: Path) -> None:
    disk = {"driver": "local", "root": str(tmp_path)}
    fs = fsspec.filesystem("jtc", config={"disks": {"media": disk}})
    with (tmp_path / "sparse").open("wb") as sparse:
        sparse.truncate(1024 * MIB)
    tracemalloc.start()
    try:
        with fs.open("media/sparse", block_size=4 * MIB) as file:
            for start in range(0, 1024 * MIB, 128 * MIB):
                file.seek(start)
                assert len(file.read(16 * MIB)) == 16 * MIB
        with fs.open("media/copy", "wb") as file:
            for _ in range(64):
                file.write(b"0" * MIB)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 * MIB


def test_transaction_stores_all_at_its_end(fs: JtcFileSystem, root: str, tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(b"4" * (2 * MIB))
    with fs.transaction:
        fs.pipe_file(f"{root}/1", b"1")
        with fs.open(f"{root}/2", "w") as text:
            text.write("2")
        file = fs.open(f"{root}/3", "wb")  # not closed before the end
        file.write(b"3" * (11 * MIB))
        fs.put_file(str(tmp_path / "local"), f"{root}/4")
        fs.touch(f"{root}/5")
        assert fs.find(root) == []
    assert [info["size"] for info in fs.find(root, detail=True).values()] == [
        1,
        1,
        11 * MIB,
        2 * MIB,
        0,
    ]
    fs.pipe_file(f"{root}/6", b"6")
    assert fs.exists(f"{root}/6")


def test_transaction_that_raises_stores_nothing(fs: JtcFileSystem, root: str) -> None:
    fs.pipe_file(f"{root}/1", b"before")
    with contextlib.suppress(Stop), fs.transaction:
        fs.pipe_file(f"{root}/1", b"1")
        with fs.open(f"{root}/2", "wb") as file:
            file.write(b"2" * (11 * MIB))
        raise Stop
    assert fs.find(root) == [f"{root}/1"]
    assert fs.cat_file(f"{root}/1") == b"before"
    with fs.transaction:
        with contextlib.suppress(Stop), fs.open(f"{root}/3", "wb") as file:
            file.write(b"3")
            raise Stop
        fs.touch(f"{root}/4")
    assert fs.find(root) == [f"{root}/1", f"{root}/4"]


def test_transaction_without_a_block(memory: JtcFileSystem) -> None:
    memory.start_transaction()
    memory.pipe_file("media/1", b"1")
    assert not memory.exists("media/1")
    memory.end_transaction()
    assert memory.cat_file("media/1") == b"1"
    with memory.transaction, pytest.raises(FileExistsError):
        memory.pipe_file("media/1", b"2", mode="create")


def test_transaction_whose_end_fails_is_over(memory: JtcFileSystem) -> None:
    with pytest.raises(FileExistsException), memory.transaction:  # noqa: PT012
        memory.pipe_file("media/a", b"1", mode="create")
        memory.pipe_file("media/b", b"1")
        JtcFileSystem(config=memory.storage_options["config"]).pipe_file("media/a", b"2")
    memory.pipe_file("media/c", b"1")
    assert memory.find("") == ["media/a", "media/c"]


def test_transaction_of_an_asynchronous_file_system_is_refused(memory: JtcFileSystem) -> None:
    there = fsspec.filesystem("jtc", config=memory.storage_options["config"], asynchronous=True)
    for begin in (there.start_transaction, lambda: there.transaction):
        with pytest.raises(NotImplementedError, match="open_async"):
            begin()
    assert not there._intrans


def test_file_in_a_transaction_is_equal_after_pickling_only_for_reading(
    memory: JtcFileSystem,
) -> None:
    memory.pipe_file("media/a", b"content")
    with memory.open("media/a") as file:
        assert pickle.loads(pickle.dumps(file)) == file
        assert file.full_name == "jtc://media/a"


def test_no_warning_is_left_when_a_process_ends(tmp_path: Path) -> None:
    program = f"""
import fsspec
disk = {{"driver": "local", "root": {str(tmp_path)!r}}}
fs = fsspec.filesystem("jtc", config={{"disks": {{"m": disk}}}})
fs.pipe_file("m/a", b"1")
file = fs.open("m/a")
print(file.read())
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=True,
    )
    # On a machine that others use too, a step of a loop takes longer than a tenth of a second.
    said = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert (done.stdout, said) == ("b'1'\n", [])
