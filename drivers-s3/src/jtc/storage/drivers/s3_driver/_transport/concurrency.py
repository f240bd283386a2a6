"""Number of parts or ranges that a transfer sends at once, adapted to what the path carries."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Climb", "Concurrency"]

_FIRST = 4
"""Where the first transfer of a disk begins: enough to see whether more at once carry more, and no
more than a store on the same machine takes in its stride."""

_PAYS = 0.25
"""The share of a raise by which the throughput must grow for the raise to stay: with twice as many
at once, by a quarter. Less is noise, or takes connections from others for little."""

_STEADY_ROUNDS = 8
"""Rounds without a raise after one that did not pay, or after a refusal."""


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
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.level = min(_FIRST, most)
        self.refusals = 0


class Climb:
    """The concurrency of one transfer: doubled, then raised in steps, while the throughput grows.

    A round is as many ends of parts as there are parts at once, so that each round has the whole
    life of a part in it, its round trip included. A raise whose round carried no more is taken
    back. Refusals for too many requests halve it, once a round.

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
        self._most = min(known.most, most)
        # With one at once nothing would be learned.
        self.level = min(max(known.level, 2), self._most)
        self._known, self._clock = known, clock
        self._refusals = known.refusals
        self._doubles = True
        self._before, self._rate = 0, 0.0
        self._rounds_to_wait = 0
        self._begin_round()

    def _begin_round(self) -> None:
        self._began, self._bytes, self._ended, self._busiest = self._clock(), 0, 0, 0
        self._is_halved = False

    def moved(self, size: int) -> None:
        """Count bytes."""
        self._bytes += size

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
                self._settle(max(self.level // 2, 1))
                self._is_halved = True
        elif self._ended >= self.level:
            seconds = max(self._clock() - self._began, 1e-6)
            # Fewer at once than allowed (no connection or memory was free, or the other side is
            # slow) say nothing about more.
            if self._busiest >= self.level:
                self._judge(self._bytes / seconds)
            self._begin_round()

    def _judge(self, rate: float) -> None:
        before, self._before = self._before, 0
        if before and rate < self._rate * (1 + _PAYS * (self.level / before - 1)):
            self._settle(before)
            return
        self._rate = rate
        self._known.level = self.level
        if self._rounds_to_wait:
            self._rounds_to_wait -= 1
        elif self.level < self._most:
            self._before = self.level
            raised = self.level * 2 if self._doubles else self.level + max(self.level // 4, 1)
            self.level = min(raised, self._most)

    def _settle(self, level: int) -> None:
        self.level = self._known.level = level
        self._before, self._doubles = 0, False
        self._rounds_to_wait = _STEADY_ROUNDS
        self._begin_round()
