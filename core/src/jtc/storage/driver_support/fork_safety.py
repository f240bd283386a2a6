"""Reset of locks and connections in a forked child."""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["reset_after_fork"]


class _Forked(Protocol):
    def _after_fork(self) -> None: ...


_registered: weakref.WeakSet[_Forked] = weakref.WeakSet()


def reset_after_fork(owner: _Forked) -> None:
    """Have an object's ``_after_fork()`` called in each forked child.

    A lock that another thread held at the fork is never released there, and a connection is still
    the parent's: the object makes new ones.

    Args:
        owner: The object, referenced weakly.
    """
    _registered.add(owner)


def _after_fork() -> None:
    for owner in list(_registered):
        owner._after_fork()  # noqa: SLF001


# Windows does not fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
