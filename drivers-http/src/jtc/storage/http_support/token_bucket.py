"""`TokenBucket`: the retries that a disk has left."""

from __future__ import annotations

__all__ = ["RETRY_PRICE", "TokenBucket"]

_RETRY_TOKENS, RETRY_PRICE = 500, 5
"""As in botocore's standard mode: a hundred retries beyond those of requests that succeeded."""


class TokenBucket:
    """Retries that are left: a store in trouble must not be sent more and more requests.

    Args:
        tokens: How many there are at most.
    """

    def __init__(self, tokens: int = _RETRY_TOKENS) -> None:
        self._most = self._left = tokens

    def take(self, tokens: int = RETRY_PRICE) -> bool:
        """Take some; False where fewer are left."""
        # Without a lock: several threads at once may lose a count, and nothing hangs on one.
        if self._left < tokens:
            return False
        self._left -= tokens
        return True

    def put_back(self, tokens: int) -> None:
        """Give back what was taken for a retry that succeeded, or one for a plain success."""
        self._left = min(self._most, self._left + tokens)
