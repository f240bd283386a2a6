"""Checks that content is stored whole: where it begins, how long it is, whether it was read before.

A file that an application has just written or read stands at its end: stored from there, it would
be empty, and nothing would show it.
"""

from __future__ import annotations

import inspect
import io
import os
import stat
from contextlib import suppress
from opcode import opmap
from typing import TYPE_CHECKING, Any, TypeVar

from jtc.storage.exceptions import IntegrityException

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["check_unread", "known_length", "rewind", "rewind_now", "was_read_before"]

T = TypeVar("T")

_EXACT_FILES = (io.BufferedReader, io.BufferedRandom, io.FileIO)


async def rewind(file: Any) -> bool:
    """Move a file, sync or async, to its beginning; one that cannot seek stays where it is.

    Returns:
        Whether the file was read before and stays behind its beginning.

    Raises:
        IntegrityException: The file is closed, or is elsewhere and cannot be rewound.
    """
    # Starlette's UploadFile can seek and not tell: the file within it can.
    inner = file if hasattr(file, "tell") else getattr(file, "file", file)
    if getattr(inner, "closed", False) is True:
        raise IntegrityException("The content is a closed file: store it before it is closed")
    # There may be no such method; a member of a tar stream raises, and so does a pipe.
    claims = await _answer(inner, "seekable")
    position = await _answer(inner, "tell")
    if claims is False or not callable(getattr(file, "seek", None)):
        # A stream of aiohttp does not tell its position, but its length when it is at its end.
        at_end = getattr(file, "total_bytes", None) if await _answer(file, "at_eof") else None
        return bool(position or at_end)
    if position == 0:
        return False
    try:
        await _called(file.seek, 0)
    except Exception as error:
        if position is None and not claims:
            return False  # nothing says that it has positions
        at = "" if position is None else f", is at byte {position}"
        raise IntegrityException(
            f"The content is a file that is stored from its beginning{at}, and cannot go back to "
            f"it ({type(error).__name__}). To store the rest of a file, pass "
            'iter(lambda: file.read(65536), b"")'
        ) from error
    return False


def rewind_now(file: Any) -> bool:
    """Move a blocking file to its beginning; see `rewind`."""
    if type(file) is io.BytesIO and not file.closed:
        file.seek(0)
        return False
    return _finished(rewind(file))


def known_length(file: Any) -> int | None:
    """Return the length in bytes that a file says it has; None where it says none.

    That is its attribute `size`, as uploads have, and otherwise the length of the file on the disk
    or in memory. Only plain files are asked: one that decompresses has the descriptor of another
    length, and so have the files of ``/proc`` and ``/sys``, which occupy nothing.
    """
    with suppress(Exception):
        if type(size := getattr(file, "size", None)) is int:
            return size
        if type(file).__module__ == "tempfile":  # NamedTemporaryFile wraps a plain file
            file = getattr(file, "file", file)
        if type(file) is io.BytesIO:
            return len(file.getbuffer())
        if type(file) in _EXACT_FILES and type(raw := getattr(file, "raw", file)) is io.FileIO:
            state = os.fstat(raw.fileno())
            if stat.S_ISREG(state.st_mode) and getattr(state, "st_blocks", True):
                return state.st_size
    return None


def check_unread(chunks: object) -> None:
    """Refuse a generator, sync or async, that has ended: there is nothing left to store.

    Raises:
        IntegrityException: It has.
    """
    for name in ("gi_frame", "ag_frame"):
        if getattr(chunks, name, True) is None:
            raise IntegrityException(
                "The content is a generator that has been read to its end, or was closed: call its "
                "function again for a new one"
            )


def was_read_before(chunks: object) -> bool:
    """Return whether a generator, sync or async, has begun."""
    for prefix in ("gi", "ag"):
        if (frame := getattr(chunks, f"{prefix}_frame", None)) is not None:
            suspended: bool | None = getattr(chunks, f"{prefix}_suspended", None)
            if suspended is None:  # an async generator on Python 3.11
                return bool(frame.f_code.co_code[frame.f_lasti] != opmap["RETURN_GENERATOR"])
            return suspended
    return False


async def _answer(file: Any, method: str) -> Any:
    """Return what a method of a file returns; None if it raises, or there is none."""
    with suppress(Exception):
        return await _called(getattr(file, method))
    return None


async def _called(method: Any, *arguments: Any) -> Any:
    result = method(*arguments)
    return await result if inspect.isawaitable(result) else result


def _finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise TypeError("The content has a plain read() and an async seek()")
