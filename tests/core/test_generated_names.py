"""User uploads: generated names, or one part of a path."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import pytest
from starlette.datastructures import UploadFile

from jtc.storage import (
    Disk,
    IntegrityException,
    InvalidPathException,
    RejectedException,
    StorageManager,
)
from small_drivers import EightMethods, Writing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20_000)


@pytest.fixture(params=[EightMethods, Writing])
def driver(request: pytest.FixtureRequest) -> Any:
    return request.param()


@pytest.fixture
def disk(driver: Any) -> Disk:
    manager = StorageManager.isolated({})
    manager.set_driver(driver, "d")
    return manager.disk("d")


def upload(content: bytes, name: str | None) -> UploadFile:
    return UploadFile(io.BytesIO(content), filename=name)


@pytest.mark.parametrize(
    ("content", "name", "extension"),
    [
        (PNG, "holiday.html", ".png"),
        (b"<script>", "holiday.png", ".txt"),
        (b"a,b", "table.csv", ".csv"),
        (b"a,b", "../../etc/x.csv", ".csv"),
        (b"\x00\x01", "x.csv", ".bin"),
        (b"", "x.json", ".json"),
        (b"words", None, ".txt"),
        (b"words", "", ".txt"),
    ],
)
async def test_an_upload_has_a_name_of_our_own_and_an_honest_extension(
    disk: Disk, driver: Any, content: bytes, name: str | None, extension: str
) -> None:
    path = await disk.put_file("/avatars/new", upload(content, name))
    assert re.fullmatch(rf"avatars/new/[0-9a-f]{{32}}{re.escape(extension)}", path)
    assert driver.kept == {path: content}
    root = await disk.put_file("", upload(content, name))
    assert re.fullmatch(rf"[0-9a-f]{{32}}{re.escape(extension)}", root)
    assert len(driver.kept) == 2


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 3000):
        yield content[at : at + 3000]


async def test_any_content_is_an_upload_and_none_of_it_is_lost(
    disk: Disk, driver: Any, tmp_path: Path
) -> None:
    file = tmp_path / "x.odd"
    file.write_bytes(PNG)
    with file.open("rb") as opened:
        for content in (PNG, io.BytesIO(PNG), [PNG[:3], PNG[3:]], pieces(PNG), file, opened):
            path = await disk.put_file("a", content)
            assert path.endswith(".png")
            assert driver.kept[path] == PNG
        assert not opened.closed


async def test_an_upload_is_limited_as_a_put_is(disk: Disk, driver: Any) -> None:
    with pytest.raises(RejectedException) as raised:
        await disk.put_file("a", upload(PNG, "x.png"), max_size=100)
    assert (raised.value.reason, raised.value.operation) == ("size", "put_file")
    with pytest.raises(RejectedException) as raised:
        await disk.put_file("a", upload(b"<script>", "x.png"), allowed_types=["image/png"])
    assert raised.value.reason == "type"
    with pytest.raises(IntegrityException):
        await disk.put_file("a", pieces(PNG), size=5)
    assert driver.kept == {}
    seen: list[int] = []
    await disk.put_file(
        "a",
        pieces(PNG),
        size=len(PNG),
        allowed_types=["image/*"],
        progress=lambda n, _: seen.append(n),
    )
    assert seen[-1] == len(PNG)


async def test_what_the_source_raises_comes_unchanged(disk: Disk, driver: Any) -> None:
    def source() -> Iterator[bytes]:
        yield PNG
        raise OSError(5, "mine")

    def at_once() -> Iterator[bytes]:
        yield b""
        raise OSError(5, "mine")

    for content in (source(), at_once()):
        with pytest.raises(OSError, match="mine") as raised:
            await disk.put_file("a", content)
        assert type(raised.value) is OSError
    assert driver.kept == {}


@pytest.mark.parametrize("directory", ["..", "a/", "a//b", "/"])
async def test_a_bad_directory_is_refused_before_reading(disk: Disk, directory: str) -> None:
    source = io.BytesIO(PNG)
    for operation, call in {
        "put_file": disk.put_file(directory, source),
        "put_file_as": disk.put_file_as(directory, source, "x"),
    }.items():
        with pytest.raises(InvalidPathException) as raised:
            await call
        assert (raised.value.operation, raised.value.path) == (operation, directory)
    assert source.tell() == 0


async def test_an_upload_may_have_a_name_of_ones_choice(disk: Disk, driver: Any) -> None:
    assert await disk.put_file_as("/a", upload(PNG, "x.png"), "Grüße.txt") == "a/Grüße.txt"
    assert await disk.put_file_as("", b"x", "b") == "b"
    assert set(driver.kept) == {"a/Grüße.txt", "b"}


@pytest.mark.parametrize("name", ["", "a/b", "/a", "..", "../x", "a\\b", "a\x00", "x" * 256])
async def test_a_name_that_is_not_one_part_is_refused(disk: Disk, driver: Any, name: str) -> None:
    with pytest.raises(InvalidPathException) as raised:
        await disk.put_file_as("dir", b"x", name)
    assert (raised.value.operation, raised.value.path) == ("put_file_as", name)
    assert driver.kept == {}


async def test_what_is_no_content_is_no_upload(disk: Disk) -> None:
    with pytest.raises(TypeError):
        await disk.put_file("a", None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        await disk.put_file_as("a", 5, "n")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        await disk.put_file_as("a", b"x", 5)  # type: ignore[arg-type]
