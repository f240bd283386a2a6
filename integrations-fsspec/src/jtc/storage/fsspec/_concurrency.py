"""Several coroutines at once: limits, and their cancellation."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

__all__ = ["Bulk", "bulk", "current_bulk", "gather_limited"]

A = TypeVar("A")
T = TypeVar("T")


async def gather_limited(
    call: Callable[[A], Awaitable[T]], arguments: Iterable[A], limit: int
) -> list[T]:
    """Call a function for each argument, and return its results; the first error ends all calls.

    Args:
        call: The function.
        arguments: What it is called with.
        limit: How many calls run at once.

    Raises:
        Exception: The first error of a call.
    """
    slots = asyncio.Semaphore(limit)

    async def limited(argument: A) -> T:
        async with slots:
            return await call(argument)

    tasks = [asyncio.ensure_future(limited(each)) for each in arguments]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Bulk:
    """An operation of fsspec's on many files, whose tasks fsspec leaves running if it is cancelled.

    Attributes:
        directories: The directories that it has asked for.
        moving: What it moves and does not copy, and which of it are directories; None: it copies.
    """

    def __init__(self) -> None:
        self.directories: set[str] = set()
        self.moving: dict[str, bool] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._whole = asyncio.current_task()
        self._cancelled = False

    def join(self) -> None:
        """Note that the current task belongs to this operation.

        Raises:
            asyncio.CancelledError: It was cancelled.
        """
        task = asyncio.current_task()
        if self._cancelled:
            raise asyncio.CancelledError
        if task is not None and task is not self._whole:
            self._tasks.add(task)

    async def cancel(self) -> None:
        """Cancel its tasks, and wait for their ends."""
        self._cancelled = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


_current: ContextVar[Bulk | None] = ContextVar("_current", default=None)


def current_bulk() -> Bulk | None:
    """Return the operation on many files that calls this, in its own task or in one of its."""
    return _current.get()


@asynccontextmanager
async def bulk() -> AsyncIterator[Bulk]:
    """Cancel the tasks of a block that is cancelled."""
    operation = Bulk()
    token = _current.set(operation)
    try:
        yield operation
    except asyncio.CancelledError:
        await operation.cancel()
        raise
    finally:
        _current.reset(token)
