"""Faults of stores and servers, planted for tests of the doctor: rows of its table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from planted_faults import Ground, Planted

__all__ = ["HEALTHY", "STORES"]

HEALTHY: dict[str, Callable[[Ground], None]] = {}
"""What configures a healthy disk of a store, by a name that rows have as their `base`."""

STORES: tuple[Planted, ...] = ()
