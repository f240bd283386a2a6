"""Streams, listings and open files of the sync API: plain iterators and plain files."""

from __future__ import annotations

import array
import asyncio
import csv
import gc
import gzip
import io
import json
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jtc.storage import (
    FileExistsException,
    FileNotFoundException,
    PreconditionFailedException,
    RejectedException,
    UnsupportedOperationException,
)
from jtc.storage.drivers.memory_driver import MemoryDriver
from jtc.storage.models import FileInfo
from jtc.storage.sync import SyncReadableFile, SyncWritableFile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from jtc.storage import Entry, ListOptions
    from jtc.storage.sync import SyncDisk, SyncStorage

LINES = b"".join(b"line %d\n" % n for n in range(100_000))


def open_descriptors(folder: Path) -> list[str]:
    """Return the files below a folder that this process has open."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except FileNotFoundError:
            continue
        if target.startswith(str(folder)):
            found.append(target)
    return found


def becomes(true: Callable[[], bool]) -> bool:
    """Wait for what happens in another thread; generously, since others use this machine."""
    for _ in range(3_000):
        if true():
            return True
        time.sleep(0.01)
    return False


def test_a_stream_is_an_iterator_of_chunks(disk: SyncDisk) -> None:
    disk.put("a", LINES)
    stream = disk.stream("a", chunk_size=100_000)
    assert iter(stream) is stream
    assert b"".join(stream) == LINES
    assert list(stream) == []
    assert b"".join(disk.stream("a", start=10, end=1_000)) == LINES[10:1_000]
    with disk.stream("a", start=-5) as entered:
        assert isinstance(entered.info, FileInfo)
        assert entered.info.size == len(LINES)
        assert next(entered) == LINES[-5:]
    assert disk.stream("a").info.path == "a"


def test_a_stream_raises_when_it_is_used_and_not_before(disk: SyncDisk) -> None:
    stream = disk.stream("missing")
    with pytest.raises(FileNotFoundException):
        next(stream)
    with pytest.raises(FileNotFoundException), disk.stream("missing"):
        pass
    with pytest.raises(FileNotFoundException):
        _ = disk.stream("missing").info


def test_a_stream_that_was_begun_goes_on_as_content(disk: SyncDisk) -> None:
    disk.put("a", LINES)
    stream = disk.stream("a", chunk_size=1_000)
    first = next(stream)
    disk.put("b", stream)
    assert first + disk.get("b") == LINES


@pytest.mark.parametrize("how", ["dropped", "closed", "left by break"])
def test_local_file_is_closed_with_its_stream(
    storage: SyncStorage, tmp_path: Path, how: str
) -> None:
    disk = storage.disk("local")
    disk.put("a", LINES)
    stream = disk.stream("a", chunk_size=10)
    next(stream)
    assert len(open_descriptors(tmp_path)) == 1
    match how:
        case "dropped":
            del stream
        case "closed":
            stream.close()
            stream.close()
            assert open_descriptors(tmp_path) == []
        case _:
            for _chunk in stream:
                break
            del stream
    assert becomes(lambda: open_descriptors(tmp_path) == [])


class Pages(MemoryDriver):
    """Counts the entries that were read of a listing, and remembers whether it was closed."""

    read = 0
    ended = False

    async def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
        try:
            async for entry in super().list_entries(prefix, options):
                self.read += 1
                yield entry
        finally:
            self.ended = True


def test_listing_is_lazy_and_closed_when_it_is_dropped(storage: SyncStorage) -> None:
    driver = Pages()
    storage.set_driver(driver, "pages")
    disk = storage.disk("pages")
    for n in range(1_000):
        disk.put(f"{n:04}", b"1")
    entries = disk.list()
    assert driver.read == 0
    assert next(entries).path == "0000"
    assert driver.read == 1
    assert [e.path for e in islice(entries, 6)] == [f"{n:04}" for n in range(1, 7)]
    assert driver.read == 7
    assert not driver.ended
    del entries
    assert becomes(lambda: driver.ended)

    assert [e.path for e in disk.list(start_after="0997")] == ["0998", "0999"]
    with closing(disk.list()) as closed:
        next(closed)
        driver.ended = False
    assert list(closed) == []
    assert becomes(lambda: driver.ended)


def test_listing_raises_a_failure_after_the_entries_before_it(storage: SyncStorage) -> None:
    class Broken(MemoryDriver):
        async def list_entries(self, prefix: str, options: ListOptions, /) -> AsyncIterator[Entry]:
            async for entry in super().list_entries(prefix, options):
                if entry.path == "5":
                    raise PermissionError("no further")
                yield entry

    storage.set_driver(Broken(), "broken")
    disk = storage.disk("broken")
    for n in range(9):
        disk.put(str(n), b"1")
    seen = []
    with pytest.raises(PermissionError):
        seen.extend(entry.path for entry in disk.list())
    entries = disk.list()
    assert [next(entries).path for _ in range(5)] == ["0", "1", "2", "3", "4"]
    with pytest.raises(PermissionError):
        next(entries)
    assert list(entries) == []

    class Lists:
        def __init__(self) -> None:
            self.inner = MemoryDriver()

        def __getattr__(self, name: str) -> Any:
            if name == "list_entries":
                raise AttributeError(name)
            return getattr(self.inner, name)

    storage.set_driver(Lists(), "no-list")
    with pytest.raises(UnsupportedOperationException):
        next(storage.disk("no-list").list())


def test_an_opened_file_reads_seeks_and_iterates(disk: SyncDisk) -> None:
    disk.put("a", LINES)
    with disk.open("a") as file:
        assert isinstance(file, SyncReadableFile)
        assert file.info.size == len(LINES)
        assert file.readable()
        assert file.seekable()
        assert not file.writable()
        assert file.read(6) == b"line 0"
        assert file.tell() == 6
        assert file.readline() == b"\n"
        assert file.readline() == b"line 1\n"
        assert file.seek(-7, io.SEEK_END) == len(LINES) - 7
        assert file.read() == LINES[-7:]
        assert file.read(10) == b""
        assert file.seek(0) == 0
        assert sum(1 for _ in file) == 100_000
        file.seek(500_000)
        buffer = bytearray(7)
        assert file.readinto(buffer) == 7
        assert bytes(buffer) == LINES[500_000:500_007]
    assert file.closed
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.read()


def test_an_opened_file_is_one_for_the_standard_library(disk: SyncDisk) -> None:
    with disk.open("a.zip", "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("one", b"1" * 1_000_000)
        archive.writestr("two.txt", "zwei\n")
    with disk.open("a.zip") as file, zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["one", "two.txt"]
        with io.TextIOWrapper(archive.open("two.txt"), "utf-8") as text:
            assert list(text) == ["zwei\n"]
    with io.TextIOWrapper(disk.open("a.txt", "wb"), "utf-8") as text:
        text.write("Grüße\n")
    with io.TextIOWrapper(disk.open("a.txt"), "utf-8") as text:
        assert text.read() == "Grüße\n"
    with io.BufferedReader(disk.open("a.txt").raw, 3) as small:
        assert small.read() == "Grüße\n".encode()


def test_a_written_file_appears_when_it_is_closed_and_not_before(disk: SyncDisk) -> None:
    with disk.open("a", "wb", size=len(LINES) + 3) as file:
        assert isinstance(file, SyncWritableFile)
        assert file.write(LINES) == len(LINES)
        assert file.tell() == len(LINES)
        file.write(memoryview(b"end"))
        file.flush()
        assert disk.missing("a")
    assert file.closed
    file.close()
    assert disk.get("a") == LINES + b"end"
    with pytest.raises(ValueError, match="closed"):
        file.write(b"more")


def test_what_fails_in_the_block_leaves_the_old_file(disk: SyncDisk) -> None:
    disk.put("a", b"old")
    file = disk.open("a", "wb")

    def fail() -> None:
        with file:
            file.write(LINES)
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert file.closed
    file.abort()
    given_up = disk.open("a", "wb")
    given_up.write(LINES)
    given_up.abort()
    given_up.close()
    assert disk.get("a") == b"old"
    assert disk.all_files() == ["a"]


def test_a_file_that_is_dropped_unclosed_never_appears(
    storage: SyncStorage, tmp_path: Path
) -> None:
    disk = storage.disk("local")
    disk.put("a", b"old")
    file = disk.open("a", "wb")
    file.write(bytes(9_000_000))
    file.flush()
    assert becomes(lambda: open_descriptors(tmp_path) != [])
    with pytest.warns(ResourceWarning, match="unclosed file 'a' .*'wb', so .* not stored"):
        del file
    assert becomes(lambda: open_descriptors(tmp_path) == [])
    assert disk.get("a") == b"old"


def test_dropped_reader_is_closed_too(storage: SyncStorage, tmp_path: Path) -> None:
    disk = storage.disk("local")
    disk.put("a", LINES)
    file = disk.open("a")
    file.read(1)
    assert len(open_descriptors(tmp_path)) == 1
    with pytest.warns(ResourceWarning, match="unclosed file 'a' .*'rb':"):
        del file
    assert becomes(lambda: open_descriptors(tmp_path) == [])


async def test_a_written_file_that_cannot_be_closed_here_is_given_up(
    storage: SyncStorage, tmp_path: Path
) -> None:
    disk = storage.disk("local")
    written = await asyncio.to_thread(disk.open, "a", "wb")
    await asyncio.to_thread(written.write, b"1" * 9_000_000)
    assert await asyncio.to_thread(becomes, lambda: open_descriptors(tmp_path) != [])
    with pytest.raises(RuntimeError, match="An event loop runs in this thread"):
        written.close()
    assert written.closed
    assert await asyncio.to_thread(becomes, lambda: open_descriptors(tmp_path) == [])
    assert await asyncio.to_thread(disk.missing, "a")


def test_what_a_put_refuses_an_open_file_refuses(disk: SyncDisk) -> None:
    with pytest.raises(FileNotFoundException):
        disk.open("missing")
    disk.put("a", b"old")
    with pytest.raises(FileExistsException):
        disk.open("a", "xb")
    with pytest.raises(RejectedException), disk.open("a", "wb", max_size=3) as file:
        file.write(b"1234")
    assert file.closed
    with pytest.raises(PreconditionFailedException):
        disk.open("a", "wb", if_match="x")
    assert disk.get("a") == b"old"
    with pytest.raises(ValueError, match="modes"):
        disk.open("a", "rw")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="no options"):
        disk.open("a", "rb", size=3)  # type: ignore[call-overload]


def test_one_version_is_read_though_the_file_is_replaced(storage: SyncStorage) -> None:
    disk = storage.disk("local")
    disk.put("a", LINES)
    with disk.open("a") as file:
        file.read(1)
        disk.put("a", b"new")
        assert file.readline() == LINES[1:7]
        file.seek(-3, io.SEEK_END)
        with pytest.raises(PreconditionFailedException):
            file.read(300_000)


def test_open_files_are_those_of_io(disk: SyncDisk) -> None:
    disk.put("a", b"content")
    with disk.open("a") as read, disk.open("b", "wb") as written:
        assert isinstance(read, io.BufferedReader)
        assert isinstance(written, io.BufferedWriter)
        assert (read.name, read.mode, read.raw.readable()) == ("a", "rb", True)
        assert (written.name, written.mode, written.seekable()) == ("b", "wb", True)
        for file in (read, written):
            assert not file.closed
            assert not file.isatty()
            with pytest.raises(io.UnsupportedOperation, match=r"no descriptor"):
                file.fileno()
            with pytest.raises(TypeError, match="cannot be pickled: pass the path"):
                pickle.dumps(file)
        numbers = array.array("H", [0, 0])
        assert read.raw.readinto(numbers) == 4  # type: ignore[attr-defined]
        assert numbers.tobytes() == b"cont"
        written.writelines([b"one\n", b"two\n"])
    assert disk.get("b") == b"one\ntwo\n"
    for use in (read.readline, read.tell, written.flush, written.tell, written.isatty):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_written_file_seeks_in_memory_and_once_sought_at_any_length(disk: SyncDisk) -> None:
    with disk.open("small", "wb") as file:
        file.write(b"????body")
        assert file.seek(0) == 0
        file.write(b"head")
        assert file.tell() == 4
        assert file.seek(0, io.SEEK_END) == 8
        assert file.seek(2) == 2
        assert file.read(3) == b"adb"
        assert file.tell() == 5
        file.write(b"O")
        assert file.read() == b"dy"
        assert file.truncate(6) == 6
    with disk.open("large", "wb") as file:
        file.seek(0)
        for _ in range(3):
            file.write(bytes(8_000_000))
        assert file.seek(-1, io.SEEK_END) == 23_999_999
        file.write(b"end")
        file.seek(0)
        file.write(b"head")
    assert disk.get("small") == b"headbO"
    assert disk.get("large") == b"head" + bytes(23_999_995) + b"end"


def test_written_file_is_streamed_where_it_was_not_sought(disk: SyncDisk) -> None:
    with disk.open("a", "wb") as file:
        for _ in range(20):
            file.write(bytes(1_000_000))
        assert not file.seekable()
        with pytest.raises(io.UnsupportedOperation, match=r"call seek\(0\) before"):
            file.seek(0)
        file.write(b"end")
    assert disk.get("a") == bytes(20_000_000) + b"end"


def test_written_file_ends_in_a_spool_that_is_closed(storage: SyncStorage) -> None:
    before = len(open_descriptors(Path(tempfile.gettempdir())))
    for end in ("close", "abort"):
        file = storage.open("a", "wb")
        file.seek(0)
        file.write(bytes(9_000_000))
        getattr(file, end)()
    assert len(open_descriptors(Path(tempfile.gettempdir()))) == before


def test_open_ab_adds_to_the_end(disk: SyncDisk) -> None:
    for mode in ("ab", "a", "at"):
        with disk.open("log", mode) as file:  # type: ignore[call-overload]
            file.write(b"line\n" if mode == "ab" else "line\n")
    assert disk.get("log") == b"line\n" * 3


def test_text_file_is_one_of_io(disk: SyncDisk) -> None:
    with disk.open("a", "w", encoding="utf-16", content_type="text/csv") as file:
        assert isinstance(file, io.TextIOWrapper)
        assert (file.name, file.mode, file.encoding) == ("a", "w", "utf-16")
        with pytest.raises(TypeError, match="cannot be pickled: pass the path"):
            pickle.dumps(file)
        file.write("Grüße\n")
    assert disk.get_text("a", encoding="utf-16") == "Grüße\n"
    with disk.open("a", "a", encoding="utf-16") as file:
        file.write("an alle\n")
    with disk.open("a", "r", encoding="utf-16") as file:
        assert list(file) == ["Grüße\n", "an alle\n"]
        assert file.seek(0) == 0
        assert file.readline() == "Grüße\n"
        assert file.seek(file.tell()) == file.tell()
        assert file.read() == "an alle\n"
    with disk.open("b", "w") as file:
        assert file.encoding == "utf-8"
        file.writelines(["one\n", "two\r\n"])
    assert disk.get("b") == b"one\ntwo\r\n"
    with disk.open("b", "r") as file:
        assert file.read() == "one\ntwo\n"
    for wrong in ({"mode": "rb", "encoding": "utf-8"}, {"mode": "r", "newline": "|"}):
        with pytest.raises(ValueError, match="newline"):
            disk.open("a", **wrong)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="replaced as a whole"):
        disk.open("a", "r+")  # type: ignore[call-overload]


def test_text_file_whose_block_raises_is_not_stored(disk: SyncDisk) -> None:
    def fail(mode: Any) -> None:
        with disk.open("a", mode) as file:
            file.write("half")
            raise LookupError

    for mode in ("w", "x", "a"):
        with pytest.raises(LookupError):
            fail(mode)
        assert disk.missing("a")
    file = disk.open("a", "w")
    file.write("half")
    file.abort()
    file.close()
    assert file.closed
    assert disk.missing("a")
    disk.put("a", b"old")
    reader = disk.open("a", "r")
    reader.abort()
    assert reader.closed


@pytest.mark.parametrize("how", ["text", "wrapped", "detached", "cycle", "gzip"])
def test_text_file_that_is_dropped_warns_and_is_not_stored(storage: SyncStorage, how: str) -> None:
    def drop() -> None:
        if how == "text":
            file: Any = storage.open("a", "w")
        elif how == "wrapped":
            file = io.TextIOWrapper(storage.open("a", "wb"), "utf-8")
        elif how == "detached":
            file = io.TextIOWrapper(io.BufferedWriter(storage.open("a", "wb").detach()))
        elif how == "gzip":
            file = gzip.open(storage.open("a", "wb"), "wt")  # noqa: SIM115
        else:
            file = storage.open("a", "w")
            file.itself = file
        file.write("half")
        del file
        gc.collect()

    with pytest.warns(ResourceWarning, match="unclosed file 'a' of mode 'wb', so .* not stored"):
        drop()
    assert storage.missing("a")
    storage.put("a", b"old")
    reader = io.TextIOWrapper(storage.open("a"))
    reader.read(1)
    with pytest.warns(ResourceWarning, match="unclosed file 'a' of mode 'rb': use 'with'"):
        del reader


def test_open_files_left_at_exit_warn_and_are_not_stored(tmp_path: Path) -> None:
    root = tmp_path / "files"
    script = f"""
