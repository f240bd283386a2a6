"""Signatures of binary formats, each with the headers of files that have it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import sqlite3
import tarfile
import wave
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jtc.storage.driver_support._signatures import FILE_TYPES, SIGNATURES, FileType, find_type
from jtc.storage.driver_support.mime_types import (
    SNIFF_BYTES,
    guess_type,
    is_text,
    safe_extension,
    sniff_type,
)


def little(*numbers: int, size: int = 4) -> bytes:
    return b"".join(number.to_bytes(size, "little") for number in numbers)


def big(*numbers: int, size: int = 4) -> bytes:
    return b"".join(number.to_bytes(size, "big") for number in numbers)


def chunk(kind: bytes, content: bytes) -> bytes:
    return big(len(content)) + kind + content + bytes(4)


def riff(kind: bytes, content: bytes, form: bytes = b"RIFF") -> bytes:
    return form + little(len(content) + 4) + kind + content


def brands(main: str, *others: str) -> bytes:
    content = main.encode() + big(512) + "".join(others).encode()
    return big(len(content) + 8) + b"ftyp" + content + big(8) + b"free"


def ebml(doctype: bytes, before: bytes = b"\x42\x86\x81\x01") -> bytes:
    content = before + b"\x42\x82" + bytes([0x80 | len(doctype)]) + doctype
    return b"\x1a\x45\xdf\xa3" + bytes([0x80 | len(content)]) + content + b"\x18\x53\x80\x67"


def ogg(*packets: bytes) -> bytes:
    return b"".join(
        b"OggS\x00\x02" + bytes(8) + little(serial, 0, 0) + bytes([1, len(packet)]) + packet
        for serial, packet in enumerate(packets)
    )


def zipped(*entries: tuple[str, bytes], streamed: bool = False) -> bytes:
    raw = io.BytesIO()
    target = Unseekable(raw) if streamed else raw
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            stored = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(name, content, stored)
    return raw.getvalue()


class Unseekable(io.RawIOBase):
    """What zipfile writes sizes behind the content to."""

    def __init__(self, raw: io.BytesIO) -> None:
        self._raw = raw

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        return self._raw.write(data)


def book(content_type: str, *, streamed: bool = False) -> bytes:
    return zipped(("mimetype", content_type.encode()), ("content.xml", b"<x/>"), streamed=streamed)


def office(*names: str, streamed: bool = False) -> bytes:
    return zipped(*((name, b"<xml/>" * 9) for name in names), streamed=streamed)


def ole(*streams: str, first: bytes = b"", directory: int = 1) -> bytes:
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    header += little(0x3E, 3, 0xFFFE, 9, 6, size=2) + bytes(14) + little(directory)
    entries = (name.encode("utf-16-le").ljust(64, b"\x00") for name in ("Root Entry", *streams))
    sizes = (2 * len(name) + 2 for name in ("Root Entry", *streams))
    listed = b"".join(
        entry + little(size, size=2) + bytes(62) for entry, size in zip(entries, sizes, strict=True)
    )
    return header.ljust(512, b"\xff") + first.ljust(512, b"\x00") + listed.ljust(512, b"\x00")


def frames(header: bytes, size: int) -> bytes:
    return header.ljust(size, b"\x00") * 2


def archived() -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return raw.getvalue()


def sound() -> bytes:
    raw = io.BytesIO()
    with wave.open(raw, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(20))
    return raw.getvalue()


def database() -> bytes:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE a (b)")
        content = connection.serialize()
    connection.close()
    return content


PNG = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", big(1, 1) + b"\x08\x06\x00\x00\x00")
JP2 = big(12) + b"jP  \r\n\x87\n"
SFNT = big(9, 128, 3, 16, size=2) + b"OS/2" + bytes(12)
OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
OPEN_XML = "application/vnd.openxmlformats-officedocument."
PACKAGE = ("[Content_Types].xml", "_rels/.rels", "docProps/app.xml")

SAMPLES = [
    ("image/jpeg", "jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01"),
    ("image/jpeg", "jpg", b"\xff\xd8\xff\xdb\x00\x43\x00"),
    ("image/png", "png", PNG + chunk(b"IDAT", bytes(9)) + chunk(b"acTL", bytes(8))),
    ("image/apng", "apng", PNG + chunk(b"acTL", bytes(8)) + chunk(b"IDAT", bytes(9))),
    ("image/gif", "gif", b"GIF89a\x01\x00\x01\x00\x80\x00\x00"),
    ("image/gif", "gif", b"GIF87a\x01\x00\x01\x00\x80\x00\x00"),
    ("image/webp", "webp", riff(b"WEBP", b"VP8 " + bytes(20))),
    ("image/webp", "webp", riff(b"WEBP", b"VP8L" + bytes(20))),
    ("image/bmp", "bmp", b"BM" + little(58, 0, 54, 40, 1, 1) + bytes(28)),
    ("image/bmp", "bmp", b"BM" + little(200, 0, 138, 124, 1, 1) + bytes(28)),
    (
        "image/vnd.microsoft.icon",
        "ico",
        little(0, 1, 1, size=2) + b"\x10\x10\x00\x00" + little(1, 32, size=2) + little(40, 22),
    ),
    (
        "image/vnd.microsoft.icon",
        "cur",
        little(0, 2, 1, size=2) + b"\x20\x20\x00\x00" + little(3, 7, size=2) + little(40, 22),
    ),
    ("image/tiff", "tif", b"II\x2a\x00" + little(8) + bytes(20)),
    ("image/tiff", "tif", b"MM\x00\x2a" + big(8) + bytes(20)),
    ("image/tiff", "tif", b"II\x2b\x00" + little(8, 0, size=2) + little(16, 0)),
    ("image/x-canon-cr2", "cr2", b"II\x2a\x00" + little(16) + b"CR\x02\x00" + bytes(20)),
    ("image/jxl", "jxl", b"\xff\x0a\xfa\x1f\x01\x90"),
    ("image/jxl", "jxl", big(12) + b"JXL \r\n\x87\n" + brands("jxl ", "jxl ")),
    ("image/jp2", "jp2", JP2 + brands("jp2 ", "jp2 ")),
    ("image/jpx", "jpx", JP2 + brands("jpx ", "jp2 ", "jpx ")),
    ("image/jxr", "jxr", b"II\xbc\x01" + little(32)),
    ("image/vnd.adobe.photoshop", "psd", b"8BPS\x00\x01" + bytes(6) + big(3, size=2)),
    ("image/x-xcf", "xcf", b"gimp xcf file\x00" + big(1, 1, 0)),
    ("image/x-xcf", "xcf", b"gimp xcf v011\x00" + big(1, 1, 0)),
    ("image/vnd.dwg", "dwg", b"AC1032\x00\x00\x00\x00\x00"),
    ("image/avif", "avif", brands("avif", "avif", "mif1", "miaf")),
    ("image/avif", "avif", brands("avis", "avis", "msf1", "iso8")),
    ("image/avif", "avif", brands("mif1", "mif1", "avif", "iso8")),
    ("image/heic", "heic", brands("heic", "mif1", "heic")),
    ("image/heic", "heic", brands("heix", "mif1", "heix")),
    ("image/heic", "heic", brands("mif1", "iso8", "heic")),
    ("image/heic-sequence", "heics", brands("hevc", "msf1", "hevc", "iso8")),
    ("image/heic-sequence", "heics", brands("msf1", "msf1", "hevc")),
    ("image/heif", "heif", brands("mif1", "mif1", "unif")),
    ("image/heif-sequence", "heifs", brands("msf1", "iso8", "msf1")),
    ("image/x-canon-cr3", "cr3", brands("crx ", "crx ", "isom")),
    ("video/mp4", "mp4", brands("isom", "isom", "iso2", "avc1", "mp41")),
    ("video/mp4", "mp4", brands("mp42", "isom", "mp42")),
    ("video/mp4", "mp4", brands("iso5", "iso5", "dash")),
    ("video/mp4", "mp4", brands("iso6", "mp41")),
    ("video/mp4", "mp4", brands("avc1")),
    ("video/mp4", "mp4", brands("dash", "iso6")),
    ("video/mp4", "mp4", brands("mmp4", "3gp5")),
    ("video/mp4", "mp4", brands("MSNV", "MSNV", "mp42", "isom")),
    ("video/mp4", "mp4", brands("XAVC", "XAVC", "mp42", "iso2")),
    ("video/mp4", "m4v", brands("M4V ", "M4V ", "mp42", "isom")),
    ("video/mp4", "m4v", brands("M4VH", "mp42")),
    ("audio/mp4", "m4a", brands("M4A ", "M4A ", "mp42", "isom")),
    ("audio/mp4", "m4a", brands("M4P ", "M4A ", "mp42")),
    ("audio/mp4", "m4b", brands("M4B ", "M4A ", "mp42")),
    ("video/quicktime", "mov", brands("qt  ", "qt  ")),
    ("video/quicktime", "mov", brands("qt  ", "qt  ", "mp42")),
    ("video/3gpp", "3gp", brands("3gp5", "3gp5", "isom")),
    ("video/3gpp2", "3g2", brands("3g2a", "3g2a")),
    ("video/matroska", "mkv", ebml(b"matroska")),
    ("video/webm", "webm", ebml(b"webm")),
    ("video/webm", "webm", ebml(b"webm\x00\x00", before=b"\xec\x40\x03abc")),
    ("video/x-msvideo", "avi", riff(b"AVI ", b"LIST" + bytes(20))),
    ("video/mpeg", "mpg", b"\x00\x00\x01\xba\x21\x00\x01\x00\x01"),
    ("video/mpeg", "mpg", b"\x00\x00\x01\xba\x44\x00\x04\x00\x04"),
    ("video/mpeg", "mpg", b"\x00\x00\x01\xb3\x0b\x00\x90\x13\xff\xff"),
    (
        "video/x-ms-wmv",
        "wmv",
        bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + little(500, 0, 5) + b"\x01\x02",
    ),
    ("video/x-flv", "flv", b"FLV\x01\x05" + big(9, 0)),
    ("audio/mpeg", "mp3", b"ID3\x04\x00\x00\x00\x00\x00\x23TSSE" + bytes(9)),
    ("audio/mpeg", "mp3", frames(b"\xff\xfb\x90\x44", 417)),  # MPEG-1, 128 kbit/s, 44.1 kHz
    ("audio/mpeg", "mp3", frames(b"\xff\xfa\xe6\x44", 961)),  # 320 kbit/s, 48 kHz, padded
    ("audio/mpeg", "mp3", frames(b"\xff\xf3\x80\xc4", 208)),  # MPEG-2, 64 kbit/s, 22.05 kHz
    ("audio/mpeg", "mp3", frames(b"\xff\xe3\x18\xc4", 72)),  # MPEG-2.5, 8 kbit/s, 8 kHz
    ("audio/aac", "aac", frames(b"\xff\xf1\x50\x80" + big(300 << 13 | 0x1FFC)[1:], 300)),
    ("audio/aac", "aac", frames(b"\xff\xf9\x50\x80" + big(99 << 13 | 0x1FFC)[1:], 99)),
    ("audio/ogg", "ogg", ogg(b"\x01vorbis" + bytes(23))),
    ("audio/ogg", "ogg", ogg(b"\x7fFLAC" + bytes(46))),
    ("audio/ogg", "opus", ogg(b"OpusHead" + bytes(11))),
    ("video/ogg", "ogv", ogg(b"\x80theora" + bytes(35), b"\x01vorbis" + bytes(23))),
    ("video/ogg", "ogv", ogg(b"fishead\x00" + bytes(56), b"OpusHead", b"\x80theora" + bytes(35))),
    ("audio/flac", "flac", b"fLaC\x00\x00\x00\x22\x10\x00\x10\x00"),
    ("audio/x-wav", "wav", sound()),
    ("audio/x-aiff", "aiff", b"FORM" + big(46) + b"AIFFCOMM" + big(18)),
    ("audio/x-aiff", "aiff", b"FORM" + big(46) + b"AIFCFVER" + big(4)),
    ("audio/midi", "midi", b"MThd" + big(6) + big(1, 2, 96, size=2)),
    ("audio/amr", "amr", b"#!AMR\n\x3c\x91\x17"),
    ("audio/amr-wb", "awb", b"#!AMR-WB\n\x04\x91\x17"),
    ("font/ttf", "ttf", big(0x10000) + SFNT),
    ("font/ttf", "ttf", b"true" + SFNT),
    ("font/otf", "otf", b"OTTO" + SFNT),
    ("font/collection", "ttc", b"ttcf" + big(0x10000, 2, 20, 400)),
    ("font/woff", "woff", b"wOFF" + big(0x10000, 5000)),
    ("font/woff", "woff", b"wOFFOTTO" + big(5000)),
    ("font/woff2", "woff2", b"wOF2" + big(0x10000, 5000)),
    ("font/woff2", "woff2", b"wOF2ttcf" + big(5000)),
    (
        "application/vnd.ms-fontobject",
        "eot",
        little(5000, 4800, 0x20001, 4) + bytes(18) + b"LP" + bytes(40),
    ),
    (
        "application/vnd.ms-fontobject",
        "eot",
        little(5000, 4800, 0x10000, 0) + bytes(18) + b"LP" + bytes(40),
    ),
    ("application/pdf", "pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"),
    ("application/pdf", "pdf", b"\xef\xbb\xbf%PDF-1.4\n1 0 obj\n"),
    ("application/postscript", "ps", b"%!PS-Adobe-3.0 EPSF-3.0\n"),
    ("application/rtf", "rtf", b"{\\rtf1\\ansi Words.}"),
    ("application/msword", "doc", ole("1Table", "WordDocument")),
    ("application/msword", "doc", ole(first=b"\xec\xa5\xc1\x00", directory=99)),
    ("application/msword", "doc", ole(first=b"\x0a\x00\x00\x00MSWordDoc\x00", directory=99)),
    ("application/vnd.ms-excel", "xls", ole("Workbook")),
    ("application/vnd.ms-excel", "xls", ole("Book")),
    (
        "application/vnd.ms-excel",
        "xls",
        ole(first=b"\x09\x08\x10\x00\x00\x06\x05\x00", directory=99),
    ),
    ("application/vnd.ms-excel", "xls", ole(first=b"\x06\x00\x00\x00Biff8\x00", directory=99)),
    ("application/vnd.ms-powerpoint", "ppt", ole("Current User", "PowerPoint Document")),
    ("application/vnd.ms-powerpoint", "ppt", ole(first=b"\x0f\x00\xe8\x03", directory=99)),
    ("application/vnd.ms-powerpoint", "ppt", ole(first=b"\xa0\x46\x1d\xf0", directory=99)),
    (
        "application/vnd.ms-powerpoint",
        "ppt",
        ole(first=b"\x11\x00\x00\x00MS PowerPoint 97\x00", directory=99),
    ),
    (f"{OPEN_XML}wordprocessingml.document", "docx", office(*PACKAGE, "word/document.xml")),
    (f"{OPEN_XML}wordprocessingml.document", "docx", office("word/document.xml", *PACKAGE)),
    (
        f"{OPEN_XML}wordprocessingml.document",
        "docx",
        office(*PACKAGE, "word/document.xml", streamed=True),
    ),
    (f"{OPEN_XML}spreadsheetml.sheet", "xlsx", office(*reversed(PACKAGE), "xl/workbook.xml")),
    (f"{OPEN_XML}presentationml.presentation", "pptx", office(*PACKAGE, "ppt/presentation.xml")),
    ("application/epub+zip", "epub", book("application/epub+zip")),
    (f"{OPEN_DOCUMENT}text", "odt", book(f"{OPEN_DOCUMENT}text")),
    (f"{OPEN_DOCUMENT}text", "odt", book(f"{OPEN_DOCUMENT}text", streamed=True)),
    (f"{OPEN_DOCUMENT}spreadsheet", "ods", book(f"{OPEN_DOCUMENT}spreadsheet")),
    (f"{OPEN_DOCUMENT}presentation", "odp", book(f"{OPEN_DOCUMENT}presentation")),
    (f"{OPEN_DOCUMENT}graphics", "odg", book(f"{OPEN_DOCUMENT}graphics")),
    ("application/zip", "zip", zipped(("a.txt", b"words"))),
    ("application/zip", "zip", zipped()),
    ("application/zip", "zip", book("application/x-unheard-of")),
    ("application/zip", "zip", office("notes.txt", "word/document.xml")),
    ("application/zip", "zip", office("_rels/.rels", "other/part.xml")),
    ("application/zip", "zip", zipped(("mimetype.txt", f"{OPEN_DOCUMENT}text".encode()))),
    ("application/x-tar", "tar", archived()),
    ("application/vnd.rar", "rar", b"Rar!\x1a\x07\x00\xcf\x90\x73"),
    ("application/vnd.rar", "rar", b"Rar!\x1a\x07\x01\x00\x33\x92"),
    ("application/gzip", "gz", gzip.compress(b"words")),
    ("application/x-bzip2", "bz2", bz2.compress(b"words")),
    ("application/x-bzip2", "bz2", bz2.compress(b"")),
    ("application/x-xz", "xz", lzma.compress(b"words")),
    ("application/x-7z-compressed", "7z", b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(24)),
    ("application/zstd", "zst", b"\x28\xb5\x2f\xfd\x04\x58\x31"),
    ("application/zstd", "zst", b"\x50\x2a\x4d\x18" + little(4, 40) + b"\x28\xb5\x2f\xfd\x04"),
    ("application/x-lz4", "lz4", b"\x04\x22\x4d\x18\x64\x40\xa7"),
    ("application/x-lz4", "lz4", b"\x5f\x2a\x4d\x18" + little(0) + b"\x04\x22\x4d\x18\x64"),
    ("application/x-compress", "Z", b"\x1f\x9d\x90\x77\xde\xc8"),
    ("application/x-lzop", "lzo", b"\x89LZO\x00\r\n\x1a\n\x10\x40"),
    ("application/x-lzip", "lz", b"LZIP\x01\x0c\x00\x3b\x9b"),
    ("application/vnd.ms-cab-compressed", "cab", b"MSCF" + little(0, 500, 0, 44)),
    ("application/x-unix-archive", "ar", b"!<arch>\na.o/            0  \x7fELF\x02"),
    ("application/vnd.debian.binary-package", "deb", b"!<arch>\ndebian-binary   0\x1f\x8b"),
    ("application/x-rpm", "rpm", b"\xed\xab\xee\xdb\x03\x00\x00\x00"),
    ("application/x-google-chrome-extension", "crx", b"Cr24" + little(3, 565)),
    ("application/vnd.apache.parquet", "parquet", b"PAR1\x15\x04\x15\x10\x15\x14"),
    ("application/vnd.sqlite3", "sqlite", database()),
    ("application/dicom", "dcm", bytes(128) + b"DICM\x02\x00\x00\x00UL"),
    ("application/wasm", "wasm", b"\x00asm\x01\x00\x00\x00\x01\x04"),
    ("application/x-executable", "elf", b"\x7fELF\x02\x01\x01" + bytes(9)),
    ("application/x-msdownload", "exe", b"MZ" + bytes(58) + little(64) + b"PE\x00\x00\x64\x86"),
    ("application/x-shockwave-flash", "swf", b"CWS\x0a" + little(5000) + b"\x78\xda"),
    ("application/x-nintendo-nes-rom", "nes", b"NES\x1a\x02\x01\x01\x00"),
]

NO_PROOF = {
    "a BMP with no header of a known size": b"BM" + little(58, 0, 54, 41),
    "a TGA picture": b"\x00\x00\x02" + bytes(9) + little(9, 9, size=2) + b"\x18\x00",
    "an Access database": b"\x00\x01\x00\x00Standard Jet DB\x00",
    "a TrueType collection of version 9": b"ttcf" + big(0x90000, 2),
    "one MP3 header": b"\xff\xfb\x90\x44".ljust(417, b"\x00") + b"\x00\x00\x00",
    "an MP3 header cut off": b"\xff\xfb",
    "two MP3 headers of two rates": b"\xff\xfb\x90\x44".ljust(417, b"\x00") + b"\xff\xfb\x94\x44",
    "an MP3 frame without a bit rate": frames(b"\xff\xfb\x00\x44", 417),
    "an MP3 frame without a rate": frames(b"\xff\xfb\x9c\x44", 417),
    "an MP3 frame and a cut header": b"\xff\xfb\x90\x44".ljust(417, b"\x00") + b"\xff\xfb",
    "an AAC frame without a length": b"\xff\xf1\x50\x80\x00\x00\x00\xff\xf1\x50",
    "an AAC header cut off": b"\xff\xf1",
    "MZ and no more": b"MZ" + bytes(200),
    "MZ cut off": b"MZ\x00",
    "bzip2's letters": b"BZh9\x00\x00\x00\x00\x00\x00",
    "gzip with reserved flags": b"\x1f\x8b\x08\xe0",
    "compress with codes of 31 bits": b"\x1f\x9d\x9f",
    "an ID3 tag of version 255": b"ID3\xff\xff\x00\x00\x00\x00\x00",
    "brands of an unknown kind": brands("xxxx", "yyyy"),
    "no brand": big(8) + b"ftyp",
    "an unknown EBML document": ebml(b"other"),
    "an EBML header without a kind": b"\x1a\x45\xdf\xa3\x84\x42\x86\x81\x01",
    "an EBML header cut off": b"\x1a\x45\xdf\xa3",
    "an EBML element cut off": b"\x1a\x45\xdf\xa3\x9f\x42\x86",
    "an unknown OLE file": ole("Other"),
    "an OLE header cut off": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "skippable frames and no more": b"\x50\x2a\x4d\x18" + little(4, 40),
    "a skippable frame cut off": b"\x50\x2a\x4d\x18\x00",
    "Flash of no version": b"FWS\x00" + little(5000),
    "LaTeX for an editor": b"%!TEX root = main.tex\n\x00",
    "PAR1 in a Latin-1 text": b"PAR1 \xe9",
    "GIF of no version": b"GIF90a\x01\x00",
}


# Not by their bytes: a zip holds the time at which it was made, and so differs from process to
# process.
_IDS = [f"{number}-{extension}" for number, (_, extension, _) in enumerate(SAMPLES)]


@pytest.mark.parametrize(("content_type", "extension", "head"), SAMPLES, ids=_IDS)
def test_sniff_type_knows_every_format(content_type: str, extension: str, head: bytes) -> None:
    assert (sniff_type(head), safe_extension("a", head)) == (content_type, f".{extension}")


@pytest.mark.parametrize("head", [head for _, _, head in SAMPLES], ids=_IDS)
def test_signature_of_a_sample_is_one_row_and_no_other(head: bytes) -> None:
    assert len(matching(head)) == 1


def test_signatures_all_have_a_sample() -> None:
    assert {row for _, _, head in SAMPLES for row in matching(head)} == set(range(len(SIGNATURES)))


def test_file_types_all_have_a_sample() -> None:
    assert {FileType(*sample[:2]) for sample in SAMPLES} == FILE_TYPES


def matching(head: bytes) -> list[int]:
    return [
        index
        for index, row in enumerate(SIGNATURES)
        if re.compile(row.pattern, re.DOTALL).match(head)
    ]


@pytest.mark.parametrize("kind", sorted(FILE_TYPES), ids=lambda kind: kind.extension)
def test_guess_type_says_of_an_extension_what_the_content_proves(kind: FileType) -> None:
    assert guess_type(f"a.{kind.extension}") == kind.content_type


@pytest.mark.parametrize("head", NO_PROOF.values(), ids=NO_PROOF.keys())
def test_sniff_type_takes_letters_alone_for_no_proof(head: bytes) -> None:
    assert sniff_type(head) is None


def test_zip_type_does_not_look_into_entries() -> None:
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        archive.writestr("_rels/.rels", office(*PACKAGE, "word/document.xml"))
    assert sniff_type(stored.getvalue()) == "application/zip"


SIGNED = st.builds(
    lambda sample, rest, cut: (sample[2] + rest)[:cut],
    st.sampled_from(SAMPLES),
    st.binary(max_size=300),
    st.none() | st.integers(0, 600),
)
CORRUPTED = st.builds(
    lambda head, at, byte: head[:at] + byte + head[at + 1 :],
    SIGNED,
    st.integers(0, 600),
    st.binary(min_size=1, max_size=1),
)


@given(st.binary(max_size=300) | SIGNED | CORRUPTED)
def test_find_type_never_raises(head: bytes) -> None:
    assert find_type(head) in {None, *FILE_TYPES}


@given(SIGNED, st.binary(max_size=300))
def test_sniff_type_depends_on_the_beginning_only(head: bytes, rest: bytes) -> None:
    head = head.ljust(SNIFF_BYTES, b"\x00")
    assert sniff_type(head + rest) == sniff_type(head)


def is_ascii_text(head: bytes) -> bool:
    return head.isascii() and is_text(head)


LETTERS = sorted({h[:end] for _, _, h in SAMPLES for end in (2, 4, 8) if is_ascii_text(h[:end])})


@given(st.sampled_from(LETTERS), st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_sniff_type_finds_nothing_in_text(letters: bytes, text: str) -> None:
    text_formats = {"application/pdf", "application/postscript", "application/rtf"}
    assert sniff_type(letters + text.encode()) in {None, *text_formats}
