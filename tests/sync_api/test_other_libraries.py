"""Other libraries' formats, written to disks and read from them through open files."""

from __future__ import annotations

import io
import lzma
import tarfile
import wave
import zipfile
from typing import TYPE_CHECKING, Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.feather as pa_feather
import pyarrow.parquet as pa_parquet
import pytest
from PIL import Image

if TYPE_CHECKING:
    from jtc.storage.sync import SyncDisk, SyncStorage

# Coverage doubles the time, and would measure no line that other tests do not measure.
pytestmark = pytest.mark.no_cover

Image.init()

UNIMPLEMENTED = {"BUFR", "GRIB", "HDF5", "WMF"}
"""Formats that Pillow writes only through a handler of the application."""

MODES = ("RGB", "L", "P", "1")


def picture(file_format: str, size: tuple[int, int] = (64, 64)) -> Image.Image:
    """Return a picture in the first mode that the format has."""
    for mode in MODES:
        image = Image.effect_noise(size, 80).convert(mode)
        try:
            image.save(io.BytesIO(), file_format)
        except (OSError, ValueError):
            continue
        return image
    raise AssertionError(file_format)


@pytest.mark.filterwarnings("ignore:IM image format is deprecated:DeprecationWarning")
@pytest.mark.parametrize("file_format", sorted(Image.SAVE.keys() - UNIMPLEMENTED))
def test_open_file_takes_each_format_of_pillow(disk: SyncDisk, file_format: str) -> None:
    _check_picture(disk, file_format)


@pytest.mark.parametrize("file_format", sorted(Image.SAVE_ALL))
def test_open_file_takes_several_pictures_of_pillow(disk: SyncDisk, file_format: str) -> None:
    more = [picture(file_format), picture(file_format)]
    _check_picture(disk, file_format, save_all=True, append_images=more)


def _check_picture(disk: SyncDisk, file_format: str, **options: Any) -> None:
    image = picture(file_format)
    wanted = io.BytesIO()
    image.save(wanted, file_format, **options)
    with disk.open("picture", "wb") as file:
        image.save(file, file_format, **options)
    if file_format not in Image.OPEN or file_format == "EPS":  # the one needs Ghostscript
        assert disk.get("picture")[:4] == wanted.getvalue()[:4]
        return
    with disk.open("picture") as file, Image.open(file) as read, Image.open(wanted) as same:
        assert getattr(read, "n_frames", 1) == getattr(same, "n_frames", 1)
        assert read.tobytes() == same.tobytes()


def test_open_file_takes_a_large_tiff(disk: SyncDisk) -> None:
    image = Image.effect_noise((3000, 3100), 80)  # 9.3 MB
    for compression in ("raw", "tiff_lzw", "tiff_deflate"):
        with disk.open("picture.tif", "wb") as file:
            image.save(file, "TIFF", compression=compression)
        with disk.open("picture.tif") as file, Image.open(file) as read:
            assert read.tobytes() == image.tobytes()


def test_open_file_takes_large_pictures_whose_lengths_are_filled_in(storage: SyncStorage) -> None:
    disk = storage.disk("memory")
    image = Image.effect_noise((3000, 3100), 80)
    with disk.open("picture.jp2", "wb") as file:
        image.save(file, "JPEG2000")
    with disk.open("picture.jp2") as file, Image.open(file) as read:
        assert read.tobytes() == image.tobytes()
    with disk.open("picture.mpo", "wb") as file:
        image.save(file, "MPO", save_all=True, append_images=[image], quality=100)
    assert disk.size("picture.mpo") > 8 * 1024 * 1024
    with disk.open("picture.mpo") as file, Image.open(file) as read:
        assert getattr(read, "n_frames", 0) == 2


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_open_file_takes_zip_archives(disk: SyncDisk, compression: int) -> None:
    large = bytes(9_000_000)
    with disk.open("a.zip", "wb") as file, zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("large", large)
        with archive.open("streamed", "w") as member:
            for _ in range(9):
                member.write(bytes(1_000_000))
        archive.writestr("small.txt", "text")
    with disk.open("a.zip") as file, zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["large", "streamed", "small.txt"]
        assert archive.read("streamed") == large
        assert not any(info.flag_bits & 8 for info in archive.infolist())  # lengths were filled in


@pytest.mark.parametrize("compression", ["", "gz", "bz2", "xz"])
@pytest.mark.parametrize("separator", [":", "|"])
def test_open_file_takes_tar_archives(disk: SyncDisk, compression: str, separator: str) -> None:
    mode: Any = f"w{separator}{compression}"
    with disk.open("a.tar", "wb") as file, tarfile.open(fileobj=file, mode=mode) as archive:
        for n in range(3):
            member = tarfile.TarInfo(f"file-{n}")
            member.size = 1_000_000
            archive.addfile(member, io.BytesIO(bytes([n]) * 1_000_000))
    mode = f"r{separator}{compression}"
    with disk.open("a.tar") as file, tarfile.open(fileobj=file, mode=mode) as archive:
        members = [(member.name, archive.extractfile(member)) for member in archive]
        if separator == ":":
            contents = [(name, content.read(1)) for name, content in members if content]
            assert contents == [(f"file-{n}", bytes([n])) for n in range(3)]


