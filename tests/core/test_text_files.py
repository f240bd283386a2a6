"""Text files of `Disk.open`: they read and write as those of io do."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jtc.storage import Disk, StorageManager, StorageUnavailableException
from jtc.storage.drivers.memory_driver import MemoryDriver
from small_drivers import Streaming

if TYPE_CHECKING:
    from jtc.storage import ReadOptions, ReadStream

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1"]
NEWLINES = [None, "", "\n", "\r", "\r\n"]
ALPHABET = "ab\r\nñ"


def disk_of(driver: Any) -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    return manager.disk("d")


@pytest.fixture
def disk() -> Disk:
    return disk_of(MemoryDriver())


class Chunked(Streaming):
    """Streams in chunks of a few bytes, so that characters and line breaks are divided."""

    length = 1

    async def open_read(self, path: str, options: ReadOptions, /) -> ReadStream:
        return await super().open_read(path, replace(options, chunk_size=self.length))


steps = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.one_of(st.none(), st.integers(-1, 12))),
        st.tuples(st.just("readline"), st.integers(-1, 12)),
        st.tuples(st.just("readlines"), st.sampled_from([None, -1, 0])),
        st.tuples(st.just("__next__")),
        st.tuples(st.just("remember")),
        st.tuples(st.just("return")),
        st.tuples(st.just("seek"), st.just(0), st.sampled_from([io.SEEK_SET, io.SEEK_END])),
    ),
    max_size=20,
)


async def _same(file: Any, model: io.TextIOWrapper, name: str, arguments: Any) -> None:
    if name == "__next__":
        assert await anext(file, "") == model.readline()  # after next(), it refuses tell()
        return
    got = await getattr(file, name)(*arguments)
    expected = getattr(model, name)(*arguments)
    if name != "seek":
        assert got == expected


@example(
    text="\ra",
    encoding="utf-32",
    newline=None,
    size=6,
    steps=[("__next__",), ("remember",), ("return",)],
)
@given(
    text=st.text(ALPHABET, max_size=40),
    encoding=st.sampled_from(ENCODINGS),
    newline=st.sampled_from(NEWLINES),
    size=st.integers(1, 9),
    steps=steps,
)
def test_text_file_reads_as_one_of_io_does(
    text: str, encoding: str, newline: Any, size: int, steps: list[tuple[Any, ...]]
) -> None:
    driver = Chunked()
    driver.length = size
    driver.kept["a"] = text.encode(encoding)

    async def check() -> None:
        model = io.TextIOWrapper(io.BytesIO(driver.kept["a"]), encoding, newline=newline)
        kept = (0, 0)
        async with disk_of(driver).open("a", "r", encoding=encoding, newline=newline) as file:
            for name, *arguments in steps:
                if name == "remember":
                    kept = (file.tell(), model.tell())
                elif name == "return":
                    assert await file.seek(kept[0]) == kept[0]
                    model.seek(kept[1])
                else:
                    await _same(file, model, name, arguments)
            assert await file.read() == model.read()

    asyncio.run(check())


@given(
    pieces=st.lists(st.text(ALPHABET, max_size=9), max_size=6),
    encoding=st.sampled_from(ENCODINGS),
    newline=st.sampled_from(["", "\n", "\r", "\r\n"]),
)
def test_text_file_writes_and_appends_as_one_of_io_does(
    pieces: list[str], encoding: str, newline: Any
) -> None:
    async def check() -> None:
        disk = disk_of(MemoryDriver())
        model = io.BytesIO()
        wrapped = io.TextIOWrapper(model, encoding, newline=newline)
        async with disk.open("a", "w", encoding=encoding, newline=newline) as file:
            for piece in pieces[:3]:
                assert await file.write(piece) == wrapped.write(piece)
        async with disk.open("a", "a", encoding=encoding, newline=newline) as file:
            await file.writelines(pieces[3:])
        wrapped.writelines(pieces[3:])
        wrapped.flush()
        stored = await disk.get("a")
        if any(pieces[:3]):
            assert stored == model.getvalue()
        else:
            assert stored.decode(encoding) == model.getvalue().decode(encoding)

    asyncio.run(check())


async def test_text_file_is_utf_8_with_its_line_breaks_as_they_are(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.linesep", "\r\n")
    async with disk.open("a", "w", content_type="text/x-odd") as file:
        assert await file.write("Grüße\n") == 6
        assert (file.encoding, file.errors, file.newlines) == ("utf-8", "strict", None)
    assert await disk.get("a") == "Grüße\n".encode()
    assert (await disk.stat("a")).content_type == "text/x-odd"


async def test_text_file_reads_every_line_break_as_one(disk: Disk) -> None:
    await disk.put("a", b"one\r\ntwo\rthree\nfour")
    async with disk.open("a", "r") as file:
        assert [line async for line in file] == ["one\n", "two\n", "three\n", "four"]
        assert file.newlines == ("\r", "\n", "\r\n")


async def test_text_file_errors_handler_is_used(disk: Disk) -> None:
    await disk.put("a", b"caf\xe9")
    async with disk.open("a", "r", errors="replace") as file:
        assert await file.read() == "caf\N{REPLACEMENT CHARACTER}"
    with pytest.raises(UnicodeDecodeError):
        async with disk.open("a", "r") as file:
            await file.read()
    async with disk.open("b", "w", encoding="ascii", errors="xmlcharrefreplace") as file:
        await file.write("é")
    assert await disk.get("b") == b"&#233;"
    with pytest.raises(UnicodeEncodeError):
        async with disk.open("c", "w", encoding="ascii") as file:
            await file.write("é")
    assert await disk.missing("c")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"mode": "r", "encoding": "utf-9"}, LookupError, "utf-9"),
        ({"mode": "w", "encoding": "base64"}, LookupError, "not a text encoding"),
        ({"mode": "r", "errors": "loud"}, LookupError, "loud"),
        ({"mode": "r", "newline": "|"}, ValueError, "newline"),
        ({"mode": "rb", "encoding": "utf-8"}, ValueError, "'rb' takes no encoding.*'r', 'w'"),
        ({"mode": "wb", "newline": ""}, ValueError, "'wb' takes no encoding"),
    ],
)
def test_open_text_options_are_checked(
    disk: Disk, options: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        disk.open("a", **options)


async def test_text_file_refuses_the_other_direction_and_bytes(disk: Disk) -> None:
    async with disk.open("a", "w") as file:
        with pytest.raises(io.UnsupportedOperation, match="'a' is open for writing"):
            await file.read()
        with pytest.raises(TypeError, match="takes a str in mode 'w', not bytes"):
            await file.write(b"bytes")  # type: ignore[arg-type]
    async with disk.open("a", "r") as file:
        with pytest.raises(io.UnsupportedOperation, match="'a' is open for reading"):
            await file.write("text")
        with pytest.raises(io.UnsupportedOperation, match="'a' is open for reading"):
            await file.truncate(0)
        with pytest.raises(io.UnsupportedOperation, match="tell"):
            await file.seek(3, io.SEEK_CUR)
        with pytest.raises(ValueError, match="before"):
            await file.seek(-1)


async def test_text_file_written_seeks_to_its_beginning(disk: Disk) -> None:
    async with disk.open("a", "w", encoding="utf-16") as file:
        await file.write("old")
        here = file.tell()
        await file.write("!")
        await file.seek(0)
        await file.write("new")
        assert file.tell() == here
        await file.truncate()
    assert await disk.get_text("a", encoding="utf-16") == "new"


async def test_text_file_after_a_failure_reads_again_what_it_had_read() -> None:
    driver = Chunked()
    driver.kept["a"] = "Grüße an alle\n".encode()
    async with disk_of(driver).open("a", "r") as file:
        assert await file.read(2) == "Gr"
        for read in (file.read, file.readline, lambda: file.read(9)):
            driver.fail_after = 5
            with pytest.raises(StorageUnavailableException):
                await read()
        driver.fail_after = None
        assert await file.readline() == "üße an alle\n"


async def test_text_file_readlines_ends_after_the_line_that_reaches_the_hint(disk: Disk) -> None:
    await disk.put("a", b"one\ntwo\nthree\n")
    async with disk.open("a", "r") as file:
        assert await file.readlines(4) == ["one\n"]
        assert await file.readlines(5) == ["two\n", "three\n"]
    async with disk.open("a") as binary:
        assert await binary.readlines(4) == [b"one\n"]
        assert await binary.readlines(5) == [b"two\n", b"three\n"]
