"""What somebody who misspelled a name may have meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["closest"]


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like a given one, or None if none is."""
    import difflib  # noqa: PLC0415 - only who misspells pays for it

    found = difflib.get_close_matches(name, known, n=1)
    return found[0] if found else None
