"""Lines on standard output, messages on standard error, and texts for people."""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO

from jtc.storage.cli._exits import ClosedPipe, Failed

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "PROGRAM",
    "coloured",
    "flush",
    "is_debugging",
    "is_terminal",
    "printable",
    "set_up_streams",
    "show_above",
    "size_text",
    "time_text",
    "write",
    "write_bytes",
    "write_error",
    "write_json",
    "write_message",
]

PROGRAM = "jtc-storage"

# Control characters, and marks that change the direction of the text after them.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufeff]"
    "|[\ud800-\udfff]"
)
_UNITS = "KMGTPE"

_show_line: Callable[[str], object] | None = None


def set_up_streams() -> None:
    """Have standard output and error write every name, whatever their encoding is.

    Standard output is written in blocks where it is no terminal, in spite of PYTHONUNBUFFERED.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a test's stream has none
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
            if stream is sys.stdout:
                reconfigure(write_through=False)


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal that a person looks at."""
    return stream is not None and not stream.closed and stream.isatty()


def is_debugging() -> bool:
    """Return whether errors have a traceback: ``--debug`` or JTC_STORAGE_DEBUG."""
    return bool(os.environ.get("JTC_STORAGE_DEBUG"))


def write(line: str) -> None:
    """Write one line to standard output, in blocks where that is no terminal.

    Raises:
        ClosedPipe: Its reader has ended.
    """
    if _show_line is not None and _shows_names(sys.stdout):
        _show_line(line)
        return
    stream = sys.stdout
    if stream is None:
        write_error("Standard output is closed")
        raise Failed
    try:
        stream.write(f"{line}\n")
    except OSError as error:
        raise _stopped(error) from error


def write_bytes(content: bytes) -> None:
    """Write bytes to standard output.

    Raises:
        ClosedPipe: Its reader has ended.
    """
    try:
        sys.stdout.flush()
        rest = memoryview(content)
        while rest:  # unbuffered, it may take a part only
            rest = rest[sys.stdout.buffer.write(rest) :]
    except OSError as error:
        raise _stopped(error) from error


def write_json(value: Any) -> None:
    """Write one value as a line of JSON to standard output; non-ASCII characters are escaped."""
    write(_json_encoder().encode(value))


def write_message(text: str) -> None:
    """Write a line to standard error, as it is."""
    if _show_line is not None:
        _show_line(text)
    elif sys.stderr is not None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def write_error(error: BaseException | str) -> None:
    """Write an error as one line to standard error, with its traceback where that is wanted."""
    if isinstance(error, BaseException) and is_debugging():
        import traceback  # noqa: PLC0415 - imported only where it is used

        write_message("".join(traceback.format_exception(error)).rstrip("\n"))
    text = error if isinstance(error, str) else str(error) or type(error).__name__
    line = _UNSAFE.sub(_escaped, " ".join(text.split()))
    write_message(f"{coloured(PROGRAM, '31', sys.stderr)}: {line}")


def flush() -> None:
    """Write what is still held back.

    Raises:
        ClosedPipe: The reader of standard output has ended.
        Failed: It cannot be written: the reason is on standard error.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        raise _stopped(error) from error


def show_above(show: Callable[[str], object] | None) -> None:
    """Have lines shown by a function, above a bar on the same terminal; None ends that."""
    global _show_line  # noqa: PLW0603 - there is one terminal
    _show_line = show


def printable(name: str) -> str:
    """Return a name as a terminal shows it safely: control characters and bidi marks escaped.

    Elsewhere it stays as it is, for other programs.
    """
    if not _shows_names(sys.stdout) or not _UNSAFE.search(name):
        return name
    return _UNSAFE.sub(_escaped, name)


def coloured(text: str, code: str, stream: TextIO | None = None) -> str:
    """Return a text in a colour, where standard output (or another stream) shows colours.

    Args:
        text: The text.
        code: The parameters of the escape sequence "select graphic rendition", such as ``"1;34"``.
        stream: The stream on which it is written.
    """
    shows = _shows_colours(stream or sys.stdout)
    return f"\x1b[{code}m{text}\x1b[0m" if shows else text


def size_text(size: int) -> str:
    """Return a number of bytes for people, in units of 1024: ``"512"``, ``"1.5K"``, ``"23M"``."""
    if size < 1024:  # noqa: PLR2004
        return str(size)
    value, unit = float(size), ""
    for unit in _UNITS:
        value /= 1024
        if value < 1023.5 or unit == _UNITS[-1]:  # noqa: PLR2004
            break
    return f"{value:.1f}{unit}" if value < 9.95 else f"{value:.0f}{unit}"  # noqa: PLR2004


def time_text(seconds: float) -> str:
    """Return a time in this machine's zone: ``"2026-05-04 13:30:05"``."""
    from datetime import datetime  # noqa: PLC0415 - imported only where it is used

    try:
        return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return "-" * 19  # a time that no calendar has


@cache
def _json_encoder() -> Any:
    from json import JSONEncoder  # noqa: PLC0415 - imported only where it is used

    return JSONEncoder(separators=(",", ":"))


@cache
def _shows_names(stream: TextIO | None) -> bool:
    return is_terminal(stream)


@cache
def _shows_colours(stream: TextIO | None) -> bool:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "") in {"", "dumb"}:
        return False
    return is_terminal(stream)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "backslashreplace").decode()


def _stopped(error: OSError) -> Failed:
    # Windows answers EINVAL for a closed pipe.
    closed = isinstance(error, BrokenPipeError) or (os.name == "nt" and error.errno == 22)  # noqa: PLR2004
    # What is still held back could not be written either, when the program ends.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    if closed:
        return ClosedPipe()
    write_error(f"Standard output cannot be written: {error.strerror}")
    return Failed()
