"""Worker threads and permits, for each device.

A call to a dead network mount may never return. So the calls to each device have threads of their
own: they never wait for those to another device, and the event loop's default executor, which
programs use for other things, never waits for them.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from jtc.storage.driver_support.error_translation import no_thread
from jtc.storage.driver_support.fork_safety import reset_after_fork

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Workers", "share", "workers_of"]

_PROCESSORS = os.cpu_count() or 1
_THREADS = min(32, _PROCESSORS + 4)  # as in the default executor
_READING_THREADS = 512
"""A call that reads its caller's content may wait for another call, which that content reads from:
with few threads, such calls would all wait for each other."""

_MOST_STUCK = 64
"""How many calls that were given up may keep a thread, and yet get another one in its place."""

_MOST_ROOTS = 4096


class Workers:
    """The threads that call one device.

    Attributes:
        processor_slots: As many as there are processors: see `processor_slot`.
    """

    def __init__(self) -> None:
        self._after_fork()
        reset_after_fork(self)

    def _after_fork(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._reading: ThreadPoolExecutor | None = None
        self.processor_slots = threading.Semaphore(_PROCESSORS)
        self._lock = threading.Lock()
        self._stuck = self._stuck_in_executor = 0

    @property
    def executor(self) -> ThreadPoolExecutor:
        """The threads of calls that wait for the device only."""
        executor = self._executor
        if executor is None:
            with self._lock:
                executor = self._executor
                if executor is None:
                    executor = self._executor = _make_executor(_THREADS)
        return executor

    @property
    def reading_executor(self) -> ThreadPoolExecutor:
        """The threads of calls that also read what their callers pass."""
        with self._lock:
            if self._reading is None:
                self._reading = _make_executor(_READING_THREADS)
            return self._reading

    def submit(self, work: Callable[[], None], *, reads_content: bool = False) -> Future[None]:
        """Have a function called in a thread.

        Raises:
            StorageUnavailableException: None can be started. Another one may call the function yet.
        """
        executor = None if reads_content else self._executor
        if executor is None:
            executor = self.reading_executor if reads_content else self.executor
        try:
            return executor.submit(work)
        except RuntimeError as error:
            if "shutdown" not in str(error):
                raise no_thread(error) from error
            # The interpreter ends: what is open is closed here.
            done: Future[None] = Future()
            work()
            done.set_result(None)
            return done

    def give_up(self) -> None:
        """Note that a call was given up that hangs; have other threads in place of those that do.

        Up to a limit: beyond it, calls to the device wait until others return.
        """
        with self._lock:
            self._stuck += 1
            self._stuck_in_executor += 1
            if self._stuck_in_executor >= _THREADS // 2 and self._stuck <= _MOST_STUCK:
                self._executor = None  # its idle threads end by themselves
                self._stuck_in_executor = 0

    def has_returned(self) -> None:
        """Note that a call has returned that was given up."""
        with self._lock:
            self._stuck -= 1
            self._stuck_in_executor = max(0, self._stuck_in_executor - 1)


def _make_executor(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="jtc-storage-local")


_by_device: dict[int, Workers] = {}
_by_root: dict[str, Workers] = {}


def workers_of(root: str) -> Workers:
    """Return the workers of the device that a root was on, or new ones until it is known."""
    return _by_root.get(root) or Workers()


def share(root: str, device: int, workers: Workers) -> Workers:
    """Return the workers of a device: those that it has, or these from now on."""
    shared = _by_device.setdefault(device, workers)
    if len(_by_root) >= _MOST_ROOTS:
        _by_root.clear()
    _by_root[root] = shared
    return shared
