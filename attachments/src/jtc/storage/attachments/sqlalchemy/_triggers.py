"""Triggers that write the outbox, also for raw SQL, bulk statements and cascades."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Column, Connection


def missing_triggers(connection: Connection, columns: Iterable[Column[Any]]) -> list[str]:
    """Return the names of the fields whose triggers are missing."""
    raise NotImplementedError
