"""Locks on directories, so that a condition and the write that depends on it are one.

A conditional write takes the directory's `flock` alone, every other change shares it
(https://man7.org/linux/man-pages/man2/flock.2.html). It is held for a look and a rename, never
while content is read, and the system lets go of it when a process dies.
"""

from __future__ import annotations

import fcntl
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from jtc.storage.exceptions import UnsupportedOperationException

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jtc.storage.drivers.local_driver._worker_calls import Turn

__all__ = ["locked"]

_FIRST_PAUSE = 0.000_05
_LONGEST_PAUSE = 0.002


@contextmanager
def locked(directory: int, turn: Turn, *, alone: bool = False) -> Iterator[None]:
    """Hold the lock of a directory.

    Args:
        directory: Its descriptor, opened by the caller for this operation.
        turn: Ends the wait if the call is called off.
        alone: Keep out all other changes; otherwise only those that are alone.

    Raises:
        UnsupportedOperationException: `alone`, on a file system that has no such locks.
    """
    held = _lock(directory, turn, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
    if alone and not held:
        raise UnsupportedOperationException(
            "The file system cannot lock a directory, and so cannot keep a condition"
        )
    try:
        yield
    finally:
        if held:
            with suppress(OSError):  # it goes with the descriptor then
                fcntl.flock(directory, fcntl.LOCK_UN)


def _lock(directory: int, turn: Turn, kind: int) -> bool:
    # Asked again and again, for a blocked flock() cannot be called off: a lock that another
    # program forgot would take one worker after the other.
    pause = _FIRST_PAUSE
    while True:
        try:
            fcntl.flock(directory, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            turn.check()
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        except OSError:
            return False
        else:
            return True
