"""Work that continues after the call that began it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["Background"]

logger = logging.getLogger("jtc.storage.attachments")


class Background:
    """Tasks that are kept until they are done, in the event loops that began them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in this thread's event loop as a task; without one, to its end.

        A failure is logged.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(_logged(coroutine))
            return
        task = loop.create_task(_logged(coroutine))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def wait(self) -> None:
        """Wait for the tasks of this event loop."""
        loop = asyncio.get_running_loop()
        while own := [task for task in tuple(self._tasks) if task.get_loop() is loop]:
            await asyncio.wait(own)


async def _logged(coroutine: Coroutine[Any, Any, None]) -> None:
    try:
        await coroutine
    except Exception:
        logger.exception("Background work of attachments failed; the next purge makes up for it")
