"""Streams, listings and open files of the sync API: plain iterators and plain files."""

from __future__ import annotations

import asyncio
import gc
import io
import time
import zipfile
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
    file.write(LINES)
    file.flush()
    assert becomes(lambda: open_descriptors(tmp_path) != [])
    del file
    gc.collect()
    assert becomes(lambda: open_descriptors(tmp_path) == [])
    assert disk.get("a") == b"old"


def test_dropped_reader_is_closed_too(storage: SyncStorage, tmp_path: Path) -> None:
    disk = storage.disk("local")
    disk.put("a", LINES)
    file = disk.open("a")
    file.read(1)
    assert len(open_descriptors(tmp_path)) == 1
    del file
    assert becomes(lambda: open_descriptors(tmp_path) == [])


async def test_a_written_file_that_cannot_be_closed_here_is_given_up(
    storage: SyncStorage, tmp_path: Path
) -> None:
    disk = storage.disk("local")
    written = await asyncio.to_thread(disk.open, "a", "wb")
    await asyncio.to_thread(written.write, b"1" * 2_000_000)
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
    with pytest.raises(FileExistsException), disk.open("a", "xb") as file:
        file.write(b"mine")
    with pytest.raises(RejectedException), disk.open("a", "wb", max_size=3) as file:
        file.write(b"1234")
    assert file.closed
    with pytest.raises(PreconditionFailedException), disk.open("a", "wb", if_match="x") as file:
        file.write(b"1")
    assert disk.get("a") == b"old"
    with pytest.raises(ValueError, match="modes"):
        disk.open("a", "r")  # type: ignore[call-overload]
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
