"""Imports of drivers, layers and plugins in a thread, so that they do not block an event loop."""

from __future__ import annotations

import asyncio
import copy
import os
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from jtc.storage.driver_support.fork_safety import reset_after_fork
from jtc.storage.exceptions import StorageConfigException

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["Loader"]

_FORK_PATIENCE = 5.0
"""How long a fork waits for the end of imports, in seconds."""

_importing: set[threading.Thread] = set()
_changed = threading.Condition()


class Loader:
    """Imports of one manager, each made once for all tasks that wait for it."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, Future[None]] = {}
        self._lock = threading.Lock()
        reset_after_fork(self)

    def _after_fork(self) -> None:
        self._under_way = {}  # their threads are in the parent
        self._lock = threading.Lock()

    async def load(self, key: Hashable, work: Callable[[], None]) -> None:
        """Call a function that imports modules, and wait for it.

        It runs in a thread of its own: the executor of the application may be full. Without an
        event loop, or where no thread can be started, it runs here.

        Args:
            key: Calls with one key are made once at a time.
            work: The function; its error is raised.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            work()
            return
        with self._lock:
            future = self._under_way.get(key)
            if future is None:
                future = self._under_way[key] = Future()
                future.set_running_or_notify_cancel()  # a task that is cancelled stops no other
                try:
                    threading.Thread(
                        target=self._run,
                        args=(key, work, future),
                        name="jtc-storage-import",
                        daemon=True,
                    ).start()
                except RuntimeError:
                    del self._under_way[key]
                    future = None
        if future is None:
            work()
            return
        try:
            await asyncio.wrap_future(future)
        except StorageConfigException as error:
            # Each task adds the path of its own operation.
            raise copy.copy(error) from error.__cause__

    def _run(self, key: Hashable, work: Callable[[], None], future: Future[None]) -> None:
        thread = threading.current_thread()
        with _changed:
            _importing.add(thread)
        error: BaseException | None = None
        try:
            work()
        except BaseException as raised:
            error = raised
        with _changed:
            _importing.discard(thread)
            _changed.notify_all()
        with self._lock:
            self._under_way.pop(key, None)  # before the result: the next use tries again
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


def _before_fork() -> None:
    """Wait for imports: a module that is half imported stays locked in the child."""
    me = threading.current_thread()
    with _changed:
        _changed.wait_for(lambda: _importing <= {me}, _FORK_PATIENCE)


def _after_fork_in_child() -> None:
    global _changed  # noqa: PLW0603 - its lock may be held by a thread of the parent
    _changed = threading.Condition()
    _importing.clear()


# Windows does not fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
