"""Work of one process that is done once for all that wait for it, and places to do it in."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from jtc.storage.driver_support.fork_safety import reset_after_fork
from jtc.storage.exceptions import StorageUnavailableException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Hashable

__all__ = ["BusyError", "Flights", "Places"]

T = TypeVar("T")


class BusyError(StorageUnavailableException):
    """Too much of this work waits already, or it takes too long."""


class Flights(Generic[T]):
    """Work under way, by key: all callers that want one result wait for the same work.

    It is shared by the event loops and threads of a process. The work runs in a task of its own in
    the loop of the first caller, and goes on if that one is cancelled.
    """

    def __init__(self) -> None:
        self._after_fork()
        reset_after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._results: dict[
            Hashable, tuple[asyncio.AbstractEventLoop, concurrent.futures.Future[T]]
        ] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def join(
        self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]]
    ) -> tuple[asyncio.Future[T], bool]:
        """Begin some work, unless it is under way.

        Args:
            key: Identifies the result.
            work: Called without arguments where it is not under way.

        Returns:
            A future of the result in the running loop, and whether this call began the work.
        """
        loop = asyncio.get_running_loop()
        with self._lock:
            known = self._results.get(key)
            begins = known is None or known[0].is_closed()
            if known is None or begins:
                result: concurrent.futures.Future[T] = concurrent.futures.Future()
                result.set_running_or_notify_cancel()  # a caller cannot cancel it
                known = self._results[key] = (loop, result)
        if begins:
            task = loop.create_task(self._run(key, known[1], work))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return asyncio.wrap_future(known[1]), begins

    async def _run(
        self,
        key: Hashable,
        result: concurrent.futures.Future[T],
        work: Callable[[], Coroutine[Any, Any, T]],
    ) -> None:
        try:
            made = await work()
        except BaseException as error:
            self._end(key, result)
            if isinstance(error, Exception):
                result.set_exception(error)
                return
            result.set_exception(BusyError("The event loop that did the work has ended"))
            raise
        self._end(key, result)
        result.set_result(made)

    def _end(self, key: Hashable, result: concurrent.futures.Future[T]) -> None:
        with self._lock:
            known = self._results.get(key)
            if known is not None and known[1] is result:
                del self._results[key]


class Places:
    """A number of places in each event loop, and a queue of limited length in front of them.

    Args:
        most: The number of places.
        queue: How many may wait for one.
    """

    def __init__(self, most: int, queue: int) -> None:
        self._most = most
        self._queue = queue
        self._by_loop: dict[asyncio.AbstractEventLoop, _LoopPlaces] = {}

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Hold a place during the block, after waiting for one.

        Raises:
            BusyError: Too many wait already.
        """
        places = self._by_loop.get(asyncio.get_running_loop()) or self._add()
        if places.free.locked() and places.waiting >= self._queue:
            raise BusyError(f"{self._most} are at work and {self._queue} wait")
        places.waiting += 1
        try:
            await places.free.acquire()
        finally:
            places.waiting -= 1
        try:
            yield
        finally:
            places.free.release()

    def _add(self) -> _LoopPlaces:
        for loop in [each for each in self._by_loop if each.is_closed()]:
            self._by_loop.pop(loop, None)
        places = _LoopPlaces(asyncio.Semaphore(self._most))
        self._by_loop[asyncio.get_running_loop()] = places
        return places


@dataclass(slots=True)
class _LoopPlaces:
    """The places of one event loop."""

    free: asyncio.Semaphore
    waiting: int = 0
