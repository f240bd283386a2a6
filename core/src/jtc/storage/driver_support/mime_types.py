"""MIME types: by content where a signature proves it, else by name, the same on every machine."""

from __future__ import annotations

import codecs
import re
import reprlib
from collections.abc import Collection

from jtc.storage._shortened import shortened
from jtc.storage.driver_support._extensions import ALIASES, RUN_BY_SERVERS, type_of_extension
from jtc.storage.driver_support._signatures import FileType, find_type

__all__ = [
    "ACTIVE_TYPES",
    "OCTET_STREAM",
    "SNIFF_BYTES",
    "checked_types",
    "guess_type",
    "infer_type",
    "is_active",
    "is_allowed",
    "is_allowed_name",
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

_PLAIN_DATA = frozenset({"csv", "json", "jsonl", "log", "md", "toml", "tsv", "txt", "yaml", "yml"})
# Formats with a signature whose files may be all text.
_TEXT_FORMATS = frozenset({"application/pdf", "application/postscript", "application/rtf"})
_TEXTS = frozenset(
    {
        "application/graphql",
        "application/json",
        "application/json5",
        "application/jsonl",
        "application/n-quads",
        "application/n-triples",
        "application/sql",
        "application/toml",
        "application/trig",
        "application/vnd.apple.mpegurl",
        "application/x-bibtex",
        "application/x-latex",
        "application/x-pem-file",
        "application/x-tex",
        "application/x-texinfo",
        "application/xml",
        "application/yaml",
    }
)
# The control characters that are in no text of any encoding but UTF-16 and UTF-32, by
# https://mimesniff.spec.whatwg.org/#binary-data-byte
_NOT_IN_TEXT = bytes(set(range(0x20)) - set(b"\t\n\f\r\x1b"))
# The longer one first: it begins with the other.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# https://mimesniff.spec.whatwg.org/#javascript-mime-type
_SCRIPT = re.compile(r"(application|text)/(x-)?(java|ecma|j|live)script[0-9.]*")
_CONTAINERS = frozenset({"application/pkcs7-mime", "message/rfc822", "text/xsl"})
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/(?:\*|[a-z0-9][a-z0-9!#$&^_.+-]*)")
_WORD = re.compile(r"[a-z0-9_]*")


def guess_type(path: str) -> str:
    """Return the MIME type of a name's extension; ``application/octet-stream`` if it is unknown."""
    stem, _, extension = path.rpartition("/")[2].rpartition(".")
    return (type_of_extension(extension) if stem else None) or OCTET_STREAM


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
    if kind is None or (_is_utf8(head) and kind.content_type not in _TEXT_FORMATS):
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
    is_text_type = named.startswith("text/") or named.endswith(("+json", "+xml")) or named in _TEXTS
    return named if is_text_type else "text/plain"


def is_active(content_type: str) -> bool:
    """Return whether a browser runs files of a MIME type, or may, when a site serves them.

    Besides `ACTIVE_TYPES` these are other kinds of XML, other names of scripts, and types that
    contain pages.

    Args:
        content_type: The type in small letters, without parameters.
    """
    return (
        content_type in ACTIVE_TYPES
        or content_type in _CONTAINERS
        or content_type.endswith("+xml")
        or content_type.startswith("multipart/")
        or _SCRIPT.fullmatch(content_type) is not None
    )


def checked_types(names: Collection[str]) -> frozenset[str]:
    """Return MIME types in their usual spelling: ``image/jpg`` is ``image/jpeg``.

    Args:
        names: Types in any case, or families (``image/*``).

    Raises:
        TypeError: It is one `str`, or a name is no `str`.
        ValueError: A name is neither a type nor a family.
    """
    # An iterator is no collection: a second file would find nothing in it.
    if isinstance(names, str | bytes) or not isinstance(names, Collection):
        raise TypeError(f"allowed_types is a collection of MIME types, not {reprlib.repr(names)}")
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"allowed_types is a collection of MIME types, not {reprlib.repr(names)}")
    types = frozenset(_usual_name(name) for name in names)
    for name in sorted(types):
        if name == "*/*":
            raise ValueError("allowed_types has '*/*', which allows everything: leave it out")
        if not _TYPE.fullmatch(name):
            known = type_of_extension(name.removeprefix("."))
            meant = known or f"{shortened(name).rstrip('/')}/*"
            hint = f": write {meant!r}" if _TYPE.fullmatch(meant) else ""
            raise ValueError(f"allowed_types has {shortened(name)!r}, which is no MIME type{hint}")
    return types


def _usual_name(content_type: str) -> str:
    essence = content_type.partition(";")[0].strip().lower()
    return ALIASES.get(essence, essence)


def is_allowed(content_type: str, allowed: Collection[str]) -> bool:
    """Return whether a MIME type is among others: ``"image/png"``, ``"image/*"``.

    A family such as ``text/*`` does not include what a browser or a server may run (HTML, SVG, XML,
    JavaScript, PHP, Python): those have to be named in full.

    Args:
        content_type: The type, in any spelling.
        allowed: A result of `checked_types`.
    """
    name = _usual_name(content_type)
    family = name.partition("/")[0] + "/*"
    runs = is_active(name) or name in RUN_BY_SERVERS
    return name in allowed or (family in allowed and not runs)


def is_allowed_name(path: str, allowed: Collection[str]) -> bool:
    """Return whether a file's name has no extension, or that of an allowed type.

    An extension that is not known may be one that a server runs, so it is not allowed. Before the
    last one there may be any words, but none that a server runs: it may run ``a.php.png`` too
    (https://httpd.apache.org/docs/2.4/mod/mod_mime.html#multipleext).

    Args:
        path: The file's path.
        allowed: A result of `checked_types`.
    """
    _, *extensions = path.rpartition("/")[2].lower().split(".")
    if not extensions:
        return True
    last = type_of_extension(extensions.pop())
    inner = (type_of_extension(_WORD.match(each)[0]) for each in extensions)  # type: ignore[index]
    return (
        last is not None
        and is_allowed(last, allowed)
        and all(each not in RUN_BY_SERVERS or each in allowed for each in inner)
    )


def is_text(head: bytes) -> bool:
    """Return whether a file's beginning is text, in UTF-8 or any other encoding.

    Spreadsheets save CSV in UTF-16 with a byte order mark, or in the encoding of a language. The
    last character may be cut.
    """
    head = head[:SNIFF_BYTES]
    for mark, encoding in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            text = codecs.getincrementaldecoder(encoding)("replace").decode(head)
            return not any(ch in text for ch in "\x00\ufffd")
    return len(head.translate(None, _NOT_IN_TEXT)) == len(head)


def _is_utf8(head: bytes) -> bool:
    if not is_text(head):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return True
