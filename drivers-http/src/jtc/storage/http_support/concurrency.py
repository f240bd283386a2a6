"""Number of parts or ranges that a transfer sends at once, adapted to what the path carries."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Climb", "Concurrency"]

_FIRST = 4
"""Where the first transfer of a disk begins: enough to see whether more at once carry more."""

_PAYS = 0.25
"""The share of a raise by which the throughput must grow for the raise to stay: with twice as many
at once, by a quarter. Less is noise, or takes connections from others for little."""

_SAME = 0.9
"""The share of the throughput that half as many must carry to be enough. A store on the same
machine, or a slow reader, gets no more over several connections, which only cost."""

_STEADY_ENDS = 128
"""Parts that end before another number is tried: with 32 at once, four rounds."""

_PATIENCE = 0.2
"""Seconds that a first connection may take for the rest: other ones take round trips to open, and
the first one, given up in the middle, another to replace. A near store carries a file of some MiB
in less."""

_ENOUGH = 400e6
"""Bytes per second of a first connection that others are not added to: only a store on this machine
or beside it carries as many, and an event loop hardly more over several."""

_PERIOD_SECONDS, _STRETCH_BYTES = 0.06, 1024 * 1024
"""How long it is measured, and the bytes of a stretch, of which the fastest in a period counts: a
near store is slow at first, when it looks for the content, and a busy machine at any time."""

_VALID_SECONDS = 3.0
"""For how long the throughput of one connection is taken to be the same: while there are several,
it is not measured, and a store that was slow once must not keep them."""


class Concurrency:
    """What the transfers of a disk in one direction have found out, for the next one.

    Several loops and threads share it without a lock: the last that writes counts, and each value
    is a sensible one.

    Args:
        most: The most parts at once.

    Attributes:
        most: That.
        level: How many the next transfer begins with.
        refusals: How often the store refused a request since it had too many.
        is_settled: Whether that level is the end of a search.
        ends_to_wait: How many parts end before the next search.
        is_search_down: Whether that begins with fewer.
        alone: The bytes per second of one connection while it was the only one.
        measured: When that was measured.
        is_slower: Whether several carried less than that in the last round.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.level = min(_FIRST, most)
        self.refusals = 0
        self.is_settled = False
        self.ends_to_wait = 0
        self.is_search_down = False
        self.alone, self.measured = 0.0, -math.inf
        self.is_slower = False

    def settle(self, *, is_search_down: bool) -> None:
        """End a search."""
        self.is_settled, self.ends_to_wait = True, _STEADY_ENDS
        self.is_search_down = is_search_down


