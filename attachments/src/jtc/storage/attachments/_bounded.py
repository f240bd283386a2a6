"""Iteration in batches, and with a bound on what runs at once."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

__all__ = ["batches", "each", "mapped"]

T = TypeVar("T")
R = TypeVar("R")


async def mapped(
    function: Callable[[T], Awaitable[R]], items: AsyncIterator[T], limit: int
) -> AsyncGenerator[R, None]:
    """Yield the function's result for each item, in their order, with `limit` of them under way."""
    pending: deque[asyncio.Task[R]] = deque()

    async def call(item: T) -> R:
        return await function(item)

    async with _closed(items):
        try:
            async for item in items:
                pending.append(asyncio.create_task(call(item)))
                if len(pending) >= limit:
                    yield await pending.popleft()
            while pending:
                yield await pending.popleft()
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)


async def batches(items: AsyncIterator[T], size: int) -> AsyncGenerator[list[T], None]:
    """Yield the items in lists of `size`; the last one may be shorter."""
    batch: list[T] = []
    async with _closed(items):
        async for item in items:
            batch.append(item)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch


async def each(items: list[T]) -> AsyncIterator[T]:
    """Yield the items of a list."""
    for item in items:
        yield item


def _closed(items: AsyncIterator[Any]) -> AsyncExitStack | aclosing[Any]:
    """Return a context that closes an async generator; other iterators need none."""
    return aclosing(items) if hasattr(items, "aclose") else AsyncExitStack()
