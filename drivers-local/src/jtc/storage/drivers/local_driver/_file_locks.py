"""Locks of open files: ranges by the system that has them, whole files elsewhere.

The system releases a lock when the descriptor is closed, or its process dies.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["hold_shared", "is_held", "lock_places", "unlock_places"]

_BUSY = frozenset({errno.EAGAIN, errno.EACCES})

# The position that _locking() takes has 31 bits.
_PLACES = 2**30


def lock_places(descriptor: int, places: Sequence[int], *, by_range: bool) -> bool:
    """Lock places of an open file, without waiting; return whether all are locked.

    Args:
        descriptor: The file, open for writing.
        places: Where, below 2**32.
        by_range: Lock the places alone, and not the file, where the system has such locks.

    Raises:
        OSError: The file system has no locks.
    """
    try:
        _lock(descriptor, places, by_range=by_range)
    except OSError as error:
        if error.errno not in _BUSY:
            raise
        return False
    return True


if sys.platform == "win32":

    def _lock(descriptor: int, places: Sequence[int], *, by_range: bool) -> None:
        # https://learn.microsoft.com/cpp/c-runtime-library/reference/locking
        del by_range  # always
        for place in sorted({place % _PLACES for place in places}):
            os.lseek(descriptor, place, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def unlock_places(descriptor: int, places: Sequence[int]) -> None:
        """Unlock places before the file is closed: Windows does that some time after a close."""
        for place in {place % _PLACES for place in places}:
            with suppress(OSError):  # it was not locked
                os.lseek(descriptor, place, os.SEEK_SET)
                msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

    def hold_shared(descriptor: int) -> None:
        """Show to other processes that a file is in use: an open file cannot be removed anyway."""

    def is_held(descriptor: int) -> bool:
        """Return whether another process holds an open file; removing it will tell."""
        del descriptor
        return False

else:
    # https://man7.org/linux/man-pages/man2/F_OFD_SETLK.2const.html
    _OFD_SETLK: int | None = (
        getattr(fcntl, "F_OFD_SETLK", None) if sys.platform == "linux" else None
    )

    def _lock(descriptor: int, places: Sequence[int], *, by_range: bool) -> None:
        if _OFD_SETLK is None or not by_range:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        for place in places:
            exclusive = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0)
            fcntl.fcntl(descriptor, _OFD_SETLK, exclusive)

    def unlock_places(descriptor: int, places: Sequence[int]) -> None:
        """Unlock places before the file is closed, which does it here."""

    def hold_shared(descriptor: int) -> None:
        """Show to other processes that a file is in use, until it is closed."""
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def is_held(descriptor: int) -> bool:
        """Return whether another process holds an open file by `hold_shared`."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        return False
