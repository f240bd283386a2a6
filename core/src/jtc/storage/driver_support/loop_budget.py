"""Time budget of operations within one iteration of the event loop.

A driver that answers without waiting would keep the event loop from everything else: a loop over
ten thousand files does so until its end, and ten thousand tasks that begin to read all do so in one
iteration. After a few milliseconds, further operations wait for the next iteration, if a driver
begins each of them with ``if over_budget(): await next_iteration()``.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from time import monotonic

__all__ = ["next_iteration", "over_budget"]

_SECONDS = 0.005
"""For how long operations begin in one iteration of the loop."""

_BATCH = 16
"""How many waiting operations begin in each further iteration: how long each takes is unknown."""


class _LoopBudget(threading.local):
    """The budget of a thread's event loop in this iteration, and the operations that wait."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.until = 0.0
        self.waiting: deque[asyncio.Future[None]] = deque()

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.until = monotonic() + _SECONDS
        loop.call_soon(self.end, loop)

    def end(self, loop: asyncio.AbstractEventLoop) -> None:
        """End the iteration's budget, and let a batch of waiting operations begin."""
        if loop is not self.loop:
            return
        self.loop = None
        woken = 0
        while self.waiting and woken < _BATCH:
            future = self.waiting.popleft()
            if not future.done():  # cancelled
                future.set_result(None)
                woken += 1
        if woken:
            self.begin(loop)


_budget = _LoopBudget()


def over_budget() -> bool:
    """Return whether an operation has to wait for `next_iteration` before it begins."""
    budget = _budget
    if budget.loop is None:
        budget.begin(asyncio.get_running_loop())
        return False
    return bool(budget.waiting) or monotonic() >= budget.until


def next_iteration() -> asyncio.Future[None]:
    """Return what to await for an iteration of the loop with budget left, in the order of calls.

    No coroutine: of ten thousand that wait, each object counts, since garbage collection looks at
    all of them.
    """
    loop = asyncio.get_running_loop()
    budget = _budget
    if budget.loop is not loop:  # one that was closed during an iteration
        budget.waiting.clear()
        budget.begin(loop)
    future = loop.create_future()
    budget.waiting.append(future)
    return future
