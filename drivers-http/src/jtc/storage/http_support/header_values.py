"""Texts as values of HTTP headers."""

from __future__ import annotations

import base64
import email.errors
import email.header
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ascii_header", "decoded_value", "encoded_value", "header_text"]

_ENCODED_WORDS = re.compile(r"=\?[^?]+\?[BbQq]\?[^?]*\?=(\s+=\?[^?]+\?[BbQq]\?[^?]*\?=)*")


def ascii_header(name: str, value: str) -> str:
    """Check that HTTP can carry a header's value, and return it.

    Raises:
        ValueError: It has letters beyond ASCII, which have no agreed meaning in a header.
    """
    if not value.isascii() or not value.isprintable():
        raise ValueError(
            f"{name} must be printable ASCII to be an HTTP header; a file's name in a "
            "Content-Disposition may be filename*=UTF-8''... (RFC 6266)"
        )
    return value


def header_text(headers: Mapping[str, str], name: str) -> str | None:
    """Return a header's text; bytes that are not UTF-8 are read as Latin-1, as HTTP once had it."""
    value = headers.get(name)
    if value is None or value.isascii():
        return value
    raw = value.encode(errors="surrogateescape")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def encoded_value(value: str) -> str:
    """Return a text of metadata as ASCII: plain where that is unambiguous, else by RFC 2047.

    AWS itself answers so for what its headers cannot hold:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
    """
    # Some stores forget an empty header.
    is_plain = value.isascii() and value.isprintable() and value.strip() == value != ""
    if is_plain and not value.startswith("=?"):
        return value
    return f"=?UTF-8?B?{base64.b64encode(value.encode()).decode()}?="


def decoded_value(value: str) -> str:
    """Return the text of a metadata value, or the value itself where it is not encoded."""
    if not _ENCODED_WORDS.fullmatch(value):
        return value
    try:
        words = email.header.decode_header(value)
        return "".join(
            word if isinstance(word, str) else word.decode(charset or "ascii")
            for word, charset in words
        )
    except (ValueError, LookupError, email.errors.HeaderParseError):
        return value
