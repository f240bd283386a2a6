"""Bounded operations as calls in worker threads, which can be cancelled.

A cancelled task cannot stop a thread. So the two agree by a `CancelToken`: each step that changes
something is taken inside ``with token:``, and a cancellation either comes first, and then no step
follows, or waits for the step that is under way. After `CancelledError` was raised nothing changes
any more.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from jtc.storage.driver_support.loop_budget import next_iteration, over_budget
from jtc.storage.drivers.local_driver._system_calls import after_fork
from jtc.storage.exceptions import StorageUnavailableException

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jtc.storage.drivers.local_driver._workers import Workers

__all__ = ["LARGE_BYTES", "Call", "CancelToken", "HasWorkers", "processor_slot", "run"]

if sys.platform != "win32":
    import resource

R = TypeVar("R")

# How long a cancelled task waits for its worker to close its descriptors and to leave the caller's
# content, in seconds. Only a read that blocks can make it this long.
_GRACE = 1.0
_PATIENCE = 0.1

# How long a worker waits for a processor slot.
_SLOT_SECONDS = 1.0

_MANY_DESCRIPTORS = 65_536
_WINDOWS_DESCRIPTORS = 8192
_DESCRIPTORS_OF_A_CALL = 8

LARGE_BYTES = 256 * 1024
"""From this length on, a read or a write takes long enough to wait for a processor first."""


class HasWorkers(Protocol):
    """A root, or what else has threads."""

    @property
    def workers(self) -> Workers:
        """The threads that call the root's device."""
        ...


