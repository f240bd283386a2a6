"""How often requests are sent again: a store in trouble must not be asked ever more."""

from __future__ import annotations

__all__ = ["RetryBudget"]

_CAPACITY = 100


class RetryBudget:
    """What may be tried again and brought nothing yet: so much, and then broken is broken.

    A disk has one for the reads that it continues, and each direct client one for its requests, as
    the SDK has (https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html).

    Args:
        capacity: How many there are at most.
    """

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        self._left = capacity

    def take(self, count: int = 1) -> bool:
        """Take some; False where fewer are left."""
        # Without a lock: several threads at once may lose a count, and nothing hangs on one.
        if self._left < count:
            return False
        self._left -= count
        return True

    def put_back(self, count: int) -> None:
        """Give back those that were taken before bytes came, or one for a read that succeeded."""
        self._left = min(self._capacity, self._left + count)
