"""The threads of OpenDAL, which neither a fork nor the end of the interpreter may meet at work."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from typing import TYPE_CHECKING, TypeVar

from opendal.layers import RetryLayer

from jtc.storage.driver_support.fork_safety import reset_after_fork
from jtc.storage.exceptions import StorageUnavailableException

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["runtime"]

T = TypeVar("T")

_FEW = 64
"""How many calls are noted before those that ended are forgotten."""

_LONGEST_END = 1.0
"""How many seconds the end of the process waits for calls at most."""

_PAUSE = 0.001
_LAST_PAUSE = 0.01


class _Runtime:
    """Whether OpenDAL's threads run in this process, or were lost at a fork; and their calls.

    OpenDAL starts them at its first call, and never again in the process or in its children, where
    each call would wait forever. Importing it and making an `AsyncOperator` starts none.

    A thread hands a call's result over and then still drops its references to the call's future.
    Where the interpreter ends meanwhile, the thread is ended inside of Rust, which aborts the
    process (https://github.com/PyO3/pyo3-async-runtimes/issues/40). So the end of the process
    waits until no thread has such a reference.
    """

    def __init__(self) -> None:
        self._is_started = False
        self._is_lost = False
        self._calls: list[weakref.ref[Awaitable[object]]] = []
        self._most_calls = _FEW
        self._lock = threading.Lock()
        reset_after_fork(self)
        atexit.register(self._finish)

    def _after_fork(self) -> None:
        self._is_lost = self._is_started
        self._calls = []
        self._lock = threading.Lock()

    def use(self) -> None:
        """Note that a call follows.

        Raises:
            StorageUnavailableException: This is a child of a process that used OpenDAL before the
                fork.
        """
        self._is_started = True
        if self._is_lost:
            raise StorageUnavailableException(
                "OpenDAL's threads do not survive a fork, and this process was forked from one "
                "that had used OpenDAL: its calls would hang. Start the process by 'spawn' or "
                "'forkserver' (multiprocessing.set_start_method), or use the disk in the parent "
                "only after the fork",
                retryable=False,
            )

    def noted(self, call: Awaitable[T]) -> Awaitable[T]:
        """Return a future of OpenDAL, which the end of the process waits for."""
        with self._lock:
            self._calls.append(weakref.ref(call))
            if len(self._calls) > self._most_calls:
                self._forget_ended()
                self._most_calls = 2 * len(self._calls) + _FEW
        return call

    def _forget_ended(self) -> None:
        self._calls = [call for call in self._calls if call() is not None]

    def _finish(self) -> None:
        """Wait until OpenDAL's threads have no call in hand, or for a second."""
        end = time.monotonic() + _LONGEST_END
        has_waited = False
        while self._calls and time.monotonic() < end:
            RetryLayer()  # any call of OpenDAL: it drops the references that threads left to it
            self._forget_ended()
            if self._calls:
                has_waited = True
                time.sleep(_PAUSE)
        if has_waited:
            time.sleep(_LAST_PAUSE)  # what a thread drops after the future, such as its event loop


runtime = _Runtime()
