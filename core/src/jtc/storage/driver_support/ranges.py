"""What a byte range means: ``[start, end)``, cut at the file's end, from the end where negative."""

from __future__ import annotations

__all__ = ["check_range", "resolve_range"]


def check_range(start: int, end: int | None) -> None:
    """Refuse what is no range, before anything is opened.

    Raises:
        ValueError: `end` lies before `start`, or is below 0.
    """
    if end is not None and (end < 0 or (start >= 0 and end < start)):
        raise ValueError(f"A range ends where it begins or later, not from {start} to {end}")


def resolve_range(start: int, end: int | None, size: int) -> tuple[int, int]:
    """Say a range in a file's own offsets.

    Args:
        start: The first byte; below 0, so many bytes from the end.
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
