"""The one way of running a bounded operation: one call in a worker thread, which can be called off.

A cancelled task cannot stop a thread. So the two agree: each step that changes something is taken
inside ``with turn:``, and a cancellation either comes first, and then no step follows, or waits
for the step that is under way. After `CancelledError` was raised nothing changes any more.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import resource
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from jtc.storage.driver_support.loop_budget import crowded, next_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Call", "Turn", "moving", "run"]

R = TypeVar("R")

# How long a cancelled task waits for its worker to let go of its descriptors and of the caller's
# content, in seconds. The worker is told at once; only a read that blocks can make it this long.
_GRACE = 1.0
_PATIENCE = 0.1

_MANY = 65_536

_MUCH = 256 * 1024
"""Bytes from which on a read or a write takes long enough to wait for a processor first."""


class Turn:
    """Settles between a worker and a cancellation who comes first."""

    __slots__ = ("_lock", "cancelled", "ended", "started")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.cancelled = False
        self.started = False
        self.ended = False

    def __enter__(self) -> Self:
        """Begin a step that changes something, in the worker; raise if the call was called off."""
        self._lock.acquire()
        if self.cancelled:
            self._lock.release()
            raise _CalledOff
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._lock.release()

    def check(self) -> None:
        """Raise, in the worker, if the call was called off."""
        if self.cancelled:
            raise _CalledOff

    def cancel(self) -> bool:
        """Call off what has not begun; never blocks.

        Returns:
            False if a step is under way: it will end, and no further one will begin.
        """
        self.cancelled = True
        if not self._lock.acquire(blocking=False):
            return False
        self._lock.release()
        return True


class _CalledOff(Exception):
    """The task that asked for this call was cancelled."""


class Call(Generic[R]):
    """A function at work in a thread of the loop's executor, begun at once.

    The function gets the call's `Turn` first. It runs in the caller's context (`contextvars`).

    Args:
        function: What to run.
        args: Its further arguments.
        discard: Lets go of a result that nobody takes, such as a descriptor. It runs in a thread.
    """

    # The outcome is kept here, and not as the future's: asyncio would make another TimeoutError of
    # a TimeoutError that the caller's content raised, and hang at a StopIteration.
    def __init__(
        self,
        function: Callable[..., R],
        *args: Any,
        discard: Callable[[R], object] | None = None,
    ) -> None:
        self.turn = Turn()
        self._function = function
        self._args = args
        self._discard = discard
        self._results: list[R] = []
        self._error: BaseException | None = None
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        context = contextvars.copy_context()
        self._future = self._loop.run_in_executor(None, context.run, self._work)

    def _work(self) -> None:
        turn = self.turn
        turn.started = True
        try:
            with _gate:
                turn.check()
                result = self._function(turn, *self._args)
            if self._discard is not None and turn.cancelled:
                self._discard(result)
            else:
                self._results.append(result)
        except BaseException as error:
            self._error = error
        self.turn.ended = True
        if self._waiter is not None:
            with suppress(RuntimeError):  # the loop is closed, and nobody waits
                self._loop.call_soon_threadsafe(_wake, self._waiter)

    async def result(self) -> R:
        """Wait for the function and return what it returns, or raise what it raises.

        A cancellation calls the function off.
        """
        try:
            # Not by asyncio.wait(), which doubles what the hop takes in the loop. A cancellation
            # cancels this future as well, but not the function that a worker has begun.
            await self._future
        except asyncio.CancelledError:
            await self.call_off()
            raise
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # its traceback holds this frame
        return self._results[0]

    async def call_off(self) -> None:
        """See to it that nothing changes from now on, and that nothing stays open.

        Returns when the worker has ended, or has not begun, or is stuck in a read of the content:
        it then ends on its own, without changing anything.
        """
        try:
            if not self.turn.cancel():
                await _settled(self._end())
            elif not self.turn.started:
                self._future.cancel()
            else:
                await self.ended()
        finally:
            if self._discard is not None and self._results:
                discarding = self._loop.run_in_executor(None, self._discard, self._results.pop())
                await _settled(discarding)

    async def ended(self) -> None:
        """Wait for the function to end, for a moment at most; never call it off."""
        await asyncio.wait((self._end(),), timeout=_GRACE)

    def _end(self) -> asyncio.Future[None]:
        """Return what is done when the function has ended."""
        if self._waiter is None:
            self._waiter = self._loop.create_future()
        # The worker says first that it has ended, and then looks for who waits.
        if self.turn.ended:
            _wake(self._waiter)
        return self._waiter


async def run(
    function: Callable[..., R], *args: Any, discard: Callable[[R], object] | None = None
) -> R:
    """Run a function in a thread, as `Call` describes, and return what it returns."""
    if crowded():
        await next_turn()
    return await Call(function, *args, discard=discard).result()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def _settled(future: asyncio.Future[Any]) -> None:
    """Wait for a future to end, whatever becomes of the task that waits."""
    cancelled = False
    while not future.done():
        try:
            await asyncio.wait((future,))
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError


@contextmanager
def moving(turn: Turn, size: int) -> Iterator[None]:
    """Take part in moving content between memory and files, one worker for each processor.

    More of them move nothing faster, and the event loop's thread waits behind them all: of 64
    puts and gets of 4 MiB at once, one in ten rounds held up the loop for more than 50 ms.

    Args:
        turn: Ends the wait if the call is called off.
        size: How many bytes; a few are moved at once.
    """
    if size < _MUCH:
        yield
        return
    movers = _movers
    while not movers.acquire(timeout=_PATIENCE):
        turn.check()
    try:
        yield
    finally:
        movers.release()


def _open_gate() -> None:
    """Let so many workers in at once as there are descriptors for: none needs more than five.

    Otherwise workers that hold some could wait for each other's: under ``ulimit -n 64`` a thousand
    puts at once must all succeed. A usual limit of 1,024 never keeps anybody waiting.
    """
    global _gate, _movers  # noqa: PLW0603 - a process has one table of descriptors
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        limit = _MANY
    _gate = threading.Semaphore(max(1, limit // 8))
    _movers = threading.Semaphore(os.cpu_count() or 1)


_gate: threading.Semaphore
_movers: threading.Semaphore
_open_gate()
# A worker that is inside at a fork never comes out in the child.
os.register_at_fork(after_in_child=_open_gate)
