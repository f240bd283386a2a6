"""Names: of files as clients send them, and of settings that are misspelt."""

from __future__ import annotations

import difflib
import io
import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["client_name", "display_name", "no_such"]

_LONGEST_NAME = 200
_LONGEST_EXTENSION = 20
# They reorder the text around them: "cod.<U+202E>gpj.exe" is shown as "cod.exe.jpg".
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def client_name(upload: Any) -> str:
    """Return the file name that came with an upload; "" where there was none."""
    # A GzipFile has a deprecated `filename`.
    name = None if isinstance(upload, io.IOBase) else getattr(upload, "filename", None)
    name = name or getattr(upload, "name", None)
    return name if isinstance(name, str) else ""


def display_name(name: str) -> str:
    """Return a client's file name for display: without directories and invisible characters.

    It is no part of any path. Letters of all languages, joiners and emoji remain.
    """
    base = name.replace("\\", "/").rpartition("/")[2]
    kept = "".join(
        character
        for character in unicodedata.normalize("NFC", base)
        if unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"}
        and character not in _REORDERING
    ).strip()
    if len(kept) > _LONGEST_NAME:
        stem, dot, extension = kept.rpartition(".")
        end = f"{dot}{extension}" if stem and len(extension) <= _LONGEST_EXTENSION else ""
        kept = kept[: _LONGEST_NAME - len(end)] + end
    return "" if kept in {".", ".."} else kept


def no_such(what: str, name: str, known: Iterable[str]) -> str:
    """Return the message that there is nothing of a name, with a suggestion."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"There is no {what} {name!r}: did you mean {close[0]!r}?"
    return f"There is no {what} {name!r}: there is {', '.join(map(repr, names)) or 'none'}"
