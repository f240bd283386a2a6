"""Removal of secrets from tracebacks, whose frames hold every local variable."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

__all__ = ["ScrubbedLocals", "scrub_error"]


class ScrubbedLocals:
    """A block that removes the local variables of the functions it called from its errors.

    Error reporters and `traceback.TracebackException(capture_locals=True)` show them: keys among
    a driver's options, the environment, signed headers. Files, lines and names remain, and so do
    the variables of the function with the ``with`` statement and an error that was being handled
    before.

    Args:
        also: Called with each error, its causes and contexts, to scrub their own attributes.
    """

    __slots__ = ("_also", "_before")

    def __init__(self, also: Callable[[BaseException], object] | None = None) -> None:
        self._also = also

    def __enter__(self) -> None:
        self._before = sys.exception()

    def __exit__(
        self, _cls: object, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if error is not None:
            _scrub(error, self._also, lambda each: each is self._before)


def scrub_error(
    error: BaseException, also: Callable[[BaseException], object] | None = None
) -> None:
    """Remove the local variables of the functions that raised an error, in an ``except`` block.

    For a path where entering `ScrubbedLocals` costs too much. The variables of the function with
    the ``except`` block remain, and so do errors that its callers were handling before.

    Args:
        error: The error that the ``except`` block handles.
        also: Called with the error, its causes and contexts, to scrub their own attributes.
    """
    callers: set[FrameType] = set()
    if error.__traceback__ is not None:
        # A traceback begins in the function that catches the error.
        frame = error.__traceback__.tb_frame.f_back
        while frame is not None:
            callers.add(frame)
            frame = frame.f_back
    _scrub(error, also, lambda each: each.__traceback__ and each.__traceback__.tb_frame in callers)


def _scrub(
    error: BaseException,
    also: Callable[[BaseException], object] | None,
    is_earlier: Callable[[BaseException], object],
) -> None:
    pending: list[BaseException | None] = [error]
    seen: set[int] = set()
    while pending:
        each = pending.pop()
        if each is None or id(each) in seen or is_earlier(each):
            continue
        seen.add(id(each))
        # Frames that still run, such as the caller's, are not cleared.
        traceback.clear_frames(each.__traceback__)
        if also is not None:
            also(each)
        pending += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            pending += each.exceptions
