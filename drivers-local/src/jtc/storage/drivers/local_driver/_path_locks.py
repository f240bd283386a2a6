"""Locks of paths, so that a condition and the write that depends on it are one.

Whatever replaces or deletes a file holds the lock of its path for a look and a rename, never while
content is read. Between the threads of a process it is a mutex, between processes a range of the
file ``.jtc/lock`` (https://man7.org/linux/man-pages/man2/F_OFD_SETLK.2const.html) that the path's
checksum chooses: paths do not wait for each other. The system releases it when a process dies.

Only the disk's owner can open that file: a lock on a directory could be held by every user who may
read it. The first conditional write of a disk makes it. What gives a file a free name needs no
lock, since `link` replaces nothing.
"""

from __future__ import annotations

import os
import threading
import time
import unicodedata
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING

from jtc.storage.drivers.local_driver._file_locks import lock_places, unlock_places
from jtc.storage.drivers.local_driver._system_calls import after_fork
from jtc.storage.exceptions import StorageTimeoutException, UnsupportedOperationException

if TYPE_CHECKING:
    from jtc.storage.drivers.local_driver._safe_open import Root
    from jtc.storage.drivers.local_driver._worker_calls import CancelToken

__all__ = ["PathLocks"]

_WAIT_SECONDS = 10.0
"""How long a lock is waited for. A holder needs microseconds, or has been stopped."""

# A lock of another process is tried again and again, for a blocked call could not be cancelled.
_FIRST_PAUSE = 0.000_05
_LONGEST_PAUSE = 0.002
_PATIENCE = 0.1

_MUTEXES = 512
_mutexes: list[threading.Lock]


def _make_mutexes() -> None:
    global _mutexes  # noqa: PLW0603 - a process has one table of them
    _mutexes = [threading.Lock() for _ in range(_MUTEXES)]


_make_mutexes()
# A thread that holds one at a fork never releases it in the child.
after_fork(_make_mutexes)


class PathLocks:
    """The locks of one or more paths, held within a ``with`` block.

    Args:
        root: The disk's root.
        token: Ends the wait if the call is cancelled.
        paths: The paths that will be replaced or deleted.
        required: Whether a condition depends on it. Otherwise, where this process cannot lock, it
            keeps out only its own threads.
    """

    __slots__ = ("_descriptor", "_mutexes", "_places", "_required", "_root", "_taken", "_token")

    def __init__(self, root: Root, token: CancelToken, *paths: str, required: bool = False) -> None:
        self._root = root
        self._token = token
        self._required = required
        if len(paths) == 1:
            self._places = [_place_of(paths[0])]
            self._mutexes = [_mutexes[self._places[0] % _MUTEXES]]
        else:  # in one order for all, and each once
            self._places = sorted({_place_of(path) for path in paths})
            indexes = sorted({place % _MUTEXES for place in self._places})
            self._mutexes = [_mutexes[index] for index in indexes]
        self._taken: list[threading.Lock] = []
        self._descriptor = -1

    def __enter__(self) -> None:
        """Take all locks.

        Raises:
            UnsupportedOperationException: `required`, and this process cannot lock here.
            StorageTimeoutException: Others held a lock for too long.
        """
        if self._take():
            return
        deadline = time.monotonic() + _WAIT_SECONDS
        pause = _FIRST_PAUSE
        while not self._take():
            self._token.check()
            if time.monotonic() > deadline:
                raise StorageTimeoutException(
                    f"The lock of this file was not free within {_WAIT_SECONDS:.0f} s: another "
                    f"process, which may be stopped, holds it in {self._root.lock_name}"
                )
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def __exit__(self, *exc_info: object) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            unlock_places(descriptor, self._places)
            os.close(descriptor)
        while self._taken:
            self._taken.pop().release()

    def _take(self) -> bool:
        """Take all locks or none."""
        done = False
        try:
            for mutex in self._mutexes:
                if not mutex.acquire(timeout=_PATIENCE):
                    return False
                self._taken.append(mutex)
            self._descriptor = self._root.open_lock(self._token, required=self._required)
            done = self._descriptor < 0 or self._lock()
            return done
        finally:
            if not done:
                self.__exit__()

    def _lock(self) -> bool:
        """Lock places of the file, without waiting; return whether it is done."""
        descriptor = self._descriptor
        try:
            if not lock_places(descriptor, self._places, by_range=not self._root.portable):
                return False
        except OSError as error:
            if self._required:
                raise UnsupportedOperationException(
                    "The file system cannot lock files, and so cannot keep a condition"
                ) from error
            return True
        # One that was deleted, with the reserved directory, locks out only those who have it open.
        return not self._required or os.fstat(descriptor).st_nlink > 0


@lru_cache(maxsize=4096)
def _place_of(path: str) -> int:
    """Return where the lock of a path is: one place for all spellings that one file may have."""
    if not path.isascii():
        path = unicodedata.normalize("NFKC", path)
    return zlib.crc32(path.casefold().encode())
