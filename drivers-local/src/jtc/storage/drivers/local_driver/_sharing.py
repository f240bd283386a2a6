"""Steps that another program's open file stops for a moment, as it does on Windows.

There, a file that is open can be neither replaced nor deleted, unless who opened it permits that; a
virus scanner or an indexer opens each new file.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from jtc.storage.exceptions import StorageUnavailableException

if TYPE_CHECKING:
    from collections.abc import Callable

    from jtc.storage.drivers.local_driver._worker_calls import CancelToken

__all__ = ["patiently"]

T = TypeVar("T")

_WAIT_SECONDS = 2.0
"""How long an open file is waited for."""

_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.05

# https://learn.microsoft.com/windows/win32/debug/system-error-codes--0-499-
_SHARING_VIOLATION, _LOCK_VIOLATION = 32, 33
_ACCESS_DENIED = 5  # for a file that is open it is the answer to a replacement


def patiently(token: CancelToken, step: Callable[[], T]) -> T:
    """Take a step that changes something, again and again while another program is in its way.

    Args:
        token: The call's, which each attempt is one step of.
        step: Changes all or nothing.

    Raises:
        StorageUnavailableException: The file stayed open.
        PermissionError: It is open, or this process may not do so.
    """
    deadline = time.monotonic() + _WAIT_SECONDS
    pause = _FIRST_PAUSE
    while True:
        try:
            with token:
                return step()
        except PermissionError as error:
            number = getattr(error, "winerror", None)
            if number not in (_SHARING_VIOLATION, _LOCK_VIOLATION, _ACCESS_DENIED):
                raise
            if time.monotonic() > deadline:
                if number == _ACCESS_DENIED:
                    raise
                raise StorageUnavailableException(
                    "Another program, or a reader of this disk, has had the file open for "
                    f"{_WAIT_SECONDS:.0f} s: on Windows it can be neither replaced nor deleted then"
                ) from error
        token.check()
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
