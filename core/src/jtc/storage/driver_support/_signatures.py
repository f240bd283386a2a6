"""Signatures of binary formats: the bytes at a file's beginning that prove its type.

The rows follow the MIME Sniffing standard (https://mimesniff.spec.whatwg.org) for what it lists,
and each format's specification, named beside the row, for the rest. Where a signature is two or
three letters only, its row asks for the fields behind them too: a wrong proof hides what the name
says, and a missing one does not.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from jtc.storage.driver_support import _containers as containers
from jtc.storage.driver_support._containers import FileType

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FILE_TYPES", "SIGNATURES", "FileType", "Signature", "find_type"]


class Signature(NamedTuple):
    """A row of the table.

    Attributes:
        content_type: The MIME type that a match proves.
        extension: Its extension, without a dot.
        pattern: A regular expression without groups for the file's beginning; a dot is any byte.
        inspect: Looks at what an expression cannot: gets the beginning and the row's type, and
            returns this or a closer type, or None where the content is not of the format.
    """

    content_type: str
    extension: str
    pattern: bytes
    inspect: Callable[[bytes, FileType], FileType | None] | None = None


# No two rows match the same sample (tests/core/test_file_signatures.py): the order is free.
SIGNATURES = (
    # Images.
    Signature("image/jpeg", "jpg", rb"\xff\xd8\xff"),
    Signature("image/png", "png", rb"\x89PNG\r\n\x1a\n", containers.png_type),
    Signature("image/gif", "gif", rb"GIF8[79]a"),
    Signature("image/webp", "webp", rb"RIFF.{4}WEBPVP8"),
    # The size of the second header, which says its version:
    # https://learn.microsoft.com/windows/win32/gdi/bitmap-header-types
    Signature("image/bmp", "bmp", rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\x00{3}"),
    # A count, then the first picture: planes and bits per pixel, or where a cursor points to.
    # https://learn.microsoft.com/previous-versions/ms997538(v=msdn.10)
    Signature(
        "image/vnd.microsoft.icon",
        "ico",
        rb"\x00\x00\x01\x00[^\x00]\x00.{4}[\x00\x01]\x00[\x00\x01\x04\x08\x10\x18\x20]\x00",
    ),
    Signature("image/vnd.microsoft.icon", "cur", rb"\x00\x00\x02\x00[^\x00]\x00.{5}\x00.\x00"),
    # TIFF 6.0, section 2, and BigTIFF. Canon's raw files are TIFF with a mark of their own.
    Signature("image/tiff", "tif", rb"(?:II\x2a\x00|MM\x00\x2a)(?!.{4}CR)|II\x2b\x00\x08\x00{3}"),
    Signature("image/x-canon-cr2", "cr2", rb"II\x2a\x00.{4}CR\x02"),
    # ISO/IEC 18181-2: a bare codestream has a signature of two bytes only.
    Signature("image/jxl", "jxl", rb"\xff\x0a|\x00{3}\x0cJXL \r\n\x87\n"),
    # ISO/IEC 15444-1, annex I.5, and 15444-2, annex M.
    Signature("image/jp2", "jp2", rb"\x00{3}\x0cjP  \r\n\x87\n.{4}ftypjp2 "),
    Signature("image/jpx", "jpx", rb"\x00{3}\x0cjP  \r\n\x87\n.{4}ftypjpx "),
    # ISO/IEC 29199-2, annex A.
    Signature("image/jxr", "jxr", rb"II\xbc[\x00\x01]"),
    # https://www.adobe.com/devnet-apps/photoshop/fileformatashtml
    Signature("image/vnd.adobe.photoshop", "psd", rb"8BPS\x00[\x01\x02]\x00{6}"),
    # https://developer.gimp.org/core/standards/xcf
    Signature("image/x-xcf", "xcf", rb"gimp xcf (?:file|v[0-9]{3})\x00"),
    # https://www.loc.gov/preservation/digital/formats/fdd/fdd000445.shtml
    Signature("image/vnd.dwg", "dwg", rb"AC10[0-9]{2}\x00"),
    # ISO/IEC 14496-12, section 4.3: pictures, sound and films by their brand.
    Signature("video/mp4", "mp4", rb"\x00\x00..ftyp", containers.iso_media_type),
    # Sound and films.
    Signature("video/matroska", "mkv", rb"\x1a\x45\xdf\xa3", containers.ebml_type),
    Signature("video/x-msvideo", "avi", rb"RIFF.{4}AVI "),
    # ISO/IEC 13818-1, section 2.5.3.3, and 11172-1: a pack; or 13818-2: a sequence's size and rate.
    Signature(
        "video/mpeg", "mpg", rb"\x00\x00\x01(?:\xba[\x21-\x2f\x44-\x7f]|\xb3.{3}[\x11-\xe8])"
    ),
    # https://learn.microsoft.com/windows/win32/medfound/asf-file-structure
    Signature(
        "video/x-ms-wmv",
        "wmv",
        rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c",
    ),
    # Adobe Flash Video File Format Specification 10.1, annex E.2.
    Signature("video/x-flv", "flv", rb"FLV\x01[\x00\x01\x04\x05]\x00{3}\x09"),
    # https://id3.org/id3v2.4.0-structure, and a stream of frames without a tag.
    Signature("audio/mpeg", "mp3", rb"ID3[\x02-\x04][^\xff].[\x00-\x7f]{4}"),
    Signature("audio/mpeg", "mp3", rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb].", containers.mp3_type),
    # ISO/IEC 13818-7, section 6.2 (ADTS).
    Signature("audio/aac", "aac", rb"\xff[\xf0\xf1\xf8\xf9]", containers.adts_type),
    # RFC 3533, section 6.
    Signature("audio/ogg", "ogg", rb"OggS\x00[\x00-\x07]", containers.ogg_type),
    # RFC 9639, section 8: the first block is STREAMINFO, 34 bytes.
    Signature("audio/flac", "flac", rb"fLaC[\x00\x80]\x00\x00\x22"),
    Signature("audio/x-wav", "wav", rb"RIFF.{4}WAVE"),
    Signature("audio/x-aiff", "aiff", rb"FORM.{4}AIF[FC]"),
    Signature("audio/midi", "midi", rb"MThd\x00\x00\x00\x06"),
    # RFC 4867, section 5.
    Signature("audio/amr", "amr", rb"#!AMR\n"),
    Signature("audio/amr-wb", "awb", rb"#!AMR-WB\n"),
    # Fonts. https://learn.microsoft.com/typography/opentype/spec/otff: a count, then the first tag.
    Signature("font/ttf", "ttf", rb"(?:\x00\x01\x00\x00|true)\x00[^\x00].{6}[ -~]{4}"),
    Signature("font/otf", "otf", rb"OTTO\x00[^\x00].{6}[ -~]{4}"),
    Signature("font/collection", "ttc", rb"ttcf\x00[\x01\x02]\x00\x00"),
    # https://www.w3.org/TR/WOFF and https://www.w3.org/TR/WOFF2: what font is inside.
    Signature("font/woff", "woff", rb"wOFF(?:\x00\x01\x00\x00|OTTO|true)"),
    Signature("font/woff2", "woff2", rb"wOF2(?:\x00\x01\x00\x00|OTTO|true|ttcf)"),
    # https://www.w3.org/submissions/EOT, section 3: version, reserved bytes, and LP between them.
    Signature(
        "application/vnd.ms-fontobject",
        "eot",
        rb".{8}(?:\x00\x00\x01|[\x01\x02]\x00\x02)\x00.{22}LP",
    ),
    # Documents.
    Signature("application/pdf", "pdf", rb"(?:\xef\xbb\xbf)?%PDF-"),
    Signature("application/postscript", "ps", rb"%!PS"),
    Signature("application/rtf", "rtf", rb"\{\\rtf"),
    # [MS-CFB], section 2.2.
    Signature(
        "application/msword", "doc", rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", containers.ole_type
    ),
    # Archives, and office documents and books, which are such. APPNOTE 6.3.10, section 4.3.
    Signature("application/zip", "zip", rb"PK(?:\x03\x04|\x05\x06|\x07\x08)", containers.zip_type),
    # https://www.gnu.org/software/tar/manual/html_node/Standard.html
    Signature("application/x-tar", "tar", rb".{257}ustar(?:\x00[0-9]{2}|  \x00)"),
    # https://www.rarlab.com/technote.htm
    Signature("application/vnd.rar", "rar", rb"Rar!\x1a\x07(?:\x00|\x01\x00)"),
    # RFC 1952, section 2.3.1: three of the flags are reserved.
    Signature("application/gzip", "gz", rb"\x1f\x8b\x08[\x00-\x1f]"),
    # The first block's mark, or the last one's: digits of pi, or of its root.
    Signature(
        "application/x-bzip2",
        "bz2",
        rb"BZh[1-9](?:\x31\x41\x59\x26\x53\x59|\x17\x72\x45\x38\x50\x90)",
    ),
    # https://tukaani.org/xz/xz-file-format.txt
    Signature("application/x-xz", "xz", rb"\xfd7zXZ\x00"),
    # 7zFormat.txt of the LZMA SDK: https://7-zip.org/sdk.html
    Signature("application/x-7z-compressed", "7z", rb"7z\xbc\xaf\x27\x1c"),
    # RFC 8878, sections 3.1.1 and 3.1.2; LZ4's frames can be skipped in the same way.
    Signature("application/zstd", "zst", rb"\x28\xb5\x2f\xfd"),
    Signature("application/zstd", "zst", rb"[\x50-\x5f]\x2a\x4d\x18", containers.skipped_type),
    # https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md: version 1.
    Signature("application/x-lz4", "lz4", rb"\x04\x22\x4d\x18[\x40-\x7f]"),
    # The manual page compress(1): codes of 9 to 16 bits.
    Signature("application/x-compress", "Z", rb"\x1f\x9d[\x09-\x10\x89-\x90]"),
    Signature("application/x-lzop", "lzo", rb"\x89LZO\x00\r\n\x1a\n"),
    # https://www.nongnu.org/lzip/manual/lzip_manual.html#File-format
    Signature("application/x-lzip", "lz", rb"LZIP[\x00\x01]"),
    # [MS-CAB], section 2.1.
    Signature("application/vnd.ms-cab-compressed", "cab", rb"MSCF\x00{4}"),
    # The manual pages ar(5) and deb(5).
    Signature("application/x-unix-archive", "ar", rb"!<arch>\n(?!debian-binary)"),
    Signature("application/vnd.debian.binary-package", "deb", rb"!<arch>\ndebian-binary"),
    # https://rpm-software-management.github.io/rpm/manual/format_lead.html
    Signature("application/x-rpm", "rpm", rb"\xed\xab\xee\xdb"),
    Signature("application/x-google-chrome-extension", "crx", rb"Cr24[\x02\x03]\x00{3}"),
    # Data.
    # https://parquet.apache.org/docs/file-format: a Thrift structure follows.
    Signature("application/vnd.apache.parquet", "parquet", rb"PAR1[^ -~]"),
    # https://www.sqlite.org/fileformat.html#magic_header_string
    Signature("application/vnd.sqlite3", "sqlite", rb"SQLite format 3\x00"),
    # https://dicom.nema.org/medical/dicom/current/output/html/part10.html, section 7.1
    Signature("application/dicom", "dcm", rb".{128}DICM"),
    # Programs.
    # https://webassembly.github.io/spec/core/binary/modules.html#binary-module
    Signature("application/wasm", "wasm", rb"\x00asm\x01\x00\x00\x00"),
    # The manual page elf(5).
    Signature("application/x-executable", "elf", rb"\x7fELF[\x01\x02][\x01\x02]\x01"),
    # https://learn.microsoft.com/windows/win32/debug/pe-format
    Signature("application/x-msdownload", "exe", rb"MZ", containers.executable_type),
    # SWF file format 19, chapter 2: a version, and a length that is not out of all proportion.
    Signature("application/x-shockwave-flash", "swf", rb"[CFZ]WS[\x01-\x32].{3}[\x00-\x07]"),
    # https://www.nesdev.org/wiki/INES
    Signature("application/x-nintendo-nes-rom", "nes", rb"NES\x1a"),
)

FILE_TYPES = containers.FILE_TYPES | {FileType(*row[:2]) for row in SIGNATURES}
"""Every type that `find_type` can return."""


@cache
def _expression() -> re.Pattern[bytes]:
    # The empty group at the end of each alternative says which one has matched; at its beginning
    # it would keep the matcher from leaving an alternative out by its first byte.
    rows = (b"(?:%s)()" % row.pattern for row in SIGNATURES)
    return re.compile(b"|".join(rows), re.DOTALL)


def find_type(head: bytes) -> FileType | None:
    """Return the type that a file's beginning has the signature of, or None.

    Text may begin with a signature's letters: what is text is the caller's to know.
    """
    match = _expression().match(head)
    if match is None or match.lastindex is None:
        return None
    row = SIGNATURES[match.lastindex - 1]
    found = FileType(row.content_type, row.extension)
    return found if row.inspect is None else row.inspect(head, found)
