"""`Learned`: what a disk learns of its store on the way."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Learned"]


@dataclass(slots=True, eq=False, repr=False)
class Learned:
    """What a disk learns of its store on the way.

    Attributes:
        has_bucket: Whether the bucket was there once: a 404 is then a file's.
        moves: False once the store has not known the request that moves a file.
        has_checked: Whether its conditions were tried.
    """

    has_bucket: bool = False
    moves: bool = True
    has_checked: bool = False