@dataclass(slots=True, eq=False)
class CancelToken:
    """Settles between a worker and a cancellation which comes first.

    Attributes:
        cancelled: Whether the call is cancelled.
        root: Whose device the call is to.
    """

    cancelled: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    root: HasWorkers | None = None
    _permits: list[threading.Semaphore] = field(default_factory=list, repr=False)

    def __enter__(self) -> Self:
        """Begin a step that changes something, in the worker; raise if the call is cancelled."""
        self._lock.acquire()
        if self.cancelled:
            self._lock.release()
            raise _Cancelled
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._lock.release()

    def check(self) -> None:
        """Raise, in the worker, if the call is cancelled."""
        if self.cancelled:
            raise _Cancelled

    def cancel(self) -> bool:
        """Cancel what has not begun; never blocks.

        Returns:
            False if a step is under way: it will end, and no further one will begin.
        """
        self.cancelled = True
        if not self._lock.acquire(blocking=False):
            return False
        self._lock.release()
        return True

    def take(self, permits: threading.Semaphore, seconds: float = math.inf) -> bool:
        """Take one of several permits, in the worker; raise if the call is cancelled.

        Args:
            permits: The permits.
            seconds: For how long to wait.

        Returns:
            Whether it was taken: then `give_back` it.
        """
        taken = permits.acquire(blocking=False) or self._wait_for(permits, seconds)
        if taken:
            self._permits.append(permits)
            if self.cancelled:  # a call that was given up meanwhile must hold none
                self.give_back(permits)
                raise _Cancelled
        return taken

    def _wait_for(self, permits: threading.Semaphore, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not (taken := permits.acquire(timeout=_PATIENCE)) and time.monotonic() < deadline:
            self.check()
        return taken

    def give_back(self, permits: threading.Semaphore) -> None:
        """Give a permit back, unless `return_permits` did."""
        with suppress(ValueError):
            self._permits.remove(permits)
            permits.release()

    def return_permits(self) -> None:
        """Return what a call holds that was given up while it hangs."""
        for permits in list(self._permits):
            self.give_back(permits)


class _Cancelled(Exception):
    """The task that waits for this call was cancelled."""


class Call(Generic[R]):
    """A function at work in a thread of the root's device, begun at once.

    The function gets the call's `CancelToken` first. It runs in the caller's context
    (`contextvars`).

    Args:
        root: Whose threads run it.
        function: What to run.
        args: Its further arguments.
        discard: Closes a result that is not taken, such as a descriptor. It runs in a thread.
        reads_content: Whether the function reads what a user passed, and may wait for it.

    Raises:
        StorageUnavailableException: No thread can be started; the function will never run.
    """

    # The outcome is kept here, and not as the future's: asyncio would make another TimeoutError of
    # a TimeoutError that the caller's content raised, and hang at a StopIteration.
    def __init__(
        self,
        root: HasWorkers,
        function: Callable[..., R],
        *args: Any,
        discard: Callable[[R], object] | None = None,
        reads_content: bool = False,
    ) -> None:
        self._workers = root.workers
        self._token = CancelToken(root=root)
        self._function = function
        self._args = args
        self._discard = discard
        self._started = self._ended = self._given_up = False
        self._results: list[R] = []
        self._error: BaseException | None = None
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[None] = self._loop.create_future()
        work = partial(contextvars.copy_context().run, self._work)
        try:
            self._submitted = self._workers.submit(work, reads_content=reads_content)
        except StorageUnavailableException:
            self._token.cancelled = True  # it is queued all the same
            raise

    def _work(self) -> None:
        token = self._token
        self._started = True
        try:
            slots = _descriptor_slots
            token.take(slots)
            try:
                result = self._function(token, *self._args)
            finally:
                token.give_back(slots)
            if self._discard is not None and token.cancelled:
                self._discard(result)
            else:
                self._results.append(result)
        except BaseException as error:
            self._error = error
        self._ended = True
        if self._given_up:
            self._workers.has_returned()
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(_finish, self._end)

    async def result(self) -> R:
        """Wait for the function and return what it returns, or raise what it raises.

        A cancellation of this task cancels the function.
        """
        try:
            # Not by asyncio.wait(), which doubles what the hop takes in the loop, nor by
            # asyncio.wrap_future(), which makes it a third longer.
            await self._end
        except asyncio.CancelledError:
            await self.cancel()
            raise
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # its traceback holds this frame
        return self._results[0]

    async def cancel(self) -> None:
        """See to it that nothing changes from now on, and that nothing stays open.

        Returns when the worker has ended, or has not begun, or is stuck in a read of the content:
        it then ends on its own, without changing anything.
        """
        try:
            if not self._token.cancel():
                await _wait_uncancelled(self._end_future())
            elif not self._started:
                self._submitted.cancel()
            else:
                await self.wait_briefly()
                if not self._ended:
                    self._give_up()
        finally:
            if self._discard is not None and self._results:
                discard = partial(self._discard, self._results.pop())
                try:
                    discarding = self._workers.submit(discard)  # type: ignore[arg-type]
                except StorageUnavailableException:
                    discard()
                else:
                    await _wait_uncancelled(asyncio.wrap_future(discarding))

    def _give_up(self) -> None:
        """Leave the worker to itself: others go on without what it holds."""
        self._given_up = True
        self._workers.give_up()
        if self._ended:  # just now
            self._workers.has_returned()
        self._token.return_permits()

    async def wait_briefly(self) -> None:
        """Wait for the function to end, for a moment at most; never cancel it."""
        await asyncio.wait((self._end_future(),), timeout=_GRACE)

    def _end_future(self) -> asyncio.Future[None]:
        """Return a future that is done when the function has ended."""
        if self._end.cancelled():  # with the task that waited for it
            self._end = self._loop.create_future()
            # The worker sets `_ended` first, and then looks for this future.
            if self._ended:
                _finish(self._end)
        return self._end


async def run(
    function: Callable[..., R],
    root: HasWorkers,
    *args: Any,
    discard: Callable[[R], object] | None = None,
    reads_content: bool = False,
) -> R:
    """Run a function of a root in a thread, as `Call` describes, and return what it returns."""
    if over_budget():
        await next_iteration()
    call = Call(root, function, root, *args, discard=discard, reads_content=reads_content)
    return await call.result()


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _wait_uncancelled(future: asyncio.Future[Any]) -> None:
    """Wait for a future to end, even if the task that waits is cancelled meanwhile."""
    cancelled = False
    while not future.done():
        try:
            await asyncio.wait((future,))
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError


@contextmanager
def processor_slot(token: CancelToken) -> Iterator[None]:
    """Take part in moving content between memory and files, one worker for each processor.

    More of them move nothing faster, and the event loop's thread waits behind them all: of 64
    puts and gets of 4 MiB at once, one in ten rounds held up the loop for more than 50 ms. Those
    who hold a slot for long wait for the device and not for a processor: then others go on.

    Args:
        token: Ends the wait if the call is cancelled.
    """
    if token.root is None:
        yield
        return
    # The device may have become known in this call only.
    slots = token.root.workers.processor_slots
    taken = token.take(slots, _SLOT_SECONDS)
    try:
        yield
    finally:
        if taken:
            token.give_back(slots)


def _make_slots() -> None:
    """Admit as many workers at once as there are descriptors for: each needs eight at most.

    Otherwise workers that hold some could wait for those of others: under ``ulimit -n 64`` a
    thousand puts at once must all succeed. A usual limit of 1,024 never makes a worker wait.
    """
    global _descriptor_slots  # noqa: PLW0603 - a process has one table of them
    limit = _WINDOWS_DESCRIPTORS
    if sys.platform != "win32":
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limit == resource.RLIM_INFINITY:
            limit = _MANY_DESCRIPTORS
    _descriptor_slots = threading.Semaphore(max(1, limit // _DESCRIPTORS_OF_A_CALL))


_descriptor_slots: threading.Semaphore
_make_slots()
# A worker that holds a slot at a fork never releases it in the child.
after_fork(_make_slots)
