"""Byte ranges: ``[start, end)``, cut at the file's end, counted from the end where negative."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["check_range", "coalesced", "resolve_range"]

_SMALL_GAP = 64 * 1024
"""Two ranges with fewer bytes between them are read together: faster than one more request."""


def check_range(start: int, end: int | None) -> None:
    """Check that a range does not end before it begins.

    Raises:
        ValueError: `end` lies before `start`, or is below 0.
    """
    if end is not None and (end < 0 or (start >= 0 and end < start)):
        raise ValueError(f"A range ends where it begins or later, not from {start} to {end}")


def resolve_range(start: int, end: int | None, size: int) -> tuple[int, int]:
    """Return a range as offsets within a file.

    Args:
        start: The first byte; below 0, counted from the end.
        end: The byte after the last; None is the file's end. With a negative `start` it still
            counts from the file's beginning.
        size: The file's length in bytes.

    Returns:
        The first byte and the byte after the last, both within the file; equal where the range
        has no bytes.

    Raises:
        ValueError: `end` lies before `start`, or is below 0.
    """
    check_range(start, end)
    first = max(0, size + start) if start < 0 else min(start, size)
    last = size if end is None else min(end, size)
    return first, max(first, last)


def coalesced(
    spans: Sequence[tuple[int, int]], gap: int = _SMALL_GAP
) -> list[tuple[tuple[int, int], list[int]]]:
    """Merge spans that overlap or lie close together.

    Args:
        spans: Pairs ``(start, end)`` of offsets, in any order.
        gap: The most bytes between two spans that are merged.

    Returns:
        The merged spans in ascending order, each with the indexes of those that it covers.
    """
    merged: list[tuple[tuple[int, int], list[int]]] = []
    for index in sorted(range(len(spans)), key=spans.__getitem__):
        start, end = spans[index]
        if merged and start <= merged[-1][0][1] + gap:
            (first, last), members = merged[-1]
            members.append(index)  # in place: thousands of ranges may be merged into one
            merged[-1] = (first, max(last, end)), members
        else:
            merged.append(((start, end), [index]))
    return merged
