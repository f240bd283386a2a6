"""Inspection of formats that contain others, or whose first bytes alone prove too little.

Each function gets a file's beginning and the type of its signature. It returns this type or a
closer one, or None where the content is not of the format. All lengths come from the file, so none
is trusted: a slice that goes too far is just short.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "FILE_TYPES",
    "FileType",
    "adts_type",
    "ebml_type",
    "executable_type",
    "iso_media_type",
    "mp3_type",
    "ogg_type",
    "ole_type",
    "png_type",
    "skipped_type",
    "zip_type",
]


class FileType(NamedTuple):
    """A MIME type and its extension, without a dot."""

    content_type: str
    extension: str


_APNG = FileType("image/apng", "apng")
_OPUS = FileType("audio/ogg", "opus")
_OGG_VIDEO = FileType("video/ogg", "ogv")
_LZ4 = FileType("application/x-lz4", "lz4")

# By brand, or by the first three letters of one (https://mp4ra.org/registered-types/brands).
_MP4 = FileType("video/mp4", "mp4")
_BRANDS = {
    b"3g2": FileType("video/3gpp2", "3g2"),
    b"3gp": FileType("video/3gpp", "3gp"),
    b"M4A ": FileType("audio/mp4", "m4a"),
    b"M4B ": FileType("audio/mp4", "m4b"),
    b"M4P ": FileType("audio/mp4", "m4a"),
    b"M4V": FileType("video/mp4", "m4v"),
    b"MSNV": _MP4,
    b"avc1": _MP4,
    b"crx ": FileType("image/x-canon-cr3", "cr3"),
    b"dash": _MP4,
    b"iso": _MP4,
    b"mmp4": _MP4,
    b"mp4": _MP4,
    b"qt  ": FileType("video/quicktime", "mov"),
}
_AVIF = FileType("image/avif", "avif")
_HEIC = FileType("image/heic", "heic")
_HEIC_SEQUENCE = FileType("image/heic-sequence", "heics")
_IMAGE_BRANDS = {
    b"avif": _AVIF,
    b"avis": _AVIF,
    b"heic": _HEIC,
    b"heim": _HEIC,
    b"heis": _HEIC,
    b"heix": _HEIC,
    b"hevc": _HEIC_SEQUENCE,
    b"hevm": _HEIC_SEQUENCE,
    b"hevs": _HEIC_SEQUENCE,
    b"hevx": _HEIC_SEQUENCE,
}
# Pictures in any coding; which one, the other brands say (ISO/IEC 23008-12, annex B).
_GENERAL_IMAGE_BRANDS = {
    b"mif1": FileType("image/heif", "heif"),
    b"msf1": FileType("image/heif-sequence", "heifs"),
}

_DOCTYPES = {
    b"matroska": FileType("video/matroska", "mkv"),
    b"webm": FileType("video/webm", "webm"),
}

_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
_MIMETYPES = {
    kind.content_type.encode(): kind
    for kind in (
        FileType("application/epub+zip", "epub"),
        FileType(f"{_OPEN_DOCUMENT}graphics", "odg"),
        FileType(f"{_OPEN_DOCUMENT}presentation", "odp"),
        FileType(f"{_OPEN_DOCUMENT}spreadsheet", "ods"),
        FileType(f"{_OPEN_DOCUMENT}text", "odt"),
    )
}
_OPEN_XML = "application/vnd.openxmlformats-officedocument."
_OFFICE_FOLDERS = {
    b"ppt": FileType(f"{_OPEN_XML}presentationml.presentation", "pptx"),
    b"word": FileType(f"{_OPEN_XML}wordprocessingml.document", "docx"),
    b"xl": FileType(f"{_OPEN_XML}spreadsheetml.sheet", "xlsx"),
}
_OFFICE_PART = re.compile(rb"(ppt|word|xl)/.+\.(?:xml|rels)")
_PACKAGE_PART = re.compile(rb"\[Content_Types\]\.xml|(?:_rels|docProps|customXml|ppt|word|xl)/")

_DOC = FileType("application/msword", "doc")
_PPT = FileType("application/vnd.ms-powerpoint", "ppt")
_XLS = FileType("application/vnd.ms-excel", "xls")
_OLE_TYPES = {"doc": _DOC, "ppt": _PPT, "xls": _XLS}
_OLE_STREAMS = {"Book": _XLS, "PowerPoint Document": _PPT, "WordDocument": _DOC, "Workbook": _XLS}
# What the streams begin with, one of which mostly is the file's first: [MS-DOC] 2.5.2,
# [MS-XLS] 2.4.21 and the same of Excel 5, [MS-PPT] 2.4.1 and, for its pictures, [MS-ODRAW] 2.2.23.
_OLE_CONTENT = re.compile(
    rb"(?P<doc>\xec\xa5\xc1\x00)"
    rb"|(?P<xls>\x09\x08(?:\x10\x00\x00\x06|\x08\x00\x00\x05)\x05\x00)"
    rb"|(?P<ppt>\x0f\x00\xe8\x03"
    rb"|(?:[\x40\x50]\x3d\x1a|[\x60\x70]\x21\x1b|[\xa0\xb0]\x46\x1d|[\x00\x10]\x6e\x1e)\xf0)"
)
# [MS-OLEDS] 2.3.8: the class that the stream CompObj names.
_OLE_CLASSES = {
    b"MSWordDoc\x00": _DOC,
    b"Word.Document.8\x00": _DOC,
    b"Biff5\x00": _XLS,
    b"Biff8\x00": _XLS,
    b"MS PowerPoint 97\x00": _PPT,
    b"PowerPoint.Show.8\x00": _PPT,
}

FILE_TYPES = frozenset(
    {_APNG, _OPUS, _OGG_VIDEO, _LZ4, _DOC, _PPT, _XLS}
    | {*_BRANDS.values(), *_IMAGE_BRANDS.values(), *_GENERAL_IMAGE_BRANDS.values()}
    | {*_DOCTYPES.values(), *_MIMETYPES.values(), *_OFFICE_FOLDERS.values()}
)
"""Every type that an inspection can find."""


_MOST_OF_A_HEADER = 256
"""How far a list of brands or elements is read: real ones are shorter than half of it."""


def png_type(head: bytes, found: FileType) -> FileType | None:
    """Tell an animated PNG by its chunk acTL, which is before IDAT (PNG, third edition, 11.3.6)."""
    at = 8
    while (chunk := head[at + 4 : at + 8]).isalpha() and chunk != b"IDAT":
        if chunk == b"acTL":
            return _APNG
        at += 12 + int.from_bytes(head[at : at + 4])
    return found


def iso_media_type(head: bytes, _found: FileType) -> FileType | None:
    """Return the type by the main brand, else by the first of the others that says one."""
    size = int.from_bytes(head[:4])
    main, *others = (
        head[at : at + 4] for at in (8, *range(16, min(size, len(head), _MOST_OF_A_HEADER), 4))
    )
    if main in _GENERAL_IMAGE_BRANDS:
        known = (_IMAGE_BRANDS[brand] for brand in others if brand in _IMAGE_BRANDS)
        return next(known, _GENERAL_IMAGE_BRANDS[main])
    for brand in (main, *others):
        kind = _IMAGE_BRANDS.get(brand) or _BRANDS.get(brand) or _BRANDS.get(brand[:3])
        if kind is not None:
            return kind
    return None


def ebml_type(head: bytes, _found: FileType) -> FileType | None:
    """Return the type by the element DocType of the header (RFC 8794, section 11.2)."""
    size, at = _ebml_number(head, 4)
    end = min(at + size, len(head), _MOST_OF_A_HEADER)
    while at < end:
        # Its first byte's leading zeros say how long an element's name is, as with a number.
        name_end = at + 9 - head[at].bit_length()
        name = head[at:name_end]
        size, at = _ebml_number(head, name_end)
        if name == b"\x42\x82":
            return _DOCTYPES.get(head[at : at + size].rstrip(b"\x00"))
        at += size
    return None


def _ebml_number(head: bytes, at: int) -> tuple[int, int]:
    """Return a number of variable length, and where it ends (RFC 8794, section 4)."""
    if at >= len(head):
        return 0, at
    length = 9 - head[at].bit_length()
    number = int.from_bytes(head[at : at + length])
    return number & ((1 << 7 * length) - 1), at + length


# A page that begins a stream, and the beginning of its only segment.
_OGG_STREAM = re.compile(
    rb"OggS\x00[\x02\x06].{20}\x01."
    rb"(?:(?P<opus>OpusHead)|(?P<video>\x80theora|BBCD\x00|\x01video\x00))",
    re.DOTALL,
)


def ogg_type(head: bytes, found: FileType) -> FileType | None:
    """Return the type by the codecs, all of whose first pages come first (RFC 3533, RFC 7845)."""
    streams = {match.lastgroup for match in _OGG_STREAM.finditer(head)}
    if "video" in streams:
        return _OGG_VIDEO
    return _OPUS if "opus" in streams else found


# By a header's numbers; zeros are what it may not have. Version 2.5 is that of low rates.
_MP3_VERSIONS = {0: 2.5, 2: 2, 3: 1}
_MP3_RATES = {
    1: (44_100, 48_000, 32_000, 0),
    2: (22_050, 24_000, 16_000, 0),
    2.5: (11_025, 12_000, 8_000, 0),
}
_MP3_BITRATES = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_MP3_LOW_BITRATES = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)


def mp3_type(head: bytes, found: FileType) -> FileType | None:
    """Ask for a second frame behind the first: a header has few bits that are always the same.

    https://mimesniff.spec.whatwg.org/#signature-for-mp3-without-id3
    """
    version = _MP3_VERSIONS[head[1] >> 3 & 3]
    samples, bitrates = (144, _MP3_BITRATES) if version == 1 else (72, _MP3_LOW_BITRATES)
    bitrate, rate = bitrates[head[2] >> 4], _MP3_RATES[version][head[2] >> 2 & 3]
    if not bitrate or not rate:
        return None
    size = samples * bitrate * 1000 // rate + (head[2] >> 1 & 1)
    if head[size : size + 2] != head[:2] or len(head) <= size + 2:
        return None
    return found if head[size + 2] & 0x0C == head[2] & 0x0C else None


_ADTS_HEADER = 7


def adts_type(head: bytes, found: FileType) -> FileType | None:
    """Ask for a second frame behind the first, with the same header but for its length."""
    size = int.from_bytes(head[3:6]) >> 5 & 0x1FFF
    return found if size >= _ADTS_HEADER and head[size : size + 3] == head[:3] else None


def zip_type(head: bytes, found: FileType) -> FileType | None:
    """Tell office documents and books by their first entries.

    OpenDocument (part 2, section 3.3) and EPUB (OCF, section 4.2) begin with an entry that is
    their MIME type. Open XML has folders, but no order: one of a package's own parts is first.
    """
    first = True
    for name, start, size in _zip_entries(head):
        if first and name == b"mimetype":
            return _MIMETYPES.get(head[start : start + size], found)
        if first and not _PACKAGE_PART.match(name):
            return found
        if part := _OFFICE_PART.fullmatch(name):
            return _OFFICE_FOLDERS[part[1]]
        first = False
    return found


def _zip_entries(head: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield each entry's name, and the place and size of its content (APPNOTE 6.3.10, 4.3.7)."""
    at = 0
    while head.startswith(b"PK\x03\x04", at) and len(head) >= at + 30:
        name = at + 30
        name_end = name + int.from_bytes(head[at + 26 : at + 28], "little")
        start = name_end + int.from_bytes(head[at + 28 : at + 30], "little")
        size = int.from_bytes(head[at + 18 : at + 22], "little")
        if size == 0 and head[at + 6] & 8:
            # The size is behind the content, so the next signature has to be looked for.
            size = max(head.find(b"PK", start) - start, 0)
            at = head.find(b"PK\x03\x04", start)
        else:
            at = start + size
        yield head[name:name_end], start, size
        if at == -1:
            return


