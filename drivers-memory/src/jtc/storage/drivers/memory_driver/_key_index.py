"""Keys in their order, sorted when they are looked for and not when they are written.

A write that also sorted its key would take 1.2 to 1.6 times as long. So changes are kept aside, and
a listing sorts them in, some at a time.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right, insort
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["KeyIndex"]

_CHUNK = 1000
"""Keys in a sorted list that is split at twice the number: longer ones take longer to insert into,
shorter ones make more of them."""

_first = itemgetter(0)


class KeyIndex:
    """A set of strings in the order of their code points, which is that of their UTF-8 bytes.

    Nothing here takes time in proportion to the number of keys. Not safe for threads.

    Attributes:
        add: Adds a key that is not there.
    """

    __slots__ = ("_added", "_chunks", "_removed", "add")

    def __init__(self) -> None:
        self._chunks: list[list[str]] = []  # sorted lists, none empty, each before the next
        self._removed: set[str] = set()  # keys that are in one still, until the next `settle`
        self._added: set[str] = set()  # keys that are sorted in after those are taken out
        # Not a method of our own: the call alone would make a put take longer.
        self.add: Callable[[str], None] = self._added.add

    def clear(self) -> None:
        """Remove all keys."""
        self._chunks.clear()
        self._removed.clear()
        self._added.clear()

    def remove(self, key: str) -> None:
        """Remove a key that is there."""
        if key in self._added:
            self._added.remove(key)
        else:
            self._removed.add(key)

    def settle(self, limit: int = sys.maxsize) -> bool:
        """Sort in changes up to a limit; return whether there are no more."""
        for _ in range(min(limit, len(self._removed))):
            self._take_out(self._removed.pop())
        if self._removed:
            return False
        for _ in range(min(limit, len(self._added))):
            self._put_in(self._added.pop())
        return not self._added

    def settled_from(self, start: str) -> Iterator[str]:
        """Yield the keys from a text on, as of the last `settle`."""
        at = self._chunk_of(start)
        for chunk in self._chunks[at : at + 1]:
            yield from chunk[bisect_left(chunk, start) :]
        for number in range(at + 1, len(self._chunks)):
            yield from self._chunks[number]

    def _chunk_of(self, key: str) -> int:
        return max(bisect_right(self._chunks, key, key=_first) - 1, 0)

    def _put_in(self, key: str) -> None:
        at = self._chunk_of(key)
        if not self._chunks:
            self._chunks.append([])
        chunk = self._chunks[at]
        insort(chunk, key)
        if len(chunk) == 2 * _CHUNK:
            self._chunks[at : at + 1] = [chunk[:_CHUNK], chunk[_CHUNK:]]

    def _take_out(self, key: str) -> None:
        at = self._chunk_of(key)
        chunk = self._chunks[at]
        del chunk[bisect_left(chunk, key)]
        if not chunk:
            del self._chunks[at]
