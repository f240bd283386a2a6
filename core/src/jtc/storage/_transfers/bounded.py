"""Many tasks, a bounded number of them at once, with their results as they end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable
from typing import Any, Generic, TypeVar

from jtc.storage.driver_support.derived import closing

__all__ = ["bounded"]

T = TypeVar("T")
R = TypeVar("R")


async def bounded(
    items: Iterable[T] | AsyncIterable[T],
    work: Callable[[T], Coroutine[Any, Any, R] | R],
    concurrency: int,
) -> AsyncIterator[R]:
    """Yield the result of each item's work as it ends, in any order.

    An error of `work` stops all other work and is raised; one of `items` is raised once the work
    that was begun has ended. If the iteration is cancelled or closed, all work is cancelled, and
    has ended before this has.

    Args:
        items: They are read as there is room for them, in a task of their own.
        work: Makes the coroutine of one item, which runs as a task; or returns its result, where
            there is nothing to wait for.
        concurrency: The number of items that are worked on, or whose results wait to be taken.
    """
    window: _Window[T, R] = _Window(work, concurrency)
    feeder = asyncio.create_task(window.feed(items))
    try:
        while (ended := await window.take()) is not None:
            yield ended.result()
            del ended  # or the result would live until there is another one
        await feeder
    finally:
        await window.stop(feeder)


class _Window(Generic[T, R]):
    """Tasks that run, and those that have ended and whose results were not taken yet."""

    def __init__(self, work: Callable[[T], Coroutine[Any, Any, R] | R], concurrency: int) -> None:
        self.running: set[asyncio.Task[R]] = set()
        self._work = work
        self._room = asyncio.Semaphore(concurrency)
        self._ended: deque[asyncio.Task[R] | _Ready[R]] = deque()
        self._is_fed = False
        self._taker: asyncio.Future[None] | None = None

    async def feed(self, items: Iterable[T] | AsyncIterable[T]) -> None:
        """Begin a task for each item, as there is room."""
        each = aiter(items) if isinstance(items, AsyncIterable) else _each(items)
        try:
            async with closing(each):
                while True:
                    await self._room.acquire()
                    try:
                        item = await anext(each)
                    except StopAsyncIteration:
                        break
                    self._begin(self._work(item))
        finally:
            self._is_fed = True
            self._wake()

    async def take(self) -> asyncio.Task[R] | _Ready[R] | None:
        """Return the next task that ends; None at the end of all."""
        while not self._ended:
            if self._is_fed and not self.running:
                return None
            self._taker = asyncio.get_running_loop().create_future()
            await self._taker
        self._room.release()
        return self._ended.popleft()

    async def stop(self, feeder: asyncio.Task[None]) -> None:
        """Cancel all tasks, and wait for their end even if the caller is cancelled meanwhile."""
        interruption: asyncio.CancelledError | None = None
        # Iteration that swallows its cancellation may have begun one more.
        while tasks := {task for task in (feeder, *self.running) if not task.done()}:
            for task in tasks:
                task.cancel()
            try:
                await asyncio.wait(tasks)
            except asyncio.CancelledError as error:
                interruption = error
        if interruption is not None:
            raise interruption

    def _begin(self, job: Coroutine[Any, Any, R] | R) -> None:
        if isinstance(job, Coroutine):
            task = asyncio.create_task(job)
            self.running.add(task)
            task.add_done_callback(self._end)
        else:
            self._ended.append(_Ready(job))
            self._wake()

    def _end(self, task: asyncio.Task[R]) -> None:
        self.running.discard(task)
        self._ended.append(task)
        if not task.cancelled():
            task.exception()  # it is not always taken: asyncio would log that
        self._wake()

    def _wake(self) -> None:
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)


class _Ready(Generic[R]):
    """A result for which there was nothing to wait."""

    __slots__ = ("_result",)

    def __init__(self, result: R) -> None:
        self._result = result

    def result(self) -> R:
        return self._result


async def _each(items: Iterable[T]) -> AsyncIterator[T]:
    for item in items:
        yield item
