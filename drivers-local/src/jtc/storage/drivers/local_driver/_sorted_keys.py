"""Keys of directories in order, of which those of large directories are kept for a while.

A caller that lists a directory in pages, each by `start_after`, would otherwise have all its names
read and sorted again for each. They are used only if the directory has not changed since.
"""

from __future__ import annotations

import asyncio
import sys
import time
from bisect import bisect_left
from contextlib import suppress
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["KnownKeys", "SortedKeys", "Stamp"]

Stamp: TypeAlias = tuple[int, int, int, int]
"""Of a directory: device, inode, and the times of its last changes."""

_BLOCK = 1000
_BETWEEN = "\0"  # in no file's name

_LEAST_KEYS = 100
"""The names of a smaller directory are read as fast as they are found."""
_MOST_DIRECTORIES = 64
_MOST_BYTES = 64 * 1024 * 1024
_SECONDS = 60.0


class SortedKeys:
    """The keys of a directory, in order.

    They are joined, a thousand each: a list of them would take about 60 bytes more for each key.

    Args:
        pieces: The keys in order, in lists.

    Attributes:
        count: How many keys there are.
        size: How much memory they take, in bytes.
    """

    __slots__ = ("_blocks", "_lasts", "count", "size")

    def __init__(self, pieces: Iterable[list[str]]) -> None:
        self._blocks: list[str] = []
        self._lasts: list[str] = []
        self.count = self.size = 0
        for piece in pieces:
            for first in range(0, len(piece), _BLOCK):
                keys = piece[first : first + _BLOCK]
                self._blocks.append(_BETWEEN.join(keys))
                self._lasts.append(keys[-1])
                self.size += sys.getsizeof(self._blocks[-1])
            self.count += len(piece)

    def since(self, bound: str) -> Iterator[str]:
        """Return the keys that are not less than a bound."""
        place = bisect_left(self._lasts, bound)
        blocks = map(_split, islice(self._blocks, place, None))
        first = next(blocks, [])
        return chain(first[bisect_left(first, bound) :], chain.from_iterable(blocks))


def _split(block: str) -> list[str]:
    return block.split(_BETWEEN)


class _Known(NamedTuple):
    until: float
    stamp: Stamp
    keys: SortedKeys


class KnownKeys:
    """The keys of a root's large directories, for a minute after each use."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._drops_at = 0.0

    def find(self, path: str, stamp: Stamp | None) -> SortedKeys | None:
        """Return a directory's keys, if it has not changed since they were kept.

        Args:
            path: The directory.
            stamp: Its stamp now, None if it has just changed.
        """
        known = self._known.pop(path, None)
        if known is None or known.stamp != stamp:
            return None
        self.keep(path, known.stamp, known.keys)
        return known.keys

    def keep(self, path: str, stamp: Stamp | None, keys: SortedKeys) -> None:
        """Keep a directory's keys, if it is large; drop those that were used longest ago.

        Args:
            path: The directory.
            stamp: Its stamp from before its names were read, None if it had just changed.
            keys: Its keys.
        """
        if stamp is None or keys.count < _LEAST_KEYS:
            return
        self._known[path] = _Known(time.monotonic() + _SECONDS, stamp, keys)
        while len(self._known) > _MOST_DIRECTORIES or self._bytes() > _MOST_BYTES:
            with suppress(RuntimeError, StopIteration):  # other threads keep some, too
                self._known.pop(next(iter(self._known)), None)

    def drop_later(self) -> None:
        """Have the event loop drop what was not used for a minute."""
        now = time.monotonic()
        if self._known and now >= self._drops_at:
            with suppress(RuntimeError):  # no loop runs: the garbage collector closes a listing
                asyncio.get_running_loop().call_later(_SECONDS, self._drop)
                self._drops_at = now + _SECONDS

    def _drop(self) -> None:
        now = time.monotonic()
        for path, known in list(self._known.items()):
            if known.until <= now:
                self._known.pop(path, None)
        self._drops_at = 0.0
        self.drop_later()

    def _bytes(self) -> int:
        return sum(known.keys.size for known in list(self._known.values()))