def test_open_file_takes_sound(disk: SyncDisk) -> None:
    with disk.open("a.wav", "wb") as file:
        file.seek(0)  # wave fills its lengths in at the end
        with wave.open(file, "wb") as sound:
            sound.setparams((2, 2, 44_100, 0, "NONE", ""))
            for _ in range(3):
                sound.writeframes(bytes(4_000_000))
    with disk.open("a.wav") as file, wave.open(file, "rb") as sound:
        assert sound.getnframes() == 3_000_000


def test_open_file_takes_lzma(disk: SyncDisk) -> None:
    with disk.open("a.xz", "wb") as file, lzma.open(file, "wt", encoding="utf-8") as packed:
        packed.write("line\n" * 1000)
    with disk.open("a.xz") as file, lzma.open(file, "rt", encoding="utf-8") as packed:
        assert sum(1 for _ in packed) == 1000


def test_open_file_takes_workbooks_of_openpyxl(disk: SyncDisk) -> None:
    book = openpyxl.Workbook()
    sheet: Any = book.active
    for n in range(100):
        sheet.append([n, f"text {n}"])
    with disk.open("a.xlsx", "wb") as file:
        book.save(file)
    with disk.open("a.xlsx") as file:
        read: Any = openpyxl.load_workbook(file).active
        assert [cell.value for cell in read[100]] == [99, "text 99"]
    streamed = openpyxl.Workbook(write_only=True)
    streamed.create_sheet().append([1, 2, 3])
    with disk.open("b.xlsx", "wb") as file:
        streamed.save(file)
    with disk.open("b.xlsx") as file:
        book = openpyxl.load_workbook(file, read_only=True)
        assert list(book.worksheets[0].values) == [(1, 2, 3)]
        book.close()


FRAME = pd.DataFrame({"n": range(1000), "text": [f"Größe {n}" for n in range(1000)]})


@pytest.mark.parametrize("compression", [None, "gzip", "zip", "xz"])
def test_open_file_takes_csv_of_pandas(disk: SyncDisk, compression: Any) -> None:
    with disk.open("a.csv", "wb") as file:
        FRAME.to_csv(file, index=False, compression=compression)
    with disk.open("a.csv") as file:
        assert pd.read_csv(file, compression=compression).equals(FRAME)


def test_open_file_takes_text_of_pandas(disk: SyncDisk) -> None:
    with disk.open("a.csv", "w", newline="") as file:
        FRAME.to_csv(file, index=False)
    with disk.open("a.csv", "r", newline="") as file:
        assert pd.read_csv(file).equals(FRAME)
    with disk.open("a.csv") as file:
        assert sum(len(chunk) for chunk in pd.read_csv(file, chunksize=100)) == 1000
    with disk.open("a.jsonl", "w") as file:
        FRAME.to_json(file, orient="records", lines=True)
    with disk.open("a.jsonl") as file:
        assert pd.read_json(file, lines=True).equals(FRAME)
    with disk.open("a.pickle", "wb") as file:
        FRAME.to_pickle(file)
    with disk.open("a.pickle") as file:
        assert pd.read_pickle(file).equals(FRAME)


def test_open_file_takes_parquet_feather_and_workbooks_of_pandas(disk: SyncDisk) -> None:
    with disk.open("a.parquet", "wb") as file:
        FRAME.to_parquet(file)
    with disk.open("a.parquet") as file:
        assert pd.read_parquet(file).equals(FRAME)
    with disk.open("a.parquet") as file:
        assert list(pd.read_parquet(file, columns=["n"])) == ["n"]
    with disk.open("a.feather", "wb") as file:
        FRAME.to_feather(file)
    with disk.open("a.feather") as file:
        assert pd.read_feather(file).equals(FRAME)
    with disk.open("a.xlsx", "wb") as file:
        FRAME.to_excel(file, index=False, engine="openpyxl")
    with disk.open("a.xlsx") as file:
        assert pd.read_excel(file, engine="openpyxl").equals(FRAME)


def test_open_file_takes_formats_of_pyarrow(disk: SyncDisk) -> None:
    table = pa.table({"n": range(200_000), "text": [f"text {n}" for n in range(200_000)]})
    with disk.open("a.parquet", "wb") as file:
        pa_parquet.write_table(table, file, row_group_size=50_000)
    with disk.open("a.parquet") as file:
        opened = pa_parquet.ParquetFile(file)
        assert opened.num_row_groups == 4
        assert opened.read_row_group(3)["n"][0].as_py() == 150_000
        opened.close()
    with disk.open("a.arrow", "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    with disk.open("a.arrow") as file:
        assert pa.ipc.open_file(file).read_all().equals(table)
    with disk.open("a.feather", "wb") as file:
        pa_feather.write_feather(table, file)
    with disk.open("a.csv", "wb") as file:
        pa_csv.write_csv(table, file)
    with disk.open("a.csv") as file:
        assert pa_csv.read_csv(file).equals(table)
