"""Listings that were left early, for those that go on after their last keys.

A caller that lists a directory in pages, each by `start_after`, would otherwise have all its names
read and sorted again for each. They are used only if no directory has changed since, and kept for a
while.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jtc.storage.models import Entry

__all__ = ["LeftListing", "LeftListings", "Level", "Stamp"]

Stamp: TypeAlias = tuple[int, int, int, int]
"""Of a directory: device, inode, and the times of its last changes."""

_SECONDS = 60.0
_MOST = 4
_MOST_NAMES = 2_000_000
"""In one listing: about 200 MB."""


class Level(NamedTuple):
    """A directory that a listing is in.

    Attributes:
        path: Its path.
        keys: Those that remain.
        stamp: Its stamp from before its names were read; None if it had just changed.
    """

    path: str
    keys: Iterator[str]
    stamp: Stamp | None


class LeftListing(NamedTuple):
    """What is left of a listing.

    Attributes:
        levels: The directories that it is in.
        stamps: Those of the directories that `levels` and `rest` are from.
        rest: The entries that were read and not used.
        names: How many names were read.
    """

    levels: list[Level]
    stamps: dict[str, Stamp | None]
    rest: list[Entry]
    names: int


class LeftListings:
    """The last few listings of a root that were left early, by where they ended."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], tuple[float, LeftListing]] = {}

    def take(self, place: tuple[object, ...]) -> LeftListing | None:
        """Return what is left of the listing that ended at a place, once."""
        until, left = self._kept.pop(place, (0.0, None))
        return left if time.monotonic() < until else None

    def keep(self, place: tuple[object, ...], left: LeftListing) -> None:
        """Keep what is left of a listing that ended at a place, for a minute."""
        if left.names > _MOST_NAMES:
            return
        self._kept[place] = time.monotonic() + _SECONDS, left
        while len(self._kept) > _MOST or self._names() > _MOST_NAMES:
            with suppress(RuntimeError, StopIteration):  # other threads keep some, too
                self._kept.pop(next(iter(self._kept)), None)
        with suppress(RuntimeError):  # no loop runs: the garbage collector closes the listing
            asyncio.get_running_loop().call_later(_SECONDS, self._drop, place, left)

    def _names(self) -> int:
        return sum(left.names for _, left in list(self._kept.values()))

    def _drop(self, place: tuple[object, ...], left: LeftListing) -> None:
        if self._kept.get(place, (0.0, None))[1] is left:
            del self._kept[place]
