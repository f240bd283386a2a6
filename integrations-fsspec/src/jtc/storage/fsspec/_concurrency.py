"""Several coroutines at once, up to a limit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

__all__ = ["gather_limited"]

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
