"""Listings of a store that has directories, level by level in the order of keys."""

from __future__ import annotations

__all__ = ["first_key"]


def first_key(above: str, start_after: str | None, *, recursive: bool) -> str | None:
    """Return what a directory's first key to list is not less than; None if there is none.

    Args:
        above: The directory's path and ``/``; empty for the root.
        start_after: The option of that name.
        recursive: Whether directories are entered.
    """
    if start_after is None:
        return ""
    if not start_after.startswith(above):
        return None if above < start_after else ""
    after = start_after[len(above) :]
    child, separator, _ = after.partition("/")
    if separator and recursive:
        return child + separator  # it is entered, and not listed itself
    return f"{after}\0"
