"""Directories that listings leave out, since the process may not read them.

A listing goes on without them, and a driver warns of it. Who deletes what a listing does not have
needs to know that more is there.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

__all__ = ["note_left_out", "noting_left_out"]

T = TypeVar("T")

_noted: ContextVar[list[str] | None] = ContextVar("noted", default=None)


def note_left_out(paths: Iterable[str]) -> None:
    """Tell the caller of a listing which directories it leaves out. Drivers do, before its end.

    Args:
        paths: The directories' paths, as the driver's entries have them.
    """
    if (noted := _noted.get()) is not None:
        noted.extend(paths)


async def noting_left_out(entries: AsyncIterator[T], paths: list[str]) -> AsyncIterator[T]:
    """Yield the entries of a driver's listing.

    Args:
        entries: The listing.
        paths: Gets the paths of what it leaves out; all of them are there at its end.
    """
    before = _noted.get()
    while True:
        # What others list between two entries is not this listing's.
        _noted.set(paths)
        try:
            entry = await anext(entries)
        except StopAsyncIteration:
            return
        finally:
            _noted.set(before)
        yield entry
