"""Where images are read from: bytes, paths, open files and disks."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from jtc.storage import (
    FileNotFoundException,
    RejectedException,
    Storage,
    StorageException,
    images,
)
from jtc.storage.images import Processor
from pictures import picture

LOCAL = picture(60, 40)


async def sized(processor: Processor, source: images.Source) -> tuple[int, int]:
    info = await processor.inspect(source, placeholder=False)
    return info.width, info.height


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, io.BytesIO])
async def test_inspect_reads_what_is_in_memory(processor: Processor, kind) -> None:
    assert await sized(processor, kind(LOCAL)) == (60, 40)


@pytest.mark.parametrize("kind", [str, Path])
async def test_inspect_reads_a_path(processor: Processor, tmp_path: Path, kind) -> None:
    (tmp_path / "a.jpg").write_bytes(LOCAL)
    assert await sized(processor, kind(tmp_path / "a.jpg")) == (60, 40)


async def test_inspect_leaves_an_open_file_where_it_stood(
    processor: Processor, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"before" + LOCAL)
    with (tmp_path / "a").open("rb") as file:
        file.seek(6)
        assert await sized(processor, file) == (60, 40)
        assert file.tell() == 6


async def test_inspect_reads_a_pipe_that_cannot_seek(processor: Processor) -> None:
    reader, writer = os.pipe()
    os.write(writer, LOCAL)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        assert await sized(processor, file) == (60, 40)


async def test_open_reads_from_a_disk_and_names_it_in_errors(processor: Processor) -> None:
    disk = Storage.fake("photos")
    await disk.put("a.jpg", LOCAL)
    await disk.put("b.jpg", b"no image")
    assert await sized(processor, images.open(disk, "a.jpg")) == (60, 40)
    with pytest.raises(RejectedException, match="JPEG") as caught:
        await sized(processor, images.open(disk, "b.jpg"))
    assert (caught.value.path, caught.value.disk) == ("b.jpg", "photos")
    with pytest.raises(FileNotFoundException) as missing:
        await sized(processor, images.open(disk, "c.jpg"))
    assert (missing.value.path, missing.value.disk) == ("c.jpg", "photos")


async def test_inspect_refuses_more_bytes_than_it_may_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(LOCAL)
    disk = Storage.fake()
    await disk.put("a.jpg", LOCAL)
    with Processor(max_bytes=len(LOCAL) - 1) as processor:
        for source in (LOCAL, io.BytesIO(LOCAL), tmp_path / "a.jpg", images.open(disk, "a.jpg")):
            with pytest.raises(RejectedException, match="more than") as caught:
                await processor.inspect(source)
            assert caught.value.reason == "size"
    with Processor(max_bytes=len(LOCAL)) as processor:
        assert await sized(processor, LOCAL) == (60, 40)


async def test_inspect_refuses_a_path_of_no_regular_file(
    processor: Processor, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(RejectedException, match="regular"):
            await processor.inspect(path)
    with pytest.raises(FileNotFoundException, match=r"missing\.jpg"):
        await processor.inspect(tmp_path / "missing.jpg")


async def test_inspect_refuses_a_source_of_another_type(processor: Processor) -> None:
    with pytest.raises(TypeError, match="not int"):
        await processor.inspect(5)  # type: ignore[arg-type]


async def test_inspect_raises_the_error_of_an_open_file(processor: Processor) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(f"read of {size} bytes failed")

    with pytest.raises((OSError, StorageException), match="failed"):
        await processor.inspect(Broken(LOCAL))
