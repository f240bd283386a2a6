"""So many operations begin in one turn of the event loop, and others wait for the next ones.

What a driver answers at once never waits, so a loop over ten thousand files would keep the event
loop from everything else until its end; and ten thousand tasks that begin to read all do so in one
turn. Both are held up after a few milliseconds, where a driver begins each operation with
``if crowded(): await next_turn()``.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from time import monotonic

__all__ = ["crowded", "next_turn"]

_SECONDS = 0.005
"""For how long operations begin in one turn of the loop."""

_BATCH = 16
"""How many of those that wait begin in each further turn, since nobody knows what follows them."""


class _Pace(threading.local):
    """How far a thread's event loop is in its turn, and who waits for another one."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.until = 0.0
        self.waiting: deque[asyncio.Future[None]] = deque()

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.until = monotonic() + _SECONDS
        loop.call_soon(self.turn, loop)

    def turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let some of those begin that wait, in a new turn of the loop."""
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


_pace = _Pace()


def crowded() -> bool:
    """Tell whether an operation has to wait for `next_turn` before it begins."""
    pace = _pace
    if pace.loop is None:
        pace.begin(asyncio.get_running_loop())
        return False
    return bool(pace.waiting) or monotonic() >= pace.until


async def next_turn() -> None:
    """Wait until it is one's turn; whoever comes first begins first."""
    loop = asyncio.get_running_loop()
    pace = _pace
    if pace.loop is not loop:  # one that was closed before its turn ended
        pace.waiting.clear()
        pace.begin(loop)
    future = loop.create_future()
    pace.waiting.append(future)
    await future
