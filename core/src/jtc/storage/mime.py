"""MIME types: by content where a library is sure of it, else by name, the same on every machine."""

from __future__ import annotations

import mimetypes
from functools import cache

__all__ = ["OCTET_STREAM", "SNIFF_BYTES", "guess_type", "infer_type", "sniff_type"]

OCTET_STREAM = "application/octet-stream"

SNIFF_BYTES = 8192
"""How much of a file's beginning `sniff_type` wants to see."""

# The standard library's table, without the machine's /etc/mime.types, and with what the web has
# that the table of Python 3.11 has not (https://www.iana.org/assignments/media-types).
_ADDITIONS = {
    ".7z": "application/x-7z-compressed",
    ".avif": "image/avif",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".epub": "application/epub+zip",
    ".flac": "audio/flac",
    ".gz": "application/gzip",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".ico": "image/vnd.microsoft.icon",
    ".jsonl": "application/jsonl",
    ".jxl": "image/jxl",
    ".m4a": "audio/mp4",
    ".m4v": "video/mp4",
    ".md": "text/markdown",
    ".mkv": "video/matroska",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".ogg": "audio/ogg",
    ".ogv": "video/ogg",
    ".parquet": "application/vnd.apache.parquet",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".rtf": "application/rtf",
    ".toml": "application/toml",
    ".wasm": "application/wasm",
    ".webm": "video/webm",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zst": "application/zstd",
}
_COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
_TEXT_FORMATS = frozenset({"application/pdf", "application/postscript", "application/rtf"})
_NOT_IN_TEXT = frozenset(range(0x20)) - frozenset(b"\t\n\f\r\x1b")


@cache
def _table() -> mimetypes.MimeTypes:
    table = mimetypes.MimeTypes()
    for extension, content_type in _ADDITIONS.items():
        table.add_type(content_type, extension)
    return table


def guess_type(path: str) -> str:
    """Return the MIME type that a name's extension says; octets where it says nothing."""
    name = path.rpartition("/")[2]
    # guess_type() parses a URL: without a scheme of ours before it, "a:b.png" would be one.
    content_type, encoding = _table().guess_type(f"./{name}", strict=True)
    if encoding is not None:
        return _COMPRESSED.get(encoding, OCTET_STREAM)
    return content_type or OCTET_STREAM


def sniff_type(head: bytes) -> str | None:
    """Return the MIME type that a file's beginning proves, or None.

    Text proves nothing, whatever letters it begins with ("BMW" is no bitmap).
    """
    import filetype  # type: ignore[import-untyped]  # noqa: PLC0415 - 30 ms, at first use

    if not head:
        return None
    found: str | None = filetype.guess_mime(head[:SNIFF_BYTES])
    if found is not None and found not in _TEXT_FORMATS and is_text(head):
        return None
    return found


def infer_type(path: str, head: bytes) -> str:
    """Return the MIME type by the content's beginning, else by the name."""
    return sniff_type(head) or guess_type(path)


def is_text(head: bytes) -> bool:
    """Tell whether a file's beginning is UTF-8 text; the last character may be cut."""
    if not _NOT_IN_TEXT.isdisjoint(head[:SNIFF_BYTES]):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return True