import io
from jtc.storage import StorageManager
disk = StorageManager.isolated(
    {{"disks": {{"d": {{"driver": "local", "root": {str(root)!r}}}}}}}
).disk("d").sync
disk.put("old", b"old")
small = disk.open("small", "wb")
small.write(b"half")
large = disk.open("large", "wb")
large.write(bytes(9_000_000))
text = disk.open("text", "w")
text.write("half")
wrapped = io.TextIOWrapper(disk.open("wrapped", "wb"))
wrapped.write("half")
reader = disk.open("old")
reader.read(1)
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", script], capture_output=True, text=True, check=True
    )
    for name in ("small", "large", "text", "wrapped", "old"):
        assert f"ResourceWarning: unclosed file '{name}' of mode" in done.stderr
    assert done.stderr.count("Warning") == 5, done.stderr
    assert "Exception" not in done.stderr
    assert [each.name for each in root.rglob("*") if each.is_file()] == ["old"]


def test_open_files_serve_the_standard_library(disk: SyncDisk) -> None:
    with disk.open("rows.csv", "w", newline="") as table:
        csv.writer(table).writerows([["name", "n"], ["Grüße", 1]])
    with io.TextIOWrapper(disk.open("rows.csv"), "utf-8", newline="") as table:
        assert list(csv.reader(table)) == [["name", "n"], ["Grüße", "1"]]
    with disk.open("a.json", "w") as text:
        json.dump({"a": [1]}, text)
    with disk.open("a.json") as file:
        assert json.load(file) == {"a": [1]}
    with disk.open("a.pickle", "wb") as file:
        pickle.dump([1, "two", b"3" * 1_000_000], file)
    with disk.open("a.pickle") as file:
        assert pickle.load(file) == [1, "two", b"3" * 1_000_000]
    with disk.open("a.pickle") as source, disk.open("copy", "wb") as target:
        shutil.copyfileobj(source, target)
    assert disk.get("copy") == disk.get("a.pickle")
    with disk.open("copy") as source:
        disk.put("again", source)
    assert disk.get("again") == disk.get("copy")
    with disk.open("a.gz", "wb") as file, gzip.open(file, "wb") as packed:
        packed.write(LINES)
    with disk.open("a.gz") as file, gzip.open(file) as packed:
        assert packed.read() == LINES


def test_open_file_is_used_by_several_threads(disk: SyncDisk) -> None:
    with disk.open("a", "wb") as file, ThreadPoolExecutor(8) as pool:
        list(pool.map(file.write, [b"%03d\n" % n for n in range(500)]))
    assert sorted(disk.get("a").split()) == [b"%03d" % n for n in range(500)]
    with disk.open("a") as file, ThreadPoolExecutor(8) as pool:
        lines = list(pool.map(lambda _: file.read(4), range(500)))
    assert sorted(lines) == [b"%03d\n" % n for n in range(500)]
