"""MIME types: by content where a signature proves it, else by name, the same on every machine."""

from __future__ import annotations

import mimetypes
from functools import cache
from typing import TYPE_CHECKING

from jtc.storage.driver_support._signatures import FILE_TYPES, FileType, find_type

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = [
    "ACTIVE_TYPES",
    "OCTET_STREAM",
    "SNIFF_BYTES",
    "guess_type",
    "infer_type",
    "is_allowed",
    "judge_type",
    "safe_extension",
    "sniff_type",
]

OCTET_STREAM = "application/octet-stream"

ACTIVE_TYPES = frozenset(
    {
        "application/javascript",
        "application/xhtml+xml",
        "application/xml",
        "image/svg+xml",
        "text/html",
        "text/javascript",
        "text/xml",
    }
)
"""Types that a browser runs, or may run, when a site serves them from its own origin."""

SNIFF_BYTES = 8192
"""How many bytes of a file's beginning `sniff_type` needs."""

# The standard library's table, without the machine's /etc/mime.types, and with types of the web
# that Python 3.11 lacks (https://www.iana.org/assignments/media-types). Types with a signature are
# added from their table, so that the name and the content of a file give the same type.
_ADDITIONS = {
    ".jsonl": "application/jsonl",
    ".md": "text/markdown",
    ".shtml": "text/html",
    ".toml": "application/toml",
    ".xht": "application/xhtml+xml",
    ".xhtml": "application/xhtml+xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
_COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
_PLAIN_DATA = frozenset({"csv", "json", "jsonl", "log", "md", "toml", "tsv", "txt", "yaml", "yml"})
# Formats with a signature whose files may be all text.
_TEXT_FORMATS = frozenset({"application/pdf", "application/postscript", "application/rtf"})
_TEXTS = frozenset(
    {
        "application/javascript",
        "application/json",
        "application/jsonl",
        "application/sql",
        "application/toml",
        "application/xml",
        "application/yaml",
        "image/svg+xml",
    }
)
_NOT_IN_TEXT = bytes(set(range(0x20)) - set(b"\t\n\f\r\x1b"))


@cache
def _table() -> mimetypes.MimeTypes:
    table = mimetypes.MimeTypes()
    for extension, content_type in _ADDITIONS.items():
        table.add_type(content_type, extension)
    for kind in FILE_TYPES:
        table.add_type(kind.content_type, f".{kind.extension}")
    return table


def guess_type(path: str) -> str:
    """Return the MIME type of a name's extension; ``application/octet-stream`` if it is unknown."""
    name = path.rpartition("/")[2]
    # guess_type() parses URLs: without the "./", "a:b.png" would be one.
    content_type, encoding = _table().guess_type(f"./{name}", strict=True)
    if encoding is not None:
        return _COMPRESSED.get(encoding, OCTET_STREAM)
    return content_type or OCTET_STREAM


def sniff_type(head: bytes) -> str | None:
    """Return the MIME type that a file's beginning proves, or None.

    Text proves nothing, even if it begins with a signature ("BMW" is not a bitmap).
    """
    kind = _sniff(head)
    return None if kind is None else kind.content_type


def safe_extension(name: str, head: bytes) -> str:
    """Return an extension that the content justifies.

    Args:
        name: The name that a client gave. It counts for text only, and only if its extension is
            one of plain data: never of a page, a script or an image.
        head: The content's beginning.

    Returns:
        The extension with its dot: that of the type that the content proves, else ``.txt`` or
        ``.bin``.
    """
    kind = _sniff(head)
    if kind is not None:
        return f".{kind.extension}"
    if not is_text(head):
        return ".bin"
    extension = name.rpartition(".")[2].lower()
    return f".{extension}" if extension in _PLAIN_DATA else ".txt"


def _sniff(head: bytes) -> FileType | None:
    head = head[:SNIFF_BYTES]
    kind = find_type(head)
    if kind is None or (is_text(head) and kind.content_type not in _TEXT_FORMATS):
        return None
    return kind


def infer_type(path: str, head: bytes) -> str:
    """Return the MIME type by the content's beginning, else by the name."""
    return sniff_type(head) or guess_type(path)


def judge_type(path: str, head: bytes) -> str:
    """Return the MIME type for a security decision, in which a name alone proves nothing.

    It is the type that the content proves. Text has the type of its name if that is a type of
    text; other bytes that prove nothing are ``application/octet-stream``, whatever their name.
    """
    if proven := sniff_type(head):
        return proven
    if not is_text(head):
        return OCTET_STREAM
    named = guess_type(path)
    return named if named.startswith("text/") or named in _TEXTS else "text/plain"


def is_allowed(content_type: str, allowed: Collection[str]) -> bool:
    """Return whether a MIME type is among others: ``"image/png"``, ``"image/*"``.

    ``image/*`` and ``text/*`` do not include `ACTIVE_TYPES`: those have to be named in full.
    """
    family = content_type.partition("/")[0] + "/*"
    return content_type in allowed or (family in allowed and content_type not in ACTIVE_TYPES)


def is_text(head: bytes) -> bool:
    """Return whether a file's beginning is UTF-8 text; the last character may be cut."""
    head = head[:SNIFF_BYTES]
    if len(head.translate(None, _NOT_IN_TEXT)) < len(head):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return True
