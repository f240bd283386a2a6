"""Two requests at the same time, of which neither outlives the other's failure."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["both"]

A = TypeVar("A")
B = TypeVar("B")


async def both(
    first: Coroutine[object, object, A], second: Coroutine[object, object, B]
) -> tuple[A, B]:
    """Return what both return; where both fail, the error is the first one's."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # under trio, or no event loop: each would warn that it was never awaited
        first.close()
        second.close()
        raise
    one, other = loop.create_task(first), loop.create_task(second)
    try:
        return await one, await other
    finally:
        for task in (one, other):
            task.cancel()
        await asyncio.gather(one, other, return_exceptions=True)
