"""Removal of secrets from tracebacks, whose frames hold every local variable."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

__all__ = ["ScrubbedLocals"]


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
            for each in _chain(error, self._before):
                # Frames that still run, such as the caller's, are not cleared.
                traceback.clear_frames(each.__traceback__)
                if self._also is not None:
                    self._also(each)


def _chain(error: BaseException, before: BaseException | None) -> Iterator[BaseException]:
    pending: list[BaseException | None] = [error]
    seen = {id(before)}
    while pending:
        each = pending.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        pending += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            pending += each.exceptions