def ole_type(head: bytes, _found: FileType) -> FileType | None:
    """Tell Word, Excel and PowerPoint by their streams' names, else by what the first one holds.

    The directory of streams ([MS-CFB] 2.6) may be anywhere in the file, and in large ones is not
    at its beginning.
    """
    sector = 1 << min(int.from_bytes(head[30:32], "little"), 12)
    at = (int.from_bytes(head[48:52], "little") + 1) * sector
    for entry in range(at, min(at + 4 * sector, len(head)), 128):
        size = int.from_bytes(head[entry + 64 : entry + 66], "little")
        name = head[entry : entry + min(size, 64)].decode("utf-16-le", "replace").rstrip("\x00")
        if name in _OLE_STREAMS:
            return _OLE_STREAMS[name]
    for start in range(sector, len(head), max(sector, 512)):
        if content := _OLE_CONTENT.match(head, start):
            return _OLE_TYPES[str(content.lastgroup)]
    return next((kind for name, kind in _OLE_CLASSES.items() if name in head), None)


_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18(.{4})", re.DOTALL)


def skipped_type(head: bytes, found: FileType) -> FileType | None:
    """Return the type of the frame behind those that are to be skipped (RFC 8878, 3.1.2)."""
    at = 0
    while frame := _SKIPPABLE.match(head, at):
        at = frame.end() + int.from_bytes(frame[1], "little")
    if head.startswith(b"\x28\xb5\x2f\xfd", at):
        return found
    return _LZ4 if head.startswith(b"\x04\x22\x4d\x18", at) else None


def executable_type(head: bytes, found: FileType) -> FileType | None:
    """Ask for the second header, which the first points to: "MZ" is only two letters."""
    at = int.from_bytes(head[60:64], "little")
    return found if head.startswith((b"PE\x00\x00", b"NE", b"LE", b"LX"), at) else None