class Climb:
    """The concurrency of one transfer: it is raised while that carries more, by rounds.

    A round is as many ends of parts as there are parts at once, so that each round has the whole
    life of a part in it, its round trip included. The number is doubled until that does not pay,
    later raised by quarters; then halved while that carries the same; it is one where several carry
    less than one did just before, twice. Refusals for too many requests halve it too, once a round.

    Args:
        known: Of the disk.
        most: The most parts at once of this transfer.
        clock: Returns seconds.

    Attributes:
        level: How many parts may be sent at once now.
    """

    def __init__(
        self, known: Concurrency, most: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._known, self._clock = known, clock
        self._most = min(known.most, most)
        self.level = min(known.level, self._most)
        # A transfer that may not have as many, of larger parts, says nothing about the next one.
        self._search = known if known.level <= self._most else Concurrency(self._most)
        self._refusals = known.refusals
        self._before, self._rate = 0, 0.0
        # Whether the parts of this round began when more were under way.
        self._is_mixed = False
        self._period_began = self._stretch_began = math.inf
        self._stretch_bytes, self._fastest = 0, 0.0
        self._begin_round()

    def _begin_round(self) -> None:
        self._began, self._bytes, self._ended, self._busiest = self._clock(), 0, 0, 0
        self._is_halved = False

    def moved(self, size: int) -> None:
        """Count bytes."""
        self._bytes += size

    def moved_alone(self, size: int) -> None:
        """Count bytes of one connection while there is no other."""
        self.moved(size)
        now = self._clock()
        if self._period_began == math.inf:
            # Not before: until the first bytes, the store may take its time.
            self._period_began = self._stretch_began = now
            return
        self._stretch_bytes += size
        has_ended = now - self._period_began >= _PERIOD_SECONDS
        if has_ended or self._stretch_bytes >= _STRETCH_BYTES:
            rate = self._stretch_bytes / max(now - self._stretch_began, 1e-6)
            self._fastest = max(self._fastest, rate)
            self._stretch_began, self._stretch_bytes = now, 0
        if has_ended or self._fastest >= _ENOUGH:
            self._known.alone, self._known.measured = self._fastest, now
            self._period_began, self._fastest = now, 0.0

    def pays(self, missing: int) -> bool:
        """Return whether one connection is known to take long for the bytes that are missing."""
        alone = self._alone()
        return alone is not None and alone < _ENOUGH and missing > _PATIENCE * alone

    def _alone(self) -> float | None:
        """Return the throughput of one connection, where it is known."""
        known = self._known
        return known.alone if self._clock() - known.measured <= _VALID_SECONDS else None

    def ended(self, busy: int) -> None:
        """Count the end of a part, and adapt the level at the end of a round.

        Args:
            busy: How many were under way at once, this one included.
        """
        self._ended += 1
        self._busiest = max(self._busiest, busy)
        if self._known.refusals != self._refusals:
            self._refusals = self._known.refusals
            if not self._is_halved:
                self._settle(max(self.level // 2, 1), is_search_down=False)
                self._begin_round()
                self._is_halved = True
        elif busy > self.level and not self._is_halved:
            self._begin_round()  # those beyond a level that was lowered
        elif self._ended >= self.level:
            seconds = max(self._clock() - self._began, 1e-6)
            # Fewer at once than allowed (no connection or memory was free, or the other side is
            # slow) say nothing about more.
            if self._is_mixed:
                self._is_mixed = False
            elif self._busiest >= self.level:
                self._judge(self._bytes / seconds)
            self._begin_round()

    def _judge(self, rate: float) -> None:
        before, level, known = self._before, self.level, self._search
        self._before = 0
        alone, was_slower = self._alone(), known.is_slower
        known.is_slower = level > 1 and alone is not None and rate < alone
        if known.is_slower and was_slower:
            # A server of one process gets slower by ranges at once. To halve down to one takes more
            # parts than most files have, and each file would begin again. Once says nothing: others
            # take round trips to open.
            self._settle(1, is_search_down=False)
            return
        share = 1 + _PAYS * (level / before - 1) if level > before > 0 else _SAME
        if before and rate < self._rate * share:
            self.level = before
            if level > before and self._is_lower_open(before):
                self._try(before // 2)
            else:
                self._settle(before, is_search_down=False)
            return
        self._rate, known.level = rate, level
        if not before and known.is_settled and known.ends_to_wait > 0:
            known.ends_to_wait -= self._ended
        elif level < before or (not before and known.is_settled and known.is_search_down):
            if level > 1:
                self._try(level // 2)
            else:
                self._settle(level, is_search_down=False)
        elif level < self._most:
            self._try(level + max(level // 4, 1) if known.is_settled else level * 2)
        else:
            self._settle(level, is_search_down=True)

    def _is_lower_open(self, level: int) -> bool:
        """Return whether fewer may be enough: not where they were just found not to be."""
        return level > 1 and (self._search.is_settled or level <= _FIRST)

    def _try(self, level: int) -> None:
        self._before, self.level = self.level, min(level, self._most)
        self._is_mixed = level < self._before

    def _settle(self, level: int, *, is_search_down: bool) -> None:
        self._before = 0
        self.level = self._search.level = level
        self._search.settle(is_search_down=is_search_down)
