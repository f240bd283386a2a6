"""The threads of OpenDAL, which end in a forked child of the process that started them."""

from __future__ import annotations

import atexit
import time

from jtc.storage.driver_support.fork_safety import reset_after_fork
from jtc.storage.exceptions import StorageUnavailableException

__all__ = ["runtime"]

_SETTLING_SECONDS = 0.1
"""How long a process waits at its exit for threads that are at the end of a call: one that reaches
for the interpreter while that ends aborts the process, which then seems to have failed."""


class _Runtime:
    """Whether OpenDAL's threads run in this process, or were lost at a fork.

    OpenDAL starts them at its first call, and never again in the process or in its children, where
    each call would wait forever. Importing it and making an `AsyncOperator` starts none.
    """

    def __init__(self) -> None:
        self._is_started = False
        self._is_lost = False
        reset_after_fork(self)

    def _after_fork(self) -> None:
        self._is_lost = self._is_started

    def use(self) -> None:
        """Note that a call follows.

        Raises:
            StorageUnavailableException: This is a child of a process that used OpenDAL before the
                fork.
        """
        if not self._is_started:
            self._is_started = True
            atexit.register(time.sleep, _SETTLING_SECONDS)
        if self._is_lost:
            raise StorageUnavailableException(
                "OpenDAL's threads do not survive a fork, and this process was forked from one "
                "that had used OpenDAL: its calls would hang. Start the process by 'spawn' or "
                "'forkserver' (multiprocessing.set_start_method), or use the disk in the parent "
                "only after the fork",
                retryable=False,
            )


runtime = _Runtime()
